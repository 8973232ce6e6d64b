"""The SAT solver (python-sat, the extra `proof`) over the clauses of a program: is it possible, and how."""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import SettingsError
from engine.model.fact import UNKNOWN
from engine.quality.clauses import Clauses

NAME = "cadical195"


class Solver:
    """Answers questions over clauses. Use it in a `with` statement.

    Raises SettingsError if python-sat is not installed.
    """

    def __init__(self, clauses: Clauses) -> None:
        try:
            from pysat.solvers import Solver as Engine  # noqa: PLC0415 - an extra
        except ImportError:
            raise SettingsError(
                "proofs need a SAT solver, and python-sat is not installed: `pip install endplate[proof]`"
            ) from None
        self._clauses = clauses
        self._solver = Engine(name=NAME, bootstrap_with=clauses.clauses)
        self._added = len(clauses.clauses)

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, *_: object) -> None:
        self._solver.delete()

    def possible(self, *wanted: int) -> bool:
        """Whether all of the literals can hold at once."""
        self._catch_up()
        return bool(self._solver.solve(assumptions=list(wanted)))

    def witness(self, *wanted: int) -> dict[str, str] | None:
        """Base facts with which all of the literals hold, as few known ones as can be; None if they cannot hold."""
        if not self.possible(*wanted):
            return None
        unknown = {f: v for f, of in self._clauses.members.items() if (v := self._clauses.values.get((f, UNKNOWN)))}
        fixed = list(wanted)
        todo = list(unknown.values())
        while todo:
            true = set(self._solver.get_model() or ())
            fixed += [variable for variable in todo if variable in true]
            todo = [variable for variable in todo if variable not in true]
            while todo:                # what is known in the model, and need not be
                variable = todo.pop(0)
                if self._solver.solve(assumptions=[*fixed, variable]):
                    fixed.append(variable)
                    break
        self._solver.solve(assumptions=fixed)
        return self._known(self._solver.get_model() or ())

    def _known(self, model: Iterable[int]) -> dict[str, str]:
        true = set(model)
        return {
            fact: value
            for fact, classes in self._clauses.members.items()
            for value in classes
            if value != UNKNOWN and self._clauses.values[fact, value] in true
        }

    def _catch_up(self) -> None:
        """Clauses that the questions themselves have added."""
        if len(self._clauses.clauses) > self._added:
            self._solver.append_formula(self._clauses.clauses[self._added :])
            self._added = len(self._clauses.clauses)
