"""Dates as written: the calendar day, without any time-zone shift (clinical specification, opening of section 1)."""

from __future__ import annotations

from datetime import date

EARLIEST_YEAR = 1900
LONGEST_WRITTEN = 40


def resolve_day(text: object, as_of: date) -> date | None:
    """The calendar day of a FHIR date, dateTime or instant; None for anything else and for years before 1900.

    YYYY is 1 July and YYYY-MM the 15th; if that day lies after `as_of` but the year or month has begun, it is `as_of`.
    """
    if not isinstance(text, str):
        return None
    text = text.strip()
    length = len(text)
    if length >= 10:
        if text[4] != "-" or text[7] != "-" or (length > 10 and text[10] not in "Tt "):
            return None
        day = _day(text[:10])
    elif length == 7 and text[4] == "-":
        day = _begun(text + "-01", text + "-15", as_of)
    elif length == 4:
        day = _begun(text + "-01-01", text + "-07-01", as_of)
    else:
        return None
    return day if day is not None and day.year >= EARLIEST_YEAR else None


def as_written(value: object) -> str:
    """A date as it stands in the source, cut to a readable length; "" for anything else."""
    return value.strip()[:LONGEST_WRITTEN] if isinstance(value, str) else ""


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _begun(first: str, middle: str, as_of: date) -> date | None:
    begin, day = _day(first), _day(middle)
    return as_of if begin and day and begin <= as_of < day else day
