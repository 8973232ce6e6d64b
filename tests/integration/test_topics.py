"""What a client may ask for: both forms of Subscription, each refusal with what to change, and what is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subscription_kit import BASE, ENDPOINT, KNOWN, NOW, TOPIC, five, four, read

from engine.integration.asking import LONGEST_BEAT, LONGEST_WAIT, MOST_HEADERS, USUAL_WAIT, form_of
from engine.integration.topics import BACKPORT, HIDDEN, AskedError, shown, topic
from engine.outputs.validation import check_output

Json = dict[str, Any]


def test_both_forms_say_the_same() -> None:
    old = read(four(
        filters=["DetectedIssue?severity=high,moderate&ruleset=als-mimics", "DetectedIssue?patient=Patient/p"],
        extension={"backport-heartbeat-period": 60, "backport-timeout": 5, "backport-max-count": 10},
        channel={"header": ["Authorization: Bearer x"]}, end="2030-01-01T00:00:00Z",
    ))  # fmt: skip
    new = read(five(
        filterBy=[{"filterParameter": "severity", "value": "high,moderate"},
                  {"filterParameter": "ruleset", "value": "als-mimics", "comparator": "eq"},
                  {"resourceType": "http://hl7.org/fhir/StructureDefinition/DetectedIssue",
                   "filterParameter": "patient", "value": "p"}],
        heartbeatPeriod=60, timeout=5, maxCount=10, parameter=[{"name": "Authorization", "value": "Bearer x"}],
        contentType="application/fhir+json", reason="findings", end="2030-01-01T00:00:00+00:00",
    ))  # fmt: skip

    assert (old.form, new.form) == ("R4", "R5")
    assert msgspec.structs.replace(old, form="R5") == new
    assert (old.severities, old.rulesets, old.patient) == (("high", "moderate"), ("als-mimics",), "Patient/p")
    assert (old.heartbeat, old.timeout, old.most, old.status) == (60, 5, 10, "requested")


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ({"resourceType": "Patient"}, "no Subscription"),
        ({"resourceType": "Subscription"}, "criteria"),
        ({**four(), "topic": TOPIC}, "criteria"),
        (four(criteria="http://example.org/topic/admission"), f"`{TOPIC}`"),
        (five(topic="http://example.org/topic/admission"), f"`{TOPIC}`"),
        (four(criteria="DetectedIssue?severity=high"), f"`{TOPIC}`"),
        (four(channel={"type": "websocket"}), "rest-hook"),
        (five(channelType={"code": "email"}), "rest-hook"),
        (five(channelType={"system": "http://x.org", "code": "rest-hook"}), "rest-hook"),
        (four(channel={"_type": {"extension": [{"url": f"{BACKPORT}/backport-channel-type", "valueCoding": {}}]}}),
         "rest-hook"),
        (four(channel={"payload": "application/fhir+xml"}), "application/fhir+json"),
        (four(channel={"payload": None}), "application/fhir+json"),
        (four(channel={"_payload": None}), "backport-payload-content"),
        (four(content="everything"), "`full-resource`"),
        (five(content="everything"), "`full-resource`"),
        (four(channel={"endpoint": "http://engine.example.org/findings"}), "must be `https`"),
        (four(channel={"endpoint": "https://elsewhere.example.org/x"}), "`ENDPLATE_SUBSCRIBERS`"),
        (four(channel={"endpoint": "https://engine.example.org:8443/x"}), "`ENDPLATE_SUBSCRIBERS`"),
        (four(channel={"endpoint": "https://engine.example.org@evil.example/x"}), "no address"),
        (four(channel={"endpoint": "https://engine.example.org.evil.example/x"}), "`ENDPLATE_SUBSCRIBERS`"),
        (four(channel={"endpoint": "http://169.254.169.254/latest"}), "must be `https`"),
        (four(channel={"endpoint": "http://127.0.0.1:22/x"}), "`ENDPLATE_SUBSCRIBERS`"),
        (four(channel={"endpoint": "file:///etc/passwd"}), "no address"),
        (four(channel={"endpoint": "https://engine.example.org\\@evil.example/"}), "no address"),
        (four(channel={"endpoint": None}), "no address"),
        (four(filters=["Observation?code=1"]), "`DetectedIssue?severity=high`"),
        (four(filters=["severity=high"]), "`DetectedIssue?severity=high`"),
        (four(filters=["DetectedIssue?colour=red"]), "there is no such filter"),
        (four(filters=["DetectedIssue?severity=hihg"]), "did you mean `high`?"),
        (four(filters=["DetectedIssue?ruleset=als-mimic"]), "did you mean `als-mimics`?"),
        (four(filters=["DetectedIssue?severity=high&severity=low"]), "fit nothing"),
        (four(filters=["DetectedIssue?patient=a,b"]), "one patient"),
        (four(filters=["DetectedIssue?patient=Practitioner/a"]), "`Patient/x`"),
        (five(filterBy=[{"resourceType": "Observation", "filterParameter": "code", "value": "1"}]), "`DetectedIssue`"),
        (five(filterBy=[{"filterParameter": "severity", "comparator": "gt", "value": "low"}]), "`comparator`"),
        (five(filterBy=[{"filterParameter": "severity", "modifier": "not", "value": "low"}]), "`comparator`"),
        (four(channel={"header": ["no colon"]}), "`Name: value`"),
        (four(channel={"header": ["Host: evil.example"]}), "a header"),
        (four(channel={"header": ["Content-Length: 1"]}), "a header"),
        (four(channel={"header": ["X: a\r\nHost: evil"]}), "a header"),
        (five(parameter=[{"name": "X y", "value": "1"}]), "a header"),
        (five(parameter=[{"name": "X", "value": HIDDEN}]), "no value"),
        (five(parameter=[{"name": f"X{n}", "value": "1"} for n in range(MOST_HEADERS + 1)]), "headers"),
        (five(heartbeatPeriod=-1), "whole number"),
        (five(timeout="soon"), "whole number"),
        (five(end="2020-01-01T00:00:00Z"), "has passed"),
        (five(end="2030-01-01"), "time zone"),
        (five(status="error"), "`requested`"),
        (five(status="off"), "`requested`"),
        (five(contentType="application/fhir+json; fhirVersion=4.0"), "another version"),
        (four(channel={"payload": "application/fhir+json;fhirVersion=3.0"}), "none of"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_to_change(resource: Json, says: str) -> None:
    with pytest.raises(AskedError) as refused:
        read(resource)
    assert says in str(refused.value)


def test_the_media_type_tells_r4_from_r4b() -> None:
    assert read(four(channel={"payload": "application/fhir+json; fhirVersion=4.3"})).form == "R4B"
    assert read(four(), form="R4B").form == "R4B"
    assert form_of('application/fhir+json; fhirVersion="5.0"') == "R5"
    with pytest.raises(AskedError, match="another version"):
        read(four(), form="R5")


def test_waits_are_kept_within_bounds_and_shown_as_they_are() -> None:
    found = read(five(heartbeatPeriod=1, timeout=3600))

    assert (found.heartbeat, found.timeout) == (5, LONGEST_WAIT)
    assert read(five(heartbeatPeriod=10**9)).heartbeat == LONGEST_BEAT
    assert (read(five()).heartbeat, read(five()).timeout) == (0, USUAL_WAIT)
    assert shown(found, BASE)["timeout"] == LONGEST_WAIT


def test_a_loopback_endpoint_may_be_in_clear_if_it_is_listed() -> None:
    assert read(five(endpoint="http://127.0.0.1:9999/x")).endpoint == "http://127.0.0.1:9999/x"


@pytest.mark.parametrize("resource", [
    four(channel={"header": ["Authorization: Bearer secret", "X-Key: secret"]},
         filters=["DetectedIssue?severity=high"]),
    five(parameter=[{"name": "Authorization", "value": "Bearer secret"}, {"name": "X-Key", "value": "secret"}],
         filterBy=[{"filterParameter": "issue", "value": "mg-likely"}], maxCount=3, heartbeatPeriod=9),
])  # fmt: skip
def test_secrets_are_not_read_back_and_what_was_read_can_be_sent_again(resource: Json) -> None:
    first = msgspec.structs.replace(read(resource), status="error", error="no-response")

    seen = shown(first, BASE)
    check_output(seen, "R5" if first.form == "R5" else "R4")
    again = read({**seen, "status": "requested"}, before=first)

    assert "secret" not in msgspec.json.encode(seen).decode()
    assert seen["meta"]["versionId"] == "1"
    assert again == msgspec.structs.replace(first, status="requested", error="", revision=2)
    assert again.headers == (("Authorization", "Bearer secret"), ("X-Key", "secret"))


def test_a_client_may_end_its_subscription() -> None:
    first = read(five())
    assert read(five(status="off"), before=first).status == "off"


def test_the_topic_is_valid_in_all_versions() -> None:
    check_output(topic(BASE, "R4"))
    check_output(topic(BASE, "R4B"))
    check_output(topic(BASE, "R5"), "R5")
    assert topic(BASE, "R5")["url"] == TOPIC
    assert [one["filterParameter"] for one in topic(BASE, "R4B")["canFilterBy"]] == [
        "severity", "ruleset", "code", "patient",
    ]  # fmt: skip


def test_published_subscriptions_are_understood_once_they_name_our_topic(shared: Path) -> None:
    for path in sorted((shared / "standards/subscriptions").rglob("Subscription-*.json")):
        resource = msgspec.json.decode(path.read_bytes())
        if "topic" not in resource and "_criteria" not in resource:
            continue  # asks for a search, or is about another channel
        if "topic" in resource:
            resource |= {"topic": TOPIC, "endpoint": ENDPOINT}
        else:
            resource["criteria"] = TOPIC
            resource["channel"]["endpoint"] = ENDPOINT
        resource = {key: value for key, value in resource.items() if key not in ("_criteria", "filterBy", "end")}
        if "zulip" in path.name:  # a channel of its own
            with pytest.raises(AskedError, match="rest-hook"):
                read(resource)
        else:
            assert read(resource).content in ("empty", "id-only")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([TOPIC, ENDPOINT, "rest-hook"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["url", "valueString", "extension", "type", "name", "value", "code"]), inner,
                      max_size=4),
    max_leaves=12,
)  # fmt: skip
PLACES = [*four(), *five(), "filterBy", "parameter", "_criteria", "end", "heartbeatPeriod", "timeout", "maxCount"]


@settings(max_examples=150, deadline=None)
@given(form=st.sampled_from([four, five]), wrong=st.dictionaries(st.sampled_from(PLACES), JSON, max_size=4))
def test_whatever_comes_is_a_subscription_or_refused(form: Any, wrong: Json) -> None:
    try:
        found = read({**form(), **wrong, "resourceType": "Subscription"})
    except AskedError as refused:
        assert str(refused)
        return
    assert found.endpoint == ENDPOINT
    again = read({**shown(found, BASE), "status": "requested"}, before=found, now=NOW)
    assert again == msgspec.structs.replace(found, revision=2)


@settings(max_examples=60, deadline=None)
@given(
    severities=st.lists(st.sampled_from(["high", "moderate", "low"]), max_size=3, unique=True),
    issues=st.lists(st.sampled_from(sorted(KNOWN.issues)), max_size=2, unique=True),
    patient=st.sampled_from(["", "Patient/p"]),
    heartbeat=st.integers(0, 10**6),
    content=st.sampled_from(["empty", "id-only", "full-resource"]),
)
def test_what_is_asked_for_is_what_is_read_in_either_form(
    severities: list[str], issues: list[str], patient: str, heartbeat: int, content: str
) -> None:
    terms = [("severity", ",".join(severities)), ("code", ",".join(issues)), ("patient", patient)]
    terms = [(name, value) for name, value in terms if value]
    query = "&".join(f"{name}={value}" for name, value in terms)
    old = read(four(content=content, filters=[f"DetectedIssue?{query}"] if terms else [],
                    extension={"backport-heartbeat-period": heartbeat}))  # fmt: skip
    new = read(five(content=content, filterBy=[{"filterParameter": n, "value": v} for n, v in terms],
                    heartbeatPeriod=heartbeat, reason="findings"))  # fmt: skip

    assert msgspec.structs.replace(old, form="R5") == new
    check_output(shown(old, BASE))
    check_output(shown(new, BASE), "R5")
