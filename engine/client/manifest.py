"""The manifest of a Bulk Data export, 1.0 to 4.0-ballot, wherever it stands: in a file or on a server.

`output` and `deleted` name files; `error` (4.0: `outcome`) names OperationOutcomes; `link` with relation `next` names a
further manifest, `#pending` one that does not exist yet. Whatever is of a wrong type is absent.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.fhir.elements import Json, flag, obj, objects, text

Kind = Literal["output", "deleted", "error"]
_ELEMENTS: tuple[tuple[str, Kind], ...] = (
    ("output", "output"), ("deleted", "deleted"), ("error", "error"), ("outcome", "error"),
)  # fmt: skip


class RemoteFile(msgspec.Struct, frozen=True):
    """A file that a manifest names. `count` is of resources, -1 = not said; `type` is "" where types are mixed."""

    url: str
    kind: Kind = "output"
    type: str = ""
    count: int = -1


class Manifest(msgspec.Struct, frozen=True):
    """What a manifest says. `next`: the address of a further one, "" = none; `pending`: one is still to come."""

    files: tuple[RemoteFile, ...]
    time: str = ""
    needs_token: bool = True
    next: str = ""
    pending: bool = False


def read_manifest(content: object) -> Manifest | None:
    """The manifest that a decoded JSON text is; None if it is something else."""
    found = obj(content)
    if "resourceType" in found or "transactionTime" not in found or not found.keys() & {"output", "manifestType"}:
        return None
    files = tuple(
        RemoteFile(text(entry.get("url")), kind, text(entry.get("type")), _count(entry))
        for element, kind in _ELEMENTS
        for entry in objects(found.get(element))
    )
    links = [text(link.get("url")) for link in objects(found.get("link")) if text(link.get("relation")) == "next"]
    return Manifest(
        files,
        text(found.get("transactionTime")),
        flag(found.get("requiresAccessToken")) is not False,
        next((link for link in links if not link.startswith("#")), ""),
        any(link.startswith("#") for link in links),
    )


def _count(entry: Json) -> int:
    count = entry.get("count")
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else -1
