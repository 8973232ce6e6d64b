"""Kind `own-range`: a result against its own reference range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engine.facts.definition import Definition
from engine.facts.options import Concepts, Days, Since
from engine.facts.reading import HIGH, LOW, NORMAL, Reading, above_own_limit, concept_of, own_ranges
from engine.facts.said import evidence_for, known, ordered, said_by, tests
from engine.facts.view import View
from engine.facts.window import counted, newest, none_left, window
from engine.model.fact import Fact


class OwnRangeFact(Definition, frozen=True, kw_only=True, tag="own-range"):
    """`high`, `normal` or `low` by the newest result that has a flag or an own range that decides.

    On one day the end that is worse for the concept decides: the lowest, or the highest. `flag_or_limit`: only the flag
    or the own upper limit. Of several concepts, each by its own newest, the most alarming.
    """

    slots: ClassVar[tuple[str, ...]] = ("test",)

    concepts: Concepts
    within: Days | None = None
    since: Since | None = None
    flag_or_limit: bool = False

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (HIGH, NORMAL) if self.flag_or_limit else (HIGH, NORMAL, LOW)}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def needs(self) -> frozenset[str]:
        return frozenset((self.since.fact,)) if self.since else frozenset()

    def compute(self, view: View) -> tuple[Fact, ...]:
        opening = window(view, self.within, self.since)
        readable: list[Reading] = []
        pool: list[tuple[int, Reading]] = []
        for concept in self.concepts:
            readings = above_own_limit(view, concept) if self.flag_or_limit else own_ranges(view, concept)
            readable.extend(readings)
            order = (LOW, NORMAL, HIGH) if concept_of(view, concept).worse == "lower" else (HIGH, NORMAL, LOW)
            pool += [(order.index(reading.word), reading) for reading in newest(counted(readings, opening))]
        if not pool:
            return none_left(view, self.name, self.concepts, readable, opening)
        best = min(rank for rank, _ in pool)
        resting = [reading for rank, reading in pool if rank == best]
        first = resting[0]
        evidence = ordered((*evidence_for(view, resting), *opening.links))
        said = said_by(first.result) if first.result.quantity else first.word
        named = tests(self, view, (reading.result.concept for reading in resting))
        return (known(self, first.word, evidence, first.day, said=said, **named),)
