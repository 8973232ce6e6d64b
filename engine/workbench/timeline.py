"""What the record holds, concept by concept and day by day: results, diagnoses and drugs, with what of them could not
be used and why at its place.

Every resource that a reason of the evaluation names is here: as an entry of its concept, or under "named elsewhere".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from engine.facts.said import said_by
from engine.model.fact import UNKNOWN, Evidence, Fact, Reason
from engine.model.finding import Evaluation
from engine.model.problem import Problem
from engine.model.record import Diagnosis, Medication, Record, Result
from engine.reasoning import QUALITY
from engine.rules.ruleset import Ruleset

NEWEST = 5
"""So many entries of a concept are shown at once."""

_FACTS = 3  # names of facts in one note
_TICKS = 8
_WORDS = {
    Reason.NOT_USABLE: "not usable for",
    Reason.OUT_OF_DATE: "too old for",
    Reason.CONFLICTING: "contradicts another entry on",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One resource. `when`: its dates in words; `start` and `end` in percent of the axis (None: undated, or a point).

    `struck`: no fact could use it; `notes` say why, or for what it could not be used. `tried`: it is an answer that is
    not part of the record yet.
    """

    day: date | None
    when: str
    said: str
    reference: str
    status: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    struck: bool = False
    tried: bool = False
    start: float | None = None
    end: float | None = None


class Row(msgspec.Struct, frozen=True):
    """One concept, its newest entry first, undated ones last."""

    title: str
    entries: tuple[Entry, ...]

    @property
    def newest(self) -> tuple[Entry, ...]:
        return self.entries[:NEWEST]

    @property
    def older(self) -> tuple[Entry, ...]:
        return self.entries[NEWEST:]


class Group(msgspec.Struct, frozen=True):
    """Results, diagnoses or drugs: the row with the newest entry first."""

    title: str
    rows: tuple[Row, ...]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """`ticks`: years or months on the axis with their place in percent. `problems`: of entries that are not here."""

    groups: tuple[Group, ...]
    ticks: tuple[tuple[str, float], ...]
    elsewhere: tuple[Evidence, ...]
    problems: tuple[Problem, ...]

    @property
    def entries(self) -> int:
        return sum(len(row.entries) for group in self.groups for row in group.rows)


def timeline(record: Record, evaluation: Evaluation, ruleset: Ruleset, tried: Collection[str] = ()) -> Timeline:
    """The timeline of a record. `tried`: references of answers that are not part of the record yet."""
    return _Drawing(record, evaluation, ruleset, tried).timeline()


def references(record: Record) -> Iterator[str]:
    """The resources of the entries of a record."""
    yield from (one.reference for results in record.results.values() for one in results)
    yield from (one.reference for diagnoses in record.diagnoses.values() for one in diagnoses)
    yield from (one.reference for one in record.medications)


class _Drawing:
    def __init__(self, record: Record, evaluation: Evaluation, ruleset: Ruleset, tried: Collection[str]) -> None:
        self.record = record
        self.evaluation = evaluation
        self.ruleset = ruleset
        self.tried = frozenset(tried)
        self.facts = [*evaluation.facts.values(), *(f for of in evaluation.orders.values() for f in of.values())]
        self.used = {e.reference for fact in self.facts if self._uses(fact) for e in fact.evidence}
        self.reasons = self._reasons()
        self.problems = _by_reference(record.problems)
        self.axis = _Axis(record)

    def timeline(self) -> Timeline:
        record = self.record
        results = [(self._title(name), [self._result(one) for one in found]) for name, found in record.results.items()]
        diagnoses = [
            (self._title(name), [self._diagnosis(one) for one in found]) for name, found in record.diagnoses.items()
        ]
        drugs: dict[str, list[Entry]] = {}
        for one in record.medications:
            drugs.setdefault(_words(one.ingredient), []).append(self._drug(one))
        groups = (_group("Diagnoses", diagnoses), _group("Results", results), _group("Drugs", drugs.items()))
        here = {entry.reference for group in groups for row in group.rows for entry in row.entries}
        return Timeline(
            groups=tuple(group for group in groups if group.rows),
            ticks=self.axis.ticks(),
            elsewhere=tuple(self._elsewhere(here)),
            problems=tuple(one for one in record.problems if _reference(one) not in here),
        )

    # -- entries --------------------------------------------------------------------------------------------------

    def _result(self, one: Result) -> Entry:
        status = ["preliminary"] if one.preliminary else []
        status += ["done, its result is not stated"] if one.done_only else []
        status += [f"with {', '.join(one.evidence)}"] if one.evidence else []
        return self._entry(one.reference, one.day, one.written, said=said_by(one) or "recorded", status=status)

    def _diagnosis(self, one: Diagnosis) -> Entry:
        status = ["ended"] if one.ended else []
        status += ["of an encounter"] if one.encounter_only else []
        said = one.certainty + (f", since {one.onset}" if one.onset and one.onset != one.recorded else "")
        return self._entry(one.reference, one.recorded or one.onset, one.written, said=said, status=status)

    def _drug(self, one: Medication) -> Entry:
        parts = [f"{_plain(number)} {unit}" for number, unit in (
            (one.single_mg, "mg single dose"), (one.daily_mg, "mg a day"), (one.course_g, "g a course"),
        ) if number is not None]  # fmt: skip
        parts += [f"{_plain(number)} {name.replace('-', ' ')} per kg" for name, number in one.per_kg.items()]
        said = ", ".join(filter(None, (one.status, _words(one.route), *parts, _words(one.reason), one.course)))
        status = ["supply"] if one.supply else []
        status += ["found by its name"] if one.found_by_name else []
        ended = one.end is not None and one.end != one.start
        when = f"{one.start or ''} to {one.end}" if ended else one.written or str(one.start or "")
        last = one.end or (self.record.as_of if one.status in ("active", "on-hold") else None)
        return self._entry(one.reference, one.start or one.end, when, said=said, status=status, last=last)

    def _entry(
        self,
        reference: str,
        day: date | None,
        written: str,
        *,
        said: str,
        status: Sequence[str],
        last: date | None = None,
    ) -> Entry:
        problems = [one.message for one in self.problems.get(reference, ())]
        unfit = reference in self.reasons and reference not in self.used
        return Entry(
            day=day,
            when=(written.partition("T")[0] if day else written) or (str(day) if day else "undated"),
            said=said,
            reference=reference,
            status=tuple(status),
            notes=(*self.reasons.get(reference, {}), *problems),
            struck=unfit and any(self.reasons[reference].values()),
            tried=reference in self.tried,
            start=self.axis.place(day),
            end=self.axis.place(last) if last and day and last > day else None,
        )

    # -- why something was not used -------------------------------------------------------------------------------

    def _uses(self, fact: Fact) -> bool:
        return fact.value != UNKNOWN and self._kind(fact.name) != QUALITY

    def _kind(self, name: str) -> str:
        info = self.ruleset.fact_info.get(name)
        return info.kind if info is not None else ""

    def _reasons(self) -> Mapping[str, Mapping[str, bool]]:
        """Reference -> why it could not be used, and whether that speaks against the entry itself."""
        told: dict[str, dict[str, bool]] = {}
        facts: dict[tuple[str, Reason], dict[str, None]] = {}
        for fact in self.facts:
            for one in fact.evidence:
                if self._kind(fact.name) == QUALITY and fact.value != UNKNOWN:
                    told.setdefault(one.reference, {})[_words(fact.name.rpartition(".")[2])] = True
                elif fact.value == UNKNOWN and fact.reason in _WORDS:
                    facts.setdefault((one.reference, fact.reason), {})[self.ruleset.title_of(fact.name)] = None
        for (reference, reason), names in facts.items():
            shown = ", ".join(list(names)[:_FACTS]) + (
                f" and {len(names) - _FACTS} more" if len(names) > _FACTS else ""
            )
            told.setdefault(reference, {})[f"{_WORDS[reason]}: {shown}"] = reason is not Reason.OUT_OF_DATE
        return told

    def _elsewhere(self, here: Collection[str]) -> Iterator[Evidence]:
        """What reasons rest on and no row shows: the patient, resources of which only a part counts."""
        also = {other for found in self.record.results.values() for one in found for other in one.evidence}
        findings = (*self.evaluation.findings, *self.evaluation.held_back)
        because = [b for f in findings for b in (*f.because, *(b for held in f.held_back_by for b in held.because))]
        evidence = [e for fact in self.facts for e in fact.evidence] + [e for b in because for e in b.evidence]
        once = {one.reference: one for one in evidence if one.reference not in here and one.reference not in also}
        yield from once.values()

    def _title(self, concept: str) -> str:
        known = self.ruleset.facts.tables.concepts.get(concept)
        return (known.title if known is not None else "") or _words(concept)


class _Axis:
    """From the first to the last day of a record, in percent."""

    def __init__(self, record: Record) -> None:
        days = [day for day in _days(record) if day is not None]
        self.first = min(days, default=record.as_of)
        self.last = max([*days, record.as_of])
        self.length = max((self.last - self.first).days, 1)

    def place(self, day: date | None) -> float | None:
        return None if day is None else round(2 + 96 * (day - self.first).days / self.length, 2)

    def ticks(self) -> tuple[tuple[str, float], ...]:
        """New Year of each year (of every second, fifth ... where there are many); of a short record its two ends."""
        years = range(self.first.year + 1, self.last.year + 1)
        if len(years) < 2:
            ends = dict.fromkeys((self.first, self.last))
            return tuple((str(day), place) for day in ends if (place := self.place(day)) is not None)
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000, 10000) if len(years) / step <= _TICKS)
        places = ((str(year), self.place(date(year, 1, 1))) for year in years if year % step == 0)
        return tuple((year, place) for year, place in places if place is not None)


def _days(record: Record) -> Iterator[date | None]:
    for found in record.results.values():
        yield from (one.day for one in found)
    for diagnoses in record.diagnoses.values():
        yield from (one.recorded or one.onset for one in diagnoses)
    for drug in record.medications:
        yield from (drug.start, drug.end)


def _group(title: str, rows: Iterable[tuple[str, list[Entry]]]) -> Group:
    made = [Row(name, tuple(sorted(entries, key=_newest_first))) for name, entries in rows if entries]
    return Group(title, tuple(sorted(made, key=lambda row: (*_newest_first(row.entries[0])[:1], row.title))))


def _newest_first(entry: Entry) -> tuple[int, str]:
    return -entry.day.toordinal() if entry.day else 0, entry.reference


def _by_reference(problems: Iterable[Problem]) -> Mapping[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for one in problems:
        found.setdefault(_reference(one), []).append(one)
    return found


def _reference(problem: Problem) -> str:
    """The resource that a problem speaks of: the end of its place."""
    return problem.where.rpartition(": ")[2]


def _words(name: str) -> str:
    return name.replace("-", " ").replace("_", " ")


def _plain(number: Decimal) -> str:
    return f"{number:f}"
