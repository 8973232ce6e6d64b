"""Every form in which requests have been published (CDS Hooks, its library, CRD, PDDI), in bodies of our own."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from requests_kit import HOOKS, INSTANCE, bundle, condition, empty_places, order, patient
from starlette.testclient import TestClient

Json = dict[str, Any]
SCHEMA = Path(__file__).resolve().parents[1] / "schemas" / "cds-hooks-2.0.1-response.schema.json"
SERVICES = {hook: service for service, hook in HOOKS.items()}
WHO: Json = {"userId": "Practitioner/1", "patientId": "p"}
MG = bundle(condition("91637004", "mg"))
DIET = {"resourceType": "NutritionOrder", "id": "diet", "status": "draft", "patient": {"reference": "Patient/p"}}
OLD_ORDER = {  # as of STU3
    "resourceType": "MedicationRequest", "id": "old", "status": "draft", "category": {"text": "Community"},
    "context": {"reference": "Encounter/e"}, "subject": {"reference": "Patient/p"},
    "medicationCodeableConcept": {"text": "ciprofloxacin"},
    "dosageInstruction": [{"doseQuantity": {"value": 500, "unit": "mg"}}],
}  # fmt: skip
CRD_KEYS: Json = {
    "patient": patient(), "encounter": {"resourceType": "Encounter", "id": "e", "status": "in-progress"},
    "coverage": bundle({"resourceType": "Coverage", "id": "c"}), "device": None, "medication": None,
    "practitioners": bundle(), "practitionerRoles": bundle(), "organizations": bundle(), "locations": bundle(),
}  # fmt: skip
PDDI_KEYS: Json = {"item1": bundle(patient()), "item2": MG, "item3": bundle(), "item6": bundle(patient(), OLD_ORDER)}
EXTENSION: Json = {"extension": {"com.example.coordination": {"alternative": True}}}


def call(hook: str, context: Json, prefetch: Json | None = None, **fields: Any) -> Json:
    body: Json = {"hook": hook, "hookInstance": INSTANCE, "context": context, **fields}
    return body | ({} if prefetch is None else {"prefetch": prefetch})


# form -> (the request, the status of its answer, whether a card is due)
FORMS: dict[str, tuple[Json, int, bool]] = {
    "one key by another name": (
        call("patient-view", WHO | {"encounterId": "e"}, {"patientToGreet": patient()}), 200, False,
    ),
    "a user alone": (call("patient-view", {"userId": "Practitioner/1"}, **EXTENSION), 400, False),
    "no prefetch at all": (call("order-sign", WHO | {"draftOrders": bundle(order("a"))}), 412, False),
    "orders under a key": (
        call("order-sign", WHO | {"encounterId": "e", "draftOrders": bundle(order("a"))},
             {"orders": bundle(), "patient": patient(), "conditions": MG}), 200, True,
    ),
    "a service request among coverage and organisations": (
        call("order-sign", WHO | {"encounterId": "e", "draftOrders": bundle(
            {"resourceType": "ServiceRequest", "id": "s", "status": "draft", "intent": "original-order"})},
            CRD_KEYS, **EXTENSION), 200, False,
    ),
    "a request for communication": (
        call("order-sign", WHO | {"encounterId": "e", "draftOrders": bundle(
            {"resourceType": "CommunicationRequest", "id": "r", "status": "draft"})}, {"patient": patient()}),
        200, False,
    ),
    "a diet and a drug, both selected": (
        call("order-select", WHO | {"selections": ["NutritionOrder/diet", "MedicationRequest/a"],
                                    "draftOrders": bundle(DIET, order("a"))},
             {"patient": patient(), "conditions": MG}), 200, True,
    ),
    "a diet and a drug, signed": (
        call("order-sign", WHO | {"draftOrders": bundle(DIET, order("a"))}, {"patient": patient(), "conditions": MG}),
        200, True,
    ),
    "numbered keys, user and patient at the top": (
        call("order-select", {"patientId": "p", "encounterId": "e", "selections": ["MedicationRequest/old"],
                              "draftOrders": bundle(OLD_ORDER)}, PDDI_KEYS,
             patient="p", userId="Practitioner/1", **EXTENSION), 200, True,
    ),
    "numbered keys, signed": (
        call("order-sign", {"patientId": "p", "encounterId": "e", "draftOrders": bundle(OLD_ORDER, order("a"))},
             PDDI_KEYS, patient="p", userId="Practitioner/1", **EXTENSION), 200, True,
    ),
    "the user of 1.0, selected": (
        call("order-select", {"patientId": "p", "encounterId": "e", "selections": ["MedicationRequest/a"],
                              "draftOrders": bundle(order("a"))},
             PDDI_KEYS, patient="p", user="Practitioner/1", **EXTENSION), 200, True,
    ),
    "the user of 1.0, signed": (
        call("order-sign", {"patientId": "p", "encounterId": "e", "draftOrders": bundle(order("a"))},
             PDDI_KEYS, patient="p", user="Practitioner/1", **EXTENSION), 200, True,
    ),
    "a withdrawn hook with its prefetch in the context": (
        call("medication-prescribe", {"patientId": "p", "encounterId": "e", "medications": bundle(order("a")),
                                      "prefetch": {"item1": MG}, "item2": MG, "item3": MG, "item4": MG},
             user="Practitioner/1", applyCql=True), 400, False,
    ),
    "an order that is dispatched": (
        call("order-dispatch", {"patientId": "p", "dispatchedOrders": ["ServiceRequest/s"], "order": "ServiceRequest/s",
                                "performer": "Organization/o", "fulfillmentTasks": [], "task": {}},
             CRD_KEYS, **EXTENSION), 400, False,
    ),
    "an appointment": (
        call("appointment-book", WHO | {"encounterId": "e", "appointments": bundle()}, **EXTENSION), 400, False,
    ),
    "an encounter that starts": (call("encounter-start", WHO | {"encounterId": "e"}), 400, False),
    "an encounter that ends": (call("encounter-discharge", WHO | {"encounterId": "e"}), 400, False),
    "a hook that nobody published": (
        call("fancy-structure", WHO | {"list": [1], "non_uniform_list": [1, "a"]}), 400, False,
    ),
}  # fmt: skip


@cache
def response_schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")), validate_formats=True)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_request_is_answered_or_refused_with_a_reason(client: TestClient, form: str) -> None:
    body, status, card = FORMS[form]
    service = SERVICES.get(body["hook"], "endplate-patient-view")

    response = client.post(f"/cds-services/{service}", json=body)

    assert response.status_code == status, response.text
    if status == 200:
        response_schema().validate(response.json())
        assert empty_places(response.json()) == []
        assert bool(response.json()["cards"]) == card
    else:
        assert response.json()["issue"][0]["diagnostics"]


def test_each_published_request_has_a_form_of_ours(shared: Path) -> None:
    """The same hook, and no field at the top or in the context that one of ours lacks."""
    found = 0
    for path in sorted((shared / "standards" / "cds-hooks").rglob("*.json")):
        try:
            content = json.loads(path.read_text("utf-8-sig"))
        except ValueError:
            continue
        if not isinstance(content, dict) or not {"hook", "context"} <= content.keys():
            continue
        found += 1
        top = content.keys() - {"fhirServer", "fhirAuthorization", "prefetch"}
        assert any(
            content["hook"] == ours["hook"]
            and top <= ours.keys() | {"extension"}
            and content["context"].keys() <= ours["context"].keys()
            for ours, _, _ in FORMS.values()
        ), path.name
    assert found == 37
