"""Bundles of every type, taken apart: the resources inside, however deep, each with its place and its identity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from engine.fhir.elements import EMPTY, Json, items, obj, text
from engine.fhir.lookup import Known
from engine.fhir.problems import Note
from engine.fhir.references import tail_of, target_of

DEEPEST = 8
_UNKNOWN = Known()


class Entry:
    """One resource: where it stands, what it is called, and what its codes mean."""

    __slots__ = (
        "base", "container", "dead", "full_url", "key", "kind",
        "known", "place", "reference", "resource", "url", "version",
    )  # fmt: skip

    def __init__(self, resource: Json, kind: str, full_url: str, place: str, number: int) -> None:
        self.resource = resource
        self.kind = kind
        self.place = place  # file, line, number of the entry
        self.known = _UNKNOWN
        self.container: Entry | None = None  # the resource that contains it
        self.dead = False  # superseded or deleted
        self.version: Json = obj(resource.get("meta"))
        self.full_url = full_url
        identity = text(resource.get("id"))
        own = f"{kind}/{identity}" if identity else ""
        self.url = ""  # absolute, without scheme
        self.key = own  # "Type/id", by the fullUrl if it has one
        self.base = ""  # the server to which its relative references belong
        if full_url:
            self._name_by(full_url)
        # a name that no id can have, because of the underscore
        self.reference = own or self.key or full_url or f"{kind}/_{number}"

    def _name_by(self, full_url: str) -> None:
        if self.key and full_url.endswith(self.key) and full_url[:4] == "http":  # the usual form
            self.url = full_url.partition("://")[2]
            self.base = self.url[: -len(self.key) - 1]
            return
        named = target_of(full_url)
        self.url = named.url
        if named.type == self.kind:
            self.key = named.key
            self.base = named.url[: -len(named.key) - 1]

    @property
    def where(self) -> str:
        return f"{self.place}: {self.reference}"

    def slim(self) -> None:
        """Lets go of the resource: nothing in it is of use, but its version may supersede another one."""
        self.resource = EMPTY


def parts_of(document: Json, note: Note) -> Iterator[tuple[int, Json, str, bool]]:
    """(number, resource, fullUrl, deleted) of each entry, in order, nested Bundles and Parameters included.

    A deletion has no resource: it comes as one with its type, id and the time of its deletion only.
    """
    stack = [(document, 0)]
    number = 0
    while stack:
        held, depth = stack.pop()
        if depth > DEEPEST:
            note("too-deep", f"Bundles are nested more than {DEEPEST} deep; the inner ones were skipped")
            continue
        inner: list[tuple[Json, int]] = []
        for entry in _entries(held, note):
            number += 1
            resource = entry.get("resource")
            if isinstance(resource, dict):
                if resource.get("resourceType") in ("Bundle", "Parameters"):
                    inner.append((resource, depth + 1))
                else:
                    yield number, resource, text(entry.get("fullUrl")), False
            elif text(obj(entry.get("request")).get("method")).upper() == "DELETE":
                if deleted := _deleted(entry):
                    yield number, deleted, text(entry.get("fullUrl")), True
            elif resource is not None:
                note("not-an-object", f"the resource of entry {number} is no object and was skipped")
        stack.extend(reversed(inner))


def _entries(held: Json, note: Note) -> Iterator[Json]:
    """The entries of a Bundle, or the parameters of a Parameters with their parts."""
    stack = [items(held.get("parameter" if held.get("resourceType") == "Parameters" else "entry"))]
    while stack:
        for entry in stack.pop():
            if not isinstance(entry, dict):
                note("not-an-object", "an entry is no object and was skipped")
                continue
            yield entry
            if "part" in entry and len(stack) < DEEPEST:
                stack.append(items(entry["part"]))


def _deleted(entry: Json) -> Json | None:
    key = tail_of("/" + text(obj(entry.get("request")).get("url"))) or target_of(text(entry.get("fullUrl"))).key
    if not key:
        return None
    kind, _, identity = key.partition("/")
    when = obj(entry.get("response")).get("lastModified")
    return {"resourceType": kind, "id": identity, "meta": {"lastUpdated": when}}


def is_newer(new: Json, old: Json) -> bool | None:
    """Whether one `meta` is newer than another; None if nothing says so."""
    instants = _instant(new.get("lastUpdated")), _instant(old.get("lastUpdated"))
    if instants[0] and instants[1] and instants[0] != instants[1]:
        return instants[0] > instants[1]
    versions = text(new.get("versionId")), text(old.get("versionId"))
    if versions[0].isdecimal() and versions[1].isdecimal() and versions[0] != versions[1]:
        return int(versions[0][:18]) > int(versions[1][:18])
    return None


def _instant(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
