"""exposure-onset: a drug was started before the onset of a disease, so it may have caused it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.facts import diagnosis, medication
from engine.facts.definition import Definition
from engine.facts.options import ConceptName, Days, Drugs
from engine.facts.said import diagnosis_evidence, known, ordered, unknown
from engine.facts.view import View
from engine.model.fact import Fact, Reason

SOON, LATER = "soon", "later"


class ExposureOnsetFact(Definition, frozen=True, kw_only=True, tag="exposure-onset"):
    """The drug was ever given and started on or before the onset of `condition` (its earliest onset, else recorded
    date), at most `within` days before it. `soon`: the onset came at most so many days after the start, or the drug is
    still given; else `later`."""

    members: Drugs = msgspec.field(name="drugs")
    condition: ConceptName
    within: Days
    soon: Days | None = None

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (LATER,) if self.soon is None else (SOON, LATER)}

    def reads(self) -> frozenset[str]:
        return frozenset({self.condition})

    def drugs(self) -> frozenset[str]:
        return self.members

    def compute(self, view: View) -> tuple[Fact, ...]:
        conditions = view.record.diagnoses.get(self.condition, ())
        entries = [e for e in medication.entries_of(view, self.members) if medication.ever_given(e, view.as_of)]
        if not entries or not conditions:
            return ()
        onset = diagnosis.earliest(conditions)
        starts = [(entry, entry.start) for entry in entries if entry.start is not None]
        if onset is None or not starts:
            return (unknown(self.name, Reason.NOT_USABLE, (medication.evidence(entry) for entry in entries)),)
        day, first = onset
        causes = [(entry, days) for entry, start in starts if 0 <= (days := (day - start).days) <= self.within]
        if not causes:
            return (unknown(self.name, Reason.OUT_OF_DATE, (medication.evidence(entry) for entry, _ in starts)),)
        soon = [entry for entry, days in causes if self._is_soon(days, medication.given_until_now(entry))]
        chosen = soon or [entry for entry, _ in causes]
        names = ", ".join(sorted({entry.ingredient for entry in chosen}))
        evidence = ordered((*(medication.evidence(entry) for entry in chosen), diagnosis_evidence(view, first)))
        return (known(self, SOON if soon else LATER, evidence, day, said=names),)

    def _is_soon(self, days: int, still_given: bool) -> bool:
        return self.soon is not None and (days <= self.soon or still_given)
