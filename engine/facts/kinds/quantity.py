"""Kind `quantity`: a number, or a multiple of its own upper limit, in bands."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from engine.facts.definition import Band, Definition
from engine.facts.options import Bands, Concepts, Days, Since, ValueName
from engine.facts.quantity import EXACT, Measure, band, strongest
from engine.facts.reading import POSITIVE, Reading, Readings, concept_of, decided, multiples, numbers, titres
from engine.facts.said import amount, evidence_for, known, ordered, tests, unknown
from engine.facts.view import View
from engine.facts.window import Window, by_day, counted, days_before, newest, none_left, window
from engine.model.fact import Fact, Reason


class Chosen(msgspec.Struct, frozen=True):
    """The band of one concept's numbers, and the readings that said so: the one that reached it first."""

    rank: int
    value: str
    resting: Readings


class QuantityFact(Definition, frozen=True, kw_only=True, tag="quantity"):
    """The band of the number that `pick` chooses: the newest, the highest ever, or the worst fresh one.

    `worst-fresh`: of all values of the last `worst_of` days the worst, else the newest `within`. On one day the worse
    end of the concept decides; of several concepts, each by its own newest, the strongest band. Each band is a question
    of its own, which the newest number answers that decides it: a comparator that leaves it open hides no older number
    of the same window. With `highest` such a number leaves open whether the band is reached.
    `older_than`: the newest usable value is chosen first and must be older. `measure: times-upper-limit` reads
    multiples of the own upper limit, `reading: positive` only results whose titre is positive.
    """

    slots: ClassVar[tuple[str, ...]] = ("times", "test", "concept")

    concepts: Concepts
    bands: Bands
    otherwise: ValueName = "normal"
    pick: Literal["newest", "highest", "worst-fresh"] = "newest"
    worst_of: Days | None = None
    within: Days | None = None
    since: Since | None = None
    older_than: Days | None = None
    measure: Literal["", "times-upper-limit"] = ""
    reading: Literal["", "positive"] = ""

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (*(one.value for one in self.bands), self.otherwise)}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def needs(self) -> frozenset[str]:
        return frozenset((self.since.fact,)) if self.since else frozenset()

    def check(self) -> tuple[str, ...]:
        if (self.pick == "worst-fresh") != (self.worst_of is not None):
            return ("`worst_of` belongs to `pick: worst-fresh`, and that to it",)
        return ("`older_than` belongs to `pick: newest`",) if self.older_than and self.pick != "newest" else ()

    def compute(self, view: View) -> tuple[Fact, ...]:
        opening = window(view, self.within, self.since)
        readable: list[Reading] = []
        undecided: list[Reading] = []
        found: list[Chosen] = []
        fresh = False
        for concept in self.concepts:
            readings = self._readings(view, concept)
            if not readings:
                continue
            readable.extend(readings)
            if self._fresh(view, readings):
                fresh = True
                continue
            kept = counted(readings, opening)
            chosen = self._choose(view, concept, kept) if kept else None
            if chosen is not None:
                found.append(chosen)
            else:
                undecided.extend(newest([reading for reading in kept if not self._band(reading)]))
        if found:
            return (self._fact(view, sorted(found, key=lambda one: one.rank), opening),)
        if undecided:
            return (unknown(self.name, Reason.NOT_USABLE, (*evidence_for(view, undecided), *opening.links)),)
        return () if fresh else none_left(view, self.name, self.concepts, readable, opening)

    def _readings(self, view: View, concept: str) -> Readings:
        if self.measure:
            return multiples(view, concept)
        readings = numbers(view, concept)
        if self.reading:
            positive = {id(found.result) for found in titres(view, concept) if found.word == POSITIVE}
            return [reading for reading in readings if id(reading.result) in positive]
        return readings

    def _fresh(self, view: View, readings: Readings) -> bool:
        """With `older_than`: whether the newest usable value is not known to be that old; then no older one is read."""
        if self.older_than is None:
            return False
        day = readings[0].day
        return day is None or day >= days_before(view.as_of, self.older_than)

    def _choose(self, view: View, concept: str, kept: Readings) -> Chosen | None:
        groups = self._groups(view, kept)
        lower = concept_of(view, concept).worse == "lower" and self.pick != "highest"
        value, resting = strongest(self.bands, self.otherwise, lambda one: self._answer(one, groups, lower))
        return Chosen(self._rank(value), value, list({id(one): one for one in resting}.values())) if value else None

    def _groups(self, view: View, kept: Readings) -> list[Readings]:
        """The numbers that are weighed together, groups in the order in which they are asked."""
        if self.pick == "highest":
            return [kept]
        days: list[Readings] = [day for _, day in by_day(kept)]
        if self.worst_of is not None:
            first = days_before(view.as_of, self.worst_of)
            days.insert(0, [reading for reading in kept if reading.day and reading.day >= first])
        return days

    def _answer(self, one: Band, groups: list[Readings], lower: bool) -> tuple[bool | None, Readings]:
        """Whether the band is reached, and what says so: of the first group that decides it the worst number."""
        for group in groups:
            found = decided(group, one.test, one.limit)
            if not found:
                continue
            numbers_ = [_number(reading) for _, reading in found]
            end = min(numbers_) if lower else max(numbers_)
            worst = [pair for pair, number in zip(found, numbers_, strict=True) if number == end]
            reached = any(passed for passed, _ in worst)
            if self.pick == "highest" and len(found) < len(group) and reached == (one.test in ("below", "at_most")):
                return None, ()     # the number that is left open may be higher
            return reached, newest([reading for passed, reading in worst if passed == reached])
        return None, ()

    def _band(self, reading: Reading) -> str:
        return band(reading.measure, self.bands, self.otherwise) if reading.measure else ""

    def _rank(self, value: str) -> int:
        for rank, one in enumerate(self.bands):
            if one.value == value:
                return rank
        return len(self.bands)

    def _fact(self, view: View, found: list[Chosen], opening: Window) -> Fact:
        first = found[0].resting[0]
        evidence = evidence_for(view, [reading for chosen in found for reading in chosen.resting])
        if opening.links:
            evidence = ordered((*evidence, *opening.links))
        named = tests(self, view, [first.result.concept if first.other is None else self.concepts[0]])
        times = f"{rounded(first.measure)} times the upper limit" if self.measure and first.measure else ""
        said = amount(first.result.quantity) if first.other is None and first.result.quantity else ""
        if first.other is not None and first.measure:
            said = f"{rounded(first.measure)} {concept_of(view, self.concepts[0]).unit}"
        return known(self, found[0].value, evidence, first.day, said=said, times=times, **named)


def rounded(measure: Measure) -> str:
    """A number for a text, with two decimals at most."""
    number = measure.value.quantize(Decimal("0.01"), context=EXACT).normalize(EXACT)
    return " ".join(filter(None, (measure.comparator, format(number, "f"))))


def _number(reading: Reading) -> Decimal:
    return reading.measure.value if reading.measure else Decimal(0)
