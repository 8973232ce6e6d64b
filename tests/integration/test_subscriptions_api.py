"""Subscriptions over HTTP: made, read, changed, asked for their events; each client alone with its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psutil
import pytest
from decide_kit import Hospital, example
from hypothesis import HealthCheck, given, settings
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from subscriber_server import Subscriber, answers, subscribed
from subscription_kit import TOPIC, five, four

from engine.evaluation import Evaluator
from engine.integration.delivering import Lane
from engine.integration.messages import read as read_message
from engine.outputs.validation import check_output
from engine.service.app import create_app
from engine.service.fhir_api_subscriptions import MOST_SUBSCRIPTIONS
from engine.service.state import Service
from engine.service.working import attach
from engine.settings import Settings, TrustedClient
from engine.store import Store, retention, subscriptions

schemathesis = pytest.importorskip("schemathesis")

Json = dict[str, Any]
DAY = date(2026, 4, 20)
ACHR = "achr-false-positive-achr-binding-1"
ADDRESS = "https://cds.example.org"
KEY = ECKey.generate_key("P-384", {"kid": "k"})
ENGINES = ("https://engine.example.org", "https://other.example.org")


class Site:
    """A service, its endpoint, and a hospital behind it, whose clock both share."""

    def __init__(self, evaluator: Evaluator, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        store = Store()
        self.hospital = Hospital(store.database, evaluator, day=DAY, sinks=())
        self.hospital.now = 1_790_000_000_000
        given = Settings(requests_per_second=0, subscribers=[subscriber.url], public_url=ADDRESS)
        now = lambda: datetime.fromtimestamp(self.hospital.now / 1000, UTC)  # noqa: E731
        app = create_app(evaluator, given, dev=True, store=store, today=lambda: DAY, now=now)
        self.service: Service = app.state.service
        self.client = TestClient(app, raise_server_exceptions=False)
        assert self.service.subscribers is not None
        self.lane = Lane("subscription", store.database, self.service.subscribers, name="w",
                         now=lambda: self.hospital.now)  # fmt: skip

    def deliver(self) -> None:
        self.hospital.now += 1
        while self.lane.step():
            pass

    def decide(self, *resources: Json) -> None:
        self.hospital.send(*resources)
        self.hospital.now += 1
        decider = self.hospital.decider(matching=subscriptions.matching)
        while decider.step()[0]:
            pass

    def create(self, resource: Json, **headers: str) -> Json:
        response = self.client.post("/fhir/Subscription", json=resource, headers=headers)
        assert response.status_code == 201, response.text
        made: Json = response.json()
        assert response.headers["location"] == f"{ADDRESS}/fhir/Subscription/{made['id']}"
        return made

    def get(self, path: str) -> Json:
        response = self.client.get(f"/fhir/{path}")
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def old(self, **changed: Any) -> Json:
        channel = {"endpoint": f"{self.subscriber.url}/in", **changed.pop("channel", {})}
        return four(channel=channel, **changed)

    def new(self, **changed: Any) -> Json:
        return five(**{"endpoint": f"{self.subscriber.url}/in"} | changed)


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with subscribed() as subscriber:
        yield subscriber


@pytest.fixture
def site(evaluator: Evaluator, subscriber: Subscriber) -> Iterator[Site]:
    site = Site(evaluator, subscriber)
    yield site
    site.service.close()


def test_a_service_that_is_closed_has_no_connection_to_a_subscriber(site: Site) -> None:
    def connections() -> int:
        peer = ("127.0.0.1", int(site.subscriber.url.rpartition(":")[2]))
        return sum(one.raddr == peer and one.status == "ESTABLISHED" for one in psutil.Process().net_connections("tcp"))

    site.create(site.old())
    site.deliver()
    assert connections() == 1
    site.service.close()
    assert connections() == 0


@pytest.mark.parametrize("form", ["R4", "R4B", "R5"])
def test_a_subscription_is_made_greeted_told_asked_for_and_removed(site: Site, form: str) -> None:
    version = "R5" if form == "R5" else "R4"
    mime = {"R4": "", "R4B": "; fhirVersion=4.3", "R5": ""}[form]
    resource = site.new() if form == "R5" else site.old()
    made = site.create(resource, **{"content-type": f"application/fhir+json{mime}"})
    check_output(made, version)  # type: ignore[arg-type]
    assert made["status"] == "requested"

    site.deliver()
    assert site.get(f"Subscription/{made['id']}")["status"] == "active"
    for prefix in ("", "b-", "c-"):
        site.decide(*example("achr-false-positive", prefix=prefix))
    site.deliver()
    assert sorted(site.subscriber.numbers()) == [1, 2, 3]

    status = site.get(f"Subscription/{made['id']}/$status")
    check_output(status, version)  # type: ignore[arg-type]
    message = read_message("POST", "", site.client.get(f"/fhir/Subscription/{made['id']}/$status").content)
    assert (message.kind, message.status, message.since) == ("status", "active", 3)
    events = site.client.get(f"/fhir/Subscription/{made['id']}/$events?eventsSinceNumber=2&eventsUntilNumber=3")
    check_output(events.json(), version)  # type: ignore[arg-type]
    message = read_message("POST", "", events.content)
    assert (message.kind, [one.number for one in message.events]) == ("events", [2, 3])
    told = {t.number: t.resources[0] for t in site.subscriber.told if t.number}
    assert [one.resource["id"] for one in message.events] == [told[2]["id"], told[3]["id"]]

    assert site.client.delete(f"/fhir/Subscription/{made['id']}").status_code == 204
    assert site.client.get(f"/fhir/Subscription/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3]), ("?eventsSinceNumber=3", [3]), ("?eventsSinceNumber=4", []), ("?eventsUntilNumber=1", [1]),
        ("?eventsSinceNumber=0", [1, 2, 3]),
    ],
)  # fmt: skip
def test_bounds_of_events_are_included(site: Site, query: str, numbers: list[int]) -> None:
    made = site.create(site.new(content="id-only"))
    for prefix in ("", "b-", "c-"):
        site.decide(*example("achr-false-positive", prefix=prefix))

    bundle = site.get(f"Subscription/{made['id']}/$events{query}")
    listed = bundle["entry"][0]["resource"].get("notificationEvent", [])
    assert [int(one["eventNumber"]) for one in listed] == numbers
    assert bundle["entry"][0]["resource"]["type"] == "query-event"
    asked = {"resourceType": "Parameters", "parameter": [
        {"name": name, "valueString": value} for name, _, value in (one.partition("=") for one in query[1:].split("&"))
        if name
    ]}  # fmt: skip
    posted = site.client.post(f"/fhir/Subscription/{made['id']}/$events", json=asked).json()
    assert posted["entry"] == bundle["entry"]


def test_events_hold_no_more_than_was_subscribed_to(site: Site) -> None:
    made = site.create(site.new(content="id-only"))
    site.decide(*example("achr-false-positive"))

    for asked, entries in (("full-resource", 2), ("id-only", 2), ("empty", 1), ("nonsense", 2)):
        bundle = site.get(f"Subscription/{made['id']}/$events?content={asked}")
        assert len(bundle["entry"]) == entries
        assert all("resource" not in one for one in bundle["entry"][1:])


def test_events_outlive_the_versions_that_they_told_of(site: Site) -> None:
    record = example("achr-false-positive")
    made = site.create(site.new())
    site.decide(*record)
    site.decide({**next(one for one in record if one["id"] == ACHR), "status": "entered-in-error"})
    site.deliver()
    with site.service.store.database.write() as connection:
        retention.forget_older(connection, site.hospital.now // 1000 + 1)

    bundle = site.get(f"Subscription/{made['id']}/$events")
    events = bundle["entry"][0]["resource"]["notificationEvent"]
    assert [int(one["eventNumber"]) for one in events] == [1, 2]
    assert [one["resource"]["meta"]["versionId"] for one in bundle["entry"][1:]] == ["2", "2"]


def test_a_wrong_number_is_400(site: Site) -> None:
    made = site.create(site.new())
    assert site.client.get(f"/fhir/Subscription/{made['id']}/$events?eventsSinceNumber=x").status_code == 400


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"topic": "http://example.org/topic"}, TOPIC),
        ({"endpoint": "https://evil.example.org/"}, "ENDPLATE_SUBSCRIBERS"),
        ({"endpoint": "http://engine.example.org/"}, "https"),
        ({"channelType": {"code": "message"}}, "rest-hook"),
        ({"filterBy": [{"filterParameter": "ruleset", "value": "als-mimic"}]}, "did you mean `als-mimics`?"),
    ],
)
def test_what_cannot_be_had_is_422_and_nothing_is_kept(site: Site, changed: Json, says: str) -> None:
    response = site.client.post("/fhir/Subscription", json=site.new(**changed))

    assert response.status_code == 422
    check_output(response.json())
    assert says in response.json()["issue"][0]["diagnostics"]
    assert site.get("Subscription")["total"] == 0


def test_a_subscription_in_error_is_asked_for_again_with_its_secrets(site: Site) -> None:
    site.subscriber.acts = [answers(500)]
    made = site.create(site.old(channel={"header": ["X-Key: s3cr3t"]}))
    site.deliver()
    seen = site.get(f"Subscription/{made['id']}")
    assert (seen["status"], seen["error"]) == ("error", "error-response")
    assert "s3cr3t" not in str(seen) + str(made)

    response = site.client.put(f"/fhir/Subscription/{made['id']}", json={**seen, "status": "requested"})
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"3"')
    site.deliver()

    assert site.get(f"Subscription/{made['id']}")["status"] == "active"
    assert [one.headers["x-key"] for one in site.subscriber.seen] == ["s3cr3t", "s3cr3t"]


def test_the_id_of_the_body_must_be_that_of_the_address(site: Site) -> None:
    made = site.create(site.new())
    response = site.client.put(f"/fhir/Subscription/{made['id']}", json=site.new(id="other"))
    assert response.status_code == 400
    assert site.client.put("/fhir/Subscription/nobody", json=site.new()).status_code == 404


def test_subscriptions_are_found_by_status_address_and_id(site: Site) -> None:
    one, two = site.create(site.new()), site.create(site.old(channel={"endpoint": f"{site.subscriber.url}/two"}))
    site.deliver()
    three = site.create(site.new())

    for query, found in (
        ("?status=active", {one["id"], two["id"]}), ("?status=requested", {three["id"]}),
        (f"?url={site.subscriber.url}/two", {two["id"]}), (f"?_id={one['id']},{two['id']}", {one["id"], two["id"]}),
        ("?_count=2", None),
    ):  # fmt: skip
        bundle = site.get(f"Subscription{query}")
        names = {entry["resource"]["id"] for entry in bundle["entry"]}
        assert names == found if found else (len(names), bundle["total"]) == (2, 3)
    statuses = site.get("Subscription/$status?status=active")
    assert statuses["total"] == 2
    assert site.get(f"Subscription/$status?id={three['id']}")["total"] == 1


def test_there_is_an_end_to_how_many_a_client_may_have(site: Site) -> None:
    for _ in range(MOST_SUBSCRIPTIONS):
        site.create(site.new())
    assert site.client.post("/fhir/Subscription", json=site.new()).status_code == 422


def token(issuer: str, path: str, name: str) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": issuer, "aud": f"{ADDRESS}{path}", "iat": now, "exp": now + 300, "jti": name}
    signed = jwt.encode({"alg": "ES384", "kid": "k", "typ": "JWT"}, claims, KEY, algorithms=["ES384"])
    return {"Authorization": f"Bearer {signed}"}


def test_each_client_sees_its_own_and_nobody_without_a_token(evaluator: Evaluator) -> None:
    keys = dict(KeySet([KEY]).as_dict(private=False))
    trusted = [TrustedClient(iss=one, jwks=keys) for one in ENGINES]
    given = Settings(trusted_clients=trusted, public_url=ADDRESS, subscribers=ENGINES)
    app = create_app(evaluator, given, store=Store())
    number = iter(range(1000))

    def call(method: str, path: str, issuer: str = "", audience: str = "/fhir", **options: Any) -> Any:
        headers = token(issuer, audience, f"t{next(number)}") if issuer else {}
        return client.request(method, path, headers=headers, **options)

    with TestClient(app, raise_server_exceptions=False) as client:
        resource = five(endpoint=f"{ENGINES[0]}/in")
        made = call("POST", "/fhir/Subscription", ENGINES[0], json=resource).json()
        path = f"/fhir/Subscription/{made['id']}"
        mine, others = call("GET", path, ENGINES[0], path), call("GET", path, ENGINES[1])
        assert (mine.status_code, others.status_code) == (200, 404)
        for method, below in (("PUT", ""), ("DELETE", ""), ("GET", "/$status"), ("GET", "/$events")):
            options = {"json": resource} if method == "PUT" else {}
            assert call(method, path + below, ENGINES[1], **options).status_code == 404
        assert call("GET", "/fhir/Subscription", ENGINES[1]).json()["total"] == 0
        assert call("GET", "/fhir/Subscription/$status", ENGINES[1]).json()["total"] == 0
        for method, address in (("GET", path), ("POST", "/fhir/Subscription"), ("GET", "/fhir/DetectedIssue"),
                                ("GET", "/fhir/PlanDefinition"), ("DELETE", path)):  # fmt: skip
            assert call(method, address).status_code == 401
            assert call(method, address, ENGINES[0], "/cds-services").status_code == 401
        assert client.get("/fhir/metadata").status_code == 200
    app.state.service.close()


def test_logs_hold_no_secret(site: Site) -> None:
    with capture_logs() as logs:
        made = site.create(site.new(parameter=[{"name": "X-Key", "value": "s3cr3t"}]))
        site.client.post("/fhir/Subscription", json=site.new(parameter=[{"name": "X Key", "value": "s3cr3t"}]))
        site.deliver()
        site.get(f"Subscription/{made['id']}")
    assert "s3cr3t" not in str(logs)


def test_the_running_service_greets_and_beats_by_itself(evaluator: Evaluator, subscriber: Subscriber) -> None:
    given = Settings(requests_per_second=0, subscribers=[subscriber.url])
    app = create_app(evaluator, given, dev=True, store=Store())
    service: Service = app.state.service
    assert attach(app) is not None
    with TestClient(app) as client:
        resource = five(endpoint=f"{subscriber.url}/in", heartbeatPeriod=5)
        made = client.post("/fhir/Subscription", json=resource).json()
        until = time.monotonic() + 20
        while subscriber.kinds() != ["handshake", "heartbeat"] and time.monotonic() < until:
            time.sleep(0.05)
        assert subscriber.kinds() == ["handshake", "heartbeat"]
        assert client.get(f"/fhir/Subscription/{made['id']}").json()["status"] == "active"
    service.close()


CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


def test_every_fhir_address_answers_as_the_page_says(site: Site) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", site.client.app)
    chosen = [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in CHECKS]
    operations = [found.ok() for found in schema.get_all_operations() if "/fhir" in found.ok().label]
    assert len(operations) >= 20

    for operation in operations:
        answers_as_said(operation.as_strategy(), chosen)


def answers_as_said(cases: Any, checks: list[Any]) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def check(case: Any) -> None:
        case.call_and_validate(checks=checks)

    check()
