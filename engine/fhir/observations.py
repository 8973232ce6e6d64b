"""Observations as results. Source: clinical specification 1.2 and 1.3, docs/clinical/representation.md."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.fhir.components import NO_PARTS, NOWHERE, Parts, read_components, read_place
from engine.fhir.context import Context
from engine.fhir.elements import Json, codings, items, objects, words
from engine.fhir.quantities import limits, site_limits
from engine.fhir.statuses import PRELIMINARY, USED, observation_status
from engine.fhir.values import NONE, WITHHELD, Value, answer_for, read_flag, read_value, says_not_done
from engine.model.record import Result
from engine.terminology.content import Meaning


def read_observation(context: Context) -> Iterator[Result]:
    """The results of the entry: one for each concept of its code, and of its components' codes."""
    resource = context.entry.resource
    status = observation_status(resource, context.note)
    if status not in (USED, PRELIMINARY) or ("focus" in resource and _is_about_something_else(resource, context)):
        return
    day, written = context.observed(resource)
    if context.is_future(day):
        return
    meanings = context.entry.known.meanings
    components = resource.get("component")
    parts = read_components(components, bool(meanings), context) if components else NO_PARTS
    site = resource.get("bodySite")
    place = read_place(site, context) if site else NOWHERE
    shared = Result(
        concept="",
        reference=context.entry.reference,
        day=day,
        written=written,
        preliminary=status == PRELIMINARY,
        region=place.region,
        muscle=place.muscle,
        nerve=place.nerve,
        site=place.site,
        side=place.side,
        laboratory=context.laboratory(resource["performer"]) if "performer" in resource else "",
        method=_method(resource["method"], context) if "method" in resource else "",
        current_encounter=context.in_current_encounter(resource),
    )
    if meanings:
        yield from _results(resource, meanings, shared, parts, context)
    for component, of_component in parts.results:
        yield from _results(component, of_component, shared, NO_PARTS, context)


def _results(
    holder: Json, meanings: tuple[Meaning, ...], shared: Result, parts: Parts, context: Context
) -> Iterator[Result]:
    value = read_value(holder, context)
    if value is WITHHELD or (value is NONE and any(says_not_done(note, context) for note in _notes(holder))):
        return
    flag = read_flag(holder["interpretation"], context) if "interpretation" in holder else ""
    ranges = holder.get("referenceRange")
    low, high = limits(objects(ranges), context.terminology, context.note) if ranges else (None, None)
    unstated = bool(context.terminology.content.ranges) and not ranges and not flag and value.quantity is not None
    nothing = _says_nothing(value) and not flag and not parts.parts
    for meaning in meanings:
        if not meaning.suspected:
            if unstated:
                low, high = site_limits(context.terminology.range(meaning.concept))
            yield msgspec.structs.replace(
                shared,
                concept=meaning.concept,
                quantity=value.quantity,
                answer=answer_for(meaning, value.answer),
                date_value=value.date_value,
                flag=flag,
                low=low,
                high=high,
                region=meaning.region or shared.region,
                side=parts.side or shared.side,
                sign=meaning.sign or parts.sign,
                parts=parts.parts,
                done_only=nothing,
            )


def _notes(resource: Json) -> Iterator[object]:
    """What is said of a result that has no value (STU3: comment)."""
    yield from (resource.get("comment"), resource.get("interpretation"))
    yield from (note.get("text") for note in objects(resource.get("note")))


def _says_nothing(value: Value) -> bool:
    return value is NONE or (value.quantity is None and not value.answer and value.date_value is None)


def _is_about_something_else(resource: Json, context: Context) -> bool:
    """Observation.focus: the result is about a fetus, a donor, a device ... unless it names the patient."""
    for focus in items(resource.get("focus")):
        found = context.resolve(focus)
        if found is None or found.get("resourceType") != "Patient" or found is not context.person:
            context.note("other-focus", "is about something else than its patient and was not used")
            return True
    return False


def _method(method: object, context: Context) -> str:
    """A key of the method: its code in the table of methods, else its first coding, else its text."""
    coded = codings(method)
    if found := context.lookup.code("assay-method", coded):
        return found
    said = next(words(method), "")
    if found := context.lookup.code("assay-method", (("", said),)) if said else "":
        return found
    if coded:
        system, code = coded[0]
        return f"{context.terminology.system(system)}|{code}"
    return said.lower()
