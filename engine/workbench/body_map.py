"""A map of the body: for each region which signs of which kind are present, absent or unknown, and since when.

The first family of facts that knows a region decides. Where none does, a documented absence of the sign itself counts;
a region of which nothing is said is unknown, never absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.evaluation import Explaining
from engine.facts.kinds.region_signs import DENIED, RegionSignsFact
from engine.facts.view import View
from engine.model.fact import ABSENT, PRESENT, UNKNOWN, Evidence, Fact
from engine.model.record import Record
from engine.rules.panels import Sign

WORDS = {PRESENT: "present", DENIED: "earlier, absent since", ABSENT: "absent", UNKNOWN: "unknown"}
LETTERS = {PRESENT: "+", DENIED: "±", ABSENT: "−", UNKNOWN: "?"}


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one kind of sign in one region. `state`: present, denied, absent, unknown; `reason`: why
    unknown."""

    short: str
    title: str
    state: str
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def word(self) -> str:
        return WORDS[self.state]

    @property
    def letter(self) -> str:
        return LETTERS[self.state]


class Zone(msgspec.Struct, frozen=True):
    """One region with a mark for each kind of sign."""

    region: str
    title: str
    marks: tuple[Mark, ...]


class BodyMap(msgspec.Struct, frozen=True):
    """Regions, rostral to caudal. `unplaced`: signs whose place is not stated, or is none of the regions."""

    zones: tuple[Zone, ...]
    unplaced: tuple[Mark, ...]

    @property
    def kinds(self) -> tuple[Mark, ...]:
        """The kinds of signs, as the marks of the first region."""
        return self.zones[0].marks if self.zones else ()


def body_map(reasoning: Explaining, record: Record) -> BodyMap | None:
    """The map of one patient; None if the ruleset describes none."""
    body = reasoning.e.ruleset.panels.body
    if body is None:
        return None
    examined = {sign.short: _examined(reasoning, record, sign) for sign in body.signs}
    zones = tuple(
        Zone(region, title, tuple(_mark(reasoning, sign, region, examined[sign.short]) for sign in body.signs))
        for region, title in body.regions.items()
    )
    return BodyMap(zones, tuple(_unplaced(reasoning, body.signs, zones)))


def _mark(reasoning: Explaining, sign: Sign, region: str, examined: Mapping[str, Fact]) -> Mark:
    facts = [reasoning.fact(f"{fact}.{region}") for fact in sign.facts]
    said = next((fact for fact in facts if fact.value != UNKNOWN), None)
    if said is None:
        own = examined.get(region)
        if own is not None and own.value in (ABSENT, DENIED):
            said = own
        elif own is not None and own.value == PRESENT:  # a sign that is not described: what it is made of decides
            return Mark(short=sign.short, title=sign.title, state=UNKNOWN, reason="noted without its signs",
                        evidence=own.evidence)  # fmt: skip
        else:
            said = own or next((fact for fact in facts if fact.evidence), facts[0])
    return Mark(short=sign.short, title=sign.title, state=said.value, reason=str(said.reason or ""),
                evidence=said.evidence)  # fmt: skip


def _examined(reasoning: Explaining, record: Record, sign: Sign) -> Mapping[str, Fact]:
    """Region -> what the results of the sign itself say of it, read as facts of this kind read them."""
    if not sign.sign or not record.results.get(sign.sign):
        return {}
    tables = reasoning.e.ruleset.facts.tables
    reader = RegionSignsFact(name=sign.short, sign=sign.sign, regions=tables.regions)
    found = reader.compute(View(record, tables, reasoning.fact))
    return {fact.name.removeprefix(f"{sign.short}."): fact for fact in found}


def _unplaced(reasoning: Explaining, signs: Iterable[Sign], zones: Iterable[Zone]) -> Iterator[Mark]:
    """Signs of which it is known that they are there, and not where."""
    placed = {(mark.short, one.reference) for zone in zones for mark in zone.marks for one in mark.evidence}
    for sign in signs:
        facts = [reasoning.fact(name) for name in sign.facts]
        evidence = [one for fact in facts if fact.value == PRESENT for one in fact.evidence]
        left = tuple(dict.fromkeys(one for one in evidence if (sign.short, one.reference) not in placed))
        if left:
            yield Mark(short=sign.short, title=sign.title, state=PRESENT, evidence=left)
