"""Kind `region-relation`: how the regions of two region facts lie to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from engine.facts.definition import Definition
from engine.facts.kinds.region_signs import DENIED, WORDS
from engine.facts.options import FactName, Regions
from engine.facts.said import known, ordered
from engine.facts.view import View
from engine.model.fact import PRESENT, Fact


class RegionRelationFact(Definition, frozen=True, kw_only=True, tag="region-relation"):
    """A family: `.shared`, the number of regions that both have; `.upper-rostral`, some region of `upper` lies rostral
    to one of `lower`; `.lower-above`, some region of `lower` lies rostral to every region of `upper`.

    A region counts once it was ever present, later denied or not. Unknown where it does not hold.
    """

    slots: ClassVar[tuple[str, ...]] = ("regions",)

    upper: FactName
    lower: FactName
    regions: Regions = ()

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {
            f"{self.name}.shared": WORDS[: len(self.regions)],
            f"{self.name}.upper-rostral": (PRESENT,),
            f"{self.name}.lower-above": (PRESENT,),
        }

    def needs(self) -> frozenset[str]:
        return frozenset((self.upper, self.lower))

    def compute(self, view: View) -> tuple[Fact, ...]:
        upper, lower = self._regions(view, self.upper), self._regions(view, self.lower)
        return tuple(self._facts(upper, lower)) if upper and lower else ()

    def _facts(self, upper: list[tuple[int, Fact]], lower: list[tuple[int, Fact]]) -> Iterator[Fact]:
        shared = {index for index, _ in upper} & {index for index, _ in lower}
        if shared:
            resting = [fact for index, fact in (*upper, *lower) if index in shared]
            yield self._fact("shared", WORDS[len(shared) - 1], resting, sorted(shared))
        if upper[0][0] < lower[-1][0]:
            yield self._fact("upper-rostral", PRESENT, [upper[0][1], lower[-1][1]], [upper[0][0], lower[-1][0]])
        if lower[0][0] < upper[0][0]:
            yield self._fact("lower-above", PRESENT, [lower[0][1], upper[0][1]], [lower[0][0], upper[0][0]])

    def _regions(self, view: View, family: str) -> list[tuple[int, Fact]]:
        """The regions of a family that were ever present, rostral ones first."""
        facts = [(index, view.fact(f"{family}.{region}")) for index, region in enumerate(self.regions)]
        return [(index, fact) for index, fact in facts if fact.value in (PRESENT, DENIED)]

    def _fact(self, member: str, value: str, resting: list[Fact], places: list[int]) -> Fact:
        days = [fact.since for fact in resting]
        since = max(day for day in days if day) if all(days) else None
        regions = ", ".join(self.regions[index] for index in places)
        evidence = ordered(one for fact in resting for one in fact.evidence)
        return known(self, value, evidence, since, name=f"{self.name}.{member}", said=regions, regions=regions)
