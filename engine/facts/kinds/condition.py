"""condition: the newest entry of a diagnosis decides (clinical specification 1.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from engine.facts import diagnosis, medication
from engine.facts.definition import Definition
from engine.facts.options import Concepts, Days, Drugs
from engine.facts.reading import concept_of
from engine.facts.said import diagnosis_evidence, known, ordered, unknown
from engine.facts.view import View
from engine.model.fact import Evidence, Fact, Reason
from engine.model.record import Diagnosis

CONFIRMED, SUSPECTED, REFUTED, ENDED = "confirmed", "suspected", "refuted", "ended"
CONFLICT = ""
STRENGTH = (CONFIRMED, SUSPECTED, CONFLICT, ENDED, REFUTED)      # a conflict may hide anything that is weaker


class EncounterOnly(msgspec.Struct, frozen=True):
    """A code noted at an encounter is no diagnosis: confirmed entries that are all encounter diagnoses count as
    suspected, unless the first and last are at least `apart` days apart or a drug of `unless_taken` was ever given."""

    apart: Days
    unless_taken: Drugs = frozenset()


class State(msgspec.Struct, frozen=True):
    """What the entries of one concept say: the value ("" = they contradict each other) and the entries that decide."""

    value: str
    newest: tuple[Diagnosis, ...]
    others: tuple[Evidence, ...] = ()


class ConditionFact(Definition, frozen=True, kw_only=True, tag="condition"):
    """confirmed, suspected or refuted by the newest recorded date (none is the oldest); of several concepts the
    strongest. Refuted beside another status on that date: unknown, conflicting. With `live_only` an entry that is
    inactive, resolved or in remission is `ended`. `ended_conflicts` is read by the kind data-quality."""

    slots = ("test",)

    concepts: Concepts
    encounter_only: EncounterOnly | None = None
    live_only: bool = False
    ended_conflicts: bool = False

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (CONFIRMED, SUSPECTED, REFUTED, *((ENDED,) if self.live_only else ()))}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def compute(self, view: View) -> tuple[Fact, ...]:
        diagnoses = view.record.diagnoses
        states = {name: self._state(view, diagnoses[name]) for name in self.concepts if diagnoses.get(name)}
        if not states:
            return ()
        strongest = min((state.value for state in states.values()), key=STRENGTH.index)
        deciding = [name for name, state in states.items() if state.value == strongest]
        newest = [entry for name in deciding for entry in states[name].newest]
        others = [found for name in deciding for found in states[name].others]
        evidence = [*(diagnosis_evidence(view, entry) for entry in newest), *others]
        if strongest == CONFLICT:
            return (unknown(self.name, Reason.CONFLICTING, evidence),)
        if strongest in (REFUTED, ENDED):
            since = max((entry.recorded for entry in newest if entry.recorded), default=None)
        else:
            onset = diagnosis.earliest(entry for name in deciding for entry in diagnoses[name])
            since = onset[0] if onset else None
            evidence += [diagnosis_evidence(view, onset[1])] if onset else []
        titles = ", ".join(concept_of(view, name).title or name for name in deciding)
        written = max(newest, key=_age).written
        return (known(self, strongest, ordered(evidence), since, date=written, test=titles),)

    def _state(self, view: View, entries: Sequence[Diagnosis]) -> State:
        newest = diagnosis.newest(entries)
        said = {entry.certainty for entry in newest}
        if said == {"refuted"}:
            return State(REFUTED, newest)
        ended = {entry.ended for entry in newest}
        if "refuted" in said or (self.live_only and len(ended) > 1):
            return State(CONFLICT, newest)
        if self.live_only and True in ended:
            return State(ENDED, newest)
        if "confirmed" not in said:
            return State(SUSPECTED, newest)
        if self.encounter_only is None:
            return State(CONFIRMED, newest)
        proof = self._established(view, self.encounter_only, entries)
        return State(SUSPECTED, newest) if proof is None else State(CONFIRMED, newest, proof)

    def _established(
        self, view: View, rule: EncounterOnly, entries: Sequence[Diagnosis]
    ) -> tuple[Evidence, ...] | None:
        """What makes more of the confirmed entries than codes noted at an encounter; None: nothing does."""
        confirmed = [entry for entry in entries if entry.certainty == "confirmed"]
        listed = [entry for entry in confirmed if not entry.encounter_only]
        if listed:
            return (diagnosis_evidence(view, max(listed, key=_age)),)
        dated = sorted((entry for entry in confirmed if entry.recorded), key=_age)
        if dated and (_age(dated[-1])[0] - _age(dated[0])[0]).days >= rule.apart:
            return diagnosis_evidence(view, dated[0]), diagnosis_evidence(view, dated[-1])
        given = [e for e in medication.entries_of(view, rule.unless_taken) if medication.ever_given(e, view.as_of)]
        if given:
            return (medication.evidence(min(given, key=lambda entry: entry.reference)),)
        return None


def _age(entry: Diagnosis) -> tuple[date, str]:
    """Sorts entries by the day on which they were recorded; no day is the oldest."""
    return entry.recorded or date.min, entry.reference
