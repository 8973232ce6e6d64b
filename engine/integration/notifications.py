"""What a subscription notification says of itself: SubscriptionStatus (R4B, R5) or Parameters (R4 backport).

Sources: FHIR R5 "Subscriptions Framework"; Subscriptions R5 Backport IG 1.1, "Notifications". Counters come as numbers,
as strings of digits (integer64), and from HAPI as `valueString`; of each `value[x]` the kind does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.references import target_of
from engine.integration.event import Event, Kind
from engine.integration.parts import Part, key_of, put

MOST = 2**62
_KINDS: dict[str, Kind] = {
    "handshake": "handshake",
    "heartbeat": "heartbeat",
    "event-notification": "notification",
    "query-status": "status",
    "query-event": "events",
}
_NOT_DATA = frozenset({"SubscriptionStatus", "OperationOutcome", "Subscription", "Parameters", "Bundle"})


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the status lists it. `about`: references of its focus and of what belongs to it."""

    number: int = 0
    about: tuple[str, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A status. `since` -1: not said."""

    kind: Kind
    subscription: str = ""
    since: int = -1
    status: str = ""
    notified: tuple[Notified, ...] = ()


def status_of(resource: Json) -> Status | None:
    """The status that a resource holds; None if it is none."""
    kind = resource.get("resourceType")
    if kind == "SubscriptionStatus":
        return _status(resource)
    if kind != "Parameters":
        return None
    told = _parameters(resource.get("parameter"))
    if not ({"subscription", "type", "status", "notification-event"} & told.keys()):
        return None
    events = [_parameters(one.get("part")) for one in objects(resource.get("parameter"))
              if one.get("name") == "notification-event"]  # fmt: skip
    return _status({
        "type": told.get("type"),
        "status": told.get("status"),
        "subscription": told.get("subscription"),
        "eventsSinceSubscriptionStart": told.get("events-since-subscription-start"),
        "notificationEvent": [{
            "eventNumber": one.get("event-number"),
            "focus": one.get("focus"),
            "additionalContext": one.get("additional-context", []),
        } for one in events],
    })  # fmt: skip


def events_of(status: Status, parts: list[Part]) -> Iterator[Event]:
    """The events of a notification: what it carries, then what it only names, then what it does not even name."""
    numbers = {key_of(one): event.number for event in reversed(status.notified) for one in event.about}
    carried = set[tuple[str, str]]()
    for part in parts:
        name = (part.type, part.id)
        if part.type in _NOT_DATA or not part.id:
            continue
        number = numbers.get(name, 0)
        if part.method == "DELETE":
            yield Event(action="delete", type=part.type, id=part.id, number=number, updated=part.deleted_at)
        elif part.resource:
            yield put(part.resource, part.id, number)
        else:
            continue
        carried.add(name)
    named = [key_of(one) for event in status.notified for one in event.about]
    named += [(part.type, part.id) for part in parts if part.id and part.type not in _NOT_DATA]
    for kind, identity in dict.fromkeys(named):
        if identity and (kind, identity) not in carried:
            yield Event(action="fetch", type=kind, id=identity, number=numbers.get((kind, identity), 0))
    if status.kind not in ("notification", "events"):
        return
    for event in status.notified:
        if not any(key_of(one)[1] for one in event.about):
            yield Event(action="fetch", number=event.number)
    if status.kind == "notification" and status.since < 0 and not status.notified and not carried:
        yield Event(action="fetch")


def _status(told: Json) -> Status:
    notified = tuple(
        Notified(
            number=max(count(event.get("eventNumber")), 0),
            about=tuple(
                said
                for one in (event.get("focus"), *objects(event.get("additionalContext")))
                if (said := text(obj(one).get("reference")))
            ),
        )
        for event in objects(told.get("notificationEvent"))
    )
    usual = "event-notification" if notified else "heartbeat"
    return Status(
        kind=_KINDS.get(text(told.get("type")) or usual, "notification"),
        subscription=_subscription(obj(told.get("subscription"))),
        since=count(told.get("eventsSinceSubscriptionStart")),
        status=text(told.get("status"))[:40],
        notified=notified,
    )


def _subscription(reference: Json) -> str:
    """The id of the Subscription; its whole address if that has none, or its identifier."""
    target = target_of(text(reference.get("reference")))
    identity = target.key.partition("/")[2] or target.url or text(obj(reference.get("identifier")).get("value"))
    return identity[:500]


def _parameters(value: object) -> Json:
    """Parameters by name; those of one name are a list."""
    found: Json = {}
    for one in objects(value):
        name = text(one.get("name"))
        said = next((one[key] for key in one if key.startswith("value")), None)
        if name == "additional-context":
            found.setdefault(name, []).append(said)
        else:
            found.setdefault(name, said)
    return found


def count(value: object) -> int:
    """A counter as a number from 0; -1 if it is none."""
    if isinstance(value, Decimal | float):
        try:
            value = int(value) if value == int(value) else None
        except (ArithmeticError, ValueError):
            value = None
    digits = text(value)
    return min(int(digits[:40]), MOST) if digits.isascii() and digits.isdecimal() else -1
