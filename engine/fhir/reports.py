"""DiagnosticReports as results: what their coded conclusion says, or that the study was done."""

from __future__ import annotations

from collections.abc import Iterator

from engine.fhir.context import Context
from engine.fhir.elements import codings, items
from engine.fhir.statuses import PRELIMINARY, USED, observation_status
from engine.fhir.values import answer_for, says_not_done
from engine.model.record import Result


def read_report(context: Context) -> Iterator[Result]:
    """One result for each concept and each different coded conclusion; without one, only that it was done, unless the
    conclusion says, in a code or in words, that it was not."""
    resource = context.entry.resource
    status = observation_status(resource, context.note)
    if status not in (USED, PRELIMINARY):
        return
    day, written = context.observed(resource)
    if context.is_future(day):
        return
    conclusions = items(resource.get("conclusionCode"))
    answers = dict.fromkeys(answer for one in conclusions if (answer := context.lookup.answer(codings(one))))
    if not answers and any(says_not_done(one, context) for one in (*conclusions, resource.get("conclusion"))):
        return
    current = context.in_current_encounter(resource)
    for meaning in context.entry.known.meanings:
        if meaning.suspected:
            continue
        for answer in answers or ("",):
            yield Result(
                concept=meaning.concept,
                reference=context.entry.reference,
                day=day,
                written=written,
                preliminary=status == PRELIMINARY,
                answer=answer_for(meaning, answer),
                region=meaning.region,
                sign=meaning.sign,
                current_encounter=current,
                done_only=not answer,
            )
