"""Mimics of ALS (section 5.6; ruleset als-mimics)."""

from __future__ import annotations

from fractions import Fraction

from chart import Chart, Issues
from reading import YEAR, Answer, Result, day_of
from signs import Signs


def mimic_issues(
    chart: Chart, signs: Signs, *, in_play: bool, explicit: bool, recorded: bool,
) -> Issues:
    """The issues of mimics, which the exclusion of the ALS criteria reads; those that need the level: other_issues."""
    issues = Issues()
    _mmn(chart, signs, in_play, issues)
    _kennedy(chart, signs, in_play, recorded, issues)
    _muscle(chart, signs, issues)
    _myelopathy(chart, signs, in_play, issues)
    _pls(chart, signs, recorded, issues)
    if in_play:
        _screening(chart, explicit, issues)
    return issues


def _no_entry_decides(chart: Chart, *concepts: str) -> bool:
    """Neither confirmed nor refuted."""
    return not any(chart.diagnosis(c).confirmed or chart.diagnosis(c).refuted for c in concepts)


def _block(chart: Chart, *values: str) -> bool:
    return any(r.value in values for r in chart.results("ncs-conduction-block"))


def _mmn(chart: Chart, signs: Signs, in_play: bool, issues: Issues) -> None:
    if not (in_play or signs.any) or not signs.none_stands or chart.yes("sensory-loss") is True:
        return
    if "bulbar" in signs.clin or not _no_entry_decides(chart, "mmn"):
        return
    if _block(chart, "definite", "probable"):
        issues.raise_("mimic-mmn", "high")
    elif chart.yes("gm1-ab") is True:
        issues.raise_("mimic-mmn", "moderate")


def _kennedy(chart: Chart, signs: Signs, in_play: bool, recorded: bool, issues: Issues) -> None:
    if chart.sex != "male":
        return
    expanded = chart.at_least("ar-cag", 36)
    if expanded is True:
        if not (chart.confirmed("sbma") and not recorded):
            issues.raise_("mimic-kennedy", "high")
        return
    features = (
        chart.yes("gynecomastia") is True
        or chart.confirmed("gynecomastia")
        or chart.yes("testicular-atrophy") is True
        or chart.yes("perioral-fasciculation") is True
    )
    lower_only = signs.umn_none is True or signs.umn_denied
    entered = bool(chart.diagnosis("sbma").entries)
    if expanded is None and (in_play or signs.any) and lower_only and features and not entered:
        issues.raise_("mimic-kennedy", "moderate")


def _muscle(chart: Chart, signs: Signs, issues: Issues) -> None:
    if not signs.none_stands:
        return
    patterns = {r.value for r in chart.results("weakness-pattern")}
    if patterns & {"finger-flexor-gt-shoulder-abductor", "knee-extensor-ge-hip-flexor"}:
        much_ck = chart.ask("ck", lambda r: r.times_upper(15))
        if chart.older_than(45) is not False and much_ck is not True and _no_entry_decides(chart, "ibm"):
            issues.raise_("mimic-ibm", "moderate")
    proximal = "proximal-symmetric" in patterns  # one pattern does not take another one back
    inflamed = (
        (proximal and chart.above("ck", 1000) is True)
        or chart.yes("dm-rash") is True
        or (proximal and chart.yes("myositis-ab") is True)
    )
    if inflamed and _no_entry_decides(chart, "polymyositis", "dermatomyositis"):
        issues.raise_("mimic-inflammatory-myopathy", "moderate")


def above_the_cord(signs: Signs) -> bool:
    lower = signs.clin | signs.emg
    return bool(lower & {"bulbar", "thoracic"}) or "bulbar" in signs.umn_now | signs.any


def compressed(chart: Chart) -> bool:
    return chart.mri("mri-cspine") == "compression" and not chart.diagnosis("cervical-myelopathy").refuted


def _myelopathy(chart: Chart, signs: Signs, in_play: bool, issues: Issues) -> None:
    above = above_the_cord(signs)
    pattern = "cervical" in signs.any and "lumbosacral" in signs.umn_now and not above
    if compressed(chart) and not above and (in_play or pattern):
        nothing_known = not (signs.umn or signs.any or signs.emg)
        issues.raise_("mimic-cervical-myelopathy", "moderate" if nothing_known else "high")
    leg = "lumbosacral" in signs.clin | signs.emg
    if not chart.recorded("mri-cspine") and pattern and in_play and not leg:
        issues.raise_("mimic-cervical-myelopathy", "moderate")


def _pls(chart: Chart, signs: Signs, recorded: bool, issues: Issues) -> None:
    regions = signs.umn_now & {"bulbar", "cervical", "lumbosacral"}
    if not recorded or len(regions) < 2 or not chart.emg_done or signs.any or signs.emg:
        return
    if chart.yes("sensory-loss") is True or chart.at_least_years(25) is False or chart.confirmed("pls"):
        return
    years = symptom_years(chart)
    issues.raise_("mimic-pls" if years is not None and years >= 2 else "umn-only-observe", "low")


def symptom_years(chart: Chart) -> Fraction | None:
    """Years since the newest symptom-onset Observation; of one day the earliest onset."""
    for _, results in chart.by_day("symptom-onset"):
        onsets = [day for r in results if r.value is not None and (day := day_of(r.value, chart.now))]
        if onsets:
            return (chart.now - min(onsets)).days / YEAR
    return None


def _screening(chart: Chart, explicit: bool, issues: Issues) -> None:
    limit = 365 if explicit else None

    def found(concept: str, since: int | None) -> bool:
        for _, results in chart.by_day(concept, since):
            answers = {r.yes for r in results} - {None}
            if answers:
                return answers == {True}
        return False

    if found("monoclonal-protein", None):
        issues.raise_("mimic-paraprotein", "moderate")
    low_tsh = chart.ask("tsh", low, limit)
    if low_tsh is True or chart.ask("calcium", high, limit) is True:
        issues.raise_("mimic-thyroid-parathyroid", "low")
    if found("lead", limit):
        issues.raise_("mimic-heavy-metal", "low")
    if found("hexa-deficiency", None):
        issues.raise_("mimic-hexa", "low")
    if any(found(concept, limit) for concept in ("hiv", "lyme", "syphilis", "hcv")):
        issues.raise_("mimic-infectious", "low")
    if found("hu-ab", None):
        issues.raise_("mimic-paraneoplastic", "moderate")


def low(result: Result) -> Answer:
    return result.is_low


def high(result: Result) -> Answer:
    return result.is_high


def other_issues(chart: Chart, signs: Signs, level: int | None, mimics: Issues, issues: Issues) -> None:
    """What the ruleset says beside the mimics themselves, which it reads."""
    if level is None:
        return
    if compressed(chart) and above_the_cord(signs):
        issues.raise_("als-coexisting-cervical-stenosis" if level >= 1 else "mimic-cervical-myelopathy", "moderate")
    if signs.umn_none is True and len(signs.gc) >= 2 and not {"mimic-mmn", "mimic-kennedy", "mimic-ibm"} & set(mimics):
        issues.raise_("als-lmn-only", "low")
    if _atypical(chart, mimics):
        issues.raise_("als-atypical-feature", "low")


def _atypical(chart: Chart, mimics: Issues) -> bool:
    present = ("sensory-loss", "sphincter", "sustained-remission", "ncs-demyelination")
    return (
        any(chart.yes(concept) is True for concept in present)
        or (chart.above("ck", 1000) is True and "mimic-inflammatory-myopathy" not in mimics)
        or (_block(chart, "definite") and "mimic-mmn" not in mimics)
        or chart.above("csf-wbc", 5) is True
        or chart.above("csf-protein", 1) is True
    )
