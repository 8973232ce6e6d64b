"""The entries of a Bundle, each under the name by which it is remembered.

A resource of a Bundle is what its fullUrl says, else its own id, else the address of its request. One that has no name
but a `urn:uuid` gets that as its id, one without any name a hash of its content: sent twice, it is the same resource.
References by such names are rewritten to "Type/id".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.fhir.bundle import Entry
from engine.fhir.elements import EMPTY, Json, obj, objects, text
from engine.fhir.references import tail_of, target_of
from engine.integration.event import Event
from engine.integration.versions import microseconds, of_meta

DEEPEST = 100
_NAME = re.compile(r"[^/\s#?|\\\x00-\x1f\x7f]{1,200}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,60}")
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. `type` and `id` are empty if nothing says which resource it is about."""

    method: str = ""  # of its request, in capitals
    type: str = ""
    id: str = ""
    resource: Json = EMPTY
    deleted_at: int = 0  # microseconds; when it is a deletion

    @property
    def key(self) -> str:
        """ "Type/id"; "" if it has no name."""
        return f"{self.type}/{self.id}" if self.id else ""


def parts_of(bundle: Json) -> list[Part]:
    """The entries of a Bundle in its order, one each; what is no object is an empty part."""
    entries = bundle.get("entry")
    found, renamed = [], dict[str, str]()
    for entry in entries if isinstance(entries, list) else objects(entries):
        part, called = _part(entry if isinstance(entry, dict) else EMPTY)
        found.append(part)
        if called and part.key:
            renamed[called] = part.key
    if not renamed:
        return found
    told = msgspec.structs.replace
    return [told(part, resource=_rewritten(part.resource, renamed, 0)) if part.resource else part for part in found]


def put(resource: Json, identity: str, number: int = 0, raw: bytes = b"") -> Event:
    """A resource as an event, under its name."""
    if resource.get("id") != identity:
        resource, raw = {**resource, "id": identity}, b""
    version, updated = of_meta(resource)
    kind = text(resource.get("resourceType"))
    raw = raw or encoded(resource)
    return Event(action="put", type=kind, id=identity, resource=resource, raw=raw, number=number,
                 version=version, updated=updated)  # fmt: skip


def encoded(resource: Json) -> bytes:
    """As JSON, with decimals as they were written."""
    return _encode(resource)


def named(kind: object, identity: object) -> tuple[str, str]:
    """(type, id) if they can be those of a resource, else two times ""."""
    kind, identity = text(kind), text(identity)
    return (kind, identity) if _TYPE.fullmatch(kind) and _NAME.fullmatch(identity) else ("", "")


def key_of(reference: object) -> tuple[str, str]:
    """(type, id) of a reference or of the address of a request; two times "" if it names no resource."""
    string = text(reference)
    target = target_of(string)
    kind, _, identity = (target.key if target.identifier is None else "").partition("/")
    return named(kind, identity)


def hashed(resource: Json) -> str:
    """An id for a resource that has no name: the same for the same content."""
    return hashlib.sha256(_encode(resource)).hexdigest()[:32]


def _part(entry: Json) -> tuple[Part, str]:
    """A part, and the address by which others refer to it if that is not its "Type/id"."""
    request = obj(entry.get("request"))
    method, url = text(request.get("method")).upper(), text(request.get("url")).partition("?")[0]
    full_url = text(entry.get("fullUrl"))
    resource = entry.get("resource")
    if not isinstance(resource, dict) or not resource or method == "PATCH":  # a patch is no resource
        kind, identity = key_of(tail_of("/" + url) or full_url)
        when = microseconds(obj(entry.get("response")).get("lastModified"))
        return Part(method=method, type=kind, id=identity, deleted_at=when), ""
    kind = text(resource.get("resourceType"))
    if not _TYPE.fullmatch(kind):
        return Part(method=method), ""
    held = Entry(resource, kind, full_url, "", 0)
    identity = held.key.partition("/")[2]
    if not identity and method == "PUT":
        asked = key_of(tail_of("/" + url))
        identity = asked[1] if asked[0] == kind else ""
    if not identity and held.url.startswith("urn:"):
        identity = held.url.rpartition(":")[2]
    if not _NAME.fullmatch(identity):
        identity = hashed(resource)
    called = held.url if held.url and target_of(full_url).key != f"{kind}/{identity}" else ""
    when = microseconds(obj(entry.get("response")).get("lastModified"))
    return Part(method=method, type=kind, id=identity, resource=resource, deleted_at=when), called


def _rewritten(value: Any, renamed: Mapping[str, str], depth: int) -> Any:
    """The same with references to renamed resources as "Type/id"."""
    if depth > DEEPEST:
        return value
    if isinstance(value, list):
        return [_rewritten(one, renamed, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _rewritten(one, renamed, depth + 1) for name, one in value.items()}
    reference = found.get("reference")
    if isinstance(reference, str) and (key := renamed.get(target_of(reference).url)):
        found["reference"] = key
    return found


def inner(resource: Json) -> Iterator[Json]:
    """The resources that a Parameters holds, however deep within bounds."""
    stack = [(resource, 0)]
    while stack:
        held, depth = stack.pop()
        for one in objects(held.get("parameter" if depth == 0 else "part")):
            if isinstance(found := one.get("resource"), dict):
                yield found
            if "part" in one and depth < DEEPEST:
                stack.append((one, depth + 1))
