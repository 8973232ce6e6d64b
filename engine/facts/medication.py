"""What a medication entry counts for: taken, ordered, ever given, systemic (clinical specification 1.8)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from engine.facts.view import View
from engine.model.fact import Evidence
from engine.model.record import Medication

TOPICAL = "topical-route"        # the class of routes by which a drug does not count as systemic
PARENTERAL = "parenteral-route"
TAKING_DAYS = "taking-days"      # the parameter: a completed supply counts as taken for so many days


def entries_of(view: View, drugs: frozenset[str]) -> tuple[Medication, ...]:
    """The record's entries of these ingredients."""
    medications = view.record.medications
    return tuple(entry for entry in medications if entry.ingredient in drugs) if medications else ()


def last_day(entry: Medication) -> date | None:
    """The end of the entry, else its start."""
    return entry.end or entry.start


def within(day: date | None, as_of: date, days: int) -> bool:
    """Whether a known day lies at most so many days back."""
    return day is not None and (as_of - day).days <= days


def taken(entry: Medication, as_of: date, taking_days: int) -> bool:
    """Active, or completed with its end (else start) at most `taking_days` ago."""
    return entry.status == "active" or (entry.status == "completed" and within(last_day(entry), as_of, taking_days))


def ordered(entry: Medication) -> bool:
    """Active, on hold or a draft."""
    return entry.status in ("active", "on-hold", "draft")


def current(entry: Medication, as_of: date, taking_days: int) -> bool:
    """Ordered, or a supply that still counts as taken."""
    return ordered(entry) or (entry.supply and taken(entry, as_of, taking_days))


def ever_given(entry: Medication, as_of: date) -> bool:
    """Active, completed, stopped, or on hold with a start that is not after today; never a draft."""
    if entry.status == "on-hold":
        return entry.start is not None and entry.start <= as_of
    return entry.status != "draft"


def given_until_now(entry: Medication) -> bool:
    """A drug that is active or on hold counts as given until now."""
    return entry.status in ("active", "on-hold")


def topical(entry: Medication, view: View) -> bool:
    """Whether the route is one of the class `topical-route`; every other one, not stated included, is systemic."""
    return entry.route in view.tables.classes[TOPICAL]


def first_start(entries: Iterable[Medication], as_of: date) -> date | None:
    """The earliest known start that is not after today, drafts apart."""
    starts = [e.start for e in entries if e.status != "draft" and e.start is not None and e.start <= as_of]
    return min(starts, default=None)


def evidence(entry: Medication) -> Evidence:
    """The entry as evidence: ingredient, status, route, whether only a name states the drug; the date as written."""
    by_name = "found by name" if entry.found_by_name else ""
    said = ", ".join(filter(None, (f"{entry.ingredient} {entry.status}", entry.route, by_name)))
    written = entry.written or (entry.start.isoformat() if entry.start else "")
    return Evidence(entry.reference, said, written)
