"""ALS and MS (section 5.5; ruleset als-ms-overlap)."""

from __future__ import annotations

from chart import Chart, Issues
from mg import Picture
from mimics import symptom_years
from signs import Signs

BRAIN = ("periventricular", "cortical-juxtacortical", "infratentorial")


def overlap_issues(picture: Picture, issues: Issues) -> None:
    chart, als, mg = picture.chart, picture.als, picture.mg
    states = {chart.diagnosis(concept).state for concept in ("ms", "ppms", "rrms")}
    condition = next((state for state in ("confirmed", "suspected", "refuted") if state in states), "")
    counts = lesions(chart)
    bands = chart.yes("csf-ocb") is True
    met = _primary_progressive(chart, counts, bands) or _relapsing(chart, counts, bands)
    if condition == "confirmed" and mg.confirmed:
        issues.raise_("ms-mg-cooccurrence", "low")
    if als.level is None:
        if condition != "refuted" and (condition == "confirmed" or met):
            _lower_signs(als.judged(chart, picture.signs), issues)
        return
    if condition != "refuted":
        computed = als.level >= 2
        if computed and met:
            issues.raise_("overlap-als-ms-definite", "moderate")
        elif (met or condition == "confirmed") and (computed or met):
            issues.raise_("overlap-als-ms-probable", "low")
        elif condition == "confirmed":
            issues.raise_("overlap-als-ms-documented-unverified", "low")
    demyelination = any(counts.values()) or bands
    if demyelination and condition not in ("confirmed", "refuted") and not met:
        issues.raise_("als-with-demyelinating-findings", "low")


def _lower_signs(signs: Signs, issues: Issues) -> None:
    if len(signs.emg) >= 2 or "bulbar" in signs.emg:
        issues.raise_("ms-with-lmn-signs", "high")
    elif len(signs.emg | signs.clin) >= 2 or "bulbar" in signs.clin:
        issues.raise_("ms-with-lmn-signs", "moderate")


def lesions(chart: Chart) -> dict[str, int]:
    """Typical lesions by site, the highest count recorded."""
    counts: dict[str, int] = {}
    for result in chart.results("t2-lesion"):
        site, count = result.get("site"), result.get("count")
        if site and count is not None:
            counts[site] = max(count, counts.get(site, 0))
    return counts


def _year_of_progression(chart: Chart) -> bool:
    if any(r.number for r in chart.results("ms-progression-months")):
        return chart.at_least("ms-progression-months", 12) is True
    years = symptom_years(chart)
    return chart.yes("progression") is True and years is not None and years >= 1


def _primary_progressive(chart: Chart, counts: dict[str, int], bands: bool) -> bool:
    brain = any(counts.get(site, 0) >= 1 for site in BRAIN)
    cord = counts.get("spinal-cord", 0) >= 2
    return _year_of_progression(chart) and brain + cord + bands >= 2


def _relapsing(chart: Chart, counts: dict[str, int], bands: bool) -> bool:
    if chart.at_least("ms-attacks", 1) is not True:
        return False
    in_space = sum(counts.get(site, 0) >= 1 for site in (*BRAIN, "spinal-cord")) >= 2
    in_time = (
        chart.at_least("ms-attacks", 2) is True
        or bands
        or chart.yes("gd-enh-and-nonenh") is True
        or chart.yes("new-t2-lesion") is True
    )
    return in_space and in_time
