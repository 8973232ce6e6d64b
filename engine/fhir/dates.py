"""Dates as written: the calendar day, without any time-zone shift (clinical specification, opening of section 1)."""

from __future__ import annotations

from datetime import date

from engine.fhir.elements import text

EARLIEST_YEAR = 1900
LONGEST_WRITTEN = 40


def resolve_day(value: object, as_of: date) -> date | None:
    """The calendar day of a FHIR date, dateTime or instant; None for anything else and for years before 1900.

    YYYY is 1 July and YYYY-MM the 15th; if that day lies after `as_of` but the year or month has begun, it is `as_of`.
    """
    if not isinstance(value, str):
        return None
    written = value.strip()
    length = len(written)
    if length >= 10:
        if written[4] != "-" or written[7] != "-" or (length > 10 and written[10] not in "Tt "):
            return None
        day = _day(written[:10])
    elif length == 7 and written[4] == "-":
        day = _begun(written + "-01", written + "-15", as_of)
    elif length == 4:
        day = _begun(written + "-01-01", written + "-07-01", as_of)
    else:
        return None
    return day if day is not None and day.year >= EARLIEST_YEAR else None


def as_written(value: object) -> str:
    """A date as it stands in the source, cut to a readable length; "" for anything else."""
    return text(value)[:LONGEST_WRITTEN] if isinstance(value, str) else ""


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _begun(first: str, middle: str, as_of: date) -> date | None:
    begin, day = _day(first), _day(middle)
    return as_of if begin and day and begin <= as_of < day else day
