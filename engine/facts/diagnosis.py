"""What the Conditions of a diagnosis say together: which decide, whether it stands, its onset (clinical spec. 1.7)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from engine.model.record import Diagnosis


def dated(entry: Diagnosis) -> date | None:
    """Its onset, else the day on which it was recorded."""
    return entry.onset or entry.recorded


def newest(entries: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """The entries that decide: those of the newest recorded date; none recorded is the oldest."""
    entries = tuple(entries)
    last = max((entry.recorded or date.min for entry in entries), default=date.min)
    return tuple(entry for entry in entries if (entry.recorded or date.min) == last)


def stands(entries: Iterable[Diagnosis]) -> bool:
    """Whether the newest entries confirm a diagnosis: none of them refutes it."""
    said = {entry.certainty for entry in newest(entries)}
    return "confirmed" in said and "refuted" not in said


def earliest(entries: Iterable[Diagnosis]) -> tuple[date, Diagnosis] | None:
    """The onset of a disease: the earliest onset, else recorded date, of its entries, refuted ones left out."""
    known = [(day, e.reference, e) for e in entries if e.certainty != "refuted" and (day := dated(e)) is not None]
    if not known:
        return None
    day, _, entry = min(known, key=lambda item: item[:2])
    return day, entry
