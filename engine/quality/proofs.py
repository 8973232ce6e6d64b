"""What can be proved of a program over all values of its base facts, whatever the vignettes hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from engine.quality.clauses import FALSE, Clauses
from engine.quality.mutants import Mutant
from engine.quality.outcomes import difference, outcomes
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


class Difference(msgspec.Struct, frozen=True):
    """What two programs can do otherwise: show other findings, the same in other words, only conclude otherwise, or
    nothing at all. `example`: base facts with which they show other findings."""

    what: Literal["findings", "words", "conclusions", "nothing"]
    example: Facts = {}


class Prover:
    """Proofs about one program. `more`: further conditions that will be asked about."""

    def __init__(self, program: Program, more: Iterable[Condition] = ()) -> None:
        self.program = program
        self.clauses = Clauses(program, more)
        self._draft = self.clauses.free()
        self._issues = {rule.name: rule for rule in self.clauses.rules if isinstance(rule, Issue)}
        # said before variants are made, so that they share it
        self._plain = {name: outcomes(issue, self.clauses, self._draft) for name, issue in self._issues.items()}
        self._worded = {
            name: outcomes(issue, self.clauses, self._draft, words=True) for name, issue in self._issues.items()
        }

    def never(self) -> Iterator[Never]:
        """Cases that are never the answer."""
        with Solver(self.clauses) as solver:
            for rule in self.clauses.rules:
                for index, selected in enumerate(self.clauses.selected[rule.name]):
                    stands = self.clauses.fires(rule) if isinstance(rule, Issue) else selected
                    if not solver.possible(selected, stands):
                        yield Never(rule.name, index)

    def together(self, candidates: Iterable[tuple[str, str]]) -> Iterator[Always]:
        """Of pairs of issues those in which the first never stands without the second."""
        with Solver(self.clauses) as solver:
            for issue, also in candidates:
                stands = self.clauses.fires(self._issues[issue])
                if not solver.possible(stands, -self.clauses.fires(self._issues[also])):
                    yield Always(issue, also)

    def counterexample(self, true: Iterable[Condition], not_true: Iterable[Condition]) -> Facts | None:
        """Base facts with which all of the one hold and none of the others does; None: there are none."""
        wanted = [self.clauses.truth(condition)[0] for condition in true]
        wanted += [-self.clauses.truth(condition)[0] for condition in not_true]
        with Solver(self.clauses) as solver:
            return solver.witness(*wanted)

    def difference(self, mutant: Mutant) -> Difference:
        """What a changed program does otherwise, over all values of the base facts."""
        other = self.clauses.variant(mutant.program, {mutant.rule} if mutant.rule else ())
        issues = {rule.name: rule for rule in other.rules if isinstance(rule, Issue)}
        names = [name for name in self._issues if name in other.anew or not mutant.rule]

        def shown(*, words: bool) -> int:
            before = self._worded if words else self._plain
            after = {name: outcomes(issues[name], other, self._draft, words=words) for name in names}
            return difference({name: before[name] for name in names}, after, other)

        concluded = other.any(
            other.differ(self.clauses.values.get(key, FALSE), other.values.get(key, FALSE))
            for key in dict.fromkeys([*self.clauses.values, *other.values]) if key[0] == mutant.rule
        )
        with Solver(other) as solver:
            example = solver.witness(shown(words=False))
            if example is not None:
                return Difference("findings", example)
            if solver.possible(shown(words=True)):
                return Difference("words")
            return Difference("conclusions" if solver.possible(concluded) else "nothing")
