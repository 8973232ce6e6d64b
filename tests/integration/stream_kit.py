"""A hospital's record as a stream of versions, and what stands in it at the end."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from engine.evaluation import Evaluator
from engine.fhir.decode import Document, decode
from engine.fhir.elements import obj
from engine.fhir.lookup import lookup_for
from engine.fhir.record import Scope, read_records
from engine.integration.event import Event, Message, Source
from engine.integration.intake import Letter, prepare
from engine.integration.messages import read
from engine.integration.parts import put
from engine.integration.versions import microseconds
from engine.store import Database, resources

Json = dict[str, Any]
DAY = date(2026, 3, 1)
EXAMPLES = Path(__file__).resolve().parents[2] / "fhir_examples" / "patients"
EHR = Source(name="ehr")
SERVED = Source(name="served", fhir_url="https://ehr.example/fhir")
Findings = list[tuple[str, str, str, str]]


def record_of(name: str, *, identified: bool = True, shared: bool = True) -> list[Json]:
    """The resources of an example, with ids that no other example has.

    `identified`: every fourth Observation names its patient by an identifier; `shared`: orders refer to Medications.
    """
    text = (EXAMPLES / f"{name}.json").read_text("utf-8")
    found = [entry["resource"] for entry in json.loads(text)["entry"]]
    for one in found:
        text = text.replace(f'"{one["resourceType"]}/{one["id"]}"', f'"{one["resourceType"]}/{name}-{one["id"]}"')
    found = [entry["resource"] for entry in json.loads(text)["entry"]]
    made: list[Json] = []
    for number, one in enumerate(found):
        one["id"] = f"{name}-{one['id']}"
        if one["resourceType"] == "Patient":
            one["identifier"] = [{"system": "urn:mrn", "value": name}]
        if identified and one["resourceType"] == "Observation" and number % 4 == 0:
            one["subject"] = {"identifier": {"system": "urn:mrn", "value": name}}
        if shared and "medicationCodeableConcept" in one:
            identity, code = f"m-{one['id']}", one.pop("medicationCodeableConcept")
            one["medicationReference"] = {"reference": f"Medication/{identity}"}
            made.append({"resourceType": "Medication", "id": identity, "code": code})
    return [*found, *made]


def stamped(resource: Json, moment: int) -> Json:
    """A version that was written at a moment (a number that counts)."""
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    meta = {**resource.get("meta", {}), "lastUpdated": when.isoformat(), "versionId": str(moment)}
    return {**copy.deepcopy(resource), "meta": meta}


def corrected(resource: Json, how: str) -> Json:
    """The same resource after a correction."""
    changed = copy.deepcopy(resource)
    if how == "another code" and "code" in changed:
        changed["code"] = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    elif how == "in error" and resource["resourceType"] == "Condition":
        changed["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
    elif how == "in error" and resource["resourceType"] != "Patient":
        changed["status"] = "entered-in-error"
    elif how == "another value" and "valueQuantity" in changed:
        changed["valueQuantity"]["value"] = 0.5
    elif how == "younger" and resource["resourceType"] == "Patient":
        changed["birthDate"] = "1990-01-01"
    elif how == "of nobody" and "subject" in changed:
        changed["subject"] = {"reference": "Group/g"}
    return changed


def event(resource: Json) -> Event:
    raw = msgspec.json.encode(resource)
    return put(obj(decode(raw)), resource["id"], raw=raw)


def deletion(resource: Json) -> Event:
    """A deletion that says when it happened."""
    return Event(action="delete", type=resource["resourceType"], id=resource["id"],
                 updated=microseconds(resource["meta"]["lastUpdated"]))  # fmt: skip


def letter(evaluator: Evaluator, *events: Event, source: Source = EHR, **more: Any) -> Letter:
    message = Message(kind=more.pop("kind", "resource"), events=events, **more)
    return prepare(source, message, lookup_for(evaluator.ruleset.terminology))


def posted(
    evaluator: Evaluator, body: Json | bytes, method: str = "POST", path: str = "", source: Source = EHR
) -> Letter:
    """A letter as the HTTP body of a sender."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return prepare(source, read(method, path, raw), lookup_for(evaluator.ruleset.terminology))


def evaluated(evaluator: Evaluator, held: list[Document]) -> dict[str, Findings]:
    """Patient -> findings, as a batch answers for these documents."""
    found: dict[str, Findings] = {}
    for record in read_records(held, evaluator.ruleset.terminology, Scope(as_of=DAY), []):
        evaluation = evaluator.evaluate(record)
        found[evaluation.patient] = sorted(
            (one.identifier, one.severity, one.display, one.evidence_hash)
            for one in (*evaluation.findings, *evaluation.held_back)
        )
    return found


def stands(evaluator: Evaluator, database: Database, patient: str) -> Findings:
    """The findings of a patient by what is stored."""
    with database.read() as connection:
        held = resources.documents(connection, patient)
    return evaluated(evaluator, held).get(patient, [])
