"""A compact patient as a chart: dates, numbers with comparators, yes-no answers, diagnoses and orders.

A second reading of the clinical specification (docs/clinical). Nothing here comes from the engine. Answers are
three-valued: True, False, and None for unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

Compact = Mapping[str, Any]
Answer = bool | None

YEAR = Fraction("365.25")

HIGH = {"H", "HH", "HU", "HX"}
LOW = {"L", "LL", "LU", "LX"}
POSITIVE = {"POS", "DET", "RR", "A", "AA", "WR"} | HIGH
NEGATIVE = {"NEG", "ND", "NR", "N"}
INDETERMINATE = {"IND", "E", "I"}

YES = {"present", "positive", "detected"}
NO = {"absent", "negative", "not-detected"}

FINAL = {"final", "amended", "corrected"}
BEDSIDE = {"vc-mlkg", "fvc-pct", "fvc-l", "mip", "mep"}
PRESSURES = {"cm[H2O]": "1", "kPa": "10.19716", "mm[Hg]": "1.35951", "mbar": "1.01972"}
ENZYME = {"U/L": "1", "[IU]/L": "1", "ukat/L": "60"}

# concept -> factor of each accepted unit, lowest and highest plausible value
QUANTITIES: dict[str, tuple[dict[str, str], str, str]] = {
    "achr-binding": ({"nmol/L": "1", "pmol/mL": "1", "pmol/L": "0.001"}, "0", "5000"),
    "ck": (ENZYME, "0", "500000"),
    "alt": (ENZYME, "0", "20000"),
    "ast": (ENZYME, "0", "20000"),
    "mip": (PRESSURES, "0", "300"),
    "mep": (PRESSURES, "0", "300"),
    "snip": (PRESSURES, "0", "300"),
    "vc-mlkg": ({"mL/kg": "1"}, "0", "120"),
    "fvc-pct": ({"%": "1"}, "1", "200"),
    "fvc-l": ({"L": "1", "mL": "0.001"}, "0", "10"),
    "spo2": ({"%": "1"}, "30", "100"),
    "bicarbonate": ({"mmol/L": "1", "meq/L": "1"}, "1", "80"),
    "paco2": ({"mm[Hg]": "1", "kPa": "7.50062"}, "5", "200"),
    "rns": ({"%": "1"}, "0", "100"),
    "rns-increment": ({"%": "1"}, "0", "2000"),
    "csf-protein": ({"g/L": "1", "mg/dL": "0.01", "mg/L": "0.001"}, "0", "20"),
    "csf-wbc": ({"/uL": "1", "10*6/L": "1"}, "0", "100000"),
    "anc": ({"10*9/L": "1", "10*3/uL": "1", "/uL": "0.001"}, "0", "100"),
    "body-weight": ({"kg": "1", "[lb_av]": "0.45359237"}, "1", "400"),
    "ice-pack": ({"mm": "1", "cm": "10"}, "0", "20"),
    "weight-loss-pct": ({"%": "1"}, "0", "80"),
}
MAGNITUDES = {"mip", "mep", "snip", "rns", "rns-increment"}
NOT_DONE_AT_ZERO = {"mip", "mep", "snip", "vc-mlkg", "fvc-pct", "fvc-l"}

ANTIBODIES = {
    "achr-binding", "achr-cba", "achr-modulating", "musk-ab", "lrp4-ab", "vgcc-ab", "gm1-ab", "mag-ab", "cn1a-ab",
    "hu-ab", "myositis-ab",
}  # fmt: skip
YES_NO = (ANTIBODIES - {"achr-binding"}) | {
    "ache-response", "edrophonium", "csf-ocb", "monoclonal-protein", "lead", "hexa-deficiency", "hiv", "lyme",
    "syphilis", "hcv", "sod1-pathogenic", "c9orf72", "fus", "tardbp", "als-gene-panel", "ncs-demyelination",
    "fatigability", "ocular-weakness", "symmetric-nonfluctuating-ptosis", "proximal-leg-weakness", "areflexia",
    "autonomic-symptoms", "dm-rash", "gynecomastia", "testicular-atrophy", "perioral-fasciculation", "sensory-loss",
    "sphincter", "sustained-remission", "nonfluctuating-progression", "progression", "als-alternatives-excluded",
    "gd-enh-and-nonenh", "new-t2-lesion", "resp-symptom", "niv-in-use", "niv-declined", "gastrostomy",
    "gastrostomy-declined", "dysphagia", "sulfite-allergy", "genetic-testing-declined", "invasive-ventilation",
    "tracheostomy", "thymectomy",
}  # fmt: skip

DIAGNOSES = {
    "als", "mg", "ms", "ppms", "rrms", "pls", "pma", "sbma", "mmn", "ibm", "polymyositis", "dermatomyositis",
    "cervical-myelopathy", "lems", "thymoma", "gbs", "ild", "hospice", "gynecomastia", "autoimmune-disease", "long-qt",
    "ptosis", "diplopia", "dysphagia-dx", "resp-failure-acute",
}  # fmt: skip
DISEASES = {
    "als", "mg", "ms", "ppms", "rrms", "lems", "pls", "pma", "sbma", "mmn", "ibm", "polymyositis", "dermatomyositis",
    "cervical-myelopathy",
}  # fmt: skip
DISEASE_DRUGS = {
    "mg": {
        "pyridostigmine", "efgartigimod", "rozanolixizumab", "nipocalimab", "eculizumab", "ravulizumab", "zilucoplan",
    },
    "als": {"riluzole", "edaravone", "tofersen"},
    **dict.fromkeys(
        ("ms", "ppms", "rrms"),
        {
            "interferon-beta", "glatiramer", "ocrelizumab", "natalizumab", "fingolimod", "teriflunomide",
            "dimethyl-fumarate",
        },
    ),
}  # fmt: skip
ENDED_STATES = {"inactive", "resolved", "remission"}
TOPICAL = {"topical", "ophthalmic", "otic", "vaginal", "ophthalmic/otic"}


def exact(value: object) -> Fraction:
    return Fraction(str(value))


def is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


@dataclass(frozen=True)
class Number:
    """A value with its comparator; a question that the comparator leaves open is answered by None."""

    value: Fraction
    comparator: str = ""

    def above(self, limit: Fraction | int) -> Answer:
        match self.comparator:
            case "<" | "<=":
                return False if self.value <= limit else None
            case ">":
                return True if self.value >= limit else None
            case ">=":
                return True if self.value > limit else None
        return self.value > limit

    def at_least(self, limit: Fraction | int) -> Answer:
        match self.comparator:
            case "<":
                return False if self.value <= limit else None
            case "<=":
                return False if self.value < limit else None
            case ">" | ">=":
                return True if self.value >= limit else None
        return self.value >= limit

    def below(self, limit: Fraction | int) -> Answer:
        return negated(self.at_least(limit))

    def at_most(self, limit: Fraction | int) -> Answer:
        return negated(self.above(limit))

    def times(self, factor: Fraction) -> Number:
        return Number(self.value * factor, self.comparator)

    def over(self, other: Number) -> Number | None:
        """The quotient; none if the two comparators pull apart."""
        turned = TURNED[other.comparator]
        bounds = {side[:1] for side in (self.comparator, turned) if side}
        if not other.value or len(bounds) > 1:
            return None
        return Number(self.value / other.value, self.comparator or turned)


TURNED = {"": "", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def negated(answer: Answer) -> Answer:
    return None if answer is None else not answer


def all_of(*answers: Answer) -> Answer:
    if False in answers:
        return False
    return None if None in answers else True


def any_of(*answers: Answer) -> Answer:
    if True in answers:
        return True
    return None if None in answers else False


def day_of(written: object, now: date) -> date | None:
    """A date as written; of a bare year 1 July, of a month the 15th, but not after `now` once they have begun."""
    if written is None:
        return None
    parts = [int(part) for part in str(written)[:10].split("-")]
    if len(parts) == 3:
        return date(*parts)
    begun = date(parts[0], parts[1] if len(parts) == 2 else 1, 1)
    assumed = date(parts[0], parts[1], 15) if len(parts) == 2 else date(parts[0], 7, 1)
    return now if begun <= now < assumed else assumed


class Result:
    """One usable Observation (or what stands for one)."""

    def __init__(self, fact: Compact, day: date | None) -> None:
        self.fact = fact
        self.concept = str(fact["c"])
        self.day = day
        self.flag = str(fact.get("interp") or "")
        self.number, self.defect = self._measured()

    def get(self, key: str) -> Any:
        return self.fact.get(key)

    @property
    def value(self) -> object:
        return self.fact.get("v")

    def _raw(self) -> Number | None:
        if not is_number(self.value):
            return None
        value, comparator = exact(self.value), str(self.fact.get("cmp") or "")
        if self.concept in MAGNITUDES and value < 0:
            return Number(-value, TURNED[comparator])
        return Number(value, comparator)

    def _measured(self) -> tuple[Number | None, str]:
        """The number in its canonical unit, and what is wrong with it."""
        raw = self._raw()
        if raw is None or self.concept not in QUANTITIES:
            return raw, ""
        if self.concept in NOT_DONE_AT_ZERO and raw.value == 0:
            return None, ""
        units, lowest, highest = QUANTITIES[self.concept]
        unit = self.fact.get("u")
        if not unit:
            return None, "dq-unit-missing"
        if unit not in units:
            return None, "dq-unit-unconvertible"
        number = raw.times(exact(units[unit]))
        if not exact(lowest) <= number.value <= exact(highest):
            return None, "dq-implausible-value"
        return number, ""

    @cached_property
    def yes(self) -> Answer:
        """present, positive, detected; a value that says neither gets its meaning from the flag."""
        if self.value in YES:
            return True
        if self.value in NO:
            return False
        if self.flag in POSITIVE:
            return True
        return False if self.flag in NEGATIVE else None

    def limit(self, end: str) -> tuple[Number, Fraction] | None:
        """The number and a limit of the result's own range, in one unit; none if they cannot be compared."""
        bound, unit, raw = self.fact.get(f"ref_{end}"), self.fact.get("u"), self._raw()
        if bound is None or raw is None or not unit:
            return None
        of_bound = self.fact.get("ref_u") or unit
        units = QUANTITIES[self.concept][0] if self.concept in QUANTITIES else {}
        if unit in units and of_bound in units:
            return (self.number, exact(bound) * exact(units[of_bound])) if self.number else None
        return (raw, exact(bound)) if unit == of_bound else None

    def times_upper(self, factor: int) -> Answer:
        """Above so many times the upper limit of its own range?"""
        pair = self.limit("high")
        return pair[0].above(pair[1] * factor) if pair else None

    @property
    def is_high(self) -> Answer:
        if self.flag in HIGH:
            return True
        return False if self.flag in LOW | NEGATIVE else self.times_upper(1)

    @property
    def is_low(self) -> Answer:
        if self.flag in LOW:
            return True
        if self.flag in HIGH | NEGATIVE:
            return False
        pair = self.limit("low")
        return pair[0].below(pair[1]) if pair else None


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
        if kind in ("MedicationRequest", "MedicationStatement", "MedicationDispense", "Immunization"):
            self._file_order(fact)
        elif kind == "Procedure" and concept == "plasma-exchange":
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
        """The answer of the newest day that has one; of several on a day the alarming one."""
        for _, results in self.by_day(concept, since, None, start):
            answers = {question(result) for result in results} - {None}
            if answers:
                return alarm if alarm in answers else not alarm
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
            found = [value for value in ("compression", "abnormal", "other", "normal") if value in {r.value for r in results}]
            if found:
                return found[0]
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
        """An election in force: the newest entry is confirmed and not revoked."""
        diagnosis = self.diagnosis("hospice")
        if not diagnosis.confirmed:
            return False
        newest = [
            entry for entry in diagnosis.confirmed_entries
            if (self.recorded_on(entry) or date.min) == (diagnosis.recorded or date.min)
        ]  # fmt: skip
        return any(entry.get("clin") not in ENDED_STATES for entry in newest)

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
