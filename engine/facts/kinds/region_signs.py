"""Kind `region-signs`: the body regions in which signs, or tests of muscles, show something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from typing import ClassVar

import msgspec

from engine.facts.definition import Definition
from engine.facts.options import After, ConceptName, Regions
from engine.facts.reading import Reading, Readings, yes_no
from engine.facts.said import evidence_for, known, ordered
from engine.facts.signs import (
    ANYWHERE,
    LIMB_MUSCLES,
    LIMB_REGION,
    Way,
    active,
    denier,
    limb_regions,
    limbs_of,
    way_holds,
    without_conflicts,
)
from engine.facts.view import View
from engine.facts.window import Window, counted, earliest, window
from engine.model.fact import ABSENT, PRESENT, UNKNOWN, Evidence, Fact, Reason

DENIED = "denied"
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")

Found = Mapping[str, list[Reading]]          # region -> what it rests on


class Member(msgspec.Struct, frozen=True):
    """What is known of a region, a count or (name "") the whole; `regions` in words."""

    name: str
    value: str
    evidence: tuple[Evidence, ...]
    since: date | None
    regions: str
    reason: Reason | None


class RegionSignsFact(Definition, frozen=True, kw_only=True, tag="region-signs"):
    """A family: the whole, each region, `.count` of regions and, where muscles must be enough, `.limbs`.

    With `sign`: a region is `present` while a sign stands, `denied` if a later absence of the region or of the whole
    body denies each of them (of the same sign type, or naming none), `absent` if it never had one. The whole is present
    also for a sign without a place, and absent only if absence is recorded for the whole body or for every limb region.
    `.count` is of the regions that ever had a sign. With `ways` (each a list of ways that must hold together in a
    region) there is only `present`. A sign present and absent in one region on one day is dropped. Undated signs count.
    """

    slots: ClassVar[tuple[str, ...]] = ("regions",)

    sign: ConceptName = ""
    ways: tuple[tuple[Way, ...], ...] = ()
    after: After | None = None
    regions: Regions = ()

    def values(self) -> Mapping[str, tuple[str, ...]]:
        values = (PRESENT, DENIED, ABSENT) if self.sign else (PRESENT,)
        family: dict[str, tuple[str, ...]] = {self.name: values}
        family |= {f"{self.name}.{region}": values for region in self.regions}
        family[f"{self.name}.count"] = WORDS[: len(self.regions)]
        if self._limb_ways():
            family[f"{self.name}.limbs"] = ("one", "several")
        return family

    def reads(self) -> frozenset[str]:
        named = {self.sign, *(concept for way in self._all_ways() for concept in (way.sign, way.muscle_test))}
        return frozenset(named - {""})

    def needs(self) -> frozenset[str]:
        return frozenset((self.after.fact,)) if self.after else frozenset()

    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        if self.sign:
            return (("class", LIMB_REGION, "sign"),)
        enough = any(way.muscles == "enough" for way in self._all_ways())
        names = (("class", LIMB_REGION, "muscles: enough"), ("parameter", LIMB_MUSCLES, "muscles: enough"))
        return names if enough else ()

    def check(self) -> tuple[str, ...]:
        found = [] if bool(self.sign) != bool(self.ways) else ["needs either `sign` or `ways`"]
        for way in self._all_ways():
            if bool(way.sign) == bool(way.muscle_test):
                found.append("a way needs either `sign` or `muscle_test`")
            if not all(way.components):
                found.append("`with` holds an empty set of components")
        return tuple(found)

    def compute(self, view: View) -> tuple[Fact, ...]:
        opening = window(view, None, None, self.after)
        if opening.closed:
            return ()
        key = ("regions", self.sign or self.ways, opening)       # shared by definitions that differ in name alone
        members = view.cache.get(key)
        if members is None:
            found = self._by_sign(view, opening) if self.sign else self._by_ways(view, opening)
            members = view.cache[key] = tuple(found)
        return tuple([self._fact(one) for one in members])

    # ---- one sign: present, denied, absent

    def _by_sign(self, view: View, opening: Window) -> Iterator[Member]:
        read, dropped = without_conflicts(counted(yes_no(view, self.sign), opening))
        if not read and not dropped:
            return
        present = [reading for reading in read if reading.word == PRESENT]
        absent = [reading for reading in read if reading.word == ABSENT]
        standing: dict[str, list[Reading]] = {}
        denied: dict[str, list[Reading]] = {}
        for region in self.regions:
            here = [reading for reading in present if reading.result.region == region]
            first = earliest(reading for reading in here if denier(reading, absent) is None)
            if first is not None:
                standing[region] = [first]
                yield member(view, PRESENT, [first], opening, region, regions=[region])
            elif here:
                last = here[0]
                by = denier(last, absent)
                denied[region] = [last] if by is None else [last, by]
                yield member(view, DENIED, denied[region], opening, region, regions=[region])
            elif first := earliest(reading for reading in absent if reading.result.region in (region, ANYWHERE)):
                yield member(view, ABSENT, [first], opening, region, regions=[region])
            elif clash := [reading for reading in dropped if reading.result.region == region]:
                yield member(view, UNKNOWN, clash, opening, region, reason=Reason.CONFLICTING)
        ever = {**standing, **denied}
        if ever:
            signs = [found[0] for found in ever.values()]
            yield member(view, WORDS[len(ever) - 1], signs, opening, "count", regions=ever)
        unplaced = earliest(reading for reading in present if reading.result.region not in self.regions)
        if standing or unplaced:
            resting = _all(standing) + ([unplaced] if unplaced else [])
            yield member(view, PRESENT, resting, opening, "", regions=standing)
        elif denied:
            yield member(view, DENIED, _all(denied), opening, "", regions=denied)
        elif nowhere := self._nowhere(view, absent):
            yield member(view, ABSENT, nowhere, opening, "")
        elif dropped or absent:
            reason = Reason.CONFLICTING if dropped else Reason.NOTHING_RECORDED
            yield member(view, UNKNOWN, dropped or absent, opening, "", reason=reason)

    def _nowhere(self, view: View, absent: Readings) -> list[Reading]:
        """The absences that together say that no region has the sign."""
        everywhere = earliest(reading for reading in absent if reading.result.region == ANYWHERE)
        if everywhere is not None:
            return [everywhere]
        limbs = sorted(limb_regions(view))
        each = [earliest(reading for reading in absent if reading.result.region == region) for region in limbs]
        found = [reading for reading in each if reading is not None]
        return found if limbs and len(found) == len(limbs) else []

    # ---- several ways: present

    def _by_ways(self, view: View, opening: Window) -> Iterator[Member]:
        found: dict[str, list[Reading]] = {}
        ways = [[way_holds(view, way, opening) for way in together] for together in self.ways]
        dropped = list(chain.from_iterable(way.dropped for together in ways for way in together))
        for region in self.regions:
            for together in ways:
                if together and all(region in way.found for way in together):
                    found[region] = [reading for way in together for reading in way.found[region]]
                    yield member(view, PRESENT, found[region], opening, region, regions=[region])
                    break
            else:
                if clash := [reading for reading in dropped if reading.result.region == region]:
                    yield member(view, UNKNOWN, clash, opening, region, reason=Reason.CONFLICTING)
        if found:
            whole = member(view, PRESENT, _all(found), opening, "", regions=found)
            yield whole
            yield Member("count", WORDS[len(found) - 1], whole.evidence, whole.since, whole.regions, None)
        elif dropped:
            yield member(view, UNKNOWN, dropped, opening, "", reason=Reason.CONFLICTING)
        limbs: dict[tuple[str, str], list[Reading]] = {}
        for way in self._limb_ways():
            limbs |= limbs_of(view, active(view, way, opening))
        if limbs:
            places = sorted({region for region, _ in limbs})
            resting = [reading for pair in limbs.values() for reading in pair]
            yield member(view, "one" if len(limbs) == 1 else "several", resting, opening, "limbs", regions=places)

    def _fact(self, found: Member) -> Fact:
        name = f"{self.name}.{found.name}" if found.name else self.name
        if found.reason is not None:
            return Fact(name, UNKNOWN, found.reason, found.evidence)
        regions = found.regions
        said = f"{found.value} in {regions}" if regions and found.value in (DENIED, ABSENT) else regions
        return known(self, found.value, found.evidence, found.since, name=name, said=said, regions=regions)

    def _all_ways(self) -> list[Way]:
        return [way for together in self.ways for way in together]

    def _limb_ways(self) -> list[Way]:
        return [way for way in self._all_ways() if way.muscle_test and way.muscles == "enough"]


def member(
    view: View,
    value: str,
    resting: Sequence[Reading],
    opening: Window,
    name: str,
    *,
    regions: Iterable[str] = (),
    reason: Reason | None = None,
) -> Member:
    """A member of the family; it holds since the last of the days on which it rests."""
    evidence = evidence_for(view, resting)
    if opening.links:
        evidence = ordered((*evidence, *opening.links))
    days = [reading.day for reading in resting]
    since = max(day for day in days if day) if all(days) else None
    return Member(name, value, evidence, since, ", ".join(regions), reason)


def _all(found: Found) -> list[Reading]:
    return [reading for resting in found.values() for reading in resting]
