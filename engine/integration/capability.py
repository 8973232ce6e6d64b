"""What a FHIR server says it can do (CapabilityStatement): its version of FHIR, and how resources are written to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.errors import RemoteError
from engine.fhir.elements import Json, flag, objects, text
from engine.outputs.detected_issue import Version

Way = Literal["", "conditional", "search", "create"]
"""How one resource for each identifier is kept: by conditional update; by search and update; only ever created."""


class Capability(msgspec.Struct, frozen=True):
    """`ways`: resource type -> how it is written; a type that is not written is left out."""

    version: Version
    ways: Mapping[str, Way]

    def way(self, kind: str) -> Way:
        return self.ways.get(kind, "")


def read_capability(statement: Json) -> Capability:
    """Of a CapabilityStatement. Raises RemoteError if it is none."""
    if statement.get("resourceType") != "CapabilityStatement":
        raise RemoteError("what the server says of itself (`metadata`) is no CapabilityStatement")
    version: Version = "R5" if text(statement.get("fhirVersion")).startswith(("5.", "6.")) else "R4"
    ways: dict[str, Way] = {}
    for rest in objects(statement.get("rest")):
        if text(rest.get("mode")) not in ("server", ""):
            continue
        for resource in objects(rest.get("resource")):
            if way := _way(resource):
                ways[text(resource.get("type"))] = way
    return Capability(version, ways)


def _way(resource: Json) -> Way:
    """A server that lists no interactions is taken to have the usual ones."""
    said = {text(one.get("code")) for one in objects(resource.get("interaction"))} - {""}
    if not said or "update" in said:
        searches = not said or "search-type" in said
        return "search" if flag(resource.get("conditionalUpdate")) is False and searches else "conditional"
    return "create" if "create" in said else ""
