"""Kind `site-count`: how many findings a site has."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine.facts.definition import Definition
from engine.facts.options import ConceptName, ValueName
from engine.facts.quantity import Measure, certainly
from engine.facts.reading import Reading, Readings, numbers, yes_no
from engine.facts.said import evidence_for, known, unknown
from engine.facts.view import View
from engine.facts.window import newest, none_left
from engine.model.fact import PRESENT, Fact, Reason

SEVERAL, ONE, NONE = "several", "one", "none"


class SiteCountFact(Definition, frozen=True, kw_only=True, tag="site-count"):
    """A family, one member a site: `none`, `one` or `several`, by the largest count ever recorded.

    With any result of the concept recorded, a site that is not mentioned has none, unless findings without a place are
    recorded. A finding present without a count is at least one.
    """

    concept: ConceptName
    sites: tuple[ValueName, ...]

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {f"{self.name}.{site}": (SEVERAL, ONE, NONE) for site in self.sites}

    def reads(self) -> frozenset[str]:
        return frozenset((self.concept,))

    def compute(self, view: View) -> tuple[Fact, ...]:
        counted = self._counted(view)
        if not counted:
            unread = none_left(view, self.name, (self.concept,), ())
            names = [f"{self.name}.{site}" for site in self.sites] if unread else []
            return tuple(unknown(name, Reason.NOT_USABLE, unread[0].evidence) for name in names)
        unplaced = [reading for count, reading in counted if count != NONE and not reading.result.site]
        facts = []
        for site in self.sites:
            name = f"{self.name}.{site}"
            here = [pair for pair in counted if pair[1].result.site == site]
            decided = [pair for pair in here if pair[0]]
            if decided:
                value = min((count for count, _ in decided), key=(SEVERAL, ONE, NONE).index)
                resting = newest([reading for count, reading in decided if count == value])
                facts.append(self._fact(view, value, resting, site))
            elif here or unplaced:
                doubtful = newest([reading for _, reading in here] or unplaced)
                facts.append(unknown(name, Reason.NOT_USABLE, evidence_for(view, doubtful)))
            else:
                facts.append(self._fact(view, NONE, newest([reading for _, reading in counted])[:1], site))
        return tuple(facts)

    def _fact(self, view: View, value: str, resting: Readings, site: str) -> Fact:
        evidence = evidence_for(view, resting)
        return known(self, value, evidence, resting[0].day, name=f"{self.name}.{site}", said=f"{value}, {site}")

    def _counted(self, view: View) -> list[tuple[str, Reading]]:
        """Each result with the count it is certain of, "" if its comparator leaves it open."""
        found = [
            (_count(reading.measure), reading)
            for reading in numbers(view, self.concept)
            if reading.measure and reading.measure.value >= 0
        ]
        said = [reading for reading in yes_no(view, self.concept) if reading.result.quantity is None]
        return found + [(ONE if reading.word == PRESENT else NONE, reading) for reading in said]


def _count(measure: Measure) -> str:
    """Counts are whole: `>1` is two or more, `<1` none."""
    value, comparator = measure.value, measure.comparator
    if value == value.to_integral_value() and comparator in ("<", ">"):
        whole = value + 1 if comparator == ">" else value - 1
        measure = Measure(whole, ">=" if comparator == ">" else "<=")
    left_open = False
    for word, limit in ((SEVERAL, Decimal(2)), (ONE, Decimal(1))):
        reached = certainly(measure, "at_least", limit)
        if reached:
            return word
        left_open = left_open or reached is None
    return "" if left_open else NONE
