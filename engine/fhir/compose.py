"""Compact patients as FHIR R4 bundles: the opposite of reading.

A compact fact is what a vignette writes: `{r: Observation, c: fvc-pct, v: 45, u: "%", d: 2025-05-20}`.
- all: `r` resource type, `c` concept, `id` of the resource;
- Observation: `v` value (number, answer, date), `u` UCUM unit, `cmp` comparator, `d` effective date, `status`, `interp`
  flag, `ref_low ref_high ref_u` reference range, `region muscle nerve site` body site, `count`, `lab`, `method`,
  `enc: current`, and components by name (true, false, a number or a code);
- Condition: `ver clin cat onset rec`;
- orders: `status start end route reason initial course minor doNotPerform single_mg daily_mg dose_mg_day total_g`.

The primary coding of each concept is the terminology's (`preferred`), so what is composed reads back as it was meant.
Numbers in the result are int or Decimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import InputError
from engine.fhir.compose_orders import order
from engine.fhir.compose_parts import CompactFact, coded, preferred, written
from engine.fhir.compose_results import allergy, condition, observation, procedure
from engine.fhir.elements import Json
from engine.terminology.terminology import Terminology

_BASE = "https://example.org/fhir/"
_LABORATORIES = "https://example.org/laboratories"
_COMPOSERS: Mapping[str, Callable[[CompactFact, Terminology], Json]] = {
    "Observation": observation,
    "Condition": condition,
    "AllergyIntolerance": allergy,
    "MedicationRequest": order,
    "MedicationStatement": order,
    "MedicationDispense": order,
    "Immunization": order,
}
_SUBJECT = {"Immunization": "patient", "AllergyIntolerance": "patient"}
_NO_ID = re.compile(r"[^A-Za-z0-9.\-]+")
_ENCOUNTERS = {"current": "in-progress", "finished": "finished"}


def compose_fact(fact: CompactFact, terminology: Terminology) -> Json:
    """The resource of one compact fact, without id, subject, laboratory and encounter. Raises InputError."""
    if not isinstance(fact, Mapping) or not fact.get("c"):
        raise InputError("a fact needs `c`, its concept")
    kind = str(fact.get("r", ""))
    if kind == "Procedure":
        therapy = terminology.preferred(str(fact["c"]), "procedure") is None
        return order(fact, terminology) if therapy else procedure(fact, terminology)
    composer = _COMPOSERS.get(kind)
    if composer is None:
        raise InputError(f"`r: {kind}` cannot be composed: use {', '.join(sorted({*_COMPOSERS, 'Procedure'}))}")
    return composer(fact, terminology)


def compose_bundle(case: Mapping[str, Any], terminology: Terminology) -> Json:
    """A whole compact patient (`id`, `now`, `scope`, `patient`, `facts`) as a collection Bundle.

    `scope: full` declares the record complete. Raises InputError, naming the fact by its number.
    """
    identity = _NO_ID.sub("-", str(case.get("id", "patient")))[:40]
    resources = [_patient(case.get("patient") or {}, identity)]
    shared: dict[str, Json] = {}  # laboratories and encounters, by key
    for index, fact in enumerate(case.get("facts") or ()):
        try:
            resource = compose_fact(fact, terminology)
        except InputError as error:
            raise InputError(f"facts[{index}]: {error}") from None
        kind = resource["resourceType"]
        resource["id"] = str(fact.get("id") or f"{identity}-{index + 1:02d}")
        resource[_SUBJECT.get(kind, "subject")] = {"reference": f"Patient/{identity}"}
        if fact.get("lab"):
            laboratory = shared.setdefault(f"lab {fact['lab']}", _laboratory(str(fact["lab"]), identity))
            resource["performer"] = [_reference(laboratory)]
        if fact.get("enc"):
            encounter = shared.setdefault(f"enc {fact['enc']}", _encounter(str(fact["enc"]), identity, index))
            resource["encounter"] = _reference(encounter)
        resources.append(resource)
    return _bundle(case, [*resources, *shared.values()], identity, terminology)


def _bundle(case: Mapping[str, Any], resources: list[Json], identity: str, terminology: Terminology) -> Json:
    bundle: Json = {"resourceType": "Bundle", "id": identity, "type": "collection"}
    if case.get("scope") == "full":
        bundle["meta"] = {"tag": coded(preferred(terminology, "complete-record", "scope"))["coding"]}
    if case.get("now") is not None:
        bundle["timestamp"] = f"{written(case['now'])}T12:00:00Z"
    bundle["entry"] = [
        {"fullUrl": f"{_BASE}{resource['resourceType']}/{resource['id']}", "resource": resource}
        for resource in resources
    ]
    return bundle


def _patient(patient: Mapping[str, Any], identity: str) -> Json:
    resource: Json = {"resourceType": "Patient", "id": identity}
    if patient.get("active") is not None:
        resource["active"] = bool(patient["active"])
    if patient.get("sex"):
        resource["gender"] = str(patient["sex"])
    if patient.get("birth") is not None:
        resource["birthDate"] = written(patient["birth"])
    if patient.get("deceased"):
        resource["deceasedBoolean"] = True
    return resource


def _laboratory(key: str, identity: str) -> Json:
    name = _NO_ID.sub("-", key)[:20]
    return {
        "resourceType": "Organization",
        "id": f"{identity}-{name}",
        "identifier": [{"system": _LABORATORIES, "value": key}],
        "name": f"Laboratory {key}",
    }


def _encounter(state: str, identity: str, index: int) -> Json:
    status = _ENCOUNTERS.get(state)
    if status is None:
        raise InputError(f"facts[{index}]: `enc: {state}` is not known: use {' or '.join(_ENCOUNTERS)}")
    return {
        "resourceType": "Encounter",
        "id": f"{identity}-{state}",
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{identity}"},
    }


def _reference(resource: Json) -> Json:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}
