"""What a client asks for: a Subscription in the form of the R4 backport or of R5.

Both forms are one request here; which one it was decides how notifications are written. What cannot be done is refused,
not left out. Sources: FHIR R5 "Subscriptions Framework"; Subscriptions R5 Backport IG 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, get_args
from urllib.parse import parse_qsl

import msgspec

from engine.errors import nearest
from engine.fhir.elements import Json, items, obj, objects, text
from engine.fhir.references import ID, patient_key
from engine.integration.topics import (
    BACKPORT,
    CHANNEL_TYPE,
    FILTERS,
    HIDDEN,
    AskedError,
    Known,
    check_endpoint,
)
from engine.model.finding import SEVERITIES
from engine.store.subscriptions import Form, Payload, Subscription

LONGEST_WAIT = 60                          # seconds for which an endpoint is waited for
USUAL_WAIT = 30
SHORTEST_BEAT = 5                          # seconds between heartbeats
LONGEST_BEAT = 7 * 86_400
MOST_HEADERS = 20
LONGEST_WORDS = 500
_ALIASES = {"issue": "code", "subject": "patient"}
_EQUAL = ("", "eq", "=")
_MIME = re.compile(r"application/(fhir\+)?json\s*(;.*)?", re.IGNORECASE)
_FHIR_VERSION = re.compile(r";\s*fhirVersion\s*=\s*\"?(\d+\.\d+)", re.IGNORECASE)
_FORMS: dict[str, Form] = {"4.0": "R4", "4.3": "R4B", "5.0": "R5"}
_PATIENT = re.compile(f"Patient/{ID}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e\t]{0,4000}")
# what the connection itself says
_OURS = frozenset({
    "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie",
    "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    "user-agent",
})  # fmt: skip


def form_of(mime: str) -> Form | None:
    """The form that the parameter `fhirVersion` of a media type names; None: none. Raises AskedError."""
    found = _FHIR_VERSION.search(mime)
    if found is None:
        return None
    if found[1] not in _FORMS:
        raise AskedError("`fhirVersion` is none of `4.0`, `4.3` and `5.0`")
    return _FORMS[found[1]]


def asked(
    resource: Json, known: Known, *, identity: str, client: str, now: int, form: Form | None = None,
    before: Subscription | None = None,
) -> Subscription:  # fmt: skip
    """The subscription that a Subscription asks for, `requested` or `off`; `form`: what the media type said.

    `before` is what it was until now: headers whose value is HIDDEN keep theirs. Raises AskedError.
    """
    if resource.get("resourceType") != "Subscription":
        raise AskedError("the body is no Subscription")
    newer = "topic" in resource or "channelType" in resource
    if newer == ("criteria" in resource or "channel" in resource):
        raise AskedError("write `criteria` and `channel` (R4, R4B with the backport) or `topic` and `channelType` (R5)")
    read = _five(resource) if newer else _four(resource)
    said = form or form_of(read.mime)
    if said is not None and (said == "R5") != newer:
        raise AskedError("`fhirVersion` is another version of FHIR than that of the Subscription's form")
    _check(read, known)
    severities, rulesets, issues, patient = _filters(read.filters, known)
    status = text(resource.get("status")) or "requested"
    if status not in ("requested", "active") and (before is None or status != "off"):
        raise AskedError("`status` must be `requested`" + (" or `off`" if before else ""))
    return Subscription(
        id=identity,
        client=client,
        form=said or ("R5" if newer else "R4"),
        status="off" if status == "off" else "requested",
        endpoint=read.endpoint,
        content=read.content,
        mime=read.mime,
        headers=_headers(read.headers, before),
        heartbeat=min(max(read.heartbeat, SHORTEST_BEAT), LONGEST_BEAT) if read.heartbeat else 0,
        timeout=min(read.timeout or USUAL_WAIT, LONGEST_WAIT),
        most=read.most,
        severities=severities,
        rulesets=rulesets,
        issues=issues,
        patient=patient,
        reason=text(text(resource.get("reason"))[:LONGEST_WORDS]) or ("" if newer else "findings"),
        ends_at=_instant(resource.get("end"), now),
        number=before.number if before else 0,
        heard_at=now,
        changed_at=now,
        revision=before.revision + 1 if before else 1,
    )


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """The elements of either form."""

    topic: str
    channel: str
    endpoint: str
    mime: str
    content: Payload
    headers: tuple[tuple[str, str], ...]
    filters: tuple[tuple[str, str], ...]
    heartbeat: int
    timeout: int
    most: int


def _four(resource: Json) -> _Read:
    channel = obj(resource.get("channel"))
    extensions = dict(_extensions(channel))
    content = dict(_extensions(obj(channel.get("_payload")))).get("backport-payload-content")
    kind = text(channel.get("type"))
    if any(name == "backport-channel-type" for name, _ in _extensions(obj(channel.get("_type")))):
        kind = "custom"
    if content is None:
        raise AskedError(f"`channel.payload` needs the extension `{BACKPORT}/backport-payload-content`")
    headers = []
    for line in items(channel.get("header")):
        name, colon, value = text(line).partition(":")
        if not colon:
            raise AskedError("`channel.header` is written `Name: value`")
        headers.append((name.strip(), value.strip()))
    criteria = [
        one for name, value in _extensions(obj(resource.get("_criteria"))) if name == "backport-filter-criteria"
        for one in _criteria(text(value))
    ]  # fmt: skip
    return _Read(
        topic=text(resource.get("criteria")),
        channel=kind,
        endpoint=text(channel.get("endpoint")),
        mime=text(channel.get("payload")),
        content=_payload(content),
        headers=tuple(headers),
        filters=tuple(criteria),
        heartbeat=_count(extensions.get("backport-heartbeat-period"), "backport-heartbeat-period"),
        timeout=_count(extensions.get("backport-timeout"), "backport-timeout"),
        most=_count(extensions.get("backport-max-count"), "backport-max-count"),
    )


def _five(resource: Json) -> _Read:
    filters = []
    for one in objects(resource.get("filterBy")):
        kind = text(one.get("resourceType") or one.get("resource")).rpartition("/")[2]
        if kind not in ("", "DetectedIssue"):
            raise AskedError("`filterBy.resourceType` must be `DetectedIssue`")
        if text(one.get("comparator")) not in _EQUAL or text(one.get("modifier")) not in _EQUAL:
            raise AskedError("`filterBy` is understood without `comparator` and `modifier` alone")
        filters.append((text(one.get("filterParameter")), text(one.get("value"))))
    channel = obj(resource.get("channelType"))
    system = text(channel.get("system"))
    return _Read(
        topic=text(resource.get("topic")),
        channel=text(channel.get("code")) if system in ("", CHANNEL_TYPE) else "custom",
        endpoint=text(resource.get("endpoint")),
        mime=text(resource.get("contentType")) or "application/fhir+json",
        content=_payload(resource.get("content") or "empty"),
        headers=tuple(
            (text(one.get("name")), text(one.get("value"))) for one in objects(resource.get("parameter"))
        ),
        filters=tuple(filters),
        heartbeat=_count(resource.get("heartbeatPeriod"), "heartbeatPeriod"),
        timeout=_count(resource.get("timeout"), "timeout"),
        most=_count(resource.get("maxCount"), "maxCount"),
    )  # fmt: skip


def _extensions(element: Json) -> Iterator[tuple[str, Any]]:
    """The last part of the address, and the value, of each extension of the backport."""
    for one in objects(element.get("extension")):
        home, _, name = text(one.get("url")).rpartition("/")
        if home == BACKPORT:
            yield name, next((one[key] for key in one if key.startswith("value")), None)


def _criteria(search: str) -> Iterator[tuple[str, str]]:
    """`DetectedIssue?severity=high&ruleset=x`."""
    kind, mark, query = search.partition("?")
    if not mark or kind != "DetectedIssue":
        raise AskedError("a filter is written `DetectedIssue?severity=high`")
    yield from parse_qsl(query, keep_blank_values=True, max_num_fields=50)


def _check(read: _Read, known: Known) -> None:
    if read.topic.partition("|")[0] != known.topic:
        raise AskedError(f"the topic is not known: the one that is offered is `{known.topic}`")
    if read.channel != "rest-hook":
        raise AskedError("the channel is not offered: write `rest-hook`")
    if not _MIME.fullmatch(read.mime):
        raise AskedError("the payload must be `application/fhir+json`")
    check_endpoint(read.endpoint, known.origins)


def _filters(
    given: Collection[tuple[str, str]], known: Known
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]:
    """What must fit: severities, rulesets, issues, the patient. A filter that stands twice must fit twice."""
    found: dict[str, list[str]] = {}
    closed = {"severity": tuple(SEVERITIES), "ruleset": tuple(known.rulesets), "code": tuple(known.issues)}
    for asked_name, value in given:
        name = _ALIASES.get(asked_name, asked_name)
        if name not in FILTERS:
            raise AskedError(f"there is no such filter: those offered are {', '.join(f'`{one}`' for one in FILTERS)}")
        values = [_patient(one) if name == "patient" else one.rpartition("|")[2].strip() for one in value.split(",")]
        for one in values:
            if name != "patient" and one not in closed[name]:
                hint = nearest(one[:100], closed[name])
                raise AskedError(f"the filter `{name}` names what does not exist" + (f"; {hint}" if hint else ""))
        before = found.get(name)
        found[name] = [one for one in dict.fromkeys(values) if before is None or one in before]
        if not found[name]:
            raise AskedError(f"the filters `{name}` together fit nothing")
    if len(found.get("patient", [])) > 1:
        raise AskedError("the filter `patient` takes one patient: write a Subscription for each")
    severities, rulesets, issues = (tuple(found.get(name, ())) for name in ("severity", "ruleset", "code"))
    return severities, rulesets, issues, found.get("patient", [""])[0]


def _patient(said: str) -> str:
    key = patient_key(said)
    if not _PATIENT.fullmatch(key):
        raise AskedError("the filter `patient` is written `Patient/x`")
    return key


def _headers(given: Collection[tuple[str, str]], before: Subscription | None) -> tuple[tuple[str, str], ...]:
    kept = {name.lower(): value for name, value in before.headers} if before else {}
    headers = []
    for name, value in given:
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _OURS:
            raise AskedError("a header has a name or value that cannot be sent, or is one that we set")
        if value == HIDDEN and name.lower() not in kept:
            raise AskedError("a header has no value")
        headers.append((name, kept[name.lower()] if value == HIDDEN else value))
    if len(headers) > MOST_HEADERS:
        raise AskedError(f"there are more than {MOST_HEADERS} headers")
    return tuple(headers)


def _payload(value: object) -> Payload:
    for one in get_args(Payload):
        if value == one:
            return one  # type: ignore[no-any-return]
    raise AskedError("the content of notifications is one of `empty`, `id-only` and `full-resource`")


def _count(value: object, name: str) -> int:
    if value is None:
        return 0
    digits = text(value)
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        raise AskedError(f"`{name}` is a whole number")
    return int(digits)


def _instant(value: object, now: int) -> int:
    if value is None:
        return 0
    try:
        found = datetime.fromisoformat(text(value))
        at = int(found.timestamp() * 1000) if found.tzinfo else 0
    except (ValueError, OverflowError):
        at = 0
    if at <= now:
        raise AskedError("`end` is no instant with a time zone, or has passed")
    return at
