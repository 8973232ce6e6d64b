"""elapsed: the time between two dates, in days, months of 30.4375 or years of 365.25 days (clinical spec. 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from engine.facts import diagnosis, medication
from engine.facts.definition import Definition
from engine.facts.options import Bands, ConceptName, Concepts, Drugs, FactName
from engine.facts.quantity import Measure, certainly
from engine.facts.reading import Readings, coded, concept_of, entries, numbers, own_ranges, titres, yes_no
from engine.facts.said import diagnosis_evidence, evidence_for, evidence_of, known, ordered, unknown
from engine.facts.view import View
from engine.model.fact import ABSENT, UNKNOWN, Evidence, Fact, Reason
from engine.model.record import Person

DAYS_OF: Mapping[str, Decimal] = {"days": Decimal(1), "months": Decimal("30.4375"), "years": Decimal("365.25")}
READERS: Mapping[str, Callable[[View, str], Readings]] = {
   "yes-no": yes_no, "sign": yes_no, "coded": coded, "titre": titres, "own-range": own_ranges,
}


class Found(msgspec.Struct, frozen=True):
    """A date of the record, and what it rests on."""

    day: date
    evidence: tuple[Evidence, ...]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One date, said in exactly one way.

    `birth`: the birth date · `onset`: of a disease · `value`: the date that the newest result of a concept gives ·
    `first_taken`: the earliest known start among the entries of a drug now taken · `last_result`: the newest dated
    result, usable or not · `last_usable`: the newest dated result with a usable value · `fact_since`: the day from
    which a fact is present · `newest_of`: the latest of those that are known.
    """

    birth: Literal["", "patient"] = ""
    onset: ConceptName = ""
    value: ConceptName = ""
    first_taken: Drugs = frozenset()
    last_result: Concepts = ()
    last_usable: Concepts = ()
    fact_since: FactName = ""
    newest_of: tuple[Point, ...] = ()

    def ways(self) -> int:
        """In how many ways the date is said; more or less than one is a fault."""
        return sum(bool(getattr(self, name)) for name in self.__struct_fields__)

    def every(self) -> Iterable[Point]:
        """The point and all points inside it."""
        yield self
        for part in self.newest_of:
            yield from part.every()

    def concepts(self) -> frozenset[str]:
        """Concepts that it reads."""
        return frozenset(
            name
            for part in self.every()
            for name in (part.onset, part.value, *part.last_result, *part.last_usable)
            if name
        )

    def find(self, view: View) -> Found | None:
        """The date, or None when it is not known."""
        if self.newest_of:
            dates = [found for part in self.newest_of if (found := part.find(view)) is not None]
            return max(dates, key=lambda found: found.day, default=None)
        if self.birth:
            return _born(view.record.person)
        if self.onset:
            onset = diagnosis.earliest(view.record.diagnoses.get(self.onset, ()))
            return Found(onset[0], (diagnosis_evidence(view, onset[1]),)) if onset else None
        if self.value:
            return _date_value(view, self.value)
        if self.first_taken:
            return _first_taken(view, self.first_taken)
        if self.fact_since:
            fact = view.fact(self.fact_since)
            holds = fact.value not in (UNKNOWN, ABSENT)
            return Found(fact.since, fact.evidence) if holds and fact.since is not None else None
        key = ("last", self.last_result, self.last_usable)       # several facts ask for the same date
        if key not in view.cache:
            last = _last_result(view, self.last_result) if self.last_result else _last_usable(view, self.last_usable)
            view.cache[key] = last
        date_found: Found | None = view.cache[key]
        return date_found


class ElapsedFact(Definition, frozen=True, kw_only=True, tag="elapsed"):
    """The time from `start` to `end` (default: the day of the evaluation), put into a band. With `absolute` it does not
    matter which date comes first. A date that is not known: unknown."""

    start: Point = msgspec.field(name="from")
    end: Point | None = msgspec.field(name="to", default=None)
    unit: Literal["days", "months", "years"] = msgspec.field(name="in", default="days")
    absolute: bool = False
    bands: Bands = ()
    otherwise: str = "normal"

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: tuple(dict.fromkeys([*(band.value for band in self.bands), self.otherwise]))}

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(point.concepts() for point in self._points()))

    def drugs(self) -> frozenset[str]:
        return frozenset().union(*(part.first_taken for part in self._parts()))

    def needs(self) -> frozenset[str]:
        return frozenset(part.fact_since for part in self._parts() if part.fact_since)

    def follows(self) -> frozenset[str]:
        return self.needs()

    def limits_in(self) -> str:
        return self.unit

    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        return (("parameter", medication.TAKING_DAYS, "first_taken"),) if self.drugs() else ()

    def check(self) -> tuple[str, ...]:
        wrong = any(part.ways() != 1 for part in self._parts())
        return ("a date is said in exactly one way (`birth`, `onset`, `value`, `last_result` ...)",) if wrong else ()

    def compute(self, view: View) -> tuple[Fact, ...]:
        start = self.start.find(view)
        end = Found(view.as_of, ()) if self.end is None else self.end.find(view)
        if start is None or end is None:
            return self._unknown(view)
        days = (end.day - start.day).days
        span = Measure(Decimal(abs(days) if self.absolute else days))
        length = DAYS_OF[self.unit]
        reached = (band.value for band in self.bands if certainly(span, band.test, band.limit * length))
        # people round months and count completed years
        count = span.value / length
        said = f"{int(count.to_integral_value() if self.unit == 'months' else count)} {self.unit}"
        evidence = ordered(start.evidence + end.evidence) if end.evidence else start.evidence
        return (known(self, next(reached, self.otherwise), evidence, None, said=said, date=start.day.isoformat()),)

    def _points(self) -> tuple[Point, ...]:
        return (self.start,) if self.end is None else (self.start, self.end)

    def _parts(self) -> Iterable[Point]:
        return (part for point in self._points() for part in point.every())

    def _unknown(self, view: View) -> tuple[Fact, ...]:
        """Something is recorded but gives no date, or nothing is."""
        record = view.record
        found = [evidence_of(view, one) for name in self.reads() for one in record.results.get(name, ())]
        found += [diagnosis_evidence(view, one) for name in self.reads() for one in record.diagnoses.get(name, ())]
        found += [medication.evidence(entry) for entry in medication.entries_of(view, self.drugs())]
        return (unknown(self.name, Reason.NOT_USABLE, found),) if found else ()


def _born(person: Person) -> Found | None:
    if person.birth is None:
        return None
    return Found(person.birth, (Evidence(person.reference, "born", person.birth.isoformat()),))


def _first_taken(view: View, drugs: frozenset[str]) -> Found | None:
    days = int(view.tables.parameters[medication.TAKING_DAYS])
    starts = [
        (entry.start, entry.reference, entry)
        for entry in medication.entries_of(view, drugs)
        if entry.start is not None and medication.taken(entry, view.as_of, days)
    ]
    if not starts:
        return None
    start, _, entry = min(starts, key=lambda item: item[:2])
    return Found(start, (medication.evidence(entry),))


def _date_value(view: View, concept: str) -> Found | None:
    """The date given by the newest result; of several on one day the earliest, and one that lies ahead is not read."""
    usable = [r for r in entries(view, concept) if r.date_value is not None and r.date_value <= view.as_of]
    newest = max((result.day or date.min for result in usable), default=None)
    dates = [(r.date_value, r.reference, r) for r in usable if (r.day or date.min) == newest and r.date_value]
    if not dates:
        return None
    day, _, result = min(dates, key=lambda item: item[:2])
    return Found(day, (evidence_of(view, result),))


def _last_result(view: View, concepts: tuple[str, ...]) -> Found | None:
    dated = [(r.day, r.reference, r) for name in concepts for r in entries(view, name) if r.day is not None]
    if not dated:
        return None
    day, _, result = max(dated, key=lambda item: item[:2])
    return Found(day, (evidence_of(view, result),))


def _last_usable(view: View, concepts: tuple[str, ...]) -> Found | None:
    dated = [(r.day, r.result.reference, r) for name in concepts for r in _readings(view, name) if r.day is not None]
    if not dated:
        return None
    day, _, last = max(dated, key=lambda item: item[:2])
    return Found(day, evidence_for(view, [last]))


def _readings(view: View, concept: str) -> Readings:
    return READERS.get(concept_of(view, concept).reading or "", numbers)(view, concept)
