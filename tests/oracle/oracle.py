"""A second reading of the clinical specification: findings straight from a compact patient.

`findings(case)` is a plain procedural implementation of docs/clinical and its rules, written without a look at the
facts and rules of the engine; test_engine_agrees_with_a_second_reading.py compares the two.
"""

from __future__ import annotations

import drugs
import mg
import mimics
import ms
import resp
import workup
from als import read_als
from chart import Chart, Issues
from reading import Compact
from signs import read_signs

ONLY_ADULTS = {"als-niv-threshold", "als-co2-retention-clue"}


def findings(case: Compact) -> dict[str, tuple[str, str]]:
    """issue -> severity and display of a compact patient (`id now scope patient facts`) at its own day."""
    chart, issues = Chart(case), Issues()
    if chart.deceased:
        return {}
    signs = read_signs(chart)
    als = read_als(chart, signs)
    picture = mg.read_picture(chart, signs, als)
    drugs.medication_issues(picture, bool(resp.niv_threshold(chart, als)), issues)
    resp.crisis_issues(picture, issues)
    if chart.restricted:
        return {issue: found for issue, found in issues.items() if issue not in ONLY_ADULTS}
    issues.update(als.mimics)
    mimics.other_issues(chart, signs, als.level, als.mimics, issues)
    mg.overlap_issues(picture, issues)
    mg.antibody_issues(picture, issues)
    mg.mimic_issues(picture, issues)
    ms.overlap_issues(picture, issues)
    resp.nutrition_issues(chart, als, issues)
    resp.monitoring_issues(picture, issues)
    workup.workup_issues(picture, issues)
    workup.quality_issues(picture, issues)
    return dict(issues)
