"""A fact: one value out of a closed set, with the evidence for it or the reason why it is unknown."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

UNKNOWN = "unknown"
PRESENT = "present"
ABSENT = "absent"


class Reason(StrEnum):
    """Why a fact is unknown (design: a closed list)."""

    NOTHING_RECORDED = "nothing recorded"
    NOT_USABLE = "not usable"
    OUT_OF_DATE = "out of date"
    CONFLICTING = "conflicting"
    NOT_REQUESTED = "not requested"


class Evidence(msgspec.Struct, frozen=True):
    """One resource that a fact rests on: what it said, and when (the date as written)."""

    reference: str
    said: str
    date: str = ""


class Fact(msgspec.Struct, frozen=True):
    """One fact of one patient. `value` is `unknown` exactly when `reason` is set.

    `since` is the day from which the value holds (None: undated), `shown` the text for summaries.
    `evidence` of an unknown fact names what was found and could not be used.
    """

    name: str
    value: str
    reason: Reason | None = None
    evidence: tuple[Evidence, ...] = ()
    since: date | None = None
    shown: str = ""
