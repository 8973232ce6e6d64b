"""Neuromuscular junction: phenotype, decrement, jitter, drug response, increment (nmj-evidence)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from als import Als
from chart import Chart
from reading import Answer, Number, Result, any_of, exact
from signs import Signs

FACE = {"nasalis", "orbicularis-oculi", "frontalis", "orbicularis-oris"}


@dataclass(frozen=True)
class Junction:
    ocular: Answer
    ocular_day: date | None
    fluctuating: bool                # O
    phenotype: Answer                # F
    specific: bool                   # Es
    nonspecific: bool                # En
    ache: Answer
    response: bool                   # P
    increment_60: bool
    increment_100: bool
    tested: bool
    normal_in_weak_muscle: bool


def read_junction(chart: Chart, signs: Signs, als: Als) -> Junction:
    ocular, ocular_day, _ = chart.newest_answer("ocular-weakness")
    if not chart.recorded("ocular-weakness"):
        ptosis = any(chart.confirmed(concept) for concept in ("ptosis", "diplopia"))
        ocular, ocular_day = (True if ptosis else None), None
    fluctuates = ocular is True and _component(chart, "ocular-weakness", "fluctuating")
    neurogenic = als.in_play or bool(signs.any or signs.emg)
    rns, sfemg = _rns_by_muscle(chart), _sfemg_by_muscle(chart)
    specific = nonspecific = False
    for muscle, (abnormal, denervated) in rns.items():
        is_specific = not neurogenic or (muscle in FACE and denervated is not True)
        specific, nonspecific = specific or (abnormal and is_specific), nonspecific or (abnormal and not is_specific)
    for abnormal, denervated, _ in sfemg.values():
        is_specific = not neurogenic or denervated is False
        specific, nonspecific = specific or (abnormal and is_specific), nonspecific or (abnormal and not is_specific)
    ache = any_of(chart.yes("ache-response"), chart.yes("edrophonium"))
    if ache is None and False in (chart.yes("ache-response"), chart.yes("edrophonium")):
        ache = False
    increments = [r.number for r in chart.results("rns-increment") if r.number]
    return Junction(
        ocular=ocular,
        ocular_day=ocular_day,
        fluctuating=fluctuates,
        phenotype=True if fluctuates else chart.yes("fatigability"),
        specific=specific,
        nonspecific=nonspecific,
        ache=ache,
        response=ache is True or chart.at_least("ice-pack", 2) is True,
        increment_60=any(n.at_least(60) for n in increments),
        increment_100=any(n.at_least(100) for n in increments),
        tested=any(readable(r) for r in chart.results("rns")) or chart.recorded("sfemg") or _nmj_study(chart),
        normal_in_weak_muscle=any(not abnormal and weak is True for abnormal, _, weak in sfemg.values()),
    )


def _nmj_study(chart: Chart) -> bool:
    """Done; a Procedure that was not done is none."""
    return any(r.yes is not False for r in chart.results("nmj-study"))


def _component(chart: Chart, concept: str, key: str) -> bool:
    """The attribute on the newest day whose present result states it; undated ones only where none is dated."""
    days = chart.by_day(concept)
    dated = any(day and any(r.yes is not None for r in results) for day, results in days)
    for day, results in days:
        stated = {r.get(key) for r in results if r.yes and r.get(key) is not None}
        if stated and (day or not dated):
            return True in stated
    return False


def readable(result: Result) -> bool:
    """A rate of 2-5 Hz, a usable decrement, not exactly 10 %."""
    rate = result.get("hz")
    return rate is not None and 2 <= exact(rate) <= 5 and result.number not in (None, Number(Fraction(10)))


def decrement(result: Result) -> Answer:
    """Abnormal, normal, or undecided."""
    if not readable(result) or result.number is None:
        return None
    if result.number.above(10):
        return True
    return False if result.number.below(10) else None


def _stated(results: list[Result], key: str) -> Answer:
    """An attribute of the muscle by the results of one day: true if one says so."""
    stated = {r.get(key) for r in results} - {None}
    return True in stated if stated else None


def _rns_by_muscle(chart: Chart) -> dict[object, tuple[bool, Answer]]:
    """muscle -> abnormal, denervated; by its newest readable day, of one day the larger decrement."""
    found: dict[object, tuple[bool, Answer]] = {}
    for muscle in {r.get("muscle") for r in chart.results("rns")}:
        for _, results in chart.by_day("rns"):
            decided = [r for r in results if r.get("muscle") == muscle and decrement(r) is not None]
            if decided:
                found[muscle] = any(decrement(r) for r in decided), _stated(decided, "denervated")
                break
    return found


def _sfemg_by_muscle(chart: Chart) -> dict[object, tuple[bool, Answer, Answer]]:
    """muscle -> abnormal, denervated, weak; by its newest result, abnormal before normal."""
    found: dict[object, tuple[bool, Answer, Answer]] = {}
    for muscle in {r.get("muscle") for r in chart.results("sfemg")}:
        for _, results in chart.by_day("sfemg"):
            coded = [r for r in results if r.get("muscle") == muscle and r.value in ("normal", "abnormal")]
            if coded:
                abnormal = any(r.value == "abnormal" for r in coded)
                found[muscle] = abnormal, _stated(coded, "denervated"), _stated(coded, "weak")
                break
    return found
