"""patient: a field of the patient, or the caller's word that the record is complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from engine.facts.definition import Definition
from engine.facts.said import known, unknown
from engine.facts.view import View
from engine.model.fact import PRESENT, Evidence, Fact, Reason

SEXES = ("male", "female")


class PatientFact(Definition, frozen=True, kw_only=True, tag="patient"):
    """`sex` is male or female; `deceased`, `inactive` and `complete` are present or nothing is recorded."""

    field: Literal["sex", "deceased", "inactive", "complete"]

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: SEXES if self.field == "sex" else (PRESENT,)}

    def compute(self, view: View) -> tuple[Fact, ...]:
        person = view.record.person
        if self.field == "sex":
            return self._sex(person.sex, person.reference)
        holds = {
            "deceased": person.deceased,
            "inactive": not person.active,
            "complete": view.record.complete,
        }[self.field]
        if not holds:
            return ()
        said = "the record is declared complete" if self.field == "complete" else self.field
        return (known(self, PRESENT, (Evidence(person.reference, said),), None, said=said),)

    def _sex(self, sex: str, reference: str) -> tuple[Fact, ...]:
        if not sex:
            return ()
        evidence = (Evidence(reference, sex),)
        return (known(self, sex, evidence, None) if sex in SEXES else unknown(self.name, Reason.NOT_USABLE, evidence),)
