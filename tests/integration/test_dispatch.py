"""Telling subscribers: handshake, events, heartbeats, and every way to fail; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import msgspec
import pytest
from decide_kit import STEADY, Hospital, example
from structlog.testing import capture_logs
from subscriber_server import Subscriber, answers, endless, late, nonsense, subscribed
from subscription_kit import subscription

from engine.evaluation import Evaluator
from engine.integration.delivering import Lane
from engine.integration.dispatch import HOPELESS, Subscribers
from engine.integration.rendering import Rules
from engine.outputs.needs import fact_resources
from engine.store import Database, outbox, retention, subscriptions
from engine.store.subscriptions import IN_ERROR, Subscription

Json = dict[str, Any]
DAY = date(2026, 4, 20)
ACHR = "achr-false-positive-achr-binding-1"


class Site:
    """A hospital, its subscribers, and one endpoint. `now` is that of the hospital."""

    def __init__(self, database: Database, evaluator: Evaluator, subscriber: Subscriber) -> None:
        self.hospital = Hospital(database, evaluator, day=DAY, sinks=())
        self.database = database
        self.subscriber = subscriber
        ruleset = evaluator.ruleset
        rules = Rules(ruleset.info, fact_resources(ruleset), "urn:endplate")
        self.make: Callable[..., Subscribers] = lambda *origins: Subscribers(
            database, lambda: rules, origins=origins or (subscriber.url,), fhir="https://cds.example.org/fhir",
            now=lambda: self.hospital.now,
        )  # fmt: skip
        self.subscribers = self.make()
        self.lane = self.of(self.subscribers)

    def of(self, subscribers: Subscribers) -> Lane:
        now = lambda: self.hospital.now  # noqa: E731
        return Lane("subscription", self.database, subscribers, name="w", now=now, backoff=STEADY)

    def subscribe(self, **fields: Any) -> None:
        given = {"status": "requested", "endpoint": f"{self.subscriber.url}/in", "heard_at": self.hospital.now}
        with self.database.write() as connection:
            subscriptions.add(connection, subscription(**given | fields), self.hospital.now)

    def deliver(self, seconds: float = 0) -> None:
        """All that is due, after some time."""
        self.hospital.now += int(seconds * 1000)
        while self.lane.step():
            pass

    def decide(self, *resources: Json) -> None:
        self.hospital.send(*resources)
        decider = self.hospital.decider(matching=subscriptions.matching)
        self.hospital.now += 1
        while decider.step()[0]:
            pass

    def held(self, identity: str = "s") -> Subscription:
        with self.database.read() as connection:
            found = subscriptions.get(connection, identity)
        assert found is not None
        return found

    def states(self) -> list[str]:
        return [one.state for one in self.hospital.letters() if one.number]


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with subscribed() as subscriber:
        yield subscriber


@pytest.fixture
def site(database: Database, evaluator: Evaluator, subscriber: Subscriber) -> Iterator[Site]:
    site = Site(database, evaluator, subscriber)
    yield site
    site.subscribers.close()


@pytest.fixture
def small(memory: Database, evaluator: Evaluator, subscriber: Subscriber) -> Iterator[Site]:
    """The same in memory, for what is not about the database."""
    site = Site(memory, evaluator, subscriber)
    yield site
    site.subscribers.close()


def corrected(record: list[Json], value: float) -> Json:
    lab = next(one for one in record if one["id"] == ACHR)
    changed = {**lab, "status": "corrected", "valueQuantity": {**lab["valueQuantity"], "value": value}}
    return {key: one for key, one in changed.items() if key != "interpretation"}


@pytest.mark.parametrize("form", ["R4", "R4B", "R5"])
def test_a_subscriber_is_greeted_and_told_of_what_is_new_and_withdrawn(site: Site, form: str) -> None:
    record = example("achr-false-positive")
    site.subscribe(form=form, headers=(("X-Key", "secret"),))

    site.deliver()
    assert (site.subscriber.kinds(), site.held().status) == (["handshake"], "active")
    assert site.subscriber.told[0].status["status"] == "requested"
    site.decide(*record)
    site.deliver()
    site.decide(corrected(record, 0.01))
    site.deliver()

    assert site.subscriber.kinds() == ["handshake", "event-notification", "event-notification"]
    assert site.subscriber.numbers() == [1, 2]
    new, gone = (told.resources[0] for told in site.subscriber.told[1:])
    assert new["id"] == gone["id"]
    assert [one["meta"]["versionId"] for one in (new, gone)] == ["1", "2"]
    assert (new["status"], gone["status"]) == ("preliminary", "entered-in-error")
    assert gone["mitigation"]
    assert all(told.headers["x-key"] == "secret" for told in site.subscriber.told)
    assert site.subscriber.told[0].headers["content-type"] == "application/fhir+json"
    assert site.states() == ["done", "done"]


def test_filters_leave_events_out_without_taking_numbers(site: Site) -> None:
    site.subscribe(severities=("high",))
    site.subscribe(id="t", severities=("moderate",), rulesets=("achr-false-positive",))
    site.deliver()
    site.decide(*example("achr-false-positive"))
    site.deliver()

    assert (site.held("s").number, site.held("t").number) == (0, 1)
    assert site.subscriber.numbers() == [1]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (answers(500), "error-response"), (answers(404), "error-response"),
        (answers(503, Retry_After="1"), "error-response"),
        (answers(307, Location="https://elsewhere.example.org/"), "no-response"), (nonsense, "no-response"),
        (late(3), "no-response"),
    ],
)  # fmt: skip
def test_a_handshake_that_is_refused_is_an_error(small: Site, act: Any, error: str) -> None:
    small.subscriber.acts = [act]
    small.subscribe(timeout=1)
    small.deliver()

    assert (small.held().status, small.held().error) == ("error", error)
    small.deliver(3600)
    assert len(small.subscriber.seen) == 1


def test_an_endless_answer_is_an_answer(small: Site) -> None:
    small.subscriber.acts = [endless]
    small.subscribe()
    small.deliver()

    assert small.held().status == "active"


def test_events_between_the_request_and_the_handshake_are_not_lost(small: Site) -> None:
    small.subscriber.acts = [answers(500)]
    small.subscribe()
    small.decide(*example("achr-false-positive"))
    small.deliver()
    assert (small.held().status, small.states()) == ("error", ["pending"])

    again = msgspec.structs.replace(small.held(), status="requested", error="", revision=small.held().revision + 1)
    with small.database.write() as connection:
        subscriptions.replace(connection, again, small.hospital.now)
    small.deliver(700)

    assert small.held().status == "active"
    assert small.subscriber.kinds() == ["handshake", "event-notification"]
    assert small.subscriber.told[-1].status["status"] == "active"


@pytest.mark.parametrize("act", [answers(500), answers(429, Retry_After="2"), answers(503), answers(401), answers(410),
                                 answers(302, Location="/x"), nonsense, late(2)])  # fmt: skip
def test_what_does_not_arrive_is_told_again_under_its_number(site: Site, act: Any) -> None:
    site.subscribe(timeout=1)
    site.deliver()
    site.subscriber.acts = [act, act]
    site.decide(*example("achr-false-positive"))
    for _ in range(3):
        site.deliver(10)

    assert site.subscriber.numbers() == [1]
    assert [told.number for told in site.subscriber.seen] == [0, 1, 1, 1]
    assert (site.held().status, site.held().failing_at, site.states()) == ("active", 0, ["done"])


def test_a_patient_is_told_of_in_order_while_others_go_on(small: Site) -> None:
    record, other = example("achr-false-positive"), example("achr-false-positive", prefix="other-")
    small.subscribe()
    small.deliver()
    small.subscriber.acts = [answers(500)]
    small.decide(*record)
    small.decide(corrected(record, 0.01))
    small.decide(*other)
    small.deliver()
    assert small.subscriber.numbers() == []
    small.deliver(10)

    told = [(one["patient"]["reference"], one["status"]) for t in small.subscriber.told for one in t.resources]
    mine = [status for patient, status in told if patient == "Patient/achr-false-positive"]
    assert mine == ["preliminary", "entered-in-error"]
    assert sorted(small.subscriber.numbers()) == [1, 2, 3]


def test_a_notification_that_is_refused_is_parked_and_can_be_replayed(site: Site) -> None:
    record = example("achr-false-positive")
    site.subscribe()
    site.deliver()
    site.subscriber.acts = [answers(422)]
    site.decide(*record)
    site.deliver()
    assert site.states() == ["dead"]

    site.decide(corrected(record, 0.01))
    site.deliver()
    with site.database.write() as connection:
        assert outbox.replay(connection, now=site.hospital.now, target="subscription/s") == 1
    site.deliver()

    assert site.subscriber.numbers() == [2, 1]
    assert {told.resources[0]["meta"]["versionId"] for told in site.subscriber.told[1:]} == {"2"}
    assert site.states() == ["done", "done"]


def test_an_endpoint_that_takes_nothing_for_an_hour_is_in_error_until_its_client_asks_again(site: Site) -> None:
    site.subscribe()
    site.deliver()
    site.subscriber.always = answers(500)
    site.decide(*example("achr-false-positive"))
    while site.held().status == "active":
        site.deliver(300)
    began = site.held().changed_at
    calls = len(site.subscriber.seen)

    assert HOPELESS <= began - 1_000_000 < 2 * HOPELESS
    assert site.held().error == "error-response"
    for _ in range(5):
        site.deliver(900)
    assert len(site.subscriber.seen) == calls
    assert site.states() == ["pending"]

    site.subscriber.always = None
    again = msgspec.structs.replace(site.held(), status="requested", error="", revision=site.held().revision + 1)
    with site.database.write() as connection:
        subscriptions.replace(connection, again, site.hospital.now)
    site.deliver()
    site.deliver(700)

    assert (site.held().status, site.subscriber.numbers(), site.states()) == ("active", [1], ["done"])


def test_after_a_week_in_error_it_is_off_and_forgotten(small: Site) -> None:
    small.subscriber.acts = [answers(500)]
    small.subscribe()
    small.decide(*example("achr-false-positive"))
    small.deliver()

    assert small.subscribers.step(small.hospital.now + IN_ERROR - 1) == 0
    assert small.subscribers.step(small.hospital.now + IN_ERROR) == 1
    assert (small.held().status, small.states()) == ("off", [])


def test_an_endpoint_that_is_no_longer_listed_is_not_called(small: Site) -> None:
    small.subscribe()
    small.deliver()
    small.lane = small.of(small.make("https://elsewhere.example.org"))
    small.decide(*example("achr-false-positive"))
    small.deliver()

    assert small.subscriber.kinds() == ["handshake"]
    assert small.states() == ["pending"]
    assert "ENDPLATE_SUBSCRIBERS" in next(one.error for one in small.hospital.letters() if one.number)


def test_heartbeats_come_when_nothing_else_does_and_count_nothing(site: Site) -> None:
    site.subscribe(heartbeat=60)
    site.deliver()
    site.deliver(59)
    site.subscribers.step(site.hospital.now)
    site.deliver()
    assert site.subscriber.kinds() == ["handshake"]

    site.decide(*example("achr-false-positive"))
    site.deliver(1)
    site.subscribers.step(site.hospital.now)
    site.deliver(30)
    site.subscribers.step(site.hospital.now)
    site.deliver()
    assert site.subscriber.kinds() == ["handshake", "event-notification"]
    site.deliver(60)
    site.subscribers.step(site.hospital.now)
    site.deliver()

    assert site.subscriber.kinds() == ["handshake", "event-notification", "heartbeat"]
    beat = site.subscriber.told[-1].status
    assert beat["events-since-subscription-start"] == "1"
    assert "notification-event" not in beat


def test_lost_heartbeats_are_not_sent_later(small: Site) -> None:
    small.subscribe(heartbeat=10)
    small.deliver()
    small.subscriber.always = answers(500)
    for _ in range(4):
        small.hospital.now += 10_000
        small.subscribers.step(small.hospital.now)
        small.deliver()
    small.subscriber.always = None
    small.deliver(5)

    assert small.subscriber.kinds() == ["handshake"]
    assert [one.kind for one in small.subscriber.seen].count("heartbeat") == 4
    assert small.held().failing_at > 0


def test_a_lost_heartbeat_does_not_end_the_rest_and_one_that_arrives_does(small: Site) -> None:
    small.subscribe(heartbeat=10)
    small.deliver()
    small.subscriber.always = answers(500)
    small.decide(*example("achr-false-positive"))
    small.deliver()
    for _ in range(6):
        small.deliver(120)  # it rests for more than a minute now
    calls = [one.kind for one in small.subscriber.seen].count("event-notification")
    small.decide(*example("achr-false-positive", prefix="b-"))

    small.subscribers.step(small.hospital.now)
    small.deliver()
    assert [one.kind for one in small.subscriber.seen].count("event-notification") == calls
    assert small.subscriber.seen[-1].kind == "heartbeat"
    small.subscriber.always = None
    small.hospital.now += 10_000
    small.subscribers.step(small.hospital.now)
    small.deliver()
    small.deliver()
    assert small.subscriber.kinds()[-2:] == ["heartbeat", "event-notification"]


@pytest.mark.parametrize("payload", ["empty", "id-only"])
def test_no_content_leaves_the_house_that_was_not_asked_for(small: Site, payload: str) -> None:
    small.subscribe(content=payload)
    small.deliver()
    small.decide(*example("achr-false-positive"))
    small.deliver()

    sent = msgspec.json.encode(small.subscriber.told[-1].bundle).decode()
    assert small.subscriber.numbers() == [1]
    assert small.subscriber.told[-1].resources == []
    assert "achr-false-positive" not in sent
    assert ("DetectedIssue/" in sent) == (payload == "id-only")


def test_a_patient_who_was_purged_is_told_of_no_more(small: Site) -> None:
    small.subscribe()
    small.deliver()
    small.decide(*example("achr-false-positive"))
    with small.database.write() as connection:
        retention.forget_patient(connection, "Patient/achr-false-positive")
    small.deliver()

    assert small.subscriber.numbers() == []
    assert small.states() == []


def test_logs_and_errors_hold_no_secret_no_patient_and_no_address(small: Site) -> None:
    small.subscribe(headers=(("X-Key", "s3cr3t"),), endpoint=f"{small.subscriber.url}/t0k3n?key=s3cr3t", timeout=1)
    small.deliver()
    small.subscriber.acts = [answers(500, b"Patient/achr-false-positive"), late(2), nonsense, answers(422)]
    with capture_logs() as logs:
        small.decide(*example("achr-false-positive"))
        for _ in range(5):
            small.deliver(60)

    said = f"{logs} {[one.error for one in small.hospital.letters()]}"
    assert small.states() == ["dead"]
    assert not any(word in said for word in ("s3cr3t", "t0k3n", "achr-false-positive"))


def test_several_threads_lose_and_repeat_nothing(site: Site) -> None:
    site.subscribe()
    site.deliver()
    site.subscriber.acts = [answers(500), answers(503)] * 3
    for number in range(6):
        site.decide(*example("achr-false-positive", prefix=f"p{number}-"))

    def work() -> None:
        while site.lane.step():
            pass

    for _ in range(12):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(30)
        site.hospital.now += 60_000

    assert sorted(site.subscriber.numbers()) == [1, 2, 3, 4, 5, 6]
    assert set(site.states()) == {"done"}
