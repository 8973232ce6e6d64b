"""The screening of the patients of a partition: who is evaluated, and who concerns no rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.batch.output import Output
from engine.batch.records import Beside, is_there, shared_by
from engine.batch.spill import Row
from engine.batch.tools import Tools
from engine.model.problem import Problem


class Screening:
    """Of one partition. `seen`: patients of whom there are Bundles as well, and where these stand."""

    def __init__(self, tools: Tools, out: Output, beside: Beside, seen: Mapping[str, str]) -> None:
        self._tools = tools
        self._out = out
        self._beside = beside
        self._seen = seen

    def patient(self, patient: str, held: Sequence[Row], *, known: bool) -> None:
        """Evaluates one patient, of whom there are rows, if that may concern a rule. `known`: there is no need to say
        that the Patient resource is missing."""
        records, out, problems = self._tools.records, self._out, list[Problem]()
        own, others = records.seen_by_each(held)
        pairs = records.of_rows(own, others, self._beside, problems)
        if not self._concerned(own) and (known or is_there(own)):
            self.unconcerned(patient)
            if others is not own and self._concerned(others):
                for pair in pairs:
                    out.compare(pair)
            return
        self._look_for_unknown_codes(patient, own)
        for record, other in pairs:
            if record is None:
                out.compare((None, other))
                continue
            self._note_bundles(record.person.reference)
            out.evaluate(record, other)
        for found in problems:
            out.odd(found, patient=patient)

    def unconcerned(self, patient: str) -> None:
        """One patient whom no rule can concern."""
        self._out.unconcerned(patient)
        self._note_bundles(patient)

    def _concerned(self, own: Sequence[Row]) -> bool:
        return self._tools.setup.thorough or any(row.rare and row.raw for row in own)

    def _look_for_unknown_codes(self, patient: str, own: Sequence[Row]) -> None:
        for row in own:
            if row.rare and row.raw:
                self._out.met.raw(row.raw, patient)
        for row in shared_by(own, self._beside.shared) if self._beside.shared else ():
            self._out.met.raw(row.raw, patient)

    def _note_bundles(self, patient: str) -> None:
        if patient in self._seen:
            self._out.twice(patient, self._seen[patient])
