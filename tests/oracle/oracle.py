"""A second reading of the clinical specification: findings straight from a compact patient.

`findings(case)` is a plain procedural implementation of docs/clinical and its rules, written without a look at the
facts and rules of the engine; test_engine_agrees_with_a_second_reading.py compares the two.
"""

from __future__ import annotations

import drugs
import mg as myasthenia
import mimics
import ms
import resp
import workup
from als import read_als
from reading import Chart, Compact, Issues
from signs import read_signs


def findings(case: Compact) -> dict[str, tuple[str, str]]:
    """issue -> severity and display of a compact patient (`id now scope patient facts`) at its own day."""
    chart, issues = Chart(case), Issues()
    if chart.deceased:
        return {}
    signs = read_signs(chart)
    als = read_als(chart, signs)
    mg = myasthenia.read_mg(chart, signs, als)
    threshold = bool(resp.niv_threshold(chart, als))
    drugs.medication_issues(chart, signs, als, mg, threshold, issues)
    resp.crisis_issues(chart, als, mg, issues)
    if chart.restricted:
        return {issue: found for issue, found in issues.items() if issue not in ONLY_ADULTS}
    issues.update(als.mimics)
    myasthenia.overlap_issues(chart, signs, als, mg, issues)
    myasthenia.antibody_issues(chart, als, mg, issues)
    myasthenia.mimic_issues(chart, signs, als, mg, issues)
    ms.overlap_issues(chart, signs, als, mg, issues)
    mimics.other_issues(chart, signs, als.level, als.mimics, issues)
    resp.nutrition_issues(chart, als, issues)
    resp.monitoring_issues(chart, als, mg, issues)
    workup.workup_issues(chart, signs, als, mg, issues)
    workup.quality_issues(chart, signs, mg, issues)
    return dict(issues)


ONLY_ADULTS = {"als-niv-threshold", "als-co2-retention-clue"}
