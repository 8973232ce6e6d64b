"""Which of two versions of a resource is the newer one.

In this order, each only where both say it and they differ:

1. `meta.lastUpdated` (of a deletion: when it happened; if that is not said, it is the end of the version that is known,
   and if none is, it happened when it was told)
2. `meta.versionId`, if it is a number
3. the number of the event, within one subscription
4. the one that came later; but a deletion is not undone by a version of the same moment

These are the rules by which `engine.fhir` chooses among versions in a file, where the last one counts; hence any order
of delivery ends in what a batch reads, as far as the sender says when or in which order something was written.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from engine.fhir.elements import Json, obj, text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGITS = 18


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What a version says of its place in time. `updated`: microseconds since 1970, 0 = not said."""

    updated: int = 0
    version: str = ""
    subscription: str = ""
    number: int = 0
    deleted: bool = False


def is_newer(new: Stamp, old: Stamp) -> bool:
    """Whether `new`, which came after `old`, takes its place."""
    if new.updated and old.updated and new.updated != old.updated:
        return new.updated > old.updated
    versions = _number(new.version), _number(old.version)
    if versions[0] is not None and versions[1] is not None and versions[0] != versions[1]:
        return versions[0] > versions[1]
    numbered = new.number and old.number and new.subscription == old.subscription
    if numbered and new.number != old.number:
        return new.number > old.number
    return not (old.deleted and not new.deleted and new.updated and new.updated == old.updated)


def of_meta(resource: Json) -> tuple[str, int]:
    """(versionId, lastUpdated in microseconds) of a resource; what is not said is "" and 0."""
    meta = obj(resource.get("meta"))
    return text(meta.get("versionId"))[:200], microseconds(meta.get("lastUpdated"))


def microseconds(instant: object) -> int:
    """An instant as microseconds since 1970, UTC; without a zone it is UTC; 0 = it is none, or before 1970."""
    try:
        found = datetime.fromisoformat(text(instant))
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return max((found - _EPOCH) // _MICROSECOND, 0)
    except (ValueError, OverflowError):
        return 0


def _number(version: str) -> int | None:
    return int(version[:_DIGITS]) if version.isascii() and version.isdecimal() else None
