"""Small changes of base facts and concepts, one at a time: a limit moved by a step to either side, its comparator
flipped between inclusive and exclusive, a band, an option, or one item of a list left out.

A step is one unit of the last digit as the number is written (a tenth for 1), one day for times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from engine.facts.base import FactBase
from engine.facts.concept import Concept
from engine.facts.definition import Band, Definition
from engine.facts.kinds.elapsed import DAYS_OF
from engine.facts.resolve import fields_of, mark_of

FLIPPED: Mapping[str, Literal["below", "at_most", "above", "at_least"]] = {
    "below": "at_most", "at_most": "below", "above": "at_least", "at_least": "above",
}
TEXTS = frozenset({"name", "title", "ask_for", "shown", "prevalence", "common", "sets", "otherwise"})
LEFT = frozenset(
    {"drugs", "table", "regions", "ingredients", "ended-conflicts", "component", "concept", "fact", "value"}
)
CONCEPT_TEXTS = frozenset({"name", "title", "common", "reading", "unit"})

Change = tuple[str, Any]


class FactMutant(msgspec.Struct, frozen=True, kw_only=True):
    """A changed fact base. One of `definition`, `concept` and `parameter` names what was changed."""

    name: str                          # unique; the same for as long as the definition is the same
    facts: FactBase
    definition: str = ""
    concept: str = ""
    parameter: str = ""


def fact_mutants(base: FactBase) -> Iterator[FactMutant]:
    """Every mutant of definitions, of concepts, and of the parameters that kinds read by fixed names."""
    for index, definition in enumerate(base.definitions):
        for what, changed in of_definition(definition):
            definitions = (*base.definitions[:index], changed, *base.definitions[index + 1 :])
            yield FactMutant(
                name=f"{definition.name}: {what}",
                facts=msgspec.structs.replace(base, definitions=definitions),
                definition=definition.name,
            )
    for concept in base.tables.concepts.values():
        for what, changed_concept in of_concept(concept):
            concepts = {**base.tables.concepts, concept.name: changed_concept}
            tables = msgspec.structs.replace(base.tables, concepts=concepts)
            yield FactMutant(
                name=f"concept {concept.name}: {what}",
                facts=msgspec.structs.replace(base, tables=tables),
                concept=concept.name,
            )
    fixed = {name for d in base.definitions for kind, name, _ in d.fixed() if kind == "parameter"}
    for name in sorted(fixed & base.parameters.keys()):
        for what, value in moved(Decimal(base.parameters[name].value)):
            parameter = msgspec.structs.replace(base.parameters[name], value=value)
            tables = msgspec.structs.replace(base.tables, parameters={**base.tables.parameters, name: value})
            parameters = {**base.parameters, name: parameter}
            yield FactMutant(
                name=f"parameter {name}: {what}",
                facts=msgspec.structs.replace(base, tables=tables, parameters=parameters),
                parameter=name,
            )


def of_definition(definition: Definition) -> Iterator[tuple[str, Definition]]:
    """The changes of one definition that leave it one."""
    step = Decimal(1) / DAYS_OF[unit] if (unit := getattr(definition, "unit", "")) in DAYS_OF and unit else None
    for what, changed in _of_struct(definition, step):
        if not changed.check():
            yield what, changed


def of_concept(concept: Concept) -> Iterator[tuple[str, Concept]]:
    """The changes of how a result is read: its numbers moved, its options left out."""
    for field in fields_of(Concept):
        value = getattr(concept, field.name)
        if field.name in CONCEPT_TEXTS or value in (field.default, None, ()):
            continue
        changes: Iterator[Change]
        if isinstance(value, msgspec.Struct):
            changes = _of_numbers(value)
        elif field.name == "plausible":
            changes = (
                (f"plausible {what}", tuple(new if i == end else value[i] for i in (0, 1)))
                for end in (0, 1) for what, new in moved(value[end])
            )
        elif field.name == "also":
            changes = (
                (f"also {unit} {what}", {**value, unit: new})
                for unit, factor in value.items() for what, new in scaled(factor)
            )
        elif isinstance(value, Decimal):
            changes = ((f"{field.name} {what}", new) for what, new in moved(value))
        else:
            changes = iter(((f"without {field.name}", field.default),))
        for what, new in changes:
            yield what, msgspec.structs.replace(concept, **{field.name: new})


def moved(value: Decimal, step: Decimal | None = None) -> Iterator[tuple[str, Decimal]]:
    """A number a step lower and a step higher."""
    if step is None:
        exponent = value.normalize().as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101 - numbers of a ruleset are finite
        step = Decimal("0.1") if value == 1 else Decimal(1).scaleb(min(exponent, 0))
    for new in (value - step, value + step):
        yield f"{value:f} -> {new.quantize(Decimal('0.0001')).normalize():f}", new


def scaled(value: Decimal) -> Iterator[tuple[str, Decimal]]:
    """A factor a tenth lower and a tenth higher."""
    for factor in (Decimal("0.9"), Decimal("1.1")):
        yield f"{value:f} x {factor}", value * factor


# -- structs by the types of their fields -----------------------------------------------------------------------------


def _of_struct(struct: Any, step: Decimal | None = None) -> Iterator[Change]:
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.name in TEXTS or value is None:
            continue
        for what, new in _of_value(field.encode_name, field.type, value, step):
            yield what, msgspec.structs.replace(struct, **{field.name: new})
        default = field.default if field.default is not msgspec.NODEFAULT else None
        optional = field.default is not msgspec.NODEFAULT and mark_of(field.type) not in LEFT
        if optional and not isinstance(value, tuple | Mapping) and value != default:
            yield f"without {field.encode_name}", msgspec.structs.replace(struct, **{field.name: default})


def _of_value(name: str, kind: Any, value: Any, step: Decimal | None) -> Iterator[Change]:
    if get_origin(kind) is Union or type(kind).__name__ == "UnionType":
        kind = next(part for part in get_args(kind) if part is not type(None))
    mark = mark_of(kind)
    if mark == "bands":
        yield from _of_bands(value, step)
    elif mark == "parameter":
        whole = isinstance(value, int)
        for what, new in moved(Decimal(value), Decimal(1) if whole else None):
            yield f"{name} {what}", int(new) if whole else new
    elif mark in LEFT:
        return
    elif isinstance(value, msgspec.Struct):
        for what, new in _of_struct(value):
            yield f"{name} {what}", new
    elif isinstance(value, tuple):
        yield from _of_items(name, kind, value)
    elif isinstance(value, Mapping):
        yield from _of_mapping(name, kind, value)


def _of_bands(bands: tuple[Band, ...], step: Decimal | None) -> Iterator[Change]:
    for index, band in enumerate(bands):
        before, after = bands[:index], bands[index + 1 :]
        for what, limit in moved(band.limit, step):
            changed = msgspec.structs.replace(band, limit=limit)
            yield f"{band.value} {band.test} {band.parameter} {what}", (*before, changed, *after)
        if step is None or band.limit / step == int(band.limit / step):      # whole days: else no time is exactly it
            flipped = msgspec.structs.replace(band, test=FLIPPED[band.test])
            yield f"{band.value} {band.test} {band.parameter} -> {flipped.test}", (*before, flipped, *after)
        if len(bands) > 1:
            yield f"without band {band.value}", (*before, *after)


def _of_items(name: str, kind: Any, items: tuple[Any, ...]) -> Iterator[Change]:
    inner = get_args(kind)[0] if get_args(kind) and mark_of(kind) == "" else None
    for index, item in enumerate(items):
        before, after = items[:index], items[index + 1 :]
        if len(items) > 1:
            yield f"{name} without {_said(item)}", (*before, *after)
        if inner is not None and not isinstance(item, str):
            for what, new in _of_value(f"{name} {index + 1}", inner, item, None):
                yield what, (*before, new, *after)


def _of_mapping(name: str, kind: Any, mapping: Mapping[str, Any]) -> Iterator[Change]:
    inner = get_args(kind)[1] if len(get_args(kind)) > 1 else None
    for key, value in mapping.items():
        if len(mapping) > 1:
            yield f"{name} without {key}", {k: v for k, v in mapping.items() if k != key}
        if inner is not None:
            for what, new in _of_value(f"{name} {key}", inner, value, None):
                yield what, {**mapping, key: new}


def _of_numbers(struct: Any) -> Iterator[Change]:
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            for what, new in moved(Decimal(value), Decimal(1) if isinstance(value, int) else None):
                number = int(new) if isinstance(value, int) else new
                yield f"{field.name} {what}", msgspec.structs.replace(struct, **{field.name: number})


def _said(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, tuple | frozenset):
        return "+".join(_said(part) for part in (sorted(item) if isinstance(item, frozenset) else item))
    if isinstance(item, msgspec.Struct):
        return " ".join(_said(value) for value in msgspec.structs.astuple(item) if isinstance(value, str) and value)
    return str(item)
