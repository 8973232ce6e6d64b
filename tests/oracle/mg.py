"""AChR, neuromuscular junction, MG criteria, the ALS-MG outcome and the MG risk (sections 1.5, 5.4; achr-*, mg-*)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from als import Als
from reading import (
    ANTIBODIES,
    INDETERMINATE,
    NEGATIVE,
    NO,
    POSITIVE,
    YES,
    Answer,
    Chart,
    Issues,
    Number,
    Result,
    any_of,
    exact,
)
from signs import Signs

FACE = {"nasalis", "orbicularis-oculi", "frontalis", "orbicularis-oris"}
IMMUNOSUPPRESSANTS = {
    "prednisone", "prednisolone", "methylprednisolone", "dexamethasone", "azathioprine", "mycophenolate",
    "methotrexate", "tacrolimus", "ciclosporin", "rituximab", "inebilizumab", "cyclophosphamide", "eculizumab",
    "ravulizumab", "zilucoplan", "efgartigimod", "rozanolixizumab", "nipocalimab",
}  # fmt: skip
IMMUNOTHERAPY = IMMUNOSUPPRESSANTS | {"ivig", "plasma-exchange"}
OVERLAP = {"definite", "probable", "possible", "documented"}


# ---- AChR

def classify(result: Result) -> tuple[str, bool]:
    """positive, negative, equivocal or unknown; and whether flag and range contradict each other."""
    by_flag = (
        "positive" if result.flag in POSITIVE
        else "negative" if result.flag in NEGATIVE
        else "equivocal" if result.flag in INDETERMINATE
        else ""
    )  # fmt: skip
    pair = result.limit("high")
    above = pair[0].above(pair[1]) if pair else None
    by_range = {True: "positive", False: "negative", None: ""}[above]
    if by_flag:
        opposite = {by_flag, by_range} == {"positive", "negative"}
        return ("equivocal", True) if opposite else (by_flag, False)
    if result.value in YES:
        return "positive", False
    if result.value in NO:
        return "negative", False
    if result.value == "equivocal":
        return "equivocal", False
    if result.get("ref_high") is not None:
        return by_range or "unknown", False
    if result.number is None:
        return "unknown", False
    if result.number.at_least(exact("0.5")):
        return "positive", False
    if result.number.at_most(exact("0.02")):
        return "negative", False
    between = result.number.at_least(exact("0.5")) is False and result.number.at_most(exact("0.02")) is False
    return ("equivocal" if between else "unknown"), False


@dataclass(frozen=True)
class Achr:
    recorded: bool
    ever: bool
    transient: bool
    confirmed: bool
    late_negative: bool
    negative: bool
    equivocal: bool
    conflict_only: bool
    other_assay: bool                # a cell-based or modulating assay is positive
    first: date | None
    newest: date | None              # newest dated positive of any assay
    conflict: bool                   # dq-conflicting-results

    @property
    def positive(self) -> bool:
        return self.ever and not self.transient


def read_achr(chart: Chart) -> Achr:
    kinds = [(result, *classify(result)) for result in chart.results("achr-binding")]
    positives = [r for r, kind, _ in kinds if kind == "positive"]
    negatives = [r for r, kind, _ in kinds if kind == "negative"]
    negative_days = {r.day for r in negatives if r.day}
    both_days = {r.day for r in positives if r.day} & negative_days
    plain = [r for r in positives if r.day not in both_days]
    dated = sorted({r.day for r in plain if r.day})
    assays = {
        concept: [r for r in chart.results(concept) if r.yes] for concept in ("achr-cba", "achr-modulating")
    }
    other = any(assays.values())
    late = bool(dated) and not other and any(
        r.day and r.day > dated[-1] and not immunotherapy_explains(chart, r.day) for r in negatives
    )
    ever = bool(positives) or other
    transient = bool(
        chart.full and not both_days and dated and negative_days and not other and _transient(chart, plain, negatives)
    )
    assays_positive = bool(plain) + sum(bool(_uncontradicted(chart, concept)) for concept in assays)
    repeated = bool(dated) and (dated[-1] - dated[0]).days >= 28 and not late
    others = [r for found in assays.values() for r in found]
    days = dated + [r.day for concept in assays for r in _uncontradicted(chart, concept) if r.day]
    return Achr(
        recorded=chart.recorded("achr-binding", "achr-cba", "achr-modulating"),
        ever=ever,
        transient=transient,
        confirmed=ever and not transient and (repeated or assays_positive >= 2),
        late_negative=late,
        negative=not ever and (bool(negatives) or any(r.yes is False for r in chart.results("achr-cba"))),
        equivocal=not ever and any(kind == "equivocal" for _, kind, _ in kinds),
        conflict_only=bool(positives) and not plain and not other,
        other_assay=other,
        first=min(days, default=None),
        newest=max((r.day for r in [*positives, *others] if r.day), default=None),
        conflict=bool(both_days) or any(contradicts for _, _, contradicts in kinds),
    )


def _uncontradicted(chart: Chart, concept: str) -> list[Result]:
    """Positive results that no negative of the same day contradicts."""
    negative_days = {r.day for r in chart.results(concept) if r.yes is False and r.day}
    return [r for r in chart.results(concept) if r.yes and r.day not in negative_days]


def immunotherapy_explains(chart: Chart, negative: date) -> bool:
    for order in chart.orders:
        if order.drug not in IMMUNOTHERAPY or order.topical or not order.given:
            continue
        until_now = order.status in ("active", "on-hold")
        begun = order.start is None or order.start <= negative
        ended = None if until_now else order.end
        if begun and (ended is None or (negative - ended).days <= 365):
            return True
    return False


def _transient(chart: Chart, positives: list[Result], negatives: list[Result]) -> bool:
    first = max(r.day for r in positives if r.day)
    last = max(r.day for r in negatives if r.day)
    if (last - first).days < 28 or immunotherapy_explains(chart, last):
        return False
    thymectomies = [r.day for r in chart.results("thymectomy") if r.yes]
    if any(day is None or first <= day <= last for day in thymectomies):
        return False
    made = {(r.get("lab"), r.get("method")) for r in positives if r.day == first}
    made |= {(r.get("lab"), r.get("method")) for r in negatives if r.day == last}
    return len(made) == 1 and all(made.pop())


# ---- neuromuscular junction

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


# ---- criteria, outcome, risk

@dataclass(frozen=True)
class Mg:
    achr: Achr
    nmj: Junction
    musk: Answer
    confirmed: bool
    held: bool                       # confirmed or suspected
    refuted: bool                    # and not re-opened
    entered: bool                    # any entry
    in_force: bool                   # an entry that is neither contradictory nor re-opened
    lems_evidence: bool
    lems_block: bool
    criteria: str
    outcome: str
    complete_negative: bool
    likely: bool                     # mg-likely-not-recorded
    risk: str

    @property
    def overlap(self) -> bool:
        return self.outcome in OVERLAP


def read_mg(chart: Chart, signs: Signs, als: Als) -> Mg:
    achr, nmj = read_achr(chart), read_junction(chart, signs, als)
    entry, musk = chart.diagnosis("mg"), chart.yes("musk-ab")
    refuted = entry.refuted and not _reopened(chart, entry.recorded or date.min, achr)
    other_lems = chart.confirmed("lems") or (nmj.increment_60 and not als.in_play)
    vgcc = chart.yes("vgcc-ab") is True
    evidence = other_lems or vgcc
    block = other_lems or (vgcc and not achr.confirmed and musk is not True)
    criteria = _criteria(chart, achr, nmj, musk, als, block)
    outcome = _outcome(chart, signs, als, achr, nmj, musk, block, refuted)
    likely = _likely(chart, als, achr, nmj, musk, block)
    return Mg(
        achr=achr, nmj=nmj, musk=musk, confirmed=entry.confirmed, held=entry.held, refuted=refuted,
        entered=bool(entry.entries), in_force=entry.held or refuted, lems_evidence=evidence, lems_block=block,
        criteria=criteria, outcome=outcome, complete_negative=_complete_negative(achr, nmj, musk), likely=likely,
        risk=_risk(entry, refuted, criteria, outcome, achr, musk, evidence, likely),
    )  # fmt: skip


def _reopened(chart: Chart, refuted_on: date, achr: Achr) -> bool:
    newer_antibody = achr.newest is not None and achr.newest > refuted_on
    signs = ("musk-ab", "fatigability", "ocular-weakness")
    return newer_antibody or any(chart.yes_after(concept, refuted_on) for concept in signs)


def _criteria(chart: Chart, achr: Achr, nmj: Junction, musk: Answer, als: Als, block: bool) -> str:
    if nmj.phenotype is not True or block:
        return "none"
    if als.in_play:
        strong = achr.confirmed or musk is True
        lines = strong + nmj.specific + nmj.response
        return "definite" if strong and lines >= 2 else "probable" if lines >= 2 else "possible"
    if achr.positive or musk or nmj.specific:
        return "definite"
    return "probable" if nmj.response or chart.yes("lrp4-ab") else "possible"


def _complete_negative(achr: Achr, nmj: Junction, musk: Answer) -> bool:
    return achr.negative and musk is False and nmj.tested and not nmj.specific


def _outcome(
    chart: Chart, signs: Signs, als: Als, achr: Achr, nmj: Junction, musk: Answer, block: bool, refuted: bool,
) -> str:
    """The lattice of section 5.4, line by line."""
    if als.level is None:
        return ""
    recorded = chart.confirmed("mg")
    strong = achr.confirmed or musk is True
    antibody = strong or achr.positive
    count = antibody + nmj.specific + nmj.response
    any_edx = nmj.specific or nmj.nonspecific
    motor = signs.motor_evidence
    lines = []
    if nmj.phenotype is True:
        lines += [
            ("definite", als.level >= 2 and strong and any_edx and nmj.ache is True),
            ("probable", count >= 2 and (strong or nmj.specific or nmj.fluctuating)),
            ("possible", not refuted and (count >= 1 or nmj.nonspecific or recorded)),
        ]
    else:
        doubted = nmj.phenotype is False and achr.positive and not achr.conflict_only and nmj.ocular is not True
        lines += [
            ("possible", musk is True or (achr.positive and (nmj.specific or nmj.response))),
            ("documented", nmj.phenotype is None and achr.positive and recorded),
            ("false-positive", doubted and not achr.other_assay and (als.level >= 2 or motor)),
            (
                "mimic",
                achr.positive and not achr.late_negative and als.recorded and als.level < 2 and not motor
                and not recorded,
            ),
        ]  # fmt: skip
        lines = [(name, holds and not refuted) for name, holds in lines]
    lines = [(name, holds and not block) for name, holds in lines]
    # line 6 stands among those that a LEMS block removes
    lines.append(("documented", not refuted and not block and recorded and chart.confirmed("als")))
    lines.append(("unconfirmed", not refuted and achr.ever))
    signs_of_mg = nmj.phenotype is True or nmj.ocular is True or nmj.specific or nmj.response
    negative = _complete_negative(achr, nmj, musk)
    lines.append(("fluctuating", not refuted and signs_of_mg and not recorded and not negative))
    return next((name for name, holds in lines if holds), "")


def _likely(chart: Chart, als: Als, achr: Achr, nmj: Junction, musk: Answer, block: bool) -> bool:
    if als.in_play or chart.diagnosis("mg").entries or block:
        return False
    treated = any(
        o.drug == "pyridostigmine" and o.taken and o.days is not None and o.days > 30 for o in chart.orders
    )
    sign = nmj.phenotype is True or nmj.ocular is True or any(
        chart.confirmed(concept) for concept in ("ptosis", "diplopia", "dysphagia-dx")
    )
    return (achr.positive or musk is True or treated) and sign


def _risk(
    entry: object, refuted: bool, criteria: str, outcome: str, achr: Achr, musk: Answer, lems: bool, likely: bool,
) -> str:
    if refuted:
        return "none"
    state = entry.state  # type: ignore[attr-defined]
    if state == "confirmed" or criteria in ("definite", "probable"):
        return "established"
    if outcome in ("definite", "probable", "documented"):
        return "established"
    if state == "suspected" or outcome == "possible" or achr.ever or musk is True or lems or likely:
        return "possible"
    return "none"


def antibody_flagged_low(chart: Chart) -> bool:
    """`L` on an antibody is a data-quality issue."""
    return any(r.flag in ("L", "LL", "LU", "LX") for concept in ANTIBODIES for r in chart.results(concept))


# ---- issues

def overlap_issues(chart: Chart, signs: Signs, als: Als, mg: Mg, issues: Issues) -> None:
    match mg.outcome:
        case "definite":
            issues.raise_("overlap-als-mg-definite", "high")
        case "probable":
            issues.raise_("overlap-als-mg-probable", "high")
        case "possible" if not (mg.musk is True and als.recorded):
            issues.raise_("overlap-als-mg-possible", "moderate")
        case "documented":
            issues.raise_("overlap-als-mg-documented-unverified", "low")
        case "false-positive":
            issues.raise_("achr-suspected-false-positive", "moderate")
        case "mimic":
            issues.raise_("mimic-achr-mg-in-als", "high")
        case "unconfirmed":
            issues.raise_("achr-positive-unconfirmed-in-als", "moderate")
        case "fluctuating":
            issues.raise_("als-with-fluctuating-weakness", "moderate")
    if als.recorded and mg.musk is True:
        issues.raise_("mimic-musk-mg-in-als", "high")
    onsets = chart.diagnosis("als").onset, chart.diagnosis("mg").onset
    if mg.outcome in ("definite", "probable") and onsets[0] and onsets[1]:
        months = Fraction(abs((onsets[0] - onsets[1]).days)) / exact("30.4375")
        if months < 6:
            issues.raise_("overlap-onset-interval-atypical", "low")
    _motor_signs_in_mg(chart, signs, als, mg, issues)


def _motor_signs_in_mg(chart: Chart, signs: Signs, als: Als, mg: Mg, issues: Issues) -> None:
    mg_known = mg.confirmed or (mg.criteria == "definite" and not als.in_play)
    if not mg_known or als.recorded or mg.overlap:
        return
    judged = als.judged(chart, signs)
    regions = set(judged.awaji)
    if mg.musk is True and "bulbar" not in judged.emg:
        regions.discard("bulbar")
    progression = chart.yes("nonfluctuating-progression") is True
    if als.refuted:
        progression = chart.yes_after("nonfluctuating-progression", als.refuted_on)
    if judged.umn_sign and regions:
        issues.raise_("mg-with-motor-neuron-signs", "high")
    elif judged.umn_sign or regions or progression:
        issues.raise_("mg-with-motor-neuron-signs", "moderate")


def antibody_issues(chart: Chart, als: Als, mg: Mg, issues: Issues) -> None:
    achr = mg.achr
    if als.in_play:
        if chart.yes("lrp4-ab") is True:
            issues.raise_("lrp4-positive-not-mg-specific-in-als", "low")
        return
    if mg.likely:
        issues.raise_("mg-likely-not-recorded", "moderate")
    if mg.confirmed or mg.refuted or mg.lems_evidence or mg.likely:
        return
    if achr.transient:
        issues.raise_("achr-transient-positive", "low")
    elif achr.ever and (mg.nmj.phenotype is False or (mg.nmj.phenotype is None and not mg.in_force)):
        issues.raise_("achr-positive-without-mg-phenotype", "moderate")


def mimic_issues(chart: Chart, signs: Signs, als: Als, mg: Mg, issues: Issues) -> None:
    """Mimics of MG."""
    achr, nmj = mg.achr, mg.nmj
    triad = sum(
        chart.yes(concept) is True for concept in ("proximal-leg-weakness", "areflexia", "autonomic-symptoms")
    )
    claim = mg.held or achr.positive or mg.criteria != "none"
    vgcc = chart.yes("vgcc-ab") is True
    lems = chart.diagnosis("lems")
    if (claim or triad >= 2 or vgcc) and not lems.confirmed and not lems.refuted:
        if vgcc or (nmj.increment_100 and not als.in_play):
            issues.raise_("mimic-lems", "high")
        elif (nmj.increment_60 and not als.in_play) or (triad >= 2 and claim):
            issues.raise_("mimic-lems", "moderate")
    if not mg.held or als.in_play:
        return
    seronegative = achr.negative and mg.musk is False
    judged = als.judged(chart, signs)
    bulbar = "bulbar" in judged.clin | judged.emg
    if seronegative and nmj.ocular is False and (judged.umn_sign or bulbar):
        issues.raise_("mimic-als-in-seronegative-mg", "high")
    if nmj.normal_in_weak_muscle and not achr.positive and mg.musk is not True:
        issues.raise_("mg-sfemg-normal-in-weak-muscle", "low")
    if seronegative and chart.yes("symmetric-nonfluctuating-ptosis") is True:
        issues.raise_("mimic-mg-ocular-myopathy", "low")
