"""Conditions: diagnoses, or findings that are read like results (clinical specification 1.7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from engine.fhir.components import read_place
from engine.fhir.context import Context
from engine.fhir.dates import as_written
from engine.fhir.elements import Json, code_words, items, obj
from engine.fhir.statuses import ABSENT, PRESENT, verification
from engine.fhir.values import answer_for
from engine.model.record import Certainty, Diagnosis, Result
from engine.terminology.content import Meaning

_ENDED = frozenset({"inactive", "resolved", "remission"})
_PROBLEM, _ENCOUNTER = "problem-list-item", "encounter-diagnosis"


def read_condition(context: Context) -> Iterator[Result | Diagnosis]:
    """A diagnosis, or a finding as a yes-no result, for each concept of the code; entered in error gives nothing."""
    meanings = context.entry.known.meanings
    if not meanings:
        return
    resource = context.entry.resource
    verified = verification(resource, context.note)
    if verified == "entered-in-error":
        return
    written = recorded_date(resource)
    recorded = context.day(written)
    findings = [meaning for meaning in meanings if meaning.finding]
    if findings and verified in ("", "confirmed", "refuted") and not context.is_future(recorded):
        for meaning in findings:
            if not meaning.suspected:
                yield _finding(meaning, verified, recorded, written, context)
    if len(findings) == len(meanings):
        return
    onset_written = resource.get("onsetDateTime") or obj(resource.get("onsetPeriod")).get("start")
    onset = context.day(onset_written)
    categories = frozenset(word for one in items(resource.get("category")) for word in code_words(one))
    for meaning in meanings:
        if not meaning.finding:
            yield Diagnosis(
                concept=meaning.concept,
                reference=context.entry.reference,
                certainty=_certainty(verified, meaning),
                recorded=recorded,
                onset=onset,
                ended=bool(_ENDED & code_words(resource.get("clinicalStatus"))),
                encounter_only=_ENCOUNTER in categories and _PROBLEM not in categories,
                written=as_written(written) or as_written(onset_written),
            )


def recorded_date(resource: Json) -> object:
    """recordedDate, or what STU3 and DSTU2 call it."""
    return resource.get("recordedDate") or resource.get("assertedDate") or resource.get("dateRecorded")


def _certainty(verified: str, meaning: Meaning) -> Certainty:
    if verified == "refuted":
        return "refuted"
    return "suspected" if meaning.suspected or verified not in ("", "confirmed") else "confirmed"


def _finding(meaning: Meaning, verified: str, recorded: date | None, written: object, context: Context) -> Result:
    place = read_place(context.entry.resource.get("bodySite"), context)
    return Result(
        concept=meaning.concept,
        reference=context.entry.reference,
        day=recorded,
        written=as_written(written),
        answer=answer_for(meaning, ABSENT if verified == "refuted" else PRESENT),
        region=meaning.region or place.region,
        muscle=place.muscle,
        nerve=place.nerve,
        site=place.site,
        side=place.side,
        sign=meaning.sign,
    )
