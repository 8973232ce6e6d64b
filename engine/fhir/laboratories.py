"""Which laboratory performed a result: the same Organization, or an equal identifier of one."""

from __future__ import annotations

from collections.abc import Iterable

from engine.fhir.bundle import Entry
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.grouping import Group
from engine.fhir.references import Identifier, identifier_of, identifiers_of, target_of

_ORGANIZATION = "Organization"
MOST = 50  # performers that are looked at


class Laboratories:
    """Keys of the Organizations of a group; two Organizations with one identifier have one key."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._keys: dict[Identifier, str] | None = None

    def key(self, performers: object, home: Entry) -> str:
        """The key of the first Organization among the performers; "" if there is none."""
        return next((key for one in objects(performers)[:MOST] if (key := self._key(one, home))), "")

    def _key(self, performer: Json, home: Entry) -> str:
        string = text(performer.get("reference"))
        found = self._group.find(performer, home) if string else None
        if found is not None:
            resource = found.resource if isinstance(found, Entry) else found
            if resource.get("resourceType") != _ORGANIZATION:
                return ""
            own = found.url or found.reference if isinstance(found, Entry) else f"{home.reference}{string}"
            return self._common(identifiers_of(resource), own)
        kind = text(performer.get("type")) or target_of(string).type
        if kind not in ("", _ORGANIZATION):
            return ""
        identifier = identifier_of(obj(performer.get("identifier")))
        if identifier:
            return self._common([identifier], "|".join(identifier))
        return string if kind == _ORGANIZATION else ""

    def _common(self, identifiers: Iterable[Identifier], own: str) -> str:
        """The key shared by all that have one of the identifiers, else the own one."""
        if self._keys is None:
            self._keys = {}
            for entry in self._group.entries:
                if entry.kind == _ORGANIZATION and not entry.dead:
                    self._join(identifiers_of(entry.resource), entry.url or entry.reference)
        return self._join(identifiers, own)

    def _join(self, identifiers: Iterable[Identifier], own: str) -> str:
        keys = self._keys if self._keys is not None else {}
        identifiers = list(identifiers)
        key = next((keys[identifier] for identifier in identifiers if identifier in keys), own)
        for identifier in identifiers:
            keys.setdefault(identifier, key)
        return key
