"""HTTP requests of senders, read tolerantly: every form in which servers and integration engines tell of changes.

    POST   a resource                        R4 rest-hook of Medplum and others; `{}` for a deletion, named in a header
    PUT, DELETE {Type}/{id}                  R4 rest-hook of HAPI
    POST   nothing (or an empty form)        R4 rest-hook without payload: something happened
    POST   a notification Bundle             topic subscriptions (R4 backport, R4B, R5)
    POST   a message Bundle                  $process-message
    POST   any other Bundle, or Parameters   transaction, batch, collection, history, searchset ...

What of a body cannot be used costs that part alone; a body of which nothing can be made is a MessageError.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import msgspec

from engine.errors import InputError
from engine.fhir.decode import decode
from engine.fhir.elements import EMPTY, Json, obj, objects, text
from engine.integration.event import Event, Message
from engine.integration.notifications import Status, events_of, status_of
from engine.integration.parts import Part, encoded, hashed, inner, key_of, named, parts_of, put
from engine.integration.versions import of_meta

DEEPEST = 4  # Bundles in Bundles
MOST = 20_000  # entries of a Bundle
_NAMESPACE = uuid.UUID("0b6c1f5e-6f0a-5d0e-8b43-1f0a4f6f3d52")
_NOT_DATA = frozenset({"OperationOutcome", "MessageHeader", "SubscriptionStatus", "Subscription"})


class MessageError(Exception):
    """Nothing can be made of a request. `status`: of HTTP; the message repeats nothing of it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read(method: str, path: str, body: bytes, *, deleted: str = "", base: str = "urn:endplate") -> Message:
    """What a request says. `path`: what follows the address of the receiver ("", "Type", "Type/id").

    `deleted`: the header that names a deleted resource ("Type/id"); `base`: who answers a message. Raises MessageError.
    """
    kind, identity = _addressed(path)
    if method == "DELETE":
        if not identity:
            raise MessageError(400, "a deletion names its resource: `DELETE .../Type/id`")
        return _gone(kind, identity)
    if not body.strip():
        return _empty(kind, identity)
    try:
        content = decode(body)
    except InputError as error:
        raise MessageError(400, f"the body {error}") from None
    if not isinstance(content, dict):
        raise MessageError(400, "the body is no FHIR resource: it must be a JSON object")
    if deleted and text(content.get("resourceType")) == "":
        kind, identity = key_of(deleted)
        if not identity:
            raise MessageError(400, "the header names no deleted resource: write `Type/id`")
        return _gone(kind, identity)
    if content.get("resourceType") in ("Bundle", "Parameters", "SubscriptionStatus"):
        return _bundle(content, base)
    return _single(content, body, kind, identity)


def answer(bundle: Json) -> Message:
    """What a Bundle says that was fetched ($events, a page of a search)."""
    return _bundle(bundle, "urn:endplate")


def _addressed(path: str) -> tuple[str, str]:
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "", ""
    kind, identity = named(parts[0], parts[1] if len(parts) == 2 else "x")
    if not kind or len(parts) > 2:
        raise MessageError(404, "there is nothing at this address: it ends with `Type/id`, `Type`, or nothing more")
    return kind, identity if len(parts) == 2 else ""


def _gone(kind: str, identity: str) -> Message:
    reply = outcome("the deletion is remembered")
    return Message(kind="resource", events=(Event(action="delete", type=kind, id=identity),), reply=reply)


def _empty(kind: str, identity: str) -> Message:
    """Something happened, to a resource or at all."""
    event = Event(action="fetch", type=kind, id=identity)
    return Message(kind="notification", events=(event,), reply=outcome("what has changed will be fetched"))


def _single(resource: Json, raw: bytes, kind: str, identity: str) -> Message:
    own_kind, own = text(resource.get("resourceType")), text(resource.get("id"))
    if not named(own_kind, "x")[0]:
        raise MessageError(400, "the body is no FHIR resource: `resourceType` is missing or none")
    if (kind and own_kind != kind) or (identity and own and own != identity):
        raise MessageError(400, "the body is another resource than the address says")
    if own_kind in _NOT_DATA:
        return Message(kind="resource", reply=outcome("nothing in it is remembered"))
    name = named(own_kind, identity or own or hashed(resource))[1]
    if not name:
        raise MessageError(422, "the `id` of the resource cannot be that of a resource")
    events = (_whole(put(resource, name, raw=raw)),)
    return Message(kind="resource", events=events, reply=events[0].raw or raw)


def _bundle(content: Json, base: str) -> Message:
    return _read_bundle(content, base, 0)


def _read_bundle(content: Json, base: str, depth: int) -> Message:
    if status := status_of(content):
        return _notified(status, [])
    if content.get("resourceType") == "Parameters":
        held = list(inner(content))
        if len(held) == 1 and held[0].get("resourceType") == "Bundle" and depth < DEEPEST:
            return _read_bundle(held[0], base, depth + 1)
        content = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in held]}
    if len(objects(content.get("entry"))) > MOST:
        raise MessageError(413, f"the Bundle has more than {MOST} entries: send fewer at a time")
    parts = parts_of(content)
    kind = text(content.get("type"))
    for number, part in enumerate(parts):
        if found := status_of(part.resource):
            rest = parts[:number] + parts[number + 1 :]
            return _notified(found, rest)
        if number:
            break
    if kind == "subscription-notification":
        raise MessageError(422, "the notification does not begin with its SubscriptionStatus")
    if kind == "message" or (parts and parts[0].type == "MessageHeader"):
        return _message(parts, base, depth)
    ordered = parts[::-1] if kind == "history" else parts  # its newest version stands first
    events = tuple(_data(ordered, base, depth))
    if not events and not parts:
        raise MessageError(422, "the Bundle is empty")
    return Message(kind="transaction", events=events, reply=_responses(parts))


def _notified(status: Status, parts: list[Part]) -> Message:
    events = tuple(_whole(event) for event in events_of(status, parts))
    return Message(
        kind=status.kind, events=events, subscription=status.subscription, since=status.since, status=status.status,
        reply=_responses([Part(), *parts]),
    )  # fmt: skip


def _data(parts: list[Part], base: str, depth: int) -> Iterator[Event]:
    for part in parts:
        if part.type == "Bundle" and part.resource:
            if depth < DEEPEST:
                yield from _nested(part.resource, base, depth)
        elif part.method == "DELETE":
            if part.id:
                yield Event(action="delete", type=part.type, id=part.id, updated=part.deleted_at)
        elif part.resource:
            if part.type not in _NOT_DATA and part.type != "Parameters":
                yield _whole(put(part.resource, part.id))
        elif part.id and part.method in ("PATCH", "PUT"):  # what it is now stands at the sender
            yield Event(action="fetch", type=part.type, id=part.id)


def _nested(bundle: Json, base: str, depth: int) -> Iterator[Event]:
    try:
        yield from _read_bundle(bundle, base, depth + 1).events
    except MessageError:
        return  # it costs itself


def _message(parts: list[Part], base: str, depth: int) -> Message:
    """FHIR messaging (R4 "Messaging using FHIR Resources"): answered by a message that names the one it answers."""
    header = parts[0].resource if parts and parts[0].type == "MessageHeader" else EMPTY
    if not header:
        raise MessageError(422, "the message does not begin with its MessageHeader")
    nested = [
        _read_bundle(part.resource, base, depth + 1)
        for part in parts
        if part.type == "Bundle" and depth < DEEPEST and status_of(_first(part.resource))
    ]
    if len(nested) == 1:  # a notification that came as a message
        inside = nested[0]
        return msgspec.structs.replace(inside, reply=_response(header, parts[0].id, base))
    events = tuple(_data(parts[1:], base, depth))
    return Message(kind="message", events=events, reply=_response(header, parts[0].id, base))


def _first(bundle: Json) -> Json:
    entries = objects(bundle.get("entry"))
    return obj(entries[0].get("resource")) if entries else EMPTY


def _response(header: Json, identity: str, base: str) -> bytes:
    """The response message; sent again, a message gets the same one."""
    newer = any(key in obj(header.get("source")) for key in ("endpointUrl", "endpointReference"))  # R5
    name = str(uuid.uuid5(_NAMESPACE, identity))
    event: Json = {key: header[key] for key in ("eventCoding", "eventUri", "eventCanonical") if key in header}
    sender = text(obj(header.get("source")).get("endpointUrl" if newer else "endpoint"))
    endpoint = "endpointUrl" if newer else "endpoint"
    answered: Json = {
        "resourceType": "MessageHeader",
        "id": name,
        **(event or {"eventUri": f"{base}/message"}),
        **({"destination": [{endpoint: sender}]} if sender else {}),
        "source": {endpoint: base},
        "response": {"identifier": {"value": identity} if newer else identity, "code": "ok"},
    }
    entry = {"fullUrl": f"urn:uuid:{name}", "resource": answered}
    return encoded({
        "resourceType": "Bundle", "id": str(uuid.uuid5(_NAMESPACE, name)), "type": "message", "entry": [entry],
    })  # fmt: skip


def _responses(parts: list[Part]) -> bytes:
    return encoded({
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": _responded(part)} for part in parts] or [{"response": {"status": "200 OK"}}],
    })  # fmt: skip


def _responded(part: Part) -> Json:
    if part.method in ("GET", "HEAD") and not part.resource:
        return {"status": "200 OK"}
    if part.method == "DELETE":
        return {"status": "204 No Content"}
    if not part.key:
        return {"status": "200 OK"}
    version = of_meta(part.resource)[0]
    etag = {"etag": f'W/"{version}"'} if version and version.isalnum() else {}
    return {"status": "200 OK", "location": part.key, **etag}


def _whole(event: Event) -> Event:
    """The event, or that the resource has to be fetched if it is only a part of itself (tag SUBSETTED)."""
    tags = objects(obj(event.resource.get("meta")).get("tag"))
    if any(text(tag.get("code")) == "SUBSETTED" for tag in tags):
        return Event(action="fetch", type=event.type, id=event.id, number=event.number)
    return event


def outcome(message: str) -> bytes:
    """An OperationOutcome that informs."""
    issue = {"severity": "information", "code": "informational", "diagnostics": message}
    return encoded({"resourceType": "OperationOutcome", "issue": [issue]})
