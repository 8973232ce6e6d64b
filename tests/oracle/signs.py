"""Upper and lower motor neuron signs by body region (sections 1.6 and the rules umn-by-region, lmn-by-region)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import combinations

from chart import Chart
from reading import Answer, Result

REGIONS = ("bulbar", "cervical", "thoracic", "lumbosacral")
LIMBS = ("cervical", "lumbosacral")

# muscle -> nerve, main roots
MUSCLES: dict[str, tuple[str, set[str]]] = {
    "deltoid": ("axillary", {"C5", "C6"}),
    "biceps": ("musculocutaneous", {"C5", "C6"}),
    "triceps": ("radial", {"C7"}),
    "edc": ("radial", {"C7"}),
    "eip": ("radial", {"C8"}),
    "pronator-teres": ("median", {"C6", "C7"}),
    "fdi": ("ulnar", {"C8", "T1"}),
    "adm": ("ulnar", {"C8", "T1"}),
    "apb": ("median", {"C8", "T1"}),
    "iliopsoas": ("lumbar plexus", {"L2", "L3"}),
    "vastus-lateralis": ("femoral", {"L3", "L4"}),
    "ta": ("peroneal", {"L5"}),
    "ehl": ("peroneal", {"L5"}),
    "gluteus-medius": ("superior gluteal", {"L5"}),
    "gastrocnemius": ("tibial", {"S1"}),
    "biceps-femoris": ("sciatic", {"S1"}),
}
REGION_OF = {
    **dict.fromkeys(
        ("deltoid", "biceps", "triceps", "edc", "eip", "pronator-teres", "fdi", "adm", "apb", "trapezius"), "cervical",
    ),
    **dict.fromkeys(
        ("iliopsoas", "vastus-lateralis", "ta", "ehl", "gluteus-medius", "gastrocnemius", "biceps-femoris"),
        "lumbosacral",
    ),
    **dict.fromkeys(
        ("tongue", "masseter", "nasalis", "orbicularis-oculi", "frontalis", "orbicularis-oris"), "bulbar",
    ),
    "thoracic-paraspinal": "thoracic",
}


@dataclass(frozen=True)
class Signs:
    """What the signs of a chart (or those after a day) say."""

    umn: frozenset[str]                # U
    umn_now: frozenset[str]            # U-now
    umn_sign: bool
    umn_denied: bool
    umn_none: Answer
    clin: frozenset[str]
    gc: frozenset[str]
    awaji: frozenset[str]
    any: frozenset[str]
    emg: frozenset[str]
    limbs: int                         # limbs with two El Escorial muscles
    denervation: bool
    motor_evidence: bool
    conflict: bool
    unmapped: bool

    @property
    def none_stands(self) -> bool:
        """No UMN sign stands."""
        return not self.umn_now and self.umn_none is not False

    @property
    def motor(self) -> bool:
        """The motor leg of Gold Coast."""
        return bool(self.umn and self.gc) or len(self.gc) >= 2


def read_signs(chart: Chart, after: date | None = None) -> Signs:
    """All signs; with a day, only those dated after it."""
    def later(results: Iterable[Result]) -> list[Result]:
        return [r for r in results if after is None or (r.day is not None and r.day > after)]

    umn, umn_conflict = _without_conflicts(later(chart.results("umn-sign")), with_type=True)
    lmn, lmn_conflict = _without_conflicts(later(chart.results("lmn-sign")), with_type=False)
    present, absent = [s for s in umn if s.yes], [s for s in umn if s.yes is False]
    placed = [s for s in present if s.get("region") in REGIONS]
    unplaced = [s for s in present if s.get("region") not in REGIONS]
    regions = frozenset(s.get("region") for s in placed)
    now = frozenset(s.get("region") for s in placed if not any(_denies(no, s) for no in absent))
    denied = bool(regions) and not now and not unplaced
    lmn_present = [s for s in lmn if s.yes]
    return Signs(
        umn=regions,
        umn_now=now,
        umn_sign=bool(present),
        umn_denied=denied,
        umn_none=_none(bool(now or unplaced), denied, {s.get("region") for s in absent}),
        conflict=umn_conflict or lmn_conflict,
        unmapped=bool(unplaced) or any(s.get("region") not in REGIONS for s in lmn_present),
        **_lower([s for s in lmn_present if s.get("region") in REGIONS], later(chart.results("emg-muscle")),
                 bool(present)),
    )


def _without_conflicts(signs: list[Result], *, with_type: bool) -> tuple[list[Result], bool]:
    """The signs without those present and absent for one region (and sign type) on one day."""
    def key(sign: Result) -> tuple[object, ...]:
        return sign.day, sign.get("region"), sign.get("sign") if with_type else None

    answers: dict[tuple[object, ...], set[Answer]] = {}
    for sign in signs:
        answers.setdefault(key(sign), set()).add(sign.yes)
    both = {place for place, said in answers.items() if place[0] and {True, False} <= said}
    return [sign for sign in signs if key(sign) not in both], bool(both)


def _denies(absent: Result, present: Result) -> bool:
    """A later absence of the same region or the whole body, and of the same sign type or of none."""
    return (
        absent.day is not None
        and present.day is not None
        and absent.day > present.day
        and absent.get("region") in ("any", present.get("region"))
        and absent.get("sign") in (None, present.get("sign"))
    )


def _none(stands: bool, denied: bool, absent: set[object]) -> Answer:
    if stands:
        return False
    if denied:
        return None
    return True if "any" in absent or {"cervical", "lumbosacral"} <= absent else None


def _lower(signs: list[Result], muscles: list[Result], umn_sign: bool) -> dict[str, object]:
    emg, awaji_emg, limbs, awaji_regions = _needle(muscles)
    clin, any_, gc, one_muscle = set(), set(awaji_emg), set(awaji_emg), set()
    for sign in signs:
        region = sign.get("region")
        weak, wasted, fasc = (sign.get(key) is True for key in ("weakness", "atrophy", "fasc"))
        if wasted or (weak and (fasc or sign.get("hyporeflexia") is True)):
            clin.add(region)
        if weak or wasted or fasc:
            any_.add(region)
        if weak and wasted:
            count = sign.get("muscles") or 1
            (gc if count >= 2 or region not in LIMBS else one_muscle).add(region)
    gc |= one_muscle & awaji_regions
    denervation = bool(awaji_regions)
    return {
        "clin": frozenset(clin),
        "gc": frozenset(gc),
        "awaji": frozenset(clin | awaji_emg),
        "any": frozenset(any_),
        "emg": frozenset(emg),
        "limbs": limbs,
        "denervation": denervation,
        "motor_evidence": umn_sign and (bool(any_) or denervation),
    }


def _needle(muscles: list[Result]) -> tuple[set[str], set[str], int, set[str]]:
    """L-emg, L-emg-awaji, the number of El Escorial limbs, and the regions with any Awaji muscle."""
    escorial: dict[str, set[tuple[object, str]]] = {}
    awaji: dict[str, set[tuple[object, str]]] = {}
    for result in muscles:
        muscle = str(result.get("muscle"))
        region = result.get("region") or REGION_OF.get(muscle)
        if result.get("chronic") is not True or region not in REGIONS:
            continue
        place = (result.get("side"), muscle)
        if result.get("fib_psw") is True:
            escorial.setdefault(region, set()).add(place)
        if result.get("fib_psw") is True or result.get("fasc_pot") is True:
            awaji.setdefault(region, set()).add(place)
    limbs = sum(
        _pair(muscle for on, muscle in escorial.get(region, ()) if on == side)
        for region in LIMBS
        for side in {on for on, _ in escorial.get(region, ())}
    )
    return _involved(escorial), _involved(awaji), limbs, set(awaji)


def _involved(active: dict[str, set[tuple[object, str]]]) -> set[str]:
    return {region for region, places in active.items() if region not in LIMBS or _pair(m for _, m in places)}


def _pair(muscles: Iterable[str]) -> bool:
    """Two muscles of different nerve and disjoint roots."""
    known = {m for m in muscles if m in MUSCLES}
    return any(
        MUSCLES[a][0] != MUSCLES[b][0] and not MUSCLES[a][1] & MUSCLES[b][1] for a, b in combinations(sorted(known), 2)
    )
