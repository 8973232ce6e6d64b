"""AllergyIntolerances as yes-no results, dated by their recordedDate."""

from __future__ import annotations

from collections.abc import Iterator

from engine.fhir.conditions import recorded_date
from engine.fhir.context import Context
from engine.fhir.dates import as_written
from engine.fhir.elements import code_words
from engine.fhir.statuses import ABSENT, PRESENT, verification
from engine.fhir.values import answer_for
from engine.model.record import Result

_OVER = frozenset({"inactive", "resolved"})


def read_allergy(context: Context) -> Iterator[Result]:
    """present, also while unconfirmed; absent if refuted; one that is over says neither."""
    meanings = context.entry.known.meanings
    if not meanings:
        return
    resource = context.entry.resource
    verified = verification(resource, context.note)
    refuted = verified == "refuted"
    if verified == "entered-in-error" or (not refuted and _OVER & code_words(resource.get("clinicalStatus"))):
        return
    written = recorded_date(resource)
    day = context.day(written)
    if context.is_future(day):
        return
    for meaning in meanings:
        if not meaning.suspected:
            yield Result(
                concept=meaning.concept,
                reference=context.entry.reference,
                day=day,
                written=as_written(written),
                answer=answer_for(meaning, ABSENT if refuted else PRESENT),
            )
