"""Notifications of a subscription as Bundles: R4 and R4B with the backport, R5.

A Bundle begins with the status of the subscription: Parameters in R4, else SubscriptionStatus. Counters are strings in
all forms: integer64 is one in JSON, and the backport's R4 profile says so. Each event has one entry, as a history has,
without a resource in `id-only` and none at all in `empty`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.fhir.elements import Json
from engine.integration.rendering import instant
from engine.integration.topics import BACKPORT, topic_url
from engine.store.subscriptions import Payload, Subscription

Kind = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """One event: a version of a DetectedIssue. `resource` None: its patient is no longer known here."""

    number: int
    at: int
    identifier: str
    version: int
    resource: Json | None = None


class Address(msgspec.Struct, frozen=True):
    """Where we are: `fhir` is the address of our FHIR endpoint, `base` the start of our URIs."""

    fhir: str
    base: str


def notification(
    subscription: Subscription,
    kind: Kind,
    address: Address,
    *,
    now: int,
    events: Sequence[Noted] = (),
    content: Payload | None = None,
) -> Json:
    """The Bundle. `content`: how much of events it holds, None = as the subscription says; `now` in milliseconds."""
    content = content or subscription.content
    entries = [_status_entry(subscription, kind, address, now=now, events=events, content=content)]
    if content != "empty":
        whole = content == "full-resource"
        entries += [
            history_entry(address.fhir, one.identifier, one.version, one.at, one.resource if whole else None)
            for one in events
        ]
    bundle: Json = {
        "resourceType": "Bundle",
        "id": _name(f"{subscription.id} {kind} {now} {[event.number for event in events]}"),
        "type": "subscription-notification" if subscription.form == "R5" else "history",
        "timestamp": instant(now),
        "entry": entries,
    }
    if subscription.form != "R5":
        profile = "backport-subscription-notification" + ("-r4" if subscription.form == "R4" else "")
        bundle["meta"] = {"profile": [f"{BACKPORT}/{profile}"]}
    return bundle


def statuses(subscriptions: Sequence[Subscription], address: Address, *, now: int) -> Json:
    """The answer of `$status`: a searchset of the statuses."""
    entries = []
    for subscription in subscriptions:
        entry = _status_entry(subscription, "query-status", address, now=now, events=(), content="empty")
        entries.append({"fullUrl": entry["fullUrl"], "resource": entry["resource"], "search": {"mode": "match"}})
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "timestamp": instant(now), "total": len(entries)}
    return bundle | ({"entry": entries} if entries else {})


def history_entry(fhir: str, identifier: str, version: int, at: int, resource: Json | None) -> Json:
    """A version of a DetectedIssue as a history lists it; `fhir` is the address of our FHIR endpoint."""
    name = f"DetectedIssue/{identifier}"
    entry: Json = {"fullUrl": f"{fhir}/{name}"}
    if resource is not None:
        entry["resource"] = resource
    return entry | {
        "request": {"method": "PUT", "url": name},
        "response": {
            "status": "201" if version == 1 else "200",
            "etag": f'W/"{version}"',
            "lastModified": instant(at),
        },
    }


def _status_entry(
    subscription: Subscription,
    kind: Kind,
    address: Address,
    *,
    now: int,
    events: Sequence[Noted],
    content: Payload,
) -> Json:
    own = f"{address.fhir}/Subscription/{subscription.id}"
    name = _name(f"status {subscription.id} {kind} {now} {[event.number for event in events]}")
    make = _parameters if subscription.form == "R4" else _status
    resource = make(subscription, kind, address, own=own, events=events, content=content)
    operation = "$events" if kind == "query-event" else "$status"
    return {
        "fullUrl": f"urn:uuid:{name}",
        "resource": {"resourceType": resource.pop("resourceType"), "id": name, **resource},
        "request": {"method": "GET", "url": f"{own}/{operation}"},
        "response": {"status": "200"},
    }


def _status(
    subscription: Subscription, kind: Kind, address: Address, *, own: str, events: Sequence[Noted], content: Payload
) -> Json:
    status: Json = {
        "resourceType": "SubscriptionStatus",
        "status": subscription.status,
        "type": kind,
        "eventsSinceSubscriptionStart": str(subscription.number),
        "subscription": {"reference": own},
        "topic": topic_url(address.base),
    }
    if events:
        status["notificationEvent"] = [_event(event, address, content) for event in events]
    if subscription.error:
        status["error"] = [_error(subscription)]
    return status


def _event(event: Noted, address: Address, content: Payload) -> Json:
    noted: Json = {"eventNumber": str(event.number), "timestamp": instant(event.at)}
    if content != "empty":
        noted["focus"] = {"reference": _url(event, address)}
    return noted


def _parameters(
    subscription: Subscription, kind: Kind, address: Address, *, own: str, events: Sequence[Noted], content: Payload
) -> Json:
    parameters: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": own}},
        {"name": "topic", "valueCanonical": topic_url(address.base)},
        {"name": "status", "valueCode": subscription.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(subscription.number)},
    ]
    for event in events:
        part: list[Json] = [
            {"name": "event-number", "valueString": str(event.number)},
            {"name": "timestamp", "valueInstant": instant(event.at)},
        ]
        if content != "empty":
            part.append({"name": "focus", "valueReference": {"reference": _url(event, address)}})
        parameters.append({"name": "notification-event", "part": part})
    if subscription.error:
        parameters.append({"name": "error", "valueCodeableConcept": _error(subscription)})
    profile = f"{BACKPORT}/backport-subscription-status-r4"
    return {"resourceType": "Parameters", "meta": {"profile": [profile]}, "parameter": parameters}


def _url(event: Noted, address: Address) -> str:
    return f"{address.fhir}/DetectedIssue/{event.identifier}"


def _error(subscription: Subscription) -> Json:
    return {"coding": [{"system": ERRORS, "code": subscription.error}]}


def _name(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))
