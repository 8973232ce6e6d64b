"""concepts.yaml: how one result of each concept is read.

Factors and plausible limits stand there as numbers; everything that is a clinical decision (defaults of a titre,
stimulation rates, age of a body weight) names a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from engine.facts.concept import Computed, Concept, Needs, Reading
from engine.facts.options import Component, ConceptName, Days, Number
from engine.facts.resolve import Resolver
from engine.facts.source import Faults, Source


class TitreEntry(msgspec.Struct, frozen=True):
    """The ruleset's own limits for a titre that has neither flag nor range."""

    positive_from: Number
    negative_to: Number


class NeedsEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A component that makes a result readable, within limits; exactly `borderline` answers nothing."""

    component: Component
    unit: str = ""
    between: tuple[Number, ...]
    borderline: Number


class ComputedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A number made of two others: `from` times `factor` by the newest `per`."""

    source: ConceptName = msgspec.field(name="from")
    per: ConceptName
    per_within: Days
    factor: Decimal


class ConceptEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of concepts.yaml, as written."""

    title: str = ""
    reading: Reading | None = None
    date: bool = False
    unit: str = ""
    also: Mapping[str, Decimal] = {}
    plausible: tuple[Decimal, ...] = ()
    absolute: bool = False
    zero: Literal["", "not-done"] = ""
    worse: Literal["lower", "higher"] = "higher"
    preliminary: bool = False
    time_critical: bool = False
    common: bool = False
    never_low: bool = False
    titre: TitreEntry | None = None
    computed: ComputedEntry | None = None
    needs: NeedsEntry | None = None


def load_concepts(entries: Mapping[str, Source], resolver: Resolver, faults: Faults) -> dict[str, Concept]:
    """Every entry of concepts.yaml by name; `resolver.used` holds the parameters of each under `concept NAME`."""
    concepts = {}
    for name, source in entries.items():
        resolver.owner = f"concept {name}"
        entry = resolver.entry(ConceptEntry, source)
        if entry is not None and _holds(entry, source, faults):
            concepts[name] = _concept(name, entry)
    return concepts


def _holds(entry: ConceptEntry, source: Source, faults: Faults) -> bool:
    """Whether the entry is in itself right; faults if not."""
    wrong = []
    if entry.plausible and (len(entry.plausible) != 2 or entry.plausible[0] >= entry.plausible[1]):
        wrong.append("`plausible` is a lower and an upper limit")
    if entry.needs and (len(entry.needs.between) != 2 or entry.needs.between[0] > entry.needs.between[1]):
        wrong.append("`between` is a lower and an upper limit")
    if entry.also and not entry.unit:
        wrong.append("`also` converts to `unit`, which is missing")
    if any(factor <= 0 for factor in entry.also.values()) or entry.unit in entry.also:
        wrong.append("`also` holds further units with factors above 0")
    if entry.titre and entry.titre.negative_to >= entry.titre.positive_from:
        wrong.append("`negative_to` must lie below `positive_from`")
    if entry.date and entry.reading not in (None, "date"):
        wrong.append("`date: true` and another `reading` contradict each other")
    for message in wrong:
        faults.add(source, message)
    return not wrong


def _concept(name: str, entry: ConceptEntry) -> Concept:
    needs, computed, titre = entry.needs, entry.computed, entry.titre
    return Concept(
        name=name,
        title=entry.title,
        reading="date" if entry.date else "titre" if titre and entry.reading is None else entry.reading,
        unit=entry.unit,
        also=entry.also,
        plausible=(entry.plausible[0], entry.plausible[1]) if entry.plausible else None,
        absolute=entry.absolute,
        zero_not_done=entry.zero == "not-done",
        worse=entry.worse,
        preliminary=entry.preliminary,
        time_critical=entry.time_critical,
        common=entry.common,
        never_low=entry.never_low or titre is not None,
        positive_from=titre.positive_from if titre else None,
        negative_to=titre.negative_to if titre else None,
        computed=Computed(computed.source, computed.per, computed.per_within, computed.factor) if computed else None,
        needs=_needs(needs) if needs else None,
    )


def _needs(entry: NeedsEntry) -> Needs:
    lowest, highest = entry.between
    return Needs(entry.component, lowest, highest, entry.borderline, entry.unit)
