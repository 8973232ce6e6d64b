"""What cannot be answered: a 4xx with an OperationOutcome that says why, never a 5xx and never a word of the input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests_kit import HOOKS, INSTANCE, bundle, condition, order, patient, request
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.evaluation import Evaluator
from engine.service.answer import Responder
from engine.service.app import create_app
from engine.settings import Settings

Json = dict[str, Any]
VIEW = "/cds-services/endplate-patient-view"
NAME = "Zaphod-Beeblebrox-1952"


def refused(client: TestClient, status: int, path: str = VIEW, **call: Any) -> str:
    """The reason of a refusal, whose form is checked."""
    response = client.post(path, **call)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+json"
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    [issue] = outcome["issue"]
    assert issue["severity"] == "error"
    assert NAME not in response.text
    return str(issue["diagnostics"])


def raw(body: bytes | str, kind: str = "application/json") -> Json:
    return {"content": body, "headers": {"content-type": kind}}


# -- the body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b"   \n", "the body is empty"),
        (b"{", "is no JSON"),
        (b"<html>", "looks like XML"),
        (b'"text"', "no JSON object"),
        (b"[1]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b'{"hook": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (f'{{"hook": "{NAME}'.encode(), "is no JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(client: TestClient, body: bytes, reason: str) -> None:
    assert reason in refused(client, 400, **raw(body))


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded"]
)
def test_another_media_type_is_415(client: TestClient, kind: str) -> None:
    assert "application/json" in refused(client, 415, **raw(json.dumps(request()), kind))


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/fhir+json", "APPLICATION/JSON"])
def test_every_kind_of_json_is_read(client: TestClient, kind: str) -> None:
    assert client.post(VIEW, **raw(json.dumps(request()), kind)).status_code == 200


def test_a_compressed_body_is_415(client: TestClient) -> None:
    call = raw(json.dumps(request()))
    call["headers"]["content-encoding"] = "gzip"

    assert "compressed" in refused(client, 415, **call)


def test_a_body_that_is_too_large_is_413_declared_or_not(client: TestClient) -> None:
    large = json.dumps(request() | {"extension": {"x": "y" * 2_000_000}})

    assert "larger than 2000000 bytes" in refused(client, 413, **raw(large))
    pieces = {"content": iter([large.encode()]), "headers": {"content-type": "application/json"}}
    assert "larger than 2000000 bytes" in refused(client, 413, **pieces)


def test_a_byte_order_mark_unknown_fields_and_extensions_are_read_over(client: TestClient) -> None:
    body = request() | {"extension": {"org.example.x": {"a": 1}}, "nobody": ["knows", None], "user": "Practitioner/1"}

    assert client.post(VIEW, **raw(b"\xef\xbb\xbf" + json.dumps(body).encode())).status_code == 200


# -- the call


@pytest.mark.parametrize("field", ["hook", "hookInstance", "context"])
@pytest.mark.parametrize("value", [None, 3, "", []])
def test_what_every_call_must_have_is_named_if_it_is_missing(client: TestClient, field: str, value: object) -> None:
    assert f"`{field}" in refused(client, 400, json=request() | {field: value})


@pytest.mark.parametrize("value", [None, 3, "", ["p"]])
def test_the_id_of_the_patient_is_named_if_it_is_missing(client: TestClient, value: object) -> None:
    assert "`context.patientId`" in refused(client, 400, json=request(context={"patientId": value}))


def test_another_hook_than_the_one_of_the_service_is_400(client: TestClient) -> None:
    assert "`patient-view` alone" in refused(client, 400, json=request() | {"hook": NAME})


def test_a_prefetch_that_is_no_object_is_400(client: TestClient) -> None:
    assert "`prefetch`" in refused(client, 400, json=request(prefetch=[patient()]))


def test_an_unknown_service_address_or_method_is_404_or_405(client: TestClient) -> None:
    assert "GET /cds-services" in refused(client, 404, f"/cds-services/{NAME}", json=request())
    assert "GET /cds-services" in refused(client, 404, f"/cds-services/{NAME}/feedback", json={"feedback": []})
    assert "GET /cds-services" in refused(client, 404, f"/Patient/{NAME}", json={})
    assert "method" in refused(client, 405, "/cds-services", json={})


# -- the patient and what the hook is about


@pytest.mark.parametrize(
    ("prefetch", "reason"),
    [
        ({}, "was not supplied"),
        (None, "was not supplied"),
        ({"patient": None}, "was null"),
        (
            {"patient": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}},
            "error",
        ),
        ({"patient": patient("another")}, "does not hold the patient"),
        ({"patient": bundle()}, "does not hold the patient"),
        ({"patient": "Patient/p"}, "does not hold the patient"),
        ({"patient": {"resourceType": "Patient"}}, "does not hold the patient"),
    ],
)
def test_without_the_patient_it_is_412_and_says_what_became_of_the_query(
    client: TestClient, prefetch: object, reason: str
) -> None:
    said = refused(client, 412, json=request(prefetch=prefetch))

    assert "prefetch `patient` (Patient/{{context.patientId}})" in said
    assert reason in said


@pytest.mark.parametrize("key", ["patient", "somethingElse", "patientToGreet"])
@pytest.mark.parametrize("form", ["resource", "bundle"])
def test_the_patient_is_found_under_any_key_and_in_a_bundle(client: TestClient, key: str, form: str) -> None:
    value = patient() if form == "resource" else bundle(patient())

    assert client.post(VIEW, json=request(prefetch={key: value})).status_code == 200
    typed = request(prefetch={key: value}, context={"patientId": "Patient/p"})
    assert client.post(VIEW, json=typed).status_code == 200


@pytest.mark.parametrize(
    ("service", "element"),
    [
        ("endplate-order-sign", "draftOrders"),
        ("endplate-order-select", "draftOrders"),
        ("endplate-problem-list-item-create", "conditions"),
    ],
)
@pytest.mark.parametrize("value", [None, [], "Bundle", 3])
def test_without_what_the_hook_is_about_it_is_412(
    client: TestClient, service: str, element: str, value: object
) -> None:
    body = request(service, context={element: value})

    assert f"`context.{element}`" in refused(client, 412, f"/cds-services/{service}", json=body)


# -- hostile calls

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in children for found in leaves(inner, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


FULL = request(
    "endplate-order-sign",
    prefetch={"patient": patient(), "conditions": bundle(condition("91637004", "mg"), condition("86044005", "als"))},
    context={"draftOrders": bundle(order("a")), "encounterId": "e"},
)
PATHS = leaves(FULL)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), value=json_values)
def test_whatever_stands_anywhere_is_answered_or_refused(
    client: TestClient, path: tuple[str | int, ...], value: object
) -> None:
    body = json.dumps(replaced(FULL, path, value))
    response = client.post("/cds-services/endplate-order-sign", **raw(body))

    assert response.status_code in (200, 400, 412), response.text


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), service=st.sampled_from([*HOOKS, "x"]), kind=st.sampled_from(["", "/feedback"]))
def test_any_bytes_are_refused(client: TestClient, body: bytes, service: str, kind: str) -> None:
    assert client.post(f"/cds-services/{service}{kind}", **raw(body)).status_code in (400, 404)


@pytest.mark.parametrize("number", ["1e999999", "-1e-999999", "NaN", "Infinity", "123456789012345678901234567890.5"])
def test_absurd_numbers_are_read_over(client: TestClient, number: str) -> None:
    body = json.dumps(request()).replace('"1960-01-01"', number)

    assert client.post(VIEW, **raw(body)).status_code == 200


# -- faults of ours


def test_a_fault_is_500_with_an_id_and_neither_answer_nor_log_hold_patient_data(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError(f"cannot read {NAME}")

    monkeypatch.setattr(Responder, "begin", fails)
    app = create_app(evaluator, Settings(), dev=True)
    with capture_logs() as logs, TestClient(app) as client:
        response = client.post(VIEW, json=request(context={"patientId": NAME}))

    assert response.status_code == 500
    [failed] = [line for line in logs if line["event"] == "failed"]
    assert response.json()["id"] == failed["outcome"]
    assert failed["error"] == "ValueError"
    assert NAME not in response.text
    assert NAME not in json.dumps(logs)


def test_logs_of_answers_and_refusals_hold_no_patient_data(app: FastAPI) -> None:
    named = patient(NAME) | {"name": [{"family": NAME}], "identifier": [{"value": NAME}]}
    about = {"patientId": NAME, "userId": f"Practitioner/{NAME}"}
    spoken = {"card": NAME, "outcome": "overridden", "overrideReason": {"reason": {"code": NAME, "system": "x"}}}
    with capture_logs() as logs, TestClient(app) as client:
        assert client.post(VIEW, json=request(prefetch={"patient": named}, context=about)).status_code == 200
        refused(client, 412, json=request(context=about))
        refused(client, 400, json=request() | {"hook": NAME})
        refused(client, 404, f"/cds-services/{NAME}?name={NAME}", json={})
        assert client.post(f"{VIEW}/feedback", json={"feedback": [spoken]}).status_code == 200

    assert len(logs) >= 10
    assert NAME not in json.dumps(logs)
    assert INSTANCE not in json.dumps(logs)


def test_a_request_can_be_found_in_the_log(client: TestClient) -> None:
    first, second = (client.get("/cds-services").headers["x-request-id"] for _ in range(2))

    assert first != second


@pytest.mark.parametrize("depth", [100, 900, 5_000])
def test_deep_nesting_inside_a_resource_is_answered_or_refused(client: TestClient, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for element in ("code", "subject", "extension", "contained", "entry"):
        body = json.dumps(
            request(prefetch={"patient": patient(), "conditions": condition("91637004", "mg") | {element: "@"}})
        )
        assert client.post(VIEW, **raw(body.replace('"@"', deep))).status_code in (200, 400)
