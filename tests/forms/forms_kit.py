"""Patients whose records wait for an examination, and forms that answer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from typing import Any

import msgspec

from engine.evaluation import Evaluator
from engine.fhir.compose import compose_bundle
from engine.fhir.decode import Document, decode
from engine.fhir.extraction import Extraction, extract
from engine.fhir.record import Scope, read_records
from engine.forms.response import questionnaire_response
from engine.model.form import Form
from engine.model.problem import Problem
from engine.model.record import Record
from engine.rules.load import load_ruleset

Json = dict[str, Any]
NOW = date(2026, 3, 1)
EXAMINED = "2026-02-20T09:30:00+01:00"
RECORDED = "2026-03-01T12:00:00+00:00"
EXAMINATION, NEUROPHYSIOLOGY = "neuromuscular-examination", "neurophysiology"
FORMS = (EXAMINATION, NEUROPHYSIOLOGY)
encode = msgspec.json.Encoder(decimal_format="number").encode

# ALS with a positive AChR antibody; nobody has looked for fatigability
WAITING = (
    {"r": "Condition", "c": "als", "ver": "confirmed", "clin": "active", "onset": "2025-01", "rec": "2025-11-01"},
    {"r": "Observation", "c": "achr-binding", "v": 2.1, "u": "nmol/L", "ref_high": 0.4, "d": "2026-01-10"},
    {"r": "Observation", "c": "umn-sign", "region": "cervical", "sign": "hoffmann", "v": "present", "d": "2025-11-01"},
    {"r": "Observation", "c": "lmn-sign", "region": "bulbar", "v": "present", "weakness": True, "atrophy": True,
     "fasc": True, "d": "2025-11-01"},
)  # fmt: skip


@cache
def ready() -> Evaluator:
    return Evaluator(load_ruleset())


def form(name: str) -> Form:
    return ready().ruleset.content.forms[f"urn:endplate:form:{name}"]


def patient(*facts: Mapping[str, Any]) -> Json:
    """A Bundle with the facts of the patient `p`."""
    case = {"id": "p", "now": NOW, "patient": {"sex": "male", "birth": "1960-01-01"}, "facts": facts}
    return compose_bundle(case, ready().ruleset.terminology)


def answered(name: str, *facts: Mapping[str, Any], **more: Any) -> Json:
    """The form filled in for `p`; `more` replaces elements of the response."""
    of = questionnaire_response(form(name), facts, patient="Patient/p", authored=EXAMINED, identity=f"answers-{name}")
    return {key: value for key, value in {**of, **more}.items() if value is not None}


def extracted(response: Json) -> Extraction:
    return extract(through_json(response), ready().ruleset.terminology, recorded=RECORDED, agent="Endplate")


def observations(response: Json) -> list[Json]:
    bundle = extracted(response).bundle or {"entry": []}
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation"]


def with_resources(bundle: Json, resources: Iterable[Json]) -> Json:
    return {**bundle, "entry": [*bundle["entry"], *({"resource": one} for one in resources)]}


def with_extracted(bundle: Json, *responses: Json) -> Json:
    """The Bundle with the entries that extraction makes of the responses, under the names that it gives them."""
    made = [entry for one in responses for entry in (extracted(one).bundle or {"entry": []})["entry"]]
    return {**bundle, "entry": [*bundle["entry"], *({k: e[k] for k in ("fullUrl", "resource")} for e in made)]}


def read(bundle: Json) -> tuple[Record, list[Problem]]:
    """The one record of a Bundle, from its JSON text, and all problems."""
    problems: list[Problem] = []
    documents = [Document(decode(encode(bundle)), "bundle")]
    [record] = read_records(documents, ready().ruleset.terminology, Scope(as_of=NOW), problems)
    return record, [*problems, *record.problems]


def facts_of(bundle: Json) -> dict[str, tuple[str, str, object]]:
    """Base facts by value, reason and day: everything but what they rest on."""
    record, _ = read(bundle)
    found = ready().ruleset.facts.compute(record)
    return {name: (fact.value, str(fact.reason), fact.since) for name, fact in found.items()}


def findings_of(bundle: Json) -> list[tuple[str, str, str, str]]:
    found = ready().evaluate(read(bundle)[0]).findings
    return sorted((one.issue, one.severity, one.display, one.summary) for one in found)


def issues_of(bundle: Json) -> set[str]:
    return {one[0] for one in findings_of(bundle)}


def codes(problems: Iterable[Problem]) -> list[str]:
    return [one.code for one in problems]


def through_json(value: Json) -> Json:
    """As a sender's text is read: decimals stay exact."""
    found = decode(encode(value))
    assert isinstance(found, dict)
    return found
