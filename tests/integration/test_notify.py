"""Notifications: as the published examples, valid by the FHIR classes and a real server, readable by others."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from decide_kit import Hospital, example
from subscription_kit import NOW, TOPIC, subscription

from engine.evaluation import Evaluator
from engine.integration.dispatch import issue
from engine.integration.messages import read
from engine.integration.notify import Address, Kind, Noted, notification, statuses
from engine.integration.rendering import Rules
from engine.outputs.needs import fact_resources
from engine.outputs.validation import check_output
from engine.store import Database
from engine.store.subscriptions import Form, Payload

Json = dict[str, Any]
FORMS: tuple[Form, ...] = get_args(Form)
PAYLOADS: tuple[Payload, ...] = get_args(Payload)
KINDS: tuple[Kind, ...] = get_args(Kind)
HERE = Address("https://cds.example.org/fhir", "urn:endplate")


@pytest.fixture
def issues(memory: Database, evaluator: Evaluator) -> dict[Form, Json]:
    """A finding as a DetectedIssue of each version."""
    hospital = Hospital(memory, evaluator, day=date(2026, 4, 20))
    hospital.send(*example("achr-false-positive"))
    (change,) = hospital.decide()
    ruleset = evaluator.ruleset
    rules = Rules(ruleset.info, fact_resources(ruleset), "urn:endplate")
    return {form: issue(change, rules, form) for form in FORMS}


def noted(resource: Json | None = None, **fields: Any) -> Noted:
    identity = resource["id"] if resource else "f"
    return Noted(**{"number": 7, "at": NOW, "identifier": identity, "version": 1, "resource": resource} | fields)


def made(form: Form, kind: Kind, resource: Json | None = None, content: Payload = "full-resource") -> Json:
    told = subscription(form=form, content=content, number=7)
    events = [noted(resource)] if kind in ("event-notification", "query-event") else []
    return notification(told, kind, HERE, now=NOW, events=events)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", PAYLOADS)
def test_every_notification_is_valid_and_read_back_as_what_it_is(
    issues: dict[Form, Json], form: Form, kind: Kind, content: Payload
) -> None:
    bundle = made(form, kind, issues[form], content)

    check_output(bundle, "R5" if form == "R5" else "R4")
    message = read("POST", "", msgspec.json.encode(bundle))
    expected = {"event-notification": "notification", "query-status": "status", "query-event": "events"}
    assert message.kind == expected.get(kind, kind)
    assert (message.subscription, message.since) == ("s", 7)
    if kind not in ("event-notification", "query-event"):
        assert message.events == ()
        return
    (event,) = message.events
    assert event.number == 7
    if content == "full-resource":
        assert (event.action, event.resource["id"]) == ("put", issues[form]["id"])
    else:
        assert (event.action, event.id) == ("fetch", issues[form]["id"] if content == "id-only" else "")


@pytest.mark.parametrize("form", FORMS)
def test_counters_are_strings_and_references_absolute(issues: dict[Form, Json], form: Form) -> None:
    bundle = made(form, "event-notification", issues[form])
    status = bundle["entry"][0]["resource"]

    if form == "R4":
        named = {one["name"]: one for one in status["parameter"]}
        assert list(named) == ["subscription", "topic", "status", "type", "events-since-subscription-start",
                               "notification-event"]  # fmt: skip
        assert named["events-since-subscription-start"]["valueString"] == "7"
        assert named["topic"]["valueCanonical"] == TOPIC
        event = {one["name"]: one for one in named["notification-event"]["part"]}
        assert event["event-number"]["valueString"] == "7"
        focus = event["focus"]["valueReference"]["reference"]
    else:
        assert (status["eventsSinceSubscriptionStart"], status["topic"]) == ("7", TOPIC)
        (event,) = status["notificationEvent"]
        assert event["eventNumber"] == "7"
        focus = event["focus"]["reference"]
    assert focus == bundle["entry"][1]["fullUrl"] == f"{HERE.fhir}/DetectedIssue/{issues[form]['id']}"
    assert bundle["type"] == ("subscription-notification" if form == "R5" else "history")
    assert all({"request", "response"} <= entry.keys() for entry in bundle["entry"])


def test_the_content_is_as_much_as_was_asked_for(issues: dict[Form, Json]) -> None:
    empty, names, full = (made("R4", "event-notification", issues["R4"], content) for content in PAYLOADS)

    assert len(empty["entry"]) == 1
    assert issues["R4"]["id"] not in msgspec.json.encode(empty).decode()
    assert "resource" not in names["entry"][1]
    assert issues["R4"]["patient"]["reference"] not in msgspec.json.encode(names).decode()
    assert full["entry"][1]["resource"] == issues["R4"]


def test_an_event_whose_patient_is_no_longer_known_keeps_its_number() -> None:
    bundle = made("R5", "query-event", None)
    assert bundle["entry"][0]["resource"]["notificationEvent"][0]["eventNumber"] == "7"
    assert "resource" not in bundle["entry"][1]


@pytest.mark.parametrize("form", FORMS)
def test_an_error_is_told_in_the_status(form: Form) -> None:
    told = subscription(form=form, status="error", error="no-response", number=3)
    bundle = statuses([told], HERE, now=NOW)

    check_output(bundle, "R5" if form == "R5" else "R4")
    assert "no-response" in msgspec.json.encode(bundle).decode()
    message = read("POST", "", msgspec.json.encode(bundle))
    assert (message.kind, message.status, message.since) == ("status", "error", 3)


EXAMPLES = {
    "handshake": ("handshake", "empty"), "heartbeat": ("heartbeat", "empty"),
    "empty": ("event-notification", "empty"), "full-resource": ("event-notification", "full-resource"),
    "id-only": ("event-notification", "id-only"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("form", ["r4", "r4b"])
def test_everything_that_a_published_notification_says_is_said(
    shared: Path, issues: dict[Form, Json], form: str, name: str
) -> None:
    path = shared / f"standards/subscriptions/backport-ig/Bundle-{form}-notification-{name}.json"
    published = msgspec.json.decode(path.read_bytes())
    version: Form = "R4" if form == "r4" else "R4B"
    kind, content = EXAMPLES[name]
    ours = made(version, kind, issues[version], content)  # type: ignore[arg-type]

    assert ours["meta"] == published["meta"]
    theirs, mine = published["entry"][0], ours["entry"][0]
    assert shape(theirs) <= shape(mine)
    assert shape({key: one for key, one in published.items() if key != "entry"}) <= shape(ours)
    for entry in published["entry"][1:]:
        assert entry.keys() <= ours["entry"][1].keys()


def shape(value: Any, place: str = "") -> set[str]:
    """The paths of elements; Parameters by their names."""
    if isinstance(value, list):
        return {path for one in value for path in shape(one, f"{place}[{one['name']}]" if "name" in one else place)}
    if not isinstance(value, dict):
        return {place}
    skipped = ("text", "meta") if place.endswith("resource") else ("text",)
    return {path for key, one in value.items() if key not in skipped for path in shape(one, f"{place}.{key}")}


@pytest.mark.parametrize("name", ["3945182f", "3d20ea4b", "40464b74"])
def test_everything_that_a_published_r5_notification_says_is_said(
    shared: Path, issues: dict[Form, Json], name: str
) -> None:
    (path,) = (shared / "standards/subscriptions/r5-core-examples").glob(f"Bundle-{name}*.json")
    published = msgspec.json.decode(path.read_bytes())
    kind = published["entry"][0]["resource"]["type"]
    ours = made("R5", kind, issues["R5"], "id-only")

    assert ours["type"] == published["type"]
    assert shape(published["entry"][0]) <= shape(ours["entry"][0])
    assert len(published["entry"]) == len(ours["entry"])
    for theirs, mine in zip(published["entry"][1:], ours["entry"][1:], strict=True):
        assert shape(theirs) <= shape(mine)


def test_a_real_server_finds_no_fault_with_notifications_of_r4(hapi: Any, issues: dict[Form, Json]) -> None:
    for kind in KINDS:
        bundle = made("R4", kind, issues["R4"])
        del bundle["meta"]  # profiles of the backport, which the server does not have
        del bundle["entry"][0]["resource"]["meta"]
        assert hapi.validate(bundle) == []


def test_a_real_server_finds_no_fault_with_notifications_of_r5(hapi_r5: Any, issues: dict[Form, Json]) -> None:
    for kind in KINDS:
        assert hapi_r5.validate(made("R5", kind, issues["R5"])) == []
