"""What every reading of a resource needs: the terminology, the date, the neighbours, and somewhere to note problems."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from engine.fhir.bundle import Entry
from engine.fhir.dates import as_written, resolve_day
from engine.fhir.elements import Json, obj, text
from engine.fhir.grouping import Group
from engine.fhir.laboratories import Laboratories
from engine.fhir.lookup import Lookup
from engine.fhir.problems import problem
from engine.fhir.references import target_of
from engine.fhir.subjects import Patient
from engine.model.problem import Problem


class Context:
    """The reading of one patient's entries, one after another; `entry` is the one that is being read."""

    def __init__(self, group: Group, lookup: Lookup, laboratories: Laboratories, patient: Patient, as_of: date) -> None:
        self.lookup = lookup
        self.terminology = lookup.terminology
        self.as_of = as_of
        self.person = patient.resource  # the Patient resource, empty if it was not given
        self.entry = patient.entry or Entry(patient.resource, "Patient", patient.reference, "patient", 0)
        self.problems: list[Problem] = []
        self._group = group
        self._laboratories = laboratories
        self._current: frozenset[str] = frozenset()

    def note(self, code: str, message: str) -> None:
        """Notes a problem of the entry that is being read."""
        self.problems.append(problem(code, self.entry.where, message))

    # ------------------------------------------------------------ neighbours

    def resolve(self, reference: object) -> Json | None:
        """The resource that a Reference of this entry names, contained ones included; None if it is not here."""
        found = self._group.find(reference, self.entry)
        return found.resource if isinstance(found, Entry) else found

    def laboratory(self, performers: object) -> str:
        """The key of the Organization among the performers; "" if there is none."""
        return self._laboratories.key(performers, self.entry)

    def is_extracted(self, entry: Entry) -> bool:
        """Whether Observations that were made of the entry are here as well."""
        return self._group.is_source(entry)

    def set_current(self, encounters: Collection[str]) -> None:
        """The references ("Encounter/x") of the present encounters."""
        self._current = frozenset(encounters)

    def in_current_encounter(self, resource: Json) -> bool:
        """Whether the entry belongs to the present encounter (STU3: context)."""
        if not self._current:
            return False
        reference = obj(resource.get("encounter") or resource.get("context"))
        found = self._group.find(reference, self.entry)
        if isinstance(found, Entry):
            return found.kind == "Encounter" and found.reference in self._current
        return found is None and target_of(text(reference.get("reference"))).key in self._current

    # ------------------------------------------------------------ dates

    def day(self, written: object) -> date | None:
        """The day of a date; one that is there and cannot be read is noted."""
        if written is None:
            return None
        day = resolve_day(written, self.as_of)
        if day is None:
            self.note("unreadable-date", "has a date that cannot be read; it counts as undated")
        return day

    def observed(self, resource: Json, name: str = "effective") -> tuple[date | None, str]:
        """(day, as written) of `effective[x]`: the moment, or the end of the period, else its start."""
        written = resource.get(name + "DateTime") or resource.get(name + "Instant")
        if written is None and (period := obj(resource.get(name + "Period"))):
            written = period.get("end") or period.get("start")
        return self.day(written), as_written(written)

    def is_future(self, day: date | None) -> bool:
        """Whether a result lies after the evaluation date: it does not exist yet, and that is noted."""
        if day is None or day <= self.as_of:
            return False
        self.note("future-date", "is dated after the evaluation date and was not used")
        return True
