"""The receiver as senders meet it: who may send, what is answered, and that it is there once it is answered."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from peers.hapi import awake
from peers.listening import listening
from served_kit import comes
from starlette.testclient import TestClient
from stream_kit import Json, record_of, stands
from structlog.testing import capture_logs
from test_messages import bundle, full, header, newer, parameters
from test_receiver import held, marked, result

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.integration import receiver as receiver_module
from engine.service.app import create_app
from engine.service.auth import Authenticator
from engine.service.sources import Sources
from engine.settings import Settings, read_settings
from engine.store import Store

SECRET = "a secret of sixteen"  # noqa: S105
GIVEN = {"X-Endplate-Secret": SECRET}
EHR = {"name": "ehr", "secret": SECRET}
ADDRESS, ISS = "https://cds.example.org", "https://ehr.example.org"
KEY = ECKey.generate_key("P-384", {"kid": "ec"})
TRUSTED = {"iss": ISS, "jwks": KeySet([KEY]).as_dict(private=False)}


def set_to(sources: Sequence[Json], **fields: Any) -> Settings:
    return read_settings(**{"sources": sources, "trusted_clients": [TRUSTED], "public_url": ADDRESS, **fields})


Started = Callable[..., TestClient]


@pytest.fixture
def started(evaluator: Evaluator, place: Path | str) -> Iterator[Started]:
    """`started(source, ...)`: a client of the running application, with its store under `app.state.service.store`."""
    running: list[Any] = []

    def start(*sources: Json, dev: bool = False, address: str = "testclient", **fields: Any) -> TestClient:
        settings = set_to(sources, **fields)
        app = create_app(evaluator, settings, dev=dev, store=Store(place))
        client = TestClient(app, raise_server_exceptions=False, client=(address, 50_000))
        running.append((client, app))
        client.__enter__()
        return client

    yield start
    for client, app in running:
        client.__exit__(None, None, None)
        app.state.service.close()


def store_of(client: TestClient) -> Any:
    app = client.app
    assert isinstance(app, FastAPI)
    return app.state.service.store.database


def test_a_result_is_remembered_before_it_is_answered_with_itself(started: Started) -> None:
    client = started(EHR)
    for method, path in (("POST", ""), ("PUT", "/Observation/o"), ("POST", "/")):
        answer = client.request(method, f"/fhir-hook{path}", json=result(), headers=GIVEN)
        assert (answer.status_code, answer.json()) == (200, result())
        assert answer.headers["content-type"] == "application/fhir+json"
    (row,) = held(store_of(client), ("Observation", "o"))
    assert (row.source, row.patient) == ("ehr", "Patient/p")
    assert marked(store_of(client)).keys() == {"Patient/p"}


def test_each_kind_of_message_is_answered_in_its_way(started: Started) -> None:
    client = started(EHR)

    def answer(body: object, path: str = "") -> tuple[int, Json]:
        found = client.post(f"/fhir-hook{path}", json=body, headers=GIVEN)
        return found.status_code, found.json()

    assert answer(bundle("history", {"resource": parameters("handshake")}))[1]["type"] == "transaction-response"
    assert answer(bundle("history", {"resource": newer("heartbeat")}))[0] == 200
    assert answer(full(newer()))[1]["type"] == "transaction-response"
    status, reply = answer(bundle("message", {"resource": header()}, {"resource": result("m")}), "/$process-message")
    assert (status, reply["entry"][0]["resource"]["response"]["code"]) == (200, "ok")
    assert answer(bundle("transaction", {"resource": result("t")}))[1]["entry"][0]["response"]["status"] == "200 OK"
    gone = client.delete("/fhir-hook/Observation/t", headers=GIVEN)
    assert (gone.status_code, gone.json()["resourceType"]) == (200, "OperationOutcome")
    gone = client.post("/fhir-hook", json={}, headers=GIVEN | {"X-Medplum-Deleted-Resource": "Observation/m"})
    assert gone.status_code == 200
    rows = held(store_of(client), ("Observation", "m"), ("Observation", "t"))
    assert [row.deleted for row in rows] == [1, 1]


def test_what_must_be_fetched_and_cannot_is_refused_so_that_its_sender_sees_it(started: Started) -> None:
    client = started(EHR)
    form = GIVEN | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/fhir-hook", content=b"", headers=form)
    assert answer.status_code == 422
    assert "`fhir_url`" in answer.json()["issue"][0]["diagnostics"]
    named = started({**EHR, "fhir_url": "https://ehr.example.org/fhir"})
    assert named.post("/fhir-hook", content=b"", headers=form).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [(b"{", "application/json", 400), (b"<a/>", "application/fhir+xml", 415), (b"a=b", "text/plain", 415),
     (b"x" * 2048, "application/json", 413), (b'{"resourceType":"Bundle","type":"history"}', "application/json", 422)],
)  # fmt: skip
def test_what_nothing_can_be_made_of_is_refused_with_an_outcome(
    started: Started, content: bytes, kind: str, status: int
) -> None:
    client = started(EHR, max_body_bytes=1024)
    answer = client.post("/fhir-hook", content=content, headers=GIVEN | {"Content-Type": kind})
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


def test_where_only_a_source_sends_nobody_need_be_trusted_and_nobody_else_is_heard(started: Started) -> None:
    client = started(EHR, trusted_clients=(), public_url=None)
    assert client.post("/fhir-hook", json=result(), headers=GIVEN).status_code == 200
    assert client.post("/fhir-hook", json=result()).status_code == 401
    for headers in ({}, token(aud="/cds-services"), GIVEN, {"Authorization": "Bearer"}):
        assert client.get("/cds-services", headers=headers).status_code == 401
        assert client.post("/cds-services/x", json={}, headers=headers).status_code == 401
        assert client.get("/fhir/DetectedIssue", headers=headers).status_code == 401
    assert "security" in client.get("/fhir/metadata").json()["rest"][0]


def test_an_open_address_is_refused_though_nobody_is_trusted() -> None:
    with pytest.raises(SettingsError, match="is not `https`"):
        Authenticator(set_to([EHR], trusted_clients=(), public_url="http://cds.example.org"))
    with pytest.raises(SettingsError, match="no client is trusted"):
        Authenticator(set_to([], trusted_clients=(), public_url=None))


def test_without_sources_there_is_no_receiver(started: Started) -> None:
    assert started().post("/fhir-hook", json=result(), headers=GIVEN).status_code == 404


# ---------------------------------------------------------------- who may send


def refused(client: TestClient, **request: Any) -> bool:
    with capture_logs() as logs:
        answer = client.post("/fhir-hook", **({"json": result()} | request))
    if answer.status_code != 401:
        return False
    assert answer.json()["issue"][0]["diagnostics"] == "not authorised"
    assert SECRET not in str(logs)
    return True


@pytest.mark.parametrize("headers", [{}, {"X-Endplate-Secret": ""}, {"X-Endplate-Secret": SECRET + "x"},
                                     {"X-Endplate-Secret": "é".encode()}, {"X-Other": SECRET},
                                     {"Authorization": f"Bearer {SECRET}"}, {"X-Signature": "00" * 32}])  # fmt: skip
def test_nobody_is_heard_without_the_secret(started: Started, headers: dict[str, Any]) -> None:
    assert refused(started(EHR), headers=headers)


def test_a_sender_that_can_set_one_header_alone_may_use_it(started: Started) -> None:
    client = started({**EHR, "secret_header": "Authorization", "secret": f"Basic {SECRET}"})
    assert not refused(client, headers={"Authorization": f"Basic {SECRET}"})
    assert refused(client, headers=GIVEN)


def test_a_signature_is_of_the_very_bytes(started: Started) -> None:
    client = started({"name": "medplum", "hmac_secret": SECRET})
    body = json.dumps(result()).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert not refused(client, json=None, content=body, headers={"X-Signature": signature})
    assert not refused(client, json=None, content=body, headers={"X-Signature": f"sha256={signature.upper()}"})
    assert refused(client, json=None, content=body + b" ", headers={"X-Signature": signature})
    assert refused(client, json=None, content=body, headers={"X-Signature": "é".encode()})
    assert refused(client, json=None, content=body)


def token(**changed: Any) -> dict[str, str]:
    now = int(time.time())
    identity = str(time.perf_counter_ns())
    claims = {"iss": ISS, "aud": f"{ADDRESS}/fhir-hook", "iat": now, "exp": now + 300, "jti": identity}
    signed = jwt.encode({"alg": "ES384", "kid": "ec", "typ": "JWT"}, claims | changed, KEY, algorithms=["ES384"])
    return {"Authorization": f"Bearer {signed}"}


def test_a_trusted_client_sends_with_its_token(started: Started) -> None:
    client = started({"name": "ehr", "iss": ISS})
    assert not refused(client, headers=token())
    assert client.put("/fhir-hook/Observation/o", json=result(), headers=token()).status_code == 200
    assert refused(client, headers=token(aud=ADDRESS))
    assert refused(client, headers=token(exp=1))
    used = token()
    assert [refused(client, headers=used) for _ in range(2)] == [False, True]
    assert refused(started(EHR), headers=token())  # trusted, and no source


def test_whoever_cannot_be_checked_now_is_asked_to_send_it_again(started: Started) -> None:
    client = started({"name": "ehr", "iss": ISS}, workers=2)
    with store_of(client).write() as connection:
        connection.exec_driver_sql("drop table used")
    answer = client.post("/fhir-hook", json=result(), headers=token())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "send it again" in answer.json()["issue"][0]["diagnostics"]


def test_a_proxy_says_who_calls_and_nobody_else_can(started: Started) -> None:
    source = {"name": "mirth", "proxy_identity": "CN=mirth.example.org"}
    said = {"X-Client-Identity": "CN=mirth.example.org"}
    behind = started(source, proxies=["10.0.0.0/8"], address="10.1.2.3")
    assert not refused(behind, headers=said)
    assert refused(behind, headers={"X-Client-Identity": "CN=mirth.example.or"})
    assert refused(behind)
    assert refused(behind, headers=said | {"X-Client-Identity": ""})
    elsewhere = started(source, proxies=["10.0.0.0/8"], address="11.1.2.3")
    assert refused(elsewhere, headers=said | {"X-Forwarded-For": "10.1.2.3"})


def test_several_sources_are_told_apart(started: Started) -> None:
    client = started(EHR, {"name": "lab", "secret": "another one of sixteen"})
    client.post("/fhir-hook", json=result("a"), headers=GIVEN)
    client.post("/fhir-hook", json=result("b"), headers={"X-Endplate-Secret": "another one of sixteen"})
    assert [row.source for row in held(store_of(client), ("Observation", "a"), ("Observation", "b"))] == ["ehr", "lab"]


def test_in_development_anybody_is_the_first_source(started: Started) -> None:
    assert not refused(started(EHR, dev=True))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([EHR, EHR], "two sources are called `ehr`"),
        ([{"name": "x"}], "must be known by one of"),
        ([{**EHR, "iss": ISS}], "must be known by one of"),
        ([{"name": "x", "iss": "https://other.example"}], "is not among `ENDPLATE_TRUSTED_CLIENTS`"),
        ([{"name": "x", "proxy_identity": "CN=x"}], "set `ENDPLATE_PROXIES`"),
        ([{**EHR, "client_id": "c"}], "`client_id` and `key_file` belong together"),
        ([{**EHR, "key_file": "k.pem"}], "`client_id` and `key_file` belong together"),
        ([{**EHR, "client_id": "c", "key_file": "k.pem"}], "`client_id` is for fetching"),
        ([{**EHR, "fhir_url": "https://a.example"}, {**EHR, "name": "b", "fhir_url": "https://b.example"}],
         "may mean different patients"),
    ],
)  # fmt: skip
def test_sources_that_cannot_be_meant_are_refused_at_the_start(sources: list[Json], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Sources(set_to(sources), None)


def test_a_short_secret_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPLATE_SOURCES", '[{"name": "x", "secret": "hunter2"}]')
    with pytest.raises(SettingsError, match=r"ENDPLATE_SOURCES\[0\]\[secret\]") as error:
        read_settings()
    assert "hunter2" not in str(error.value)


def test_secrets_are_not_in_the_log_of_the_start() -> None:
    shown = set_to([EHR]).summary()
    assert shown["sources"] == ["ehr"]
    assert SECRET not in str(shown)


# ---------------------------------------------------------------- when it cannot be remembered


def test_when_the_queue_is_full_the_sender_is_told_when_to_come_again(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = started(EHR)
    monkeypatch.setattr(receiver_module, "WAITING", 0)
    answer = client.post("/fhir-hook", json=result(), headers=GIVEN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    monkeypatch.undo()
    assert client.post("/fhir-hook", json=result(), headers=GIVEN).status_code == 200
    figures = client.get("/metrics").text
    assert 'endplate_received_total{kind="resource",outcome="full",source="ehr"} 1.0' in figures
    assert 'endplate_received_total{kind="resource",outcome="taken",source="ehr"} 1.0' in figures


def test_what_the_store_does_not_take_is_answered_503_and_is_not_there(started: Started) -> None:
    client = started(EHR)
    database = store_of(client)
    with database.write() as connection:
        connection.exec_driver_sql("alter table work rename to work_")
    assert client.post("/fhir-hook", json=result(), headers=GIVEN).status_code == 503
    with database.write() as connection:
        connection.exec_driver_sql("alter table work_ rename to work")
    assert held(database, ("Observation", "o")) == []  # nor half of it
    assert client.post("/fhir-hook", json=result(), headers=GIVEN).status_code == 200


def test_nothing_of_a_patient_is_in_the_log(started: Started) -> None:
    client = started(EHR)
    with capture_logs() as logs:
        client.put("/fhir-hook/Observation/secret-id", json=result("secret-id", "somebody"), headers=GIVEN)
        client.put("/fhir-hook/Observation/secret-id", json=result("other", "somebody"), headers=GIVEN)
        client.post("/fhir-hook", content=b'{"secret-id', headers=GIVEN)
    assert len(logs) >= 3
    assert not any(word in str(logs) for word in ("secret-id", "somebody", "2157-6"))


def test_a_whole_record_sent_one_by_one_ends_in_its_findings(started: Started, evaluator: Evaluator) -> None:
    client = started(EHR)
    record = record_of("quinine-in-overlap")
    for one in record:
        sent = client.put(f"/fhir-hook/{one['resourceType']}/{one['id']}", json=one, headers=GIVEN)
        assert sent.status_code == 200
    (patient,) = [f"Patient/{one['id']}" for one in record if one["resourceType"] == "Patient"]
    assert stands(evaluator, store_of(client), patient)


# ---------------------------------------------------------------- HAPI as a sender


def taken(app: FastAPI) -> int:
    """How many messages it has acknowledged."""
    (family,) = app.state.service.metrics.received.collect()
    counted = (one for one in family.samples if one.name.endswith("_total") and one.labels["outcome"] == "taken")
    return int(sum(one.value for one in counted))


def probing(hapi: Any, name: str) -> Callable[[], None]:
    """Writes another version of a result of the patient."""
    versions = count(2000)
    return lambda: hapi.put([result(f"{name}-probe", f"{name}-p", effectiveDateTime=f"{next(versions)}-01-01")])


@pytest.mark.parametrize("payload", [True, False])
def test_hapi_delivers_to_the_receiver(memory: Any, evaluator: Evaluator, hapi: Any, payload: bool) -> None:
    """R4 criteria subscriptions: PUT and DELETE with the resource, or an empty form whose changes are fetched."""
    name = f"told-{str(payload).lower()}-{time.time_ns()}"
    settings = set_to([{**EHR, "fhir_url": hapi.base}])
    app = create_app(evaluator, settings, store=Store(None))
    database = app.state.service.store.database
    with listening(app) as address:
        hapi.put([{"resourceType": "Patient", "id": f"{name}-p"}])
        channel = {"type": "rest-hook", "endpoint": f"{address}/fhir-hook", "header": [f"X-Endplate-Secret: {SECRET}"]}
        made = hapi.post("Subscription", {
            "resourceType": "Subscription", "status": "requested", "reason": "test",
            "criteria": f"Observation?subject=Patient/{name}-p",
            "channel": channel | ({"payload": "application/fhir+json"} if payload else {}),
        })  # fmt: skip
        try:
            subscription = f"Subscription/{made['id']}"
            assert comes(lambda: hapi.get(subscription)["status"] == "active", 30)
            awake(probing(hapi, name), lambda: taken(app))
            hapi.put([result(f"{name}-o", f"{name}-p")])
            key = ("Observation", f"{name}-o")

            def there() -> bool:
                app.state.receiving.step()
                return any(row.content for row in held(database, key))

            assert comes(there, 30)
            corrected = result(f"{name}-o", f"{name}-p", status="entered-in-error")
            hapi.put([corrected])

            def is_corrected() -> bool:
                app.state.receiving.step()
                return b"entered-in-error" in held(database, key)[0].content

            assert comes(is_corrected, 30)
            assert {row.id for row in held(database, ("Patient", f"{name}-p"))} == {f"{name}-p"}  # it was asked for
        finally:
            hapi.client.delete(subscription)
    app.state.service.close()


@pytest.mark.parametrize("content", ["full-resource", "id-only", "empty"])
def test_hapi_notifies_by_topic(evaluator: Evaluator, hapi_r5: Any, content: str) -> None:
    """R5 topic subscriptions of a server that knows neither handshake nor $events, and expects a Bundle as answer.

    It sends no headers, whatever the `parameter` of the Subscription says: in development anybody may send.
    """
    name = f"topic-{content}-{time.time_ns()}"
    app = create_app(evaluator, set_to([{**EHR, "fhir_url": hapi_r5.base}]), dev=True, store=Store(None))
    database, receiving = app.state.service.store.database, app.state.receiving
    key, made = ("Observation", f"{name}-o"), list[str]()
    topic = {
        "resourceType": "SubscriptionTopic", "url": f"http://example.org/{name}", "status": "active", "version": "1",
        "resourceTrigger": [{
            "resource": "Observation", "supportedInteraction": ["create", "update"],
            "queryCriteria": {"current": f"Observation?subject=Patient/{name}-p", "resultForCreate": "test-passes"},
        }],
        "notificationShape": [{"resource": "Observation", "include": ["Observation:subject"]}],
    }  # fmt: skip

    def there() -> bool:
        receiving.recovery.step(app.state.service.milliseconds())
        return any(row.content for row in held(database, key))

    with listening(app) as address, capture_logs() as logs:
        try:
            made.append(f"SubscriptionTopic/{hapi_r5.post('SubscriptionTopic', topic)['id']}")
            hapi_r5.put([{"resourceType": "Patient", "id": f"{name}-p"}])
            subscription = {
                "resourceType": "Subscription", "status": "requested", "topic": topic["url"], "content": content,
                "channelType": {"system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type",
                                "code": "rest-hook"},
                "endpoint": f"{address}/fhir-hook", "contentType": "application/fhir+json",
            }  # fmt: skip
            made.append(f"Subscription/{hapi_r5.post('Subscription', subscription)['id']}")
            assert comes(lambda: hapi_r5.get(made[-1])["status"] == "active", 30)
            probes = awake(probing(hapi_r5, name), lambda: taken(app))
            hapi_r5.put([result(f"{name}-o", f"{name}-p")])
            assert comes(there, 30), logs
            assert {row.id for row in held(database, ("Patient", f"{name}-p"))} == {f"{name}-p"}
            time.sleep(1)
            kinds = [one["kind"] for one in logs if one["event"] == "received"][probes:]
            assert kinds == ["notification"]  # the answer was taken: it is not sent again
        finally:
            for one in made[::-1]:
                hapi_r5.client.delete(one)
    app.state.service.close()
