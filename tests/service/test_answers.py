"""Answers are the findings that the same record has everywhere, in the view of the hook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from requests_kit import INSTANCE, Day, bundle, condition, empty_places, order, patient, prefetched, request
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.fhir.compose import compose_bundle
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.model.finding import Evaluation
from engine.outputs.cards import cards_response
from engine.rules.files import bundled
from engine.service.answer import EXTENSION
from engine.service.app import create_app
from engine.settings import Settings
from engine.views import seen
from engine.vignettes import cases_in

Json = dict[str, Any]
SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "cds-hooks-2.0.1-response.schema.json"
EACH = 5  # every fifth vignette; those with a draft order are all taken
ALS, MG = "86044005", "91637004"


@cache
def response_schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")), validate_formats=True)


def checked(client: TestClient, service: str, body: Json) -> Json:
    response = client.post(f"/cds-services/{service}", json=body)
    assert response.status_code == 200, response.text
    content: Json = response.json()
    response_schema().validate(content)
    assert "systemActions" not in content  # nothing is done by itself
    assert empty_places(content) == []
    return content


@pytest.fixture(scope="module")
def cases(evaluator: Evaluator) -> list[tuple[Json, date]]:
    """Composed Bundles with their dates; numbers as JSON has them."""
    found = []
    for number, (case, _) in enumerate(cases_in(bundled())):
        has_draft = any(fact.get("status") == "draft" for fact in case["facts"])
        if has_draft or number % EACH == 0:
            composed = json.loads(json.dumps(compose_bundle(case, evaluator.ruleset.terminology), default=float))
            found.append((composed, date.fromisoformat(str(case["now"]))))
    return found


def resources_of(composed: Json) -> list[Json]:
    return [entry["resource"] for entry in composed["entry"]]


def evaluated(evaluator: Evaluator, composed: Json, now: date) -> Evaluation:
    scope = Scope(as_of=now, complete=False)
    [record] = read_records([Document(composed, "case")], evaluator.ruleset.terminology, scope, [])
    return evaluator.evaluate(record, "proved")


def expected_cards(evaluator: Evaluator, shown: Evaluation) -> list[tuple[str, str]]:
    return [
        (c["summary"], c["indicator"]) for c in cards_response(shown, evaluator.ruleset.info, base="urn:x")["cards"]
    ]


def drafts_of(resources: list[Json]) -> list[Json]:
    return [one for one in resources if one["resourceType"] == "MedicationRequest" and one.get("status") == "draft"]


def context_of(resources: list[Json]) -> Json:
    [who] = [one["id"] for one in resources if one["resourceType"] == "Patient"]
    inside = [one["id"] for one in resources if one["resourceType"] == "Encounter" and one["status"] == "in-progress"]
    return {"patientId": who, **({"encounterId": inside[0]} if inside else {})}


def test_patient_view_shows_what_the_same_record_gives_elsewhere(
    client: TestClient, evaluator: Evaluator, day: Day, cases: list[tuple[Json, date]]
) -> None:
    with_cards = 0
    for composed, now in cases:
        day.value = now
        resources = resources_of(composed)
        body = request(prefetch=prefetched(resources), context=context_of(resources))

        content = checked(client, "endplate-patient-view", body)

        shown = seen(evaluated(evaluator, composed, now), "patient-view")
        got = [(card["summary"], card["indicator"]) for card in content["cards"]]
        assert got == expected_cards(evaluator, shown), composed["entry"][0]
        with_cards += bool(got)
    assert with_cards > len(cases) / 4


@pytest.mark.parametrize("service", ["endplate-order-sign", "endplate-order-select"])
def test_order_hooks_show_only_what_rests_on_a_draft(
    service: str, client: TestClient, evaluator: Evaluator, day: Day, cases: list[tuple[Json, date]]
) -> None:
    with_cards = 0
    for composed, now in cases:
        resources = resources_of(composed)
        drafts = drafts_of(resources)
        if not drafts:
            continue
        day.value = now
        rest = [one for one in resources if one not in drafts]
        context = context_of(resources) | {"draftOrders": bundle(*drafts)}
        names = [f"MedicationRequest/{one['id']}" for one in drafts]
        if service == "endplate-order-select":
            context["selections"] = names

        content = checked(client, service, request(service, prefetch=prefetched(rest), context=context))

        shown = seen(evaluated(evaluator, composed, now), "order", names)
        assert [(c["summary"], c["indicator"]) for c in content["cards"]] == expected_cards(evaluator, shown)
        with_cards += bool(content["cards"])
    assert with_cards > 10


# -- drafts


def offers(content: Json) -> Iterator[Json]:
    for card in content["cards"]:
        for suggestion in card.get("suggestions", ()):
            yield from suggestion["actions"]


def signing(*drafts: Json, service: str = "endplate-order-sign", **context: Any) -> Json:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}
    return request(service, prefetch=held, context={"draftOrders": bundle(*drafts), **context})


def test_an_order_that_is_signed_without_status_and_id_is_a_draft(client: TestClient, day: Day) -> None:
    day.value = date(2026, 3, 1)

    content = checked(client, "endplate-order-sign", signing(order(None)))

    assert content["cards"]
    assert content["cards"][0]["indicator"] == "critical"
    assert "MedicationRequest/new-1" in content["cards"][0]["detail"]


def test_each_finding_is_offered_as_a_detected_issue_that_refers_to_what_the_ehr_knows(client: TestClient) -> None:
    named = checked(client, "endplate-order-sign", signing(order("a")))
    unnamed = checked(client, "endplate-order-sign", signing(order(None)))

    for content, names in ((named, {"MedicationRequest/a", "Condition/mg"}), (unnamed, {"Condition/mg"})):
        [issue, *_] = [
            action["resource"]
            for action in offers(content)
            if action.get("resource", {}).get("resourceType") == "DetectedIssue"
        ]
        assert "id" not in issue
        assert issue["identifier"][0]["value"]
        assert names <= {one["reference"] for one in issue["implicated"]}
        assert "new-1" not in json.dumps(issue["implicated"]) + json.dumps(issue["evidence"])
        assert issue["code"]["coding"][0]["code"] == content["cards"][0]["source"]["topic"]["code"]


def test_detected_issues_can_be_left_out(evaluator: Evaluator) -> None:
    app = create_app(evaluator, Settings(suggest_issues=False), dev=True)

    content = checked(TestClient(app), "endplate-order-sign", signing(order("a")))

    assert content["cards"]
    assert "DetectedIssue" not in json.dumps(list(offers(content)))


def test_only_the_selected_order_is_spoken_of(client: TestClient) -> None:
    drafts = order("a", "quinine"), order("b", "ciprofloxacin")
    service = "endplate-order-select"

    both = checked(client, service, signing(*drafts, service=service))
    one = checked(client, service, signing(*drafts, service=service, selections=["MedicationRequest/b"]))

    assert "MedicationRequest/a" in json.dumps(both["cards"])
    assert one["cards"]
    assert "MedicationRequest/a" not in json.dumps(one["cards"])


def test_only_a_draft_of_the_call_may_be_removed(client: TestClient) -> None:
    content = checked(client, "endplate-order-sign", signing(order("a")))
    removed = [action["resourceId"] for action in offers(content) if action["type"] == "delete"]
    assert removed
    assert set(removed) == {"MedicationRequest/a"}

    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg")), "medications": bundle(order("a"))}
    chart = checked(client, "endplate-patient-view", request(prefetch=held))
    assert not [action for action in offers(chart) if action["type"] == "delete"]


def test_a_draft_finds_its_medication_in_the_same_bundle_by_full_url(client: TestClient) -> None:
    drafts = bundle(order("a", medicationReference={"reference": "urn:uuid:6f1a8f0e-5a53-4d0e-9b1b-3f6f0f1f7a10"}))
    del drafts["entry"][0]["resource"]["medicationCodeableConcept"]
    drug = {"resourceType": "Medication", "id": "drug", "code": {"text": "quinine"}}
    drafts["entry"].append({"fullUrl": "urn:uuid:6f1a8f0e-5a53-4d0e-9b1b-3f6f0f1f7a10", "resource": drug})
    body = signing()
    body["context"]["draftOrders"] = drafts

    assert "quinine" in json.dumps(checked(client, "endplate-order-sign", body)["cards"])


def test_an_order_that_nothing_speaks_against_gives_no_card(client: TestClient) -> None:
    assert checked(client, "endplate-order-sign", signing(order("a", "paracetamol")))["cards"] == []


def test_no_draft_gives_no_card_whatever_the_chart_holds(client: TestClient) -> None:
    assert checked(client, "endplate-order-sign", signing())["cards"] == []


def test_a_diagnosis_that_is_added_is_held_against_the_record(client: TestClient) -> None:
    service = "endplate-problem-list-item-create"
    held = {"patient": patient(), "medications": bundle(order("q", "quinine", status="active"))}
    added = {"conditions": bundle(condition(MG, "new"))}

    content = checked(client, service, request(service, prefetch=held, context=added))

    assert content["cards"]
    assert all("Condition/new" in card["detail"] for card in content["cards"])


def test_a_diagnosis_that_is_added_gives_what_the_same_record_gives_elsewhere(
    client: TestClient, evaluator: Evaluator, day: Day, cases: list[tuple[Json, date]]
) -> None:
    service = "endplate-problem-list-item-create"
    with_cards = 0
    for composed, now in cases:
        resources = resources_of(composed)
        added = [one for one in resources if one["resourceType"] == "Condition"][:1]
        if not added:
            continue
        day.value = now
        rest = [one for one in resources if one not in added]
        context = context_of(resources) | {"conditions": bundle(*added)}

        content = checked(client, service, request(service, prefetch=prefetched(rest), context=context))

        shown = seen(evaluated(evaluator, composed, now), "order", [f"Condition/{one['id']}" for one in added])
        assert [(c["summary"], c["indicator"]) for c in content["cards"]] == expected_cards(evaluator, shown)
        with_cards += bool(content["cards"])
    assert with_cards > 10


# -- what the response says of itself


def test_the_response_says_which_evaluation_it_is_and_what_was_not_supplied(
    client: TestClient, evaluator: Evaluator, day: Day
) -> None:
    day.value = date(2026, 3, 1)
    held = {"patient": patient(), "conditions": {"resourceType": "OperationOutcome", "issue": []}, "allergies": None}

    about = checked(client, "endplate-patient-view", request(prefetch=held))["extension"][EXTENSION]

    assert about["asOf"] == "2026-03-01"
    assert about["hash"] == evaluator.ruleset.hash
    assert about["problems"] == {"failed-query": 1}
    assert "observations" in about["notSupplied"]
    assert not {"patient", "conditions", "allergies"} & set(about["notSupplied"])
    assert INSTANCE not in about["id"]


def test_what_was_not_supplied_is_called_not_requested_and_what_was_empty_is_not(client: TestClient) -> None:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}

    without = json.dumps(checked(client, "endplate-patient-view", request(prefetch=held)))
    answered = json.dumps(checked(client, "endplate-patient-view", request(prefetch=held | {"observations": bundle()})))
    paged = bundle() | {"link": [{"relation": "next", "url": "https://ehr.example.org/2"}]}
    more = json.dumps(checked(client, "endplate-patient-view", request(prefetch=held | {"observations": paged})))

    assert "(not requested)" in without
    assert "(nothing recorded)" in answered
    assert "(not requested)" in more
    assert '"further-pages": 1' in more


def test_the_same_call_gives_the_same_cards_and_another_call_other_uuids(client: TestClient) -> None:
    first, again = (checked(client, "endplate-order-sign", signing(order("a"))) for _ in range(2))
    other = checked(client, "endplate-order-sign", signing(order("a")) | {"hookInstance": "another"})

    assert first == again
    assert {c["uuid"] for c in first["cards"]}.isdisjoint(c["uuid"] for c in other["cards"])


def test_another_patient_in_the_prefetch_never_counts(client: TestClient) -> None:
    stranger = condition(MG, "mg", subject={"reference": "Patient/other"})
    held = {"patient": patient(), "conditions": bundle(stranger, patient("other"))}

    body = request("endplate-order-sign", prefetch=held, context={"draftOrders": bundle(order("a"))})

    assert checked(client, "endplate-order-sign", body)["cards"] == []
