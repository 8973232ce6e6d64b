"""exposure: the patient takes, is ordered or was ever given a drug (clinical specification 1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.facts import medication
from engine.facts.definition import Definition
from engine.facts.options import Days, Drugs
from engine.facts.said import known, ordered, unknown
from engine.facts.view import View
from engine.model.fact import PRESENT, Fact, Reason
from engine.model.record import Medication


class ExposureFact(Definition, frozen=True, kw_only=True, tag="exposure"):
    """`taking`: active, or a completed supply within `taking-days`; `ordered`: active, on hold, draft;
    `taking-or-ordered`: both; `ever`: active, completed, stopped, or on hold once started.

    `systemic` leaves out topical routes, `except_reason` orders for that coded reason. `longer_than`: started more than
    so many days ago; `last_within`: given until at most so many days ago. Since: the earliest start, drafts apart.
    """

    members: Drugs = msgspec.field(name="drugs")
    use: Literal["taking", "ordered", "taking-or-ordered", "ever"]
    systemic: bool = False
    except_reason: str = ""
    longer_than: Days | None = None
    last_within: Days | None = None

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (PRESENT,)}

    def drugs(self) -> frozenset[str]:
        return self.members

    def current(self) -> bool:
        return self.use != "ever" or self.last_within is not None

    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        route = (("class", medication.TOPICAL, "systemic"),) if self.systemic else ()
        days = (("parameter", medication.TAKING_DAYS, f"use: {self.use}"),) if self.use.startswith("taking") else ()
        return route + days

    def compute(self, view: View) -> tuple[Fact, ...]:
        entries = medication.entries_of(view, self.members)
        if not entries:
            return ()
        counted = [entry for entry in entries if self._counts(entry, view)]
        if not counted:
            return (self._unknown(view, entries),)
        names = ", ".join(sorted({entry.ingredient for entry in counted}))
        since = medication.first_start(counted, view.as_of)
        return (known(self, PRESENT, ordered(medication.evidence(entry) for entry in counted), since, said=names),)

    def _counts(self, entry: Medication, view: View) -> bool:
        if self.systemic and medication.topical(entry, view):
            return False
        if self.except_reason and entry.reason == self.except_reason:
            return False
        return self._used(entry, view) and self._in_time(entry, view)

    def _used(self, entry: Medication, view: View) -> bool:
        if self.use == "ever":
            return medication.ever_given(entry, view.as_of)
        if self.use != "taking" and medication.ordered(entry):
            return True
        return self.use != "ordered" and medication.taken(entry, view.as_of, _taking_days(view))

    def _in_time(self, entry: Medication, view: View) -> bool:
        as_of = view.as_of
        if self.longer_than is not None and (entry.start is None or (as_of - entry.start).days <= self.longer_than):
            return False
        if self.last_within is None or medication.given_until_now(entry):
            return True
        return medication.within(medication.last_day(entry), as_of, self.last_within)

    def _unknown(self, view: View, entries: tuple[Medication, ...]) -> Fact:
        """Entries that do not count: too old (or too new) if the drug was given at all, else not usable."""
        given = any(medication.ever_given(e, view.as_of) and medication.last_day(e) is not None for e in entries)
        reason = Reason.OUT_OF_DATE if given else Reason.NOT_USABLE
        return unknown(self.name, reason, (medication.evidence(entry) for entry in entries))


def _taking_days(view: View) -> int:
    return int(view.tables.parameters[medication.TAKING_DAYS])
