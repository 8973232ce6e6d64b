"""Body sites, and the components of a result: qualities, counts, frequencies, the type and side of a sign."""

from __future__ import annotations

import msgspec

from engine.fhir.context import Context
from engine.fhir.elements import Json, codings, objects, words
from engine.fhir.lookup import Place
from engine.fhir.values import AFFIRMED, DENIED, read_value
from engine.model.record import Quantity
from engine.terminology.content import Meaning

NOWHERE = Place()
_SIGN, _SIDE = "sign", "side"


class Parts(msgspec.Struct, frozen=True):
    """The components of a result: those that qualify it, and those that are results of their own."""

    parts: dict[str, bool | Quantity] = {}
    sign: str = ""
    side: str = ""
    results: tuple[tuple[Json, tuple[Meaning, ...]], ...] = ()


NO_PARTS = Parts()


def read_place(site: object, context: Context) -> Place:
    """A body site; NOWHERE if none is stated or no table knows it."""
    if not site:
        return NOWHERE
    if isinstance(site, list) and len(site) > 1:
        context.note("unreadable-site", "names several body sites; none was used")
        return NOWHERE
    coded = codings(site)
    place = context.lookup.place(coded) if coded else NOWHERE
    if place.known:
        return place
    for said in words(site):
        place = context.lookup.place((("", said),))
        if place.known:
            return place
    return NOWHERE


def read_components(components: object, own_concept: bool, context: Context) -> Parts:
    """The components of an Observation. One that qualifies a known result is a part of it; any other one whose code
    is a concept is a result of its own. A part that is stated twice and differently is not stated."""
    parts: dict[str, bool | Quantity] = {}
    contradicting: set[str] = set()
    coded = {_SIGN: "", _SIDE: ""}
    results: list[tuple[Json, tuple[Meaning, ...]]] = []
    for component in objects(components):
        if component.get("modifierExtension"):
            context.note("modifier-extension", "has a component whose meaning an unknown extension may change")
            continue
        code = codings(component.get("code"))
        name = context.lookup.code("component", code) if own_concept else ""
        if not name:
            meanings = context.lookup.known("observation", code).meanings
            if meanings:
                results.append((component, meanings))
        elif name in coded:
            coded[name] = _coded_part(component, "laterality" if name == _SIDE else name, context)
        elif (stated := _part(component, context)) is not None:
            if name in parts and parts[name] != stated:
                contradicting.add(name)
            parts[name] = stated
    for name in contradicting:
        context.note("contradicting-value", "states a component twice and differently; it counts as not stated")
        del parts[name]
    return Parts(parts, coded[_SIGN], coded[_SIDE], tuple(results))


def _part(component: Json, context: Context) -> bool | Quantity | None:
    value = read_value(component, context)
    if value.answer in AFFIRMED:
        return True
    return False if value.answer in DENIED else value.quantity


def _coded_part(component: Json, codeset: str, context: Context) -> str:
    value = component.get("valueCodeableConcept") or component.get("valueString")
    if not value or "dataAbsentReason" in component:
        return ""
    found = context.lookup.code(codeset, codings(value))
    return found or next((f for said in words(value) if (f := context.lookup.code(codeset, (("", said),)))), "")
