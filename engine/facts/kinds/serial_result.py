"""Kind `serial-result`: all titres of a concept in time, with other assays of the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from engine.facts import medication
from engine.facts.definition import Definition
from engine.facts.options import ConceptName, Days, Drugs
from engine.facts.reading import EQUIVOCAL, NEGATIVE, POSITIVE, Reading, Readings, titres, yes_no
from engine.facts.said import amount, evidence_for, known, ordered
from engine.facts.view import View
from engine.facts.window import earliest, newest, none_left
from engine.model.fact import ABSENT, PRESENT, Evidence, Fact
from engine.model.record import Medication, Result

CONFIRMED, SINGLE, CONFLICTING = "confirmed", "single", "conflicting"
LATER_NEGATIVE, TRANSIENT = "later-negative", "transient"
SAID = {
    CONFIRMED: "positive, confirmed",
    SINGLE: "positive, not confirmed",
    CONFLICTING: "positive and negative on one day",
    LATER_NEGATIVE: "positive, later negative",
    TRANSIENT: "positive, then negative",
}


class Explained(msgspec.Struct, frozen=True):
    """What explains a negative: a systemic drug ever taken, started by its day (or undated) and not ended more than
    `lookback` days before; for transience also a procedure between the results (or undated)."""

    taken: Drugs
    lookback: Days
    procedure: ConceptName = ""


class Assay(msgspec.Struct, frozen=True):
    """The results of one assay. A positive and a negative of one day contradict each other: the positive still counts,
    but proves nothing; `good` are the positives that no negative of their day contradicts, undated ones included."""

    positive: Readings
    negative: Readings
    equivocal: Readings = ()

    @property
    def conflicts(self) -> frozenset[date]:
        return _days(self.positive) & _days(self.negative)

    @property
    def good(self) -> Readings:
        conflicts = self.conflicts
        return [reading for reading in self.positive if reading.day not in conflicts]


class SerialResultFact(Definition, frozen=True, kw_only=True, tag="serial-result"):
    """What the titres of a concept say together (clinical specification 1.5). Since: the first uncontradicted positive.

    `confirmed`: positive twice at least `apart` days apart, or in two assays · `later-negative`: a negative after the
    newest positive that no drug explains takes the repetition back · `transient`: on a complete record, a negative at
    least `apart` days after the newest positive that shares what `same` names and that nothing explains ·
    `conflicting`: positive only on days that are negative as well · `single`: otherwise positive · `negative`: negative
    and never positive · `equivocal`: neither. `other_assays`: a positive of these is a positive; `negative_by`: a
    negative of these is a negative.
    """

    concept: ConceptName
    other_assays: tuple[ConceptName, ...] = ()
    negative_by: tuple[ConceptName, ...] = ()
    apart: Days
    same: tuple[Literal["laboratory", "method"], ...] = ()
    explained_by: Explained | None = None

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (CONFIRMED, SINGLE, CONFLICTING, LATER_NEGATIVE, TRANSIENT, EQUIVOCAL, NEGATIVE)}

    def reads(self) -> frozenset[str]:
        return frozenset((self.concept, *self.other_assays, *self.negative_by))

    def drugs(self) -> frozenset[str]:
        return self.explained_by.taken if self.explained_by else frozenset()

    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        return (("class", medication.TOPICAL, "explained_by"),) if self.explained_by else ()

    def compute(self, view: View) -> tuple[Fact, ...]:
        main = _assay(titres(view, self.concept), POSITIVE, NEGATIVE)
        others = [_assay(yes_no(view, concept), PRESENT, ABSENT) for concept in self.other_assays]
        if main.positive or any(assay.positive for assay in others):
            return (self._positive(view, main, others),)
        negative = [*main.negative, *(one for concept in self.negative_by for one in _absent(view, concept))]
        resting = newest(negative or main.equivocal)
        if resting:
            return (self._fact(NEGATIVE if negative else EQUIVOCAL, evidence_for(view, resting), resting[0]),)
        return none_left(view, self.name, sorted(self.reads()), ())

    def _positive(self, view: View, main: Assay, others: list[Assay]) -> Fact:
        proven = [good for good in (assay.good for assay in (main, *others)) if good]
        first = earliest(one for good in proven for one in good)
        if first is None:
            return self._fact(CONFLICTING, evidence_for(view, _newest_conflict([main, *others])), None)
        alone = not any(assay.positive for assay in others)
        if alone and (resting := self._transient(view, main)):
            return self._fact(TRANSIENT, evidence_for(view, [*resting, first]), first)
        if len(proven) > 1:
            each = [one for good in proven if (one := earliest(good))]
            return self._fact(CONFIRMED, evidence_for(view, [*each, first]), first)
        dated = [reading for reading in main.good if reading.day]
        if dated:
            last = dated[0]
            late = [one for one in main.negative if _after(one, last) and not self._treated(view, one.day)]
            if late and alone:
                return self._fact(LATER_NEGATIVE, self._later(view, main, [first, last, late[0]]), first)
            if _apart(first, last) >= self.apart:
                return self._fact(CONFIRMED, evidence_for(view, [first, last]), first)
        return self._fact(SINGLE, evidence_for(view, [first]), first)

    def _transient(self, view: View, main: Assay) -> Readings:
        """The newest positives and negatives if the positives were transient, else nothing."""
        if not view.record.complete or main.conflicts:
            return []
        positive, negative = _newest_dated(main.positive), _newest_dated(main.negative)
        if not positive or not negative or _apart(positive[0], negative[0]) < self.apart:
            return []
        shared = all(any(self._same(one.result, other.result) for other in negative) for one in positive)
        if not shared or self._treated(view, negative[0].day) or self._operated(view, positive[0].day, negative[0].day):
            return []
        return [*positive, *negative]

    def _later(self, view: View, main: Assay, resting: list[Reading]) -> tuple[Evidence, ...]:
        """The evidence of a later negative; on a complete record with what keeps the positive from being transient."""
        if not view.record.complete:
            return evidence_for(view, resting)
        procedure = self.explained_by.procedure if self.explained_by else ""
        operated = [reading for reading in yes_no(view, procedure) if reading.word == PRESENT]
        treated = [medication.evidence(given) for given in self._given(view)]
        return ordered((*evidence_for(view, [*main.positive, *main.negative, *operated]), *treated))

    def _same(self, one: Result, other: Result) -> bool:
        """Whether both state, and share, what `same` names."""
        for name in self.same:
            keys = (one.method, other.method) if name == "method" else (one.laboratory, other.laboratory)
            if not keys[0] or keys[0] != keys[1]:
                return False
        return True

    def _given(self, view: View) -> list[Medication]:
        """Systemic drugs that were ever given: never a draft, on hold only if they had started."""
        return [
            entry for entry in medication.entries_of(view, self.drugs())
            if medication.ever_given(entry, view.as_of) and not medication.topical(entry, view)
        ]

    def _treated(self, view: View, day: date | None) -> bool:
        """Whether a drug explains a negative of that day; unknown dates count as treated."""
        if self.explained_by is None or day is None:
            return False
        for given in self._given(view):
            end = None if medication.given_until_now(given) else given.end
            started = given.start is None or given.start <= day
            if started and (end is None or (day - end).days <= self.explained_by.lookback):
                return True
        return False

    def _operated(self, view: View, first: date | None, last: date | None) -> bool:
        if self.explained_by is None or not self.explained_by.procedure or first is None or last is None:
            return False
        done = [reading for reading in yes_no(view, self.explained_by.procedure) if reading.word == PRESENT]
        return any(reading.day is None or first <= reading.day <= last for reading in done)

    def _fact(self, value: str, evidence: tuple[Evidence, ...], first: Reading | None) -> Fact:
        quantity = first.result.quantity if first else None
        said = ", ".join(filter(None, (SAID.get(value, value), amount(quantity) if quantity else "")))
        since = first.day if first and value not in (NEGATIVE, EQUIVOCAL) else None     # the first positive, if any
        return known(self, value, evidence, since, said=said)


def _assay(readings: Readings, positive: str, negative: str) -> Assay:
    return Assay(
        [reading for reading in readings if reading.word == positive],
        [reading for reading in readings if reading.word == negative],
        [reading for reading in readings if reading.word == EQUIVOCAL],
    )


def _absent(view: View, concept: str) -> Readings:
    return [reading for reading in yes_no(view, concept) if reading.word == ABSENT]


def _days(readings: Readings) -> frozenset[date]:
    return frozenset(reading.day for reading in readings if reading.day is not None)


def _newest_dated(readings: Readings) -> Readings:
    return newest([reading for reading in readings if reading.day is not None])


def _newest_conflict(assays: list[Assay]) -> list[Reading]:
    """The results of the newest day on which an assay contradicts itself."""
    day, assay = max(((max(one.conflicts), one) for one in assays if one.conflicts), key=lambda pair: pair[0])
    return [reading for reading in (*assay.positive, *assay.negative) if reading.day == day]


def _after(one: Reading, other: Reading) -> bool:
    return one.day is not None and other.day is not None and one.day > other.day


def _apart(first: Reading, last: Reading) -> int:
    return (last.day - first.day).days if first.day and last.day else -1
