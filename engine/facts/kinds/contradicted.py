"""Kind `contradicted`: low numbers that another test of the same day does not bear out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from engine.facts.definition import Definition
from engine.facts.options import ConceptName, Days, Number
from engine.facts.quantity import certainly
from engine.facts.reading import Reading, Readings, numbers
from engine.facts.said import amount, evidence_for, known
from engine.facts.view import View
from engine.facts.window import by_day, counted, days_before, none_left, window
from engine.model.fact import ABSENT, PRESENT, Fact


class ContradictedFact(Definition, frozen=True, kw_only=True, tag="contradicted"):
    """`present` when every fresh number below the limit has, on its day, a companion at or above its own limit;
    `absent` when one has none; unknown when no fresh number is below.

    Fresh: all of the last `worst_of` days, else the newest `within`. `contradicted_by`: companion -> its limit.
    """

    concept: ConceptName
    below: Number
    contradicted_by: Mapping[ConceptName, Number]
    worst_of: Days | None = None
    within: Days | None = None

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (PRESENT, ABSENT)}

    def reads(self) -> frozenset[str]:
        return frozenset((self.concept, *self.contradicted_by))

    def compute(self, view: View) -> tuple[Fact, ...]:
        readings = numbers(view, self.concept)
        opening = window(view, self.within)
        fresh = self._fresh(view, [reading for reading in counted(readings, opening) if reading.day is not None])
        low = [reading for reading in fresh if self._below(reading)]
        if not low:
            return () if fresh else none_left(view, self.name, (self.concept,), readings, opening)
        companions = [(reading, self._companion(view, reading.day)) for reading in low]
        alone = [reading for reading, companion in companions if companion is None]
        if alone:
            return (known(self, ABSENT, evidence_for(view, alone), alone[0].day, said=_said(alone[0])),)
        resting = [*low, *(companion for _, companion in companions if companion is not None)]
        return (known(self, PRESENT, evidence_for(view, resting), low[0].day, said=_said(low[0])),)

    def _fresh(self, view: View, readings: Readings) -> Readings:
        decided = [reading for reading in readings if self._below(reading) is not None]
        if self.worst_of is not None:
            first = days_before(view.as_of, self.worst_of)
            worst = [reading for reading in decided if reading.day and reading.day >= first]
            if worst:
                return worst
        return next((day for _, day in by_day(decided)), [])

    def _below(self, reading: Reading) -> bool | None:
        return certainly(reading.measure, "below", self.below) if reading.measure else None

    def _companion(self, view: View, day: date | None) -> Reading | None:
        for concept, limit in sorted(self.contradicted_by.items()):
            for reading in numbers(view, concept):
                if reading.day == day and reading.measure and certainly(reading.measure, "at_least", limit):
                    return reading
        return None


def _said(reading: Reading) -> str:
    return amount(reading.result.quantity) if reading.result.quantity else ""
