"""What implementers of CDS Hooks get wrong, and what clients send all the same: `conformance.yaml` lists both."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient

from engine.service.answer import EXTENSION

Json = dict[str, Any]
VIEW, SIGN, SELECT = "endplate-patient-view", "endplate-order-sign", "endplate-order-select"
ALS, MG = "86044005", "91637004"
EVIL = "<img src=x onerror=alert(1)>[here](https://evil.example)"
BOTH = bundle(condition(MG, "mg"), condition(ALS, "als"))
FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def answered(client: TestClient, service: str, body: Json) -> Json:
    response = client.post(f"/cds-services/{service}", json=body)
    assert response.status_code == 200, response.text
    content: Json = response.json()
    return content


def viewed(client: TestClient, **held: object) -> Json:
    return answered(client, VIEW, request(prefetch={"patient": patient(), "conditions": BOTH} | held))


def signed(client: TestClient, drafts: object, **held: object) -> Json:
    prefetch = {"patient": patient(), "conditions": BOTH} | held
    return answered(client, SIGN, request(SIGN, prefetch=prefetch, context={"draftOrders": drafts}))


def said(content: Json) -> str:
    return "\n".join(card["detail"] for card in content["cards"])


def test_absent_null_empty_and_failed_mean_different_things(client: TestClient) -> None:
    absent, null, empty, failed = (
        viewed(client, **held)
        for held in ({}, {"observations": None}, {"observations": bundle()}, {"observations": FAILED})
    )

    assert "observations" in absent["extension"][EXTENSION]["notSupplied"]
    for answer in (null, empty, failed):
        assert "observations" not in answer["extension"][EXTENSION]["notSupplied"]
    assert "(not requested)" in said(absent)
    assert "(nothing recorded)" in said(null)
    assert "(nothing recorded)" in said(empty)
    assert null["extension"][EXTENSION].get("problems") is None
    assert failed["extension"][EXTENSION]["problems"] == {"failed-query": 1}
    assert "could not be used" in said(failed)


@pytest.mark.parametrize("value", ["<html><body>Bad Gateway</body></html>", 502, True, [], {"html": "Bad Gateway"}])
def test_what_is_no_resource_in_the_place_of_one_costs_that_key(client: TestClient, value: object) -> None:
    answer = viewed(client, observations=value)

    assert answer["cards"]
    assert answer["extension"][EXTENSION]["problems"]


def test_a_drug_that_was_found_by_its_name_is_not_called_unusable(client: TestClient) -> None:
    answer = signed(client, bundle(order("a")))

    assert answer["extension"][EXTENSION]["problems"] == {"drug-by-name": 1}
    assert "1 entry of the data supplied could not be used, or not in full." in said(answer)


def test_a_failed_query_counts_as_unknown_and_not_as_nothing(client: TestClient) -> None:
    assert "MuSK antibody (nothing recorded)" in said(viewed(client, observations=bundle()))
    assert "MuSK antibody (not requested)" in said(viewed(client, observations=FAILED))


def test_markup_in_a_record_is_text_on_the_card(client: TestClient) -> None:
    evil = condition(MG, "mg")
    evil["code"]["text"] = EVIL
    drug = {"medicationCodeableConcept": {"text": "quinine", "coding": [{"display": EVIL}]}}

    answer = signed(client, bundle(order("a") | drug), conditions=bundle(evil, condition(ALS, "als")))

    assert answer["cards"]
    for card in answer["cards"]:
        assert "<img" not in card["detail"]
        assert "](https://evil.example)" not in card["detail"]


def test_a_draft_with_half_of_its_elements_in_a_bundle_without_a_type_is_understood(client: TestClient) -> None:
    """As the sandbox of CDS Hooks sends it: no status, no intent, no subject."""
    draft = {"resourceType": "MedicationRequest", "id": "a", "medicationCodeableConcept": {"text": "quinine"}}

    whole = signed(client, {"resourceType": "Bundle", "entry": [{"resource": draft}]})

    assert whole["cards"][0]["indicator"] == "critical"


def test_a_draft_that_names_another_patient_is_not_that_of_the_call(client: TestClient) -> None:
    strange = order("a", subject={"reference": "Patient/other"})

    assert signed(client, bundle(strange))["cards"] == []


def test_a_draft_without_a_drug_costs_itself(client: TestClient) -> None:
    answer = signed(client, bundle({"resourceType": "MedicationRequest", "id": "b"}, order("a")))

    assert "MedicationRequest/a" in said(answer)
    assert "MedicationRequest/b" not in said(answer)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "Observation",
        {"resourceType": "Observation"},
        {"resourceType": "Observation", "id": 7, "status": ["final"], "code": "x", "valueQuantity": "much"},
        {"resourceType": "Condition", "id": "c", "code": {"coding": {"code": MG}}, "recordedDate": "yesterday"},
        {"resourceType": "NoSuchResource", "id": "n"},
    ],
)
def test_one_bad_resource_costs_itself_and_not_the_bundle(client: TestClient, bad: object) -> None:
    held = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": bad}, *BOTH["entry"]]}

    answer = signed(client, bundle(order("a")), conditions=held)

    assert "Condition/mg" in said(answer)


@pytest.mark.parametrize("stamp", ["2026-02-27T10:00:00", "2026-02-27T10:00", "2026-02-27T10:00:00.1234567-05:00"])
def test_a_time_without_a_zone_or_with_many_digits_is_read_and_never_written(
    client: TestClient, day: Day, stamp: str
) -> None:
    day.value = date(2026, 3, 1)
    active = order("q", "quinine", status="active", authoredOn=stamp)
    held = {"conditions": bundle(condition(MG, "mg", recordedDate=stamp), condition(ALS, "als"))}

    answer = viewed(client, medications=bundle(active), **held)

    assert "2026-02-27" in said(answer)
    assert stamp not in json.dumps(answer)


def test_a_card_can_be_spoken_of(client: TestClient) -> None:
    [card, *_] = signed(client, bundle(order("a")))["cards"]
    given = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-03-01T10:05:31Z"}

    assert client.post(f"/cds-services/{SIGN}/feedback", json={"feedback": [given]}).status_code == 200


# -- the ballot of 3.0: what its clients send, and what it asks of services


def test_scopes_of_smart_2_and_unknown_fields_change_nothing(client: TestClient) -> None:
    access = {
        "access_token": "t", "token_type": "Bearer", "expires_in": 300, "subject": "cds-service",
        "scope": "patient/Condition.rs patient/Observation.rs?category=laboratory user/MedicationRequest.cruds",
        "patient": "p",
    }  # fmt: skip
    body = request(fhirServer="https://fhir.example.org", fhirAuthorization=access, version="3.0.0", prefetchErrors=[])

    assert answered(client, VIEW, body)["cards"] == answered(client, VIEW, request())["cards"]


def test_the_discovery_says_its_versions(client: TestClient) -> None:
    services = client.get("/cds-services").json()["services"]

    assert {service["version"] for service in services} == {"2.0.1"}
    assert {service["hook"]: service["hookVersion"] for service in services} == {
        "patient-view": "1.0", "order-select": "1.0", "order-sign": "1.0", "problem-list-item-create": "0.1.0",
    }  # fmt: skip


def test_what_only_a_client_of_3_0_may_know_is_not_used(client: TestClient) -> None:
    answer = signed(client, bundle(order("a"), order("b", "ciprofloxacin")))

    assert answer["cards"]
    assert "actionSelectionBehavior" not in json.dumps(answer)
    templates = [query for service in client.get("/cds-services").json()["services"]
                 for query in service["prefetch"].values()]  # fmt: skip
    assert not any(sign in query for query in templates for sign in ("%", "()", "|", "_maxresults", "ofType"))


def test_a_reason_of_another_code_system_is_kept(client: TestClient) -> None:
    """The ballot has an example code system of reasons; a client may use its own instead of ours."""
    [card, *_] = signed(client, bundle(order("a")))["cards"]
    system = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
    given = {
        "card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-03-01T10:07:00Z",
        "overrideReason": {"reason": {"code": "some-reason", "system": system, "display": "A reason"}},
    }  # fmt: skip
    assert client.post(f"/cds-services/{SIGN}/feedback", json={"feedback": [given]}).status_code == 200

    [again, *_] = signed(client, bundle(order("a")))["cards"]

    issues = [action["resource"] for one in again["suggestions"] for action in one["actions"] if "resource" in action]
    codings = [done["action"]["coding"] for issue in issues for done in issue.get("mitigation", ())]
    assert {"system": system, "code": "some-reason"} in [coding for listed in codings for coding in listed]


@pytest.mark.parametrize(("system", "code"), [("", "x"), ("no uri", "x"), ("http://x", "a b"), ("http://x", "")])
def test_a_reason_that_is_no_coding_leaves_the_outcome_alone(client: TestClient, system: str, code: str) -> None:
    [card, *_] = signed(client, bundle(order("c", "ciprofloxacin")))["cards"]
    reason = {"reason": {"code": code, "system": system}}
    given = {"card": card["uuid"], "outcome": "overridden", "overrideReason": reason}
    assert client.post(f"/cds-services/{SIGN}/feedback", json={"feedback": [given]}).status_code == 200

    [again, *_] = signed(client, bundle(order("c", "ciprofloxacin")))["cards"]

    made = [action.get("resource", {}) for one in again["suggestions"] for action in one["actions"]]
    codings = [done["action"]["coding"] for one in made for done in one.get("mitigation", ())]
    assert codings
    assert {coding["system"] for listed in codings for coding in listed} == {"urn:endplate:card-outcome"}


def test_each_error_has_an_operation_outcome(client: TestClient) -> None:
    wrong = [
        client.post(f"/cds-services/{VIEW}", json=request(prefetch={})),
        client.post(f"/cds-services/{VIEW}", json={}),
        client.post("/cds-services/none", json={}),
        client.get(f"/cds-services/{VIEW}"),
    ]

    assert [response.status_code for response in wrong] == [412, 400, 404, 405]
    assert {response.json()["resourceType"] for response in wrong} == {"OperationOutcome"}
    assert all(response.json()["issue"][0]["code"] for response in wrong)
    assert all(response.headers["content-type"] == "application/fhir+json" for response in wrong)
