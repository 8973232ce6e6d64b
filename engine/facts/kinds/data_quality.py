"""Kind `data-quality`: what of the record cannot be used or contradicts itself, whether or not anything reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date

import msgspec

from engine.facts import diagnosis
from engine.facts.concept import Concept
from engine.facts.definition import Definition
from engine.facts.options import EndedConflicts, Regions, ValueName
from engine.facts.quantity import Fault
from engine.facts.reading import (
    LOW_FLAGS,
    NEGATIVE,
    POSITIVE,
    Readings,
    concept_of,
    entries,
    fault,
    titre,
    titres,
    yes_no,
)
from engine.facts.said import diagnosis_evidence, evidence_for, evidence_of, known, ordered
from engine.facts.signs import without_conflicts
from engine.facts.view import Tables, View
from engine.facts.window import newest
from engine.model.fact import PRESENT, Evidence, Fact
from engine.model.record import Diagnosis, Record

DATE_MISSING, CONFLICTING_RESULTS = "date-missing", "conflicting-results"
CONFLICTING_CONDITIONS, SITE_UNMAPPED = "conflicting-conditions", "site-unmapped"
NUMBER_FAULTS: Mapping[Fault, str] = {
    reason: reason for reason in ("unit-missing", "unit-unconvertible", "implausible-value")
}
REASONS = (*NUMBER_FAULTS, DATE_MISSING, CONFLICTING_CONDITIONS, CONFLICTING_RESULTS, SITE_UNMAPPED)


class DataQualityFact(Definition, frozen=True, kw_only=True, tag="data-quality"):
    """A family, one member a reason: `present` when any datum has it; its evidence names these data.

    unit-missing, unit-unconvertible, implausible-value: a number of a concept with a unit, unless a flag decides ·
    date-missing: a `time_critical` result · conflicting-conditions: refuted beside another status on the newest date,
    or an ended entry of a confirmed diagnosis whose definition says so · conflicting-results: present and absent on the
    newest day; a sign so on any day; a titre positive and negative on one day, against its own range, or flagged low ·
    site-unmapped: a present sign without a region.
    Source: clinical specification 1.3 to 1.7.
    """

    reasons: tuple[ValueName, ...] = REASONS
    ended: EndedConflicts = msgspec.field(default_factory=dict)
    regions: Regions = ()

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {f"{self.name}.{reason}": (PRESENT,) for reason in self.reasons}

    def needs(self) -> frozenset[str]:
        return frozenset(self.ended.values())

    def follows(self) -> frozenset[str]:
        return frozenset()

    def check(self) -> tuple[str, ...]:
        odd = [reason for reason in self.reasons if reason not in REASONS]
        return tuple(f"`{reason}` is no reason of data quality; take one of {', '.join(REASONS)}" for reason in odd)

    def compute(self, view: View) -> tuple[Fact, ...]:
        found: dict[str, list[Evidence]] = {}
        for name in view.record.results:
            for reason, evidence in self._results(view, name):
                found.setdefault(reason, []).extend(evidence)
        for name, diagnoses in view.record.diagnoses.items():
            found.setdefault(CONFLICTING_CONDITIONS, []).extend(self._conditions(view, name, diagnoses))
        return tuple(self._fact(reason, found[reason]) for reason in self.reasons if found.get(reason))

    def stays(self, before: View, after: View, concepts: Collection[str]) -> bool:
        return all(list(self._results(before, name)) == list(self._results(after, name)) for name in concepts)

    def _results(self, view: View, name: str) -> Iterator[tuple[str, tuple[Evidence, ...]]]:
        concept = concept_of(view, name)
        results = entries(view, name)
        measured = bool(concept.unit) or concept.plausible is not None
        for result in results:
            if measured and result.quantity is not None:
                reason = NUMBER_FAULTS.get(fault(result, concept))
                if reason is not None:
                    yield reason, (evidence_of(view, result),)
            if concept.time_critical and result.day is None:
                yield DATE_MISSING, (evidence_of(view, result),)
            if result.flag in LOW_FLAGS and (concept.never_low or concept.reading == "titre"):
                yield CONFLICTING_RESULTS, (evidence_of(view, result),)
        if concept.reading == "titre":
            yield from _titres(view, concept)
        elif concept.reading == "sign":
            yield from self._signs(view, name)
        elif len(results) > 1 and concept.reading in (None, "yes-no") and (clash := _newest_day(view, concept)):
            yield CONFLICTING_RESULTS, evidence_for(view, clash)

    def _signs(self, view: View, name: str) -> Iterator[tuple[str, tuple[Evidence, ...]]]:
        kept, dropped = without_conflicts(yes_no(view, name))
        if dropped:
            yield CONFLICTING_RESULTS, evidence_for(view, dropped)
        unplaced = [sign for sign in kept if sign.word == PRESENT and sign.result.region not in self.regions]
        if unplaced:
            yield SITE_UNMAPPED, evidence_for(view, unplaced)

    def _conditions(self, view: View, name: str, diagnoses: tuple[Diagnosis, ...]) -> list[Evidence]:
        """Entries of one diagnosis that contradict each other on the newest date, or that should not have ended."""
        found: list[Diagnosis] = []
        if len(diagnoses) > 1:
            newest_entries = diagnosis.newest(diagnoses)
            said = {entry.certainty for entry in newest_entries}
            if len(said) > 1 and "refuted" in said:
                found += newest_entries
        evidence = [diagnosis_evidence(view, entry) for entry in found]
        if name in self.ended:
            ended = [entry for entry in diagnoses if entry.ended and entry.certainty == "confirmed"]
            if ended and (state := view.fact(self.ended[name])).value == "confirmed":
                evidence += [*(diagnosis_evidence(view, entry) for entry in ended), *state.evidence]
        return evidence

    def _fact(self, reason: str, found: list[Evidence]) -> Fact:
        evidence = ordered(found)
        said = "; ".join(f"{one.said} ({one.date or 'undated'})" for one in evidence)
        return known(self, PRESENT, evidence, None, name=f"{self.name}.{reason}", said=said)


def of_a_rare_concept(evidence: tuple[Evidence, ...], record: Record, tables: Tables) -> bool:
    """Whether any of this evidence belongs to a concept that is not `common`.

    Data quality of common concepts alone (routine laboratory values) is a finding only in a patient who is relevant
    otherwise (docs/facts.md, `data-quality`).
    """
    references = {one.reference for one in evidence}
    return any(
        entry.reference in references
        for entries_of in (record.results, record.diagnoses)
        for name, found in entries_of.items()
        if not ((concept := tables.concepts.get(name)) and concept.common)
        for entry in found
    )


def _titres(view: View, concept: Concept) -> Iterator[tuple[str, tuple[Evidence, ...]]]:
    """Titres against their own range, and days on which a concept is positive and negative."""
    for result in entries(view, concept.name):
        if result.quantity is not None and result.flag and titre(result, concept)[1]:
            yield CONFLICTING_RESULTS, (evidence_of(view, result),)
    readings = titres(view, concept.name)
    if len(readings) > 1:
        said: dict[date, set[str]] = {}
        for reading in readings:
            if reading.day is not None:
                said.setdefault(reading.day, set()).add(reading.word)
        clash = [
            reading
            for reading in readings
            if reading.day and reading.word in (POSITIVE, NEGATIVE) and {POSITIVE, NEGATIVE} <= said[reading.day]
        ]
        if clash:
            yield CONFLICTING_RESULTS, evidence_for(view, clash)


def _newest_day(view: View, concept: Concept) -> Readings:
    """The readings of the newest day if they contradict each other.

    Numbers that a routine flag calls high or normal are no yes and no: they count only where the concept is read so.
    """
    readings = yes_no(view, concept.name)
    if len(readings) < 2:
        return ()
    plain = concept.reading == "yes-no"
    day = newest([one for one in readings if plain or one.result.quantity is None])
    return day if len({reading.word for reading in day}) > 1 else ()
