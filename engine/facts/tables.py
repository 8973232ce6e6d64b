"""parameters.yaml and tables/: the numbers, the classes (of drugs, routes, muscles, regions), muscles and regions."""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal

import msgspec

from engine.errors import nearest
from engine.facts.medication import PARENTERAL, TOPICAL
from engine.facts.options import ValueName
from engine.facts.parameter import Parameter
from engine.facts.resolve import FAILED, Resolver
from engine.facts.source import Faults, Source

ROUTE_CLASSES = frozenset({TOPICAL, PARENTERAL})


class ParameterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of parameters.yaml, as written; a bare number is its value."""

    value: Decimal
    unit: str = ""
    meaning: str = ""
    title: str = ""
    source: str = ""
    note: str = ""
    since: str = ""


class MuscleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of muscles.yaml; a muscle without nerve and roots counts alone or not at all."""

    region: ValueName = ""
    nerve: ValueName = ""
    roots: tuple[ValueName, ...] = ()
    title: str = ""


def load_parameters(entries: Mapping[str, Source], resolver: Resolver) -> dict[str, Parameter]:
    """Every number with what is said of it."""
    found = {}
    for name, source in entries.items():
        bare = not isinstance(source.value, dict)
        entry = resolver.struct(ParameterEntry, {"value": source} if bare else source.entries(), source)
        if entry is None:
            continue
        value = entry.value
        whole = int(value) if value == value.to_integral_value() else value
        found[name] = Parameter(
            name=name,
            value=whole,
            unit=entry.unit,
            meaning=entry.meaning or entry.title,
            source=entry.source,
            note=entry.note,
            since=entry.since,
        )
    return found


def load_classes(entries: Mapping[str, Source], resolver: Resolver, faults: Faults) -> dict[str, frozenset[str]]:
    """Every class with its members."""
    found = {}
    for name, source in entries.items():
        members = resolver.value(tuple[ValueName, ...], source)
        if members is not FAILED:
            found[name] = frozenset(members)
            for item, member in zip(source.items(), members, strict=True):
                if members.count(member) > 1:
                    faults.add(item, f"`{member}` stands twice in the class `{name}`", "keep one of them")
    return found


def drug_classes(
    classes: Mapping[str, frozenset[str]],
    others: Set[str],
    ingredients: Set[str],
    entries: Mapping[str, Source],
    faults: Faults,
) -> dict[str, frozenset[str]]:
    """The classes that hold drugs: all members are ingredients. Without a list of ingredients: those that hold neither
    routes nor muscles nor regions. A class of which only a part is known is a fault."""
    found = {}
    for name, members in classes.items():
        if name in ROUTE_CLASSES or members <= others:
            continue
        unknown = sorted(members - ingredients) if ingredients else []
        if not unknown:
            found[name] = members
        elif len(unknown) < len(members):
            for item in entries[name].items():
                if item.value in unknown:
                    hint = nearest(item.value, ingredients)
                    faults.add(item, f"`{item.value}` in the class `{name}` is no known ingredient", hint)
    return found


def load_muscles(
    entries: Mapping[str, Source], regions: tuple[str, ...], resolver: Resolver, faults: Faults
) -> dict[str, tuple[str, frozenset[str]]]:
    """Every muscle with its nerve and main roots."""
    found = {}
    for name, source in entries.items():
        entry = resolver.entry(MuscleEntry, source)
        if entry is None:
            continue
        if entry.region and regions and entry.region not in regions:
            faults.add(source, f"there is no region `{entry.region}`", nearest(entry.region, regions))
        if bool(entry.nerve) != bool(entry.roots):
            faults.add(source, f"`{name}` needs both `nerve` and `roots`, or neither")
        found[name] = (entry.nerve, frozenset(entry.roots))
    return found


def load_regions(source: Source | None, resolver: Resolver) -> tuple[str, ...]:
    """The regions, rostral to caudal; none if the ruleset has no such table."""
    if source is None:
        return ()
    regions = resolver.value(tuple[ValueName, ...], source)
    return () if regions is FAILED else regions
