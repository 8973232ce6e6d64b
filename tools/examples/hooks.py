"""CDS Hooks requests made of example patients, with every prefetch that `endplate serve` asks for."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from examples.world import Json

# prefetch key -> resource type, as the discovery of the service names them
KEYS = {
    "observations": "Observation",
    "reports": "DiagnosticReport",
    "conditions": "Condition",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
    "medications": "MedicationRequest",
    "statements": "MedicationStatement",
    "dispenses": "MedicationDispense",
    "immunizations": "Immunization",
}
BASE = "https://example.org/fhir/"
INSTANCES = uuid.UUID("b1a6c0de-0000-4000-8000-000000000000")


def requests(bundles: Mapping[str, Json]) -> dict[str, Json]:
    """File name -> request body."""
    chart = bundles["mg-then-als"]
    orders = bundles["fluoroquinolone-in-mg"]
    drafts = [one for one in _resources(orders) if one.get("status") == "draft"]
    visit = next(one for one in _resources(orders) if one.get("status") == "in-progress")
    return {
        "patient-view.json": _request("patient-view", chart, {"userId": "Practitioner/professor"}),
        "patient-view-ordinary-patient.json": _request(
            "patient-view", bundles["ordinary-patient"], {"userId": "Practitioner/gp"}
        ),
        "order-sign.json": _request(
            "order-sign",
            orders,
            {
                "userId": "Practitioner/gp",
                "encounterId": visit["id"],
                "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": _entries(drafts)},
            },
            without=drafts,
        ),
    }


def _request(hook: str, bundle: Json, context: Json, without: Iterable[Json] = ()) -> Json:
    patient = bundle["id"]
    left_out = {one["id"] for one in without}
    resources = [one for one in _resources(bundle) if one["id"] not in left_out]
    prefetch: Json = {"patient": next(one for one in resources if one["resourceType"] == "Patient")}
    for key, kind in KEYS.items():
        found = [one for one in resources if one["resourceType"] == kind]
        prefetch[key] = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        if found:
            prefetch[key]["entry"] = [entry | {"search": {"mode": "match"}} for entry in _entries(found)]
    return {
        "hookInstance": str(uuid.uuid5(INSTANCES, f"{hook} {patient}")),
        "hook": hook,
        "context": {"userId": context["userId"], "patientId": patient, **context},
        "prefetch": prefetch,
    }


def _resources(bundle: Json) -> list[Json]:
    return [entry["resource"] for entry in bundle["entry"]]


def _entries(resources: Iterable[Json]) -> list[Json]:
    return [{"fullUrl": f"{BASE}{one['resourceType']}/{one['id']}", "resource": one} for one in resources]
