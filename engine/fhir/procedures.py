"""Procedures as results: done or not done; of a study only that it was done."""

from __future__ import annotations

from collections.abc import Iterator

from engine.fhir.context import Context
from engine.fhir.dates import as_written
from engine.fhir.elements import obj
from engine.fhir.statuses import ABSENT, UNUSED, procedure_status
from engine.fhir.values import answer_for
from engine.model.record import Result


def read_procedure(context: Context) -> Iterator[Result]:
    """present if completed or in progress (or by the one status that the code demands), absent if not done."""
    meanings = context.entry.known.meanings
    if not meanings:
        return
    resource = context.entry.resource
    state, status = procedure_status(resource, context.note)
    if state == UNUSED:
        return
    written = _performed(resource, "performed") or _performed(resource, "occurrence")
    day = context.day(written)
    if context.is_future(day):
        return
    current = context.in_current_encounter(resource)
    for meaning in meanings:
        if meaning.suspected or (meaning.only and meaning.only != status):
            continue
        if meaning.study and state == ABSENT:
            continue  # a study that was not done says nothing
        yield Result(
            concept=meaning.concept,
            reference=context.entry.reference,
            day=day,
            written=as_written(written),
            answer="" if meaning.study else answer_for(meaning, state),
            region=meaning.region,
            sign=meaning.sign,
            current_encounter=current,
            done_only=meaning.study,
        )


def _performed(resource: dict[str, object], name: str) -> object:
    return resource.get(name + "DateTime") or obj(resource.get(name + "Period")).get("start")
