"""Work-up and data quality (ruleset diagnostic-workup)."""

from __future__ import annotations

from achr import antibody_flagged_low
from chart import Issues
from mg import Picture
from reading import INDETERMINATE, NEGATIVE, POSITIVE, QUANTITIES, YES_NO, Result

TIMED = {"achr-binding", "rns", "sfemg", "fvc-pct", "fvc-l", "vc-mlkg", "mip", "mep", "snip", "paco2"}


def workup_issues(picture: Picture, issues: Issues) -> None:
    if picture.chart.full and not picture.chart.hospice:
        _als(picture, issues)
        _mg(picture, issues)


def _als(picture: Picture, issues: Issues) -> None:
    chart, signs, als = picture.chart, picture.signs, picture.als
    done = chart.recorded
    declined = chart.yes("genetic-testing-declined") is True
    tested = done("sod1-pathogenic", "c9orf72", "fus", "tardbp", "als-gene-panel")
    if chart.confirmed("als") and not declined and not tested:
        issues.raise_("als-genetic-testing-not-offered", "low", "batch-only")
    if not als.in_play:
        return
    bulbar = "bulbar" in signs.umn | signs.any
    basic = chart.emg_done and done("mri-brain") and (bulbar or done("mri-cspine"))
    blood = (
        done("cbc", "hemoglobin", "wbc", "platelets", "anc")
        and done("electrolytes", "sodium", "potassium")
        and done("ck") and done("tsh") and done("monoclonal-protein")
    )  # fmt: skip
    if not basic or not blood:
        issues.raise_("als-workup-incomplete", "low" if basic else "moderate", "batch-only")
    if signs.umn_none is True and signs.any:
        if not done("ncs-conduction-block"):
            issues.raise_("workup-lmn-only-conduction-block", "moderate", "batch-only")
        if chart.sex == "male" and not done("ar-cag") and not declined:
            issues.raise_("workup-lmn-only-ar-cag", "low", "batch-only")


def _mg(picture: Picture, issues: Issues) -> None:
    chart, als, mg = picture.chart, picture.als, picture.mg
    achr, nmj = mg.achr, mg.nmj
    thymus_seen = chart.recorded("chest-imaging") or chart.ever("thymectomy")  # what was removed stays so
    if mg.confirmed and achr.positive and not thymus_seen:
        issues.raise_("mg-workup-thymus-missing", "moderate")
    in_question = mg.held or nmj.phenotype is True or (als.in_play and achr.positive)
    if mg.refuted or not in_question:
        return
    if not achr.recorded and mg.musk is not True:
        issues.raise_("mg-workup-achr-missing", "moderate", "batch-only")
    elif (achr.negative or achr.equivocal) and mg.musk is None:
        issues.raise_("mg-workup-musk-missing", "moderate", "batch-only")
    seronegative = achr.negative and mg.musk is False
    if not nmj.tested and (seronegative or als.in_play):
        issues.raise_("mg-workup-nmj-missing", "moderate", "batch-only")
    if als.in_play and achr.positive and not achr.confirmed:
        issues.raise_("mg-workup-achr-repeat", "moderate", "batch-only")


def quality_issues(picture: Picture, issues: Issues) -> None:
    chart, signs, mg = picture.chart, picture.signs, picture.mg
    for concept in QUANTITIES:
        for result in chart.results(concept):
            if result.defect and not _flag_decides(result) and not _own_range(result):
                issues.raise_(result.defect, "low", "batch-only")
    if any(result.day is None for concept in TIMED for result in chart.results(concept)):
        issues.raise_("dq-date-missing", "low", "batch-only")
    conflicts = any(chart.diagnosis(concept).conflict for concept in chart.known_diagnoses())
    als = chart.diagnosis("als")
    ended = als.confirmed and any(
        entry.get("clin") in ("resolved", "remission", "inactive") for entry in als.confirmed_entries
    )
    if conflicts or ended:
        issues.raise_("dq-conflicting-conditions", "moderate", "batch-only")
    contradictory = any(chart.newest_answer(concept)[2] for concept in YES_NO)
    if contradictory or signs.conflict or mg.achr.conflict or antibody_flagged_low(chart):
        issues.raise_("dq-conflicting-results", "low", "batch-only")
    if signs.unmapped:
        issues.raise_("dq-site-unmapped", "low", "batch-only")


def _flag_decides(result: Result) -> bool:
    decides = POSITIVE | NEGATIVE
    return result.flag in (decides | INDETERMINATE if result.concept == "achr-binding" else decides)


def _own_range(result: Result) -> bool:
    """AChR in a foreign unit with its own range in the same unit is usable."""
    foreign = result.concept == "achr-binding" and result.defect == "dq-unit-unconvertible"
    return foreign and result.limit("high") is not None
