"""MG criteria, the ALS-MG outcome and the MG risk (sections 5.4 and 1.9; mg-criteria, mg-risk)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from achr import Achr, read_achr
from als import Als
from chart import Chart, Diagnosis, Issues
from junction import Junction, read_junction
from reading import Answer, exact
from signs import Signs

OVERLAP = {"definite", "probable", "possible", "documented"}


@dataclass(frozen=True)
class Evidence:
    """What the criteria and the lattice read."""

    chart: Chart
    signs: Signs
    als: Als
    achr: Achr
    nmj: Junction
    musk: Answer
    entry: Diagnosis                 # Condition mg
    refuted: bool                    # and not re-opened
    lems: bool                       # LEMS evidence
    block: bool                      # LEMS block

    @property
    def confirmed(self) -> bool:
        return self.entry.confirmed

    @property
    def held(self) -> bool:
        """Confirmed or suspected."""
        return self.entry.held

    @property
    def in_force(self) -> bool:
        """An entry that is neither contradictory nor re-opened."""
        return self.held or self.refuted

    @property
    def complete_negative(self) -> bool:
        """A complete negative work-up."""
        return self.achr.negative and self.musk is False and self.nmj.tested and not self.nmj.specific


@dataclass(frozen=True)
class Picture:
    """A patient as far as the issues need it."""

    chart: Chart
    signs: Signs
    als: Als
    mg: Mg


@dataclass(frozen=True)
class Mg(Evidence):
    """And what they conclude."""

    criteria: str
    outcome: str
    likely: bool                     # mg-likely-not-recorded
    risk: str

    @property
    def overlap(self) -> bool:
        return self.outcome in OVERLAP


def read_picture(chart: Chart, signs: Signs, als: Als) -> Picture:
    seen = _evidence(chart, signs, als)
    criteria, outcome, likely = _criteria(seen), _outcome(seen), _likely(seen)
    risk = _risk(seen, criteria, outcome, likely)
    return Picture(chart, signs, als, Mg(**vars(seen), criteria=criteria, outcome=outcome, likely=likely, risk=risk))


def _evidence(chart: Chart, signs: Signs, als: Als) -> Evidence:
    achr, nmj, musk = read_achr(chart), read_junction(chart, signs, als), chart.yes("musk-ab")
    entry = chart.diagnosis("mg")
    vgcc = chart.yes("vgcc-ab") is True
    without_vgcc = chart.confirmed("lems") or (nmj.increment_60 and not als.in_play)
    return Evidence(
        chart=chart, signs=signs, als=als, achr=achr, nmj=nmj, musk=musk, entry=entry,
        refuted=entry.refuted and not _reopened(chart, entry.recorded or date.min, achr),
        lems=without_vgcc or vgcc,
        block=without_vgcc or (vgcc and not achr.confirmed and musk is not True),
    )  # fmt: skip


def _reopened(chart: Chart, refuted_on: date, achr: Achr) -> bool:
    newer_antibody = achr.newest is not None and achr.newest > refuted_on
    signs = ("musk-ab", "fatigability", "ocular-weakness")
    return newer_antibody or any(chart.ever(concept, refuted_on) for concept in signs)


def _criteria(seen: Evidence) -> str:
    chart, als, achr, nmj, musk = seen.chart, seen.als, seen.achr, seen.nmj, seen.musk
    if nmj.phenotype is not True or seen.block:
        return "none"
    if als.in_play:
        strong = achr.confirmed or musk is True
        lines = strong + nmj.specific + nmj.response
        return "definite" if strong and lines >= 2 else "probable" if lines >= 2 else "possible"
    if achr.positive or musk or nmj.specific:
        return "definite"
    return "probable" if nmj.response or chart.yes("lrp4-ab") else "possible"


def _outcome(seen: Evidence) -> str:
    """The lattice of section 5.4, line by line."""
    als, achr, nmj, musk, block, refuted = seen.als, seen.achr, seen.nmj, seen.musk, seen.block, seen.refuted
    if als.level is None:
        return ""
    recorded = seen.confirmed
    strong = achr.confirmed or musk is True
    antibody = strong or achr.positive
    count = antibody + nmj.specific + nmj.response
    any_edx = nmj.specific or nmj.nonspecific
    motor = seen.signs.motor_evidence
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
    lines.append(("documented", not refuted and not block and recorded and seen.chart.confirmed("als")))
    lines.append(("unconfirmed", not refuted and achr.ever))
    signs_of_mg = nmj.phenotype is True or nmj.ocular is True or nmj.specific or nmj.response
    lines.append(("fluctuating", not refuted and signs_of_mg and not recorded and not seen.complete_negative))
    return next((name for name, holds in lines if holds), "")


def _likely(seen: Evidence) -> bool:
    chart, nmj = seen.chart, seen.nmj
    if seen.als.in_play or seen.entry.entries or seen.block:
        return False
    treated = any(
        o.drug == "pyridostigmine" and o.taken and o.days is not None and o.days > 30 for o in chart.orders
    )
    sign = nmj.phenotype is True or nmj.ocular is True or any(
        chart.confirmed(concept) for concept in ("ptosis", "diplopia", "dysphagia-dx")
    )
    return (seen.achr.positive or seen.musk is True or treated) and sign


def _risk(seen: Evidence, criteria: str, outcome: str, likely: bool) -> str:
    if seen.refuted:
        return "none"
    if seen.confirmed or criteria in ("definite", "probable"):
        return "established"
    if outcome in ("definite", "probable", "documented"):
        return "established"
    possible = seen.held or outcome == "possible" or seen.achr.ever or seen.musk is True or seen.lems or likely
    return "possible" if possible else "none"


# ---- issues

def overlap_issues(picture: Picture, issues: Issues) -> None:
    chart, als, mg = picture.chart, picture.als, picture.mg
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
    _motor_signs_in_mg(picture, issues)


def _motor_signs_in_mg(picture: Picture, issues: Issues) -> None:
    chart, als, mg = picture.chart, picture.als, picture.mg
    mg_known = mg.confirmed or (mg.criteria == "definite" and not als.in_play)
    if not mg_known or als.recorded or mg.overlap:
        return
    judged = als.judged(chart, picture.signs)
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


def antibody_issues(picture: Picture, issues: Issues) -> None:
    chart, als, mg, achr = picture.chart, picture.als, picture.mg, picture.mg.achr
    if als.in_play:
        if chart.yes("lrp4-ab") is True:
            issues.raise_("lrp4-positive-not-mg-specific-in-als", "low")
        return
    if mg.likely:
        issues.raise_("mg-likely-not-recorded", "moderate")
    if mg.confirmed or mg.refuted or mg.lems or mg.likely:
        return
    if achr.transient:
        issues.raise_("achr-transient-positive", "low")
    elif achr.ever and (mg.nmj.phenotype is False or (mg.nmj.phenotype is None and not mg.in_force)):
        issues.raise_("achr-positive-without-mg-phenotype", "moderate")


def mimic_issues(picture: Picture, issues: Issues) -> None:
    """Mimics of MG."""
    chart, als, mg = picture.chart, picture.als, picture.mg
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
    judged = als.judged(chart, picture.signs)
    bulbar = "bulbar" in judged.clin | judged.emg
    if seronegative and nmj.ocular is False and (judged.umn_sign or bulbar):
        issues.raise_("mimic-als-in-seronegative-mg", "high")
    if nmj.normal_in_weak_muscle and not achr.positive and mg.musk is not True:
        issues.raise_("mg-sfemg-normal-in-weak-muscle", "low")
    if seronegative and chart.yes("symmetric-nonfluctuating-ptosis") is True:
        issues.raise_("mimic-mg-ocular-myopathy", "low")
