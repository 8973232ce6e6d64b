"""Kind `contradicted`: low numbers that another test of the same day does not bear out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from engine.facts.definition import Definition
from engine.facts.options import ConceptName, Days, Number
from engine.facts.reading import Reading, Readings, decided, numbers
from engine.facts.said import amount, evidence_for, known
from engine.facts.view import View
from engine.facts.window import counted, days_before, newest, none_left, window
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
        low = [reading for below, reading in fresh if below]
        if not low:
            return () if fresh else none_left(view, self.name, (self.concept,), readings, opening)
        companions = [(reading, self._companion(view, reading.day)) for reading in low]
        alone = [reading for reading, companion in companions if companion is None]
        if alone:
            return (known(self, ABSENT, evidence_for(view, alone), alone[0].day, said=_said(alone[0])),)
        resting = [*low, *(companion for _, companion in companions if companion is not None)]
        return (known(self, PRESENT, evidence_for(view, resting), low[0].day, said=_said(low[0])),)

    def _fresh(self, view: View, readings: Readings) -> list[tuple[bool, Reading]]:
        found = decided(readings, "below", self.below)
        if self.worst_of is not None:
            first = days_before(view.as_of, self.worst_of)
            worst = [one for one in found if one[1].day and one[1].day >= first]
            if worst:
                return worst
        last = {id(reading) for reading in newest([reading for _, reading in found])}
        return [one for one in found if id(one[1]) in last]

    def _companion(self, view: View, day: date | None) -> Reading | None:
        for concept, limit in sorted(self.contradicted_by.items()):
            of_day = [reading for reading in numbers(view, concept) if reading.day == day]
            for good, reading in decided(of_day, "at_least", limit):
                if good:
                    return reading
        return None


def _said(reading: Reading) -> str:
    return amount(reading.result.quantity) if reading.result.quantity else ""
