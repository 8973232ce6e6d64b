"""Every form in which servers and integration engines tell of changes, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.integration.event import Message
from engine.integration.messages import MessageError, read

Json = dict[str, Any]
RESULT = {"resourceType": "Observation", "id": "o1", "meta": {"versionId": "3", "lastUpdated": "2026-01-02T03:04:05Z"},
          "subject": {"reference": "Patient/p"}, "valueQuantity": {"value": 1.10}}  # fmt: skip
PERSON = {"resourceType": "Patient", "id": "p"}
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"


def told(body: object, method: str = "POST", path: str = "", **more: Any) -> Message:
    return read(method, path, body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


def shape(message: Message) -> list[tuple[str, str, int]]:
    return [(event.action, event.key if event.type else "", event.number) for event in message.events]


def bundle(kind: str, *entries: object) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def parameters(kind: str = "event-notification", since: Json | None = None, *events: Json) -> Json:
    """The status of R4; `events` are parts of a notification-event by name."""
    listed = [
        {"name": "subscription", "valueReference": {"reference": "https://ehr.example/fhir/Subscription/s1"}},
        {"name": "topic", "valueCanonical": "http://example.org/topic"},
        {"name": "status", "valueCode": "active"},
        {"name": "type", "valueCode": kind},
        *([{"name": "events-since-subscription-start", **since}] if since else []),
        *({"name": "notification-event", "part": [{"name": n, **v} for n, v in event.items()]} for event in events),
    ]
    return {"resourceType": "Parameters", "parameter": listed}


def newer(kind: str = "event-notification", since: object = "7", *events: Json) -> Json:
    """The status of R4B and R5."""
    return {
        "resourceType": "SubscriptionStatus", "status": "active", "type": kind, "eventsSinceSubscriptionStart": since,
        "subscription": {"reference": "Subscription/s1"}, "notificationEvent": list(events),
    }  # fmt: skip


FOCUS = {"event-number": {"valueString": "7"}, "focus": {"valueReference": {"reference": "Observation/o1"}}}


# ---------------------------------------------------------------- single resources


def test_a_posted_resource_is_a_new_version_and_is_answered_with_itself() -> None:
    message = told(RESULT)
    (event,) = message.events
    assert (event.action, event.key, event.version) == ("put", "Observation/o1", "3")
    assert event.updated == 1_767_323_045_000_000
    assert json.loads(message.reply) == RESULT


@pytest.mark.parametrize("path", ["Observation/o1", "Observation", "/Observation/o1/"])
def test_hapi_puts_to_the_address_of_the_resource(path: str) -> None:
    assert shape(told(RESULT, "PUT", path)) == [("put", "Observation/o1", 0)]


def test_the_address_gives_the_id_that_a_body_lacks() -> None:
    (event,) = told({"resourceType": "Patient"}, "PUT", "Patient/x").events
    assert event.resource["id"] == "x"
    assert json.loads(event.raw)["id"] == "x"


@pytest.mark.parametrize(("path", "status"), [("Patient/o1", 400), ("Observation/o2", 400), ("a/b/c", 404), ("x", 404)])
def test_an_address_of_another_resource_is_refused(path: str, status: int) -> None:
    with pytest.raises(MessageError) as refused:
        told(RESULT, "PUT", path)
    assert refused.value.status == status


def test_a_resource_without_any_name_is_the_same_when_it_comes_again() -> None:
    nameless = {key: value for key, value in RESULT.items() if key != "id"}
    assert told(nameless).events[0].id == told(nameless).events[0].id != ""


def test_numbers_stay_as_they_were_written() -> None:
    raw = b'{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.10}}'
    assert told(raw).events[0].raw == raw
    inside = b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":' + raw + b"}]}"
    assert b"1.10" in told(inside).events[0].raw


def test_a_deletion_is_told_by_method_or_by_header() -> None:
    assert shape(told(b"", "DELETE", "Observation/o1")) == [("delete", "Observation/o1", 0)]
    by_header = told({}, deleted="Observation/o1")
    assert shape(by_header) == [("delete", "Observation/o1", 0)]
    with pytest.raises(MessageError):
        told(b"", "DELETE", "Observation")


def test_an_empty_post_asks_for_whatever_has_changed() -> None:
    assert shape(told(b"")) == [("fetch", "", 0)]
    assert shape(told(b" \r\n")) == [("fetch", "", 0)]
    assert shape(told(b"", "PUT", "Observation/o1")) == [("fetch", "Observation/o1", 0)]


def test_a_resource_that_is_only_a_part_of_itself_is_fetched() -> None:
    partly = {**RESULT, "meta": {"tag": [{"code": "SUBSETTED"}]}}
    assert shape(told(partly)) == [("fetch", "Observation/o1", 0)]


# ---------------------------------------------------------------- notifications


@pytest.mark.parametrize(
    ("value", "number"),
    [({"valueString": "7"}, 7), ({"valueInteger": 7}, 7), ({"valueInteger64": "7"}, 7), ({"valueUnsignedInt": 7}, 7),
     ({"valueDecimal": 7.0}, 7), ({"valueString": "seven"}, -1), ({}, -1), ({"valueString": "9" * 50}, 2**62)],
)  # fmt: skip
def test_counters_are_read_in_whatever_kind_of_value_they_come(value: Json, number: int) -> None:
    message = told(bundle("history", {"resource": parameters("heartbeat", value or {"valueX": None})}))
    assert (message.kind, message.subscription, message.since) == ("heartbeat", "s1", number)


@pytest.mark.parametrize(("status", "kind"), [(parameters("handshake"), "history"), (newer("handshake"), "history"),
                                              (newer("handshake"), "subscription-notification")])  # fmt: skip
def test_a_handshake_of_each_release_is_one(status: Json, kind: str) -> None:
    message = told(bundle(kind, {"resource": status}))
    assert (message.kind, message.events) == ("handshake", ())
    assert json.loads(message.reply)["type"] == "transaction-response"


def full(status: Json, kind: str = "history") -> Json:
    return bundle(
        kind,
        {"fullUrl": "urn:uuid:0d6b4f5e-0000-4000-8000-000000000000", "resource": status},
        {"fullUrl": "https://ehr.example/fhir/Observation/o1", "resource": RESULT, "request": {"method": "PUT",
         "url": "Observation/o1"}},
        {"fullUrl": "Patient/p", "resource": PERSON, "request": {"method": "GET", "url": "Patient/p"}},
    )  # fmt: skip


@pytest.mark.parametrize(
    "status",
    [
        parameters("event-notification", {"valueString": "7"}, FOCUS),
        newer("event-notification", "7", {"eventNumber": "7", "focus": {"reference": "https://x/Observation/o1"}}),
    ],
)
def test_full_resources_and_what_was_included_are_taken(status: Json) -> None:
    message = told(full(status))
    assert message.kind == "notification"
    assert shape(message) == [("put", "Observation/o1", 7), ("put", "Patient/p", 0)]
    assert len(json.loads(message.reply)["entry"]) == 3


def test_of_an_id_only_notification_the_focus_is_fetched_and_what_was_included_is_taken() -> None:
    """As HAPI sends it: included resources in full beside a focus without its resource."""
    status = parameters("event-notification", {"valueString": "7"}, FOCUS)
    message = told(bundle("history", {"resource": status},
                          {"fullUrl": "Observation/o1", "request": {"method": "POST", "url": "Observation"}},
                          {"fullUrl": "Patient/p", "resource": PERSON}))  # fmt: skip
    assert shape(message) == [("put", "Patient/p", 0), ("fetch", "Observation/o1", 7)]


def test_an_empty_notification_names_the_number_of_what_has_to_be_fetched() -> None:
    event = {"event-number": {"valueString": "7"}, "timestamp": {"valueDate": "2026-01-01"}}
    message = told(bundle("history", {"resource": parameters("event-notification", {"valueString": "7"}, event)}))
    assert shape(message) == [("fetch", "", 7)]
    assert shape(told(bundle("history", {"resource": parameters()}))) == [("fetch", "", 0)]


def test_a_deleted_focus_is_deleted() -> None:
    entry = {"fullUrl": "https://x/fhir/Observation/o1", "request": {"method": "DELETE", "url": "Observation/o1"},
             "response": {"status": "204", "lastModified": "2026-01-02T03:04:05Z"}}  # fmt: skip
    message = told(bundle("history", {"resource": parameters("event-notification", None, FOCUS)}, entry))
    assert shape(message) == [("delete", "Observation/o1", 7)]
    assert message.events[0].updated == 1_767_323_045_000_000


def test_additional_context_that_is_only_named_is_fetched_too() -> None:
    event = {"eventNumber": 2, "focus": {"reference": "Observation/o1"},
             "additionalContext": [{"reference": "Patient/p"}]}  # fmt: skip
    message = told(bundle("subscription-notification", {"resource": newer("event-notification", "2", event)}))
    assert shape(message) == [("fetch", "Observation/o1", 2), ("fetch", "Patient/p", 2)]


def test_a_notification_without_its_status_is_refused() -> None:
    with pytest.raises(MessageError) as refused:
        told(bundle("subscription-notification", {"resource": RESULT}))
    assert refused.value.status == 422


# ---------------------------------------------------------------- messages and other Bundles


def header(**more: Any) -> Json:
    return {"resourceType": "MessageHeader", "id": "m1", "eventUri": "http://example.org/observation",
            "source": {"endpoint": "http://acme.example/ehr"}, **more}  # fmt: skip


def test_a_message_is_answered_by_a_message_that_names_it() -> None:
    sent = bundle("message", {"resource": header()}, {"resource": RESULT}, {"resource": PERSON})
    message = told(sent, base="https://endplate.example")
    assert shape(message) == [("put", "Observation/o1", 0), ("put", "Patient/p", 0)]
    reply = json.loads(message.reply)
    answered = reply["entry"][0]["resource"]
    assert reply["type"] == "message"
    assert answered["response"] == {"identifier": "m1", "code": "ok"}
    assert answered["destination"] == [{"endpoint": "http://acme.example/ehr"}]
    assert told(sent, base="https://endplate.example").reply == message.reply


def test_a_message_of_r5_is_answered_in_r5() -> None:
    sent = bundle("message", {"resource": header(source={"endpointUrl": "http://acme.example/ehr"})})
    answered = json.loads(told(sent).reply)["entry"][0]["resource"]
    assert answered["response"]["identifier"] == {"value": "m1"}


def test_what_a_resource_of_a_bundle_is_called_its_full_url_says() -> None:
    named = {"fullUrl": "http://acme.example/fhir/Patient/pat12", "resource": {**PERSON, "id": "pat2"}}
    sent = bundle("message", {"resource": header()}, named)
    assert shape(told(sent)) == [("put", "Patient/pat12", 0)]


def test_a_uuid_becomes_the_id_and_references_to_it_are_rewritten() -> None:
    uuid = "7d0c2f86-6b5e-4c9f-9f6e-000000000001"
    sent = bundle("transaction", {"fullUrl": f"urn:uuid:{uuid}", "resource": {"resourceType": "Patient"},
                                  "request": {"method": "POST", "url": "Patient"}},
                  {"resource": {**RESULT, "subject": {"reference": f"urn:uuid:{uuid.upper()}"}},
                   "request": {"method": "PUT", "url": "Observation/o1"}})  # fmt: skip
    message = told(sent)
    assert shape(message) == [("put", f"Patient/{uuid}", 0), ("put", "Observation/o1", 0)]
    assert message.events[1].resource["subject"] == {"reference": f"Patient/{uuid}"}
    entries = json.loads(message.reply)["entry"]
    assert [entry["response"]["location"] for entry in entries] == [f"Patient/{uuid}", "Observation/o1"]
    assert entries[1]["response"]["etag"] == 'W/"3"'


def test_a_batch_may_delete_and_patch_and_ask() -> None:
    sent = bundle("batch", {"request": {"method": "DELETE", "url": "Observation/o1"}},
                  {"resource": {"resourceType": "Binary"}, "request": {"method": "PATCH", "url": "Observation/o2"}},
                  {"request": {"method": "PATCH", "url": "Observation/o3"}},
                  {"request": {"method": "GET", "url": "Observation?x=y"}}, "nonsense")  # fmt: skip
    found = shape(told(sent))
    assert ("delete", "Observation/o1", 0) in found
    assert found == [("delete", "Observation/o1", 0), ("fetch", "Observation/o2", 0), ("fetch", "Observation/o3", 0)]
    put = bundle("transaction", {"request": {"method": "PUT", "url": "Observation/o4"}})
    assert shape(told(put)) == [("fetch", "Observation/o4", 0)]


@pytest.mark.parametrize("kind", ["collection", "searchset", "document", "batch-response", "", "new-kind"])
def test_of_any_other_bundle_the_resources_are_taken(kind: str) -> None:
    outcome = {"resourceType": "OperationOutcome"}
    message = told(bundle(kind, {"resource": RESULT}, {"resource": outcome}, {"resource": {"id": "x"}}))
    assert shape(message) == [("put", "Observation/o1", 0)]


def test_a_history_is_read_from_its_end_because_its_newest_version_stands_first() -> None:
    old = {**RESULT, "meta": {"versionId": "2"}}
    assert [event.version for event in told(bundle("history", {"resource": RESULT}, {"resource": old})).events] == [
        "2", "3",
    ]  # fmt: skip


def test_a_notification_inside_a_message_is_one() -> None:
    inner = full(newer("event-notification", "7", {"eventNumber": "7", "focus": {"reference": "Observation/o1"}}))
    message = told(bundle("message", {"resource": header()}, {"resource": inner}))
    assert (message.kind, message.since) == ("notification", 7)
    assert shape(message) == [("put", "Observation/o1", 7), ("put", "Patient/p", 0)]
    assert json.loads(message.reply)["entry"][0]["resource"]["response"]["code"] == "ok"


def test_resources_of_a_parameters_are_taken() -> None:
    sent = {"resourceType": "Parameters", "parameter": [{"name": "content", "resource": bundle(
        "collection", {"resource": RESULT})}]}  # fmt: skip
    assert shape(told(sent)) == [("put", "Observation/o1", 0)]
    sent = {"resourceType": "Parameters", "parameter": [{"part": [{"resource": RESULT}]}, {"resource": PERSON}]}
    assert sorted(shape(told(sent))) == [("put", "Observation/o1", 0), ("put", "Patient/p", 0)]


# ---------------------------------------------------------------- what nothing can be made of


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"<Patient/>", 400), (b"[]", 400), (b"7", 400), (b"{}", 400), (b'{"resourceType":7}', 400),
     (b'{"resourceType":"patient"}', 400), (b'{"resourceType":"Bundle"}', 422), (b"a=b&c=d", 400),
     (b'{"resourceType":"Patient","id":"a/b"}', 422), (b"[" * 100_000, 400),
     (b'{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Patient","id":"x"}}]}', 422)],
)  # fmt: skip
def test_what_is_nothing_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(MessageError) as refused:
        told(body)
    assert refused.value.status == status
    assert "a/b" not in str(refused.value)


def test_bundles_that_hold_themselves_deeply_end() -> None:
    sent: Json = bundle("collection", {"resource": RESULT})
    for _ in range(50):
        sent = bundle("collection", {"resource": sent})
    assert told(sent).events == ()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["Bundle", "Patient", "Observation/o1", "urn:uuid:x", "event-notification", "history", "PUT"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "resourceType", "id", "entry", "type", "resource", "fullUrl", "request", "method", "url", "parameter", "name",
        "part", "valueString", "notificationEvent", "focus", "reference", "meta", "tag", "versionId", "subscription",
        "eventNumber", "source", "lastUpdated", "additionalContext", "response", "contained",
    ]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip
heads = st.sampled_from(["Bundle", "Parameters", "SubscriptionStatus", "MessageHeader", "Observation", 7, None])


bodies = st.dictionaries(st.sampled_from(["entry", "parameter", "type", "notificationEvent", "id"]), values)
methods = st.sampled_from(["POST", "PUT", "DELETE"])
paths = st.sampled_from(["", "Observation", "Observation/o1", "//", "é/ü"])


@settings(max_examples=300, deadline=None)
@given(heads, bodies, methods, paths)
def test_whatever_is_sent_is_read_or_refused(head: object, content: Json, method: str, path: str) -> None:
    try:
        message = read(method, path, json.dumps({**content, "resourceType": head}).encode(), deleted="")
    except MessageError as error:
        assert 400 <= error.status < 500
        return
    assert isinstance(json.loads(message.reply), dict)
    for event in message.events:
        if event.action == "put":
            held = json.loads(event.raw.replace(b"NaN", b"null"))
            assert (held["resourceType"], held["id"]) == (event.type, event.id)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        told(body)
    except MessageError:
        return


# ---------------------------------------------------------------- published examples

EXPECTED = {"handshake": "handshake", "heartbeat": "heartbeat", "event-notification": "notification",
            "query-status": "status", "query-event": "events"}  # fmt: skip


def test_every_published_notification_is_handled_as_its_kind_requires(shared: Path) -> None:
    found = 0
    for path in sorted((shared / "standards/subscriptions").rglob("Bundle-*.json")):
        sent = json.loads(path.read_text("utf-8"))
        message = told(sent)
        first = sent["entry"][0]["resource"]
        if sent["type"] == "message":
            reply = json.loads(message.reply)["entry"][0]["resource"]
            assert reply["response"]["code"] == "ok", path
            continue
        kind = first.get("type") or next(p["valueCode"] for p in first["parameter"] if p["name"] == "type")
        assert message.kind == EXPECTED[kind], path
        assert message.subscription, path
        named = set(events_of(first))
        told_of = {event.key for event in message.events if event.id}
        assert named <= told_of, path
        resources = [entry["resource"] for entry in sent["entry"][1:] if "resource" in entry]
        carried = {f"{one['resourceType']}/{one['id']}" for one in resources}
        assert {event.key for event in message.events if event.action == "put"} == carried, path
        assert {event.key for event in message.events if event.action == "fetch" and event.id} == told_of - carried
        found += 1
    assert found > 40


def events_of(status: Json) -> list[str]:
    """The focus of each event of a status, read in another way than the engine does."""
    listed = [e.get("focus", {}).get("reference") for e in status.get("notificationEvent", [])]
    for one in status.get("parameter", []):
        listed += [p["valueReference"]["reference"] for p in one.get("part", []) if p["name"] == "focus"]
    return ["/".join(one.split("/")[-2:]) for one in listed if one]
