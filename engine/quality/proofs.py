"""What can be proved of a program over all values of its base facts, whatever the vignettes hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.quality.clauses import Clauses
from engine.quality.mutants import Mutant
from engine.quality.outcomes import difference
from engine.quality.solver import Solver
from engine.rules.program import Condition, Issue, Program

Facts = Mapping[str, str]


class Never(msgspec.Struct, frozen=True):
    """A case of a rule that no values of the base facts make the first true one (of an issue: that never stands)."""

    rule: str
    case: int


class Always(msgspec.Struct, frozen=True):
    """Whenever `issue` stands, `also` does."""

    issue: str
    also: str


class Prover:
    """Proofs about one program. `more`: further conditions that will be asked about."""

    def __init__(self, program: Program, more: Iterable[Condition] = ()) -> None:
        self.program = program
        self.clauses = Clauses(program, more)
        self._draft = self.clauses.free()
        self._issues = [rule for rule in self.clauses.rules if isinstance(rule, Issue)]
        for issue in self._issues:     # said before variants are made, so that they share it
            self.clauses.muted(issue.name)

    def never(self) -> Iterator[Never]:
        """Cases that are never the answer."""
        with Solver(self.clauses) as solver:
            for rule in self.clauses.rules:
                for index, selected in enumerate(self.clauses.selected[rule.name]):
                    stands = self.clauses.fires(rule.name) if isinstance(rule, Issue) else selected
                    if not solver.possible(selected, stands):
                        yield Never(rule.name, index)

    def together(self, candidates: Iterable[tuple[str, str]]) -> Iterator[Always]:
        """Of pairs of issues those in which the first never stands without the second."""
        with Solver(self.clauses) as solver:
            for issue, also in candidates:
                if not solver.possible(self.clauses.fires(issue), -self.clauses.fires(also)):
                    yield Always(issue, also)

    def counterexample(self, true: Iterable[Condition], not_true: Iterable[Condition]) -> Facts | None:
        """Base facts with which all of the one hold and none of the others does; None: there are none."""
        wanted = [self.clauses.truth(condition)[0] for condition in true]
        wanted += [-self.clauses.truth(condition)[0] for condition in not_true]
        with Solver(self.clauses) as solver:
            return solver.witness(*wanted)

    def told_apart(self, mutant: Mutant) -> Facts | None:
        """Base facts with which a changed program shows other findings; None: it never does."""
        other = self.clauses.variant(mutant.program, {mutant.rule} if mutant.rule else ())
        names = [issue.name for issue in self._issues]
        differs = difference(self.clauses, other, names, self._draft)
        with Solver(other, self.clauses.clauses) as solver:
            return solver.witness(differs)
