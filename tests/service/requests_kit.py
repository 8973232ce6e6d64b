"""CDS Hooks requests as an EHR makes them."""

from __future__ import annotations

from datetime import date
from typing import Any

Json = dict[str, Any]
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
KEYS = {
    "Observation": "observations",
    "DiagnosticReport": "reports",
    "Condition": "conditions",
    "Procedure": "procedures",
    "AllergyIntolerance": "allergies",
    "MedicationRequest": "medications",
    "MedicationStatement": "statements",
    "MedicationDispense": "dispenses",
    "Immunization": "immunizations",
}
HOOKS = {
    "endplate-patient-view": "patient-view",
    "endplate-order-select": "order-select",
    "endplate-order-sign": "order-sign",
    "endplate-problem-list-item-create": "problem-list-item-create",
}


class Day:
    """The day on which the service believes to be."""

    def __init__(self) -> None:
        self.value = date(2026, 3, 1)

    def __call__(self) -> date:
        return self.value


def bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


def patient(identity: str = "p") -> Json:
    return {"resourceType": "Patient", "id": identity, "gender": "male", "birthDate": "1960-01-01"}


def request(service: str = "endplate-patient-view", **fields: Any) -> Json:
    """A call about `Patient/p`, whose Patient alone was prefetched; `context` adds to the context."""
    context = {"userId": "Practitioner/1", "patientId": "p", **fields.pop("context", {})}
    prefetch = fields.pop("prefetch", {"patient": patient()})
    return {"hook": HOOKS[service], "hookInstance": INSTANCE, "context": context, "prefetch": prefetch, **fields}


def prefetched(resources: list[Json]) -> Json:
    """The prefetch of a whole patient: the Patient, and a Bundle for each key."""
    held: dict[str, list[Json]] = {key: [] for key in KEYS.values()}
    by_key: Json = {}
    for resource in resources:
        if resource["resourceType"] == "Patient":
            by_key["patient"] = resource
        else:
            held[KEYS.get(resource["resourceType"], "observations")].append(resource)
    return by_key | {key: bundle(*found) for key, found in held.items()}


def empty_places(value: object, place: str = "$") -> list[str]:
    """Where something is null or empty; `cards` alone may be empty."""
    if isinstance(value, dict):
        found = [p for key, inner in value.items() for p in empty_places(inner, f"{place}.{key}")]
    elif isinstance(value, list):
        found = [p for number, inner in enumerate(value) for p in empty_places(inner, f"{place}[{number}]")]
    else:
        return [place] if value is None or value == "" else []
    return found if value or place == "$.cards" else [place]


CONDITION_SYSTEM = "http://snomed.info/sct"


def condition(code: str, identity: str, **fields: Any) -> Json:
    return {
        "resourceType": "Condition",
        "id": identity,
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": CONDITION_SYSTEM, "code": code}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "recordedDate": "2025-06-01",
        **fields,
    }


def order(identity: str | None = "m", text: str = "quinine", **fields: Any) -> Json:
    named = {"id": identity} if identity else {}
    medication = {"medicationCodeableConcept": {"text": text}}
    return {"resourceType": "MedicationRequest", **named, "subject": {"reference": "Patient/p"}, **medication, **fields}
