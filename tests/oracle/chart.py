"""A compact patient as a chart: results by day, diagnoses, orders (sections 1.2, 1.3, 1.7 and 1.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from reading import YEAR, Answer, Compact, Result, day_of

FINAL = {"final", "amended", "corrected"}
BEDSIDE = {"vc-mlkg", "fvc-pct", "fvc-l", "mip", "mep"}
DIAGNOSES = {
    "als", "mg", "ms", "ppms", "rrms", "pls", "pma", "sbma", "mmn", "ibm", "polymyositis", "dermatomyositis",
    "cervical-myelopathy", "lems", "thymoma", "gbs", "ild", "hospice", "gynecomastia", "autoimmune-disease", "long-qt",
    "ptosis", "diplopia", "dysphagia-dx", "resp-failure-acute",
}  # fmt: skip
DISEASES = {
    "als", "mg", "ms", "ppms", "rrms", "lems", "pls", "pma", "sbma", "mmn", "ibm", "polymyositis", "dermatomyositis",
    "cervical-myelopathy",
}  # fmt: skip
MS_DRUGS = frozenset({
    "interferon-beta", "glatiramer", "ocrelizumab", "natalizumab", "fingolimod", "teriflunomide", "dimethyl-fumarate",
})  # fmt: skip
DISEASE_DRUGS = {
    "mg": {
        "pyridostigmine", "efgartigimod", "rozanolixizumab", "nipocalimab", "eculizumab", "ravulizumab", "zilucoplan",
    },
    "als": {"riluzole", "edaravone", "tofersen"},
    **dict.fromkeys(("ms", "ppms", "rrms"), MS_DRUGS),
}  # fmt: skip
ENDED_STATES = {"inactive", "resolved", "remission"}
ORDERS = {"MedicationRequest", "MedicationStatement", "MedicationDispense", "Immunization"}
TOPICAL = {"topical", "ophthalmic", "otic", "vaginal", "ophthalmic/otic"}


Question = Callable[[Result], Answer]


@dataclass(frozen=True)
class Diagnosis:
    """All entries of one Condition concept, with the state that the newest of them give."""

    entries: tuple[Compact, ...]
    state: str | None                # confirmed, suspected, refuted, unknown (contradictory); None: no entry
    conflict: bool
    onset: date | None               # earliest onset, else recorded date; refuted entries left out
    recorded: date | None            # newest recorded date
    confirmed_entries: tuple[Compact, ...]

    @property
    def confirmed(self) -> bool:
        return self.state == "confirmed"

    @property
    def refuted(self) -> bool:
        return self.state == "refuted"

    @property
    def held(self) -> bool:
        """Confirmed or suspected."""
        return self.state in ("confirmed", "suspected")


def certainty(entry: Compact) -> str:
    return {"confirmed": "confirmed", "refuted": "refuted"}.get(str(entry.get("ver") or "confirmed"), "suspected")


@dataclass(frozen=True)
class Order:
    """One medication resource; `kind` is its resource type."""

    fact: Compact
    drug: str
    kind: str
    status: str
    start: date | None
    end: date | None
    days: int | None                 # since the start
    days_ended: int | None           # since the end, else the start
    now: date

    def get(self, key: str) -> Any:
        return self.fact.get(key)

    @property
    def draft(self) -> bool:
        return self.status == "draft"

    @property
    def ordered(self) -> bool:
        return self.status in ("active", "on-hold", "draft")

    @property
    def recently_completed(self) -> bool:
        return self.status == "completed" and self.days_ended is not None and self.days_ended <= 90

    @property
    def supplied(self) -> bool:
        return self.kind != "MedicationRequest" and self.recently_completed

    @property
    def taken(self) -> bool:
        return self.status == "active" or self.recently_completed

    @property
    def in_play(self) -> bool:
        """What pairs of drugs and the riluzole rules read."""
        return self.taken or self.ordered

    @property
    def given(self) -> bool:
        """Ever exposed."""
        held = self.status == "on-hold" and self.start is not None and self.start <= self.now
        return self.status in ("active", "completed", "stopped") or held

    @property
    def new(self) -> bool:
        return self.draft or (self.days is not None and self.days <= 30)

    @property
    def topical(self) -> bool:
        return self.fact.get("route") in TOPICAL


class Chart:
    """One patient at one day."""

    def __init__(self, case: Compact) -> None:
        self.now = day_of(case["now"], date.max) or date.max
        patient = case.get("patient") or {}
        self.full = case.get("scope") == "full"
        self.sex = patient.get("sex")
        self.deceased = bool(patient.get("deceased"))
        born = day_of(patient.get("birth"), self.now)
        self.age_days = None if born is None else (self.now - born).days
        minor = self.age_days is not None and self.age_days < 18 * YEAR
        self.restricted = minor or patient.get("active") is False
        self._results: dict[str, list[Result]] = {}
        self._entries: dict[str, list[Compact]] = {}
        self.orders: list[Order] = []
        for fact in case.get("facts") or ():
            self._file(fact)
        for results in self._results.values():
            results.sort(key=lambda result: result.day or date.min, reverse=True)

    def _file(self, fact: Compact) -> None:
        kind, concept = fact["r"], fact["c"]
        if kind in ORDERS or concept == "plasma-exchange":
            self._file_order(fact)
        elif kind == "Condition" and concept in DIAGNOSES:
            if fact.get("ver") != "entered-in-error":
                self._entries.setdefault(concept, []).append(fact)
        elif kind == "Condition":
            answers = {"confirmed": "present", "refuted": "absent"}
            answer = answers.get(str(fact.get("ver") or "confirmed"))
            if answer:
                self._file_result({"c": concept, "v": answer, "d": fact.get("rec")})
        elif kind == "Procedure":
            self._file_procedure(fact)
        else:
            self._file_result(fact)

    def _file_procedure(self, fact: Compact) -> None:
        given = {"absent": "not-done"}.get(str(fact.get("v")), "completed")
        status = fact.get("status") or given
        if fact["c"] == "niv-in-use" and status != "in-progress":
            return
        if status == "not-done":
            self._file_result({**fact, "v": "absent", "status": "final"})
        elif status in ("in-progress", "completed"):
            self._file_result({**fact, "v": "present", "status": "final"})

    def _file_result(self, fact: Compact) -> None:
        status, concept = fact.get("status") or "final", str(fact["c"])
        if status not in FINAL and not (status == "preliminary" and concept in BEDSIDE):
            return
        day = day_of(fact.get("d"), self.now)
        if day is None or day <= self.now:
            self._results.setdefault(concept, []).append(Result(fact, day))

    def _file_order(self, fact: Compact) -> None:
        kind = fact["r"]
        usual = "active" if kind in ("MedicationRequest", "MedicationStatement") else "completed"
        status = fact.get("status") or usual
        if kind == "Procedure":
            status = {"preparation": "draft", "in-progress": "active"}.get(status, status)
        if fact.get("doNotPerform") or fact.get("minor"):
            return
        if status not in ("active", "on-hold", "draft", "completed", "stopped"):
            return
        start, end = day_of(fact.get("start"), self.now), day_of(fact.get("end"), self.now)
        last = end or start
        self.orders.append(
            Order(fact, fact["c"], kind, status, start, end, self.ago(start), self.ago(last), self.now),
        )

    def ago(self, day: date | None) -> int | None:
        return None if day is None else (self.now - day).days

    # ---- results

    def results(self, concept: str) -> list[Result]:
        """Usable results, newest first, undated ones last."""
        return self._results.get(concept, [])

    def recorded(self, *concepts: str) -> bool:
        return any(self.results(concept) for concept in concepts)

    def by_day(
        self, concept: str, since: int | None = None, after: date | None = None, start: date | None = None,
    ) -> list[tuple[date | None, list[Result]]]:
        """Results grouped by day, newest day first; with a window, a start or a day they must be dated later than,
        undated results are left out."""
        timed = since is not None or after is not None or start is not None
        days: dict[date | None, list[Result]] = {}
        for result in self.results(concept):
            day = result.day
            if timed and (
                day is None
                or (since is not None and (self.now - day).days > since)
                or (after is not None and day <= after)
                or (start is not None and day < start)
            ):
                continue
            days.setdefault(day, []).append(result)
        return list(days.items())

    def ask(
        self, concept: str, question: Question, since: int | None = None, start: date | None = None, alarm: bool = True,
    ) -> Answer:
        """The answer of the newest day that has one; of several on a day the alarming one.

        A dated result always wins over undated ones, also where its comparator leaves the question open.
        """
        open_ = False
        for day, results in self.by_day(concept, since, None, start):
            answers = {question(result) for result in results} - {None}
            if answers and not (day is None and open_):
                return alarm if alarm in answers else not alarm
            open_ = open_ or any(question(result.without_comparator()) is not None for result in results)
        return None

    def below(self, concept: str, limit: Fraction | int, since: int | None = None) -> Answer:
        return self.ask(concept, lambda result: result.number.below(limit) if result.number else None, since)

    def above(self, concept: str, limit: Fraction | int, since: int | None = None) -> Answer:
        return self.ask(concept, lambda result: result.number.above(limit) if result.number else None, since)

    def at_least(self, concept: str, limit: Fraction | int, since: int | None = None) -> Answer:
        return self.ask(concept, lambda result: result.number.at_least(limit) if result.number else None, since)

    def newest_answer(self, concept: str) -> tuple[Answer, date | None, bool]:
        """Yes, no or unknown by the newest usable day, that day, and whether it contradicts itself."""
        for day, results in self.by_day(concept):
            answers = {result.yes for result in results} - {None}
            if answers:
                conflict = len(answers) > 1
                return (None if conflict else answers.pop()), day, conflict
        return None, None, False

    def yes(self, concept: str) -> Answer:
        return self.newest_answer(concept)[0]

    def yes_after(self, concept: str, day: date) -> bool:
        """Does the newest result say yes, and is it dated after that day?"""
        answer, newest, _ = self.newest_answer(concept)
        return bool(answer and newest and newest > day)

    def ever(self, concept: str, after: date | None = None) -> bool:
        """Is there a yes that no result of its day contradicts, dated later than the given day?"""
        for day, results in self.by_day(concept, after=after):
            answers = {result.yes for result in results} - {None}
            if True in answers and (answers == {True} or day is None):
                return True
        return False

    def newest_values(self, concept: str, since: int | None = None) -> set[object]:
        """The coded values of the newest day that has any."""
        for _, results in self.by_day(concept, since):
            values = {result.value for result in results if result.value is not None}
            if values:
                return values
        return set()

    @property
    def emg_done(self) -> bool:
        """EMG or NCS; a Procedure that was not done is none."""
        return self.recorded("emg-muscle") or any(r.yes is not False for r in self.results("edx-study"))

    def mri(self, concept: str) -> str:
        """The newest MRI; of one day compression before abnormal before other before normal."""
        for _, results in self.by_day(concept):
            values = {r.value for r in results}
            for value in ("compression", "abnormal", "other", "normal"):
                if value in values:
                    return value
        return ""

    # ---- diagnoses

    def diagnosis(self, concept: str) -> Diagnosis:
        if concept not in self._diagnoses:
            self._diagnoses[concept] = self._diagnose(concept)
        return self._diagnoses[concept]

    @cached_property
    def _diagnoses(self) -> dict[str, Diagnosis]:
        return {}

    def known_diagnoses(self) -> Iterable[str]:
        return self._entries

    def recorded_on(self, entry: Compact) -> date | None:
        return day_of(entry.get("rec"), self.now)

    def began(self, entry: Compact) -> date | None:
        """The onset, else the recorded date."""
        return day_of(entry.get("onset"), self.now) or self.recorded_on(entry)

    def _diagnose(self, concept: str) -> Diagnosis:
        entries = tuple(self._entries.get(concept, ()))
        if not entries:
            return Diagnosis((), None, False, None, None, ())
        newest = max((self.recorded_on(entry) or date.min) for entry in entries)
        states = {certainty(entry) for entry in entries if (self.recorded_on(entry) or date.min) == newest}
        conflict = "refuted" in states and len(states) > 1
        state = "unknown" if conflict else "confirmed" if "confirmed" in states else states.pop()
        confirmed = tuple(entry for entry in entries if certainty(entry) == "confirmed")
        if state == "confirmed" and concept in DISEASES and self._only_coded(concept, confirmed):
            state = "suspected"
        onsets = [day for entry in entries if certainty(entry) != "refuted" and (day := self.began(entry))]
        recorded = None if newest == date.min else newest
        return Diagnosis(entries, state, conflict, min(onsets, default=None), recorded, confirmed)

    def _only_coded(self, concept: str, confirmed: tuple[Compact, ...]) -> bool:
        """A rule-out code: encounter diagnoses alone, close together, and never a drug of the disease."""
        if any(entry.get("cat") != "encounter-diagnosis" for entry in confirmed):
            return False
        days = [day for entry in confirmed if (day := self.recorded_on(entry))]
        if days and max(days) - min(days) >= timedelta(days=30):
            return False
        drugs = DISEASE_DRUGS.get(concept, set())
        return not any(order.given and order.drug in drugs for order in self.orders)

    def confirmed(self, concept: str) -> bool:
        return self.diagnosis(concept).confirmed

    @cached_property
    def hospice(self) -> bool:
        """An election in force: the newest entry is confirmed, and nothing of its day revokes it."""
        diagnosis = self.diagnosis("hospice")
        if not diagnosis.confirmed:
            return False
        newest = [
            entry for entry in diagnosis.entries
            if (self.recorded_on(entry) or date.min) == (diagnosis.recorded or date.min)
        ]  # fmt: skip
        return all(entry.get("clin") not in ENDED_STATES for entry in newest)

    def older_than(self, years: int) -> Answer:
        return None if self.age_days is None else self.age_days > years * YEAR

    def at_least_years(self, years: int) -> Answer:
        return None if self.age_days is None else self.age_days >= years * YEAR


class Issues(dict[str, tuple[str, str]]):
    """issue -> severity and display; of several the highest severity, then the most prominent display."""

    SEVERITIES = ("high", "moderate", "low")
    DISPLAYS = ("interruptive", "warning", "information", "batch-only")
    USUAL: Mapping[str, str] = {"high": "warning", "moderate": "warning", "low": "information"}

    def raise_(self, issue: str, severity: str, display: str = "") -> None:
        found = (severity, display or self.USUAL[severity])
        if issue not in self or self._rank(found) < self._rank(self[issue]):
            self[issue] = found

    def _rank(self, found: tuple[str, str]) -> tuple[int, int]:
        return self.SEVERITIES.index(found[0]), self.DISPLAYS.index(found[1])
