"""Respiratory and laboratory monitoring (ruleset monitoring-respiratory)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from als import Als
from chart import Chart, Issues
from mg import Picture
from reading import Answer, Number, Result, exact

MGFA = ("V", "IVb", "IVa", "IV", "IIIb", "IIIa", "III", "IIb", "IIa", "II", "I")
SEVERE = {"IIb", "III", "IIIa", "IIIb", "IV", "IVa", "IVb", "V"}


@dataclass(frozen=True)
class Value:
    """A measurement with its day: the number in the canonical unit, or what it may be by each weight."""

    day: date | None
    numbers: tuple[Number, ...]

    def ask(self, question: Callable[[Number], Answer]) -> Answer:
        """The first answer: what the newest weight leaves open an older one may decide."""
        answers = (question(number) for number in self.numbers)
        return next((answer for answer in answers if answer is not None), None)


def values(chart: Chart, concept: str) -> list[Value]:
    """Usable numbers, newest first; VC also from litres and the newest weight."""
    found = [Value(r.day, (r.number,)) for r in chart.results(concept) if r.number]
    if concept != "vc-mlkg":
        return found
    for result in chart.results("fvc-l"):
        if result.number:
            litres = result.number.times(Fraction(1000))
            computed = tuple(one for weight in _weights(chart) if (one := litres.over(weight)) and 0 < one.value <= 120)
            if computed:
                found.append(Value(result.day, computed))
    return sorted(found, key=lambda value: value.day or date.min, reverse=True)


def _weights(chart: Chart) -> list[Number]:
    """Weights of a year, the newest first and of one day the lowest, as far as the first that is exact."""
    found: list[Number] = []
    for _, results in chart.by_day("body-weight", 365):
        numbers = [r.number for r in results if r.number]
        for number in sorted(numbers, key=lambda one: (one.value, one.comparator[:1] == ">")):
            found.append(number)
            if not number.comparator:
                return found
    return found


def fresh(chart: Chart, concept: str, low: Callable[[Number], Answer]) -> tuple[Answer, list[date]]:
    """Is it low: all of today and yesterday, else the newest within 3 days; and the days of the low values."""
    dated = [(chart.ago(v.day), v.day, v.ask(low)) for v in values(chart, concept) if v.day]
    decided = [(ago, day, answer) for ago, day, answer in dated if ago is not None and ago <= 3 and answer is not None]
    window = [entry for entry in decided if entry[0] <= 1]
    if not window and decided:
        newest = min(ago for ago, _, _ in decided)
        window = [entry for entry in decided if entry[0] == newest]
    if not window:
        return None, []
    days = [day for _, day, answer in window if answer and day]
    return bool(days), days


def _below(limit: int) -> Callable[[Number], Answer]:
    return lambda number: number.below(limit)


def _at_least(limit: int) -> Callable[[Number], Answer]:
    return lambda number: number.at_least(limit)


def is_fresh(chart: Chart, concept: str, low: Callable[[Number], Answer]) -> bool:
    return fresh(chart, concept, low)[0] is True


def acute_failure(chart: Chart) -> bool:
    diagnosis = chart.diagnosis("resp-failure-acute")
    ago = chart.ago(diagnosis.recorded)
    return diagnosis.confirmed and ago is not None and ago <= 3


def intubated(chart: Chart) -> bool:
    """Invasive ventilation of the present encounter, by its newest record there."""
    return _newest([r for r in chart.results("invasive-ventilation") if r.get("enc") == "current"])[0] is True


def _newest(results: Iterable[Result]) -> tuple[Answer, date | None]:
    days: dict[date | None, set[Answer]] = {}
    for result in results:
        if result.yes is not None:
            days.setdefault(result.day, set()).add(result.yes)
    for day, answers in days.items():
        return (answers.pop() if len(answers) == 1 else None), day
    return None, None


def ventilated(chart: Chart) -> bool:
    if chart.yes("niv-in-use") is True or chart.yes("tracheostomy") is True or intubated(chart):
        return True
    present, day = _newest(chart.results("invasive-ventilation"))
    ago = chart.ago(day)
    return present is True and ago is not None and ago <= 120


def niv_threshold(chart: Chart, als: Als) -> str:
    """high, moderate or nothing, whether or not the card is shown."""
    if not als.in_play:
        return ""
    if (
        chart.below("fvc-pct", 50, 120)
        or chart.below("mip", 40, 120)
        or chart.below("snip", 40, 120)
        or chart.at_least("paco2", 45, 120)
    ):
        return "high"
    early = chart.below("fvc-pct", 80, 120) and chart.yes("resp-symptom")
    return "moderate" if chart.below("mip", 60, 120) or early else ""


def crisis_issues(picture: Picture, issues: Issues) -> None:
    """The crisis cards, then what they silence."""
    chart, als, mg = picture.chart, picture.als, picture.mg
    at_risk, tube = mg.risk != "none", intubated(chart)
    lows = {
        "vc-mlkg": fresh(chart, "vc-mlkg", _below(20)),
        "mip": fresh(chart, "mip", _below(30)),
        "mep": fresh(chart, "mep", _below(40)),
    }
    low = [concept for concept, (is_low, _) in lows.items() if is_low]
    carbon_dioxide = mg.risk == "established" and (
        is_fresh(chart, "paco2", _at_least(45)) or acute_failure(chart)
    )
    leak = low in (["mip"], ["mep"]) and all(_good_volume(chart, day) for day in lows[low[0]][1])
    crisis = at_risk and not tube and bool(carbon_dioxide or (low and not leak))
    leak = leak and not carbon_dioxide
    comfort = ("low", "information") if chart.hospice else ("high", "interruptive")
    if crisis:
        issues.raise_("resp-crisis-20-30-40", *comfort)
    hypercapnia = (
        als.in_play and mg.risk != "established" and not crisis and not tube
        and (is_fresh(chart, "paco2", _at_least(60)) or acute_failure(chart))
    )  # fmt: skip
    if hypercapnia:
        issues.raise_("als-hypercapnia-critical", *comfort)
    if at_risk and not tube and not crisis:
        if not leak and _stale(chart):
            issues.raise_("resp-values-critical-but-stale", "moderate")
        if leak or _approaching(chart):
            issues.raise_("mg-resp-warning", "moderate")
        elif is_fresh(chart, "mip", _below(60)):
            issues.raise_("mg-resp-warning", "low")
    if at_risk and not tube and _class_five(chart):
        issues.raise_("mg-class-v", "moderate")
    critical = crisis or hypercapnia
    on_niv = chart.yes("niv-in-use") is True and (als.in_play or at_risk)
    if on_niv and not chart.hospice and not critical and _retains_on_niv(chart):
        issues.raise_("niv-inadequate", "moderate")
    muted = critical or chart.hospice or ventilated(chart) or chart.yes("niv-declined") is True
    threshold = niv_threshold(chart, als)
    if threshold and not muted:
        issues.raise_("als-niv-threshold", threshold)
    if als.in_play and not threshold and not muted and _retention_clue(chart):
        issues.raise_("als-co2-retention-clue", "moderate")


def _good_volume(chart: Chart, day: date) -> bool:
    """A VC of 30 mL/kg or an FVC of 60 % beside it on that day."""
    volumes = [v.ask(_at_least(30)) for v in values(chart, "vc-mlkg") if v.day == day]
    volumes += [v.ask(_at_least(60)) for v in values(chart, "fvc-pct") if v.day == day]
    return True in volumes


def _stale(chart: Chart) -> bool:
    for concept, limit in (("vc-mlkg", 20), ("mip", 30), ("mep", 40)):
        dated = [v for v in values(chart, concept) if v.day and (chart.now - v.day).days <= 90]
        decided = [v for v in dated if v.ask(_below(limit)) is not None]
        if not decided or any((chart.now - v.day).days <= 3 for v in dated):
            continue
        if any(v.ask(_below(limit)) for v in decided if v.day == decided[0].day):
            return True
    return False


def _approaching(chart: Chart) -> bool:
    if is_fresh(chart, "mip", _below(40)) or is_fresh(chart, "fvc-pct", _below(50)):
        return True
    plain = _exact(chart, "fvc-pct")
    recent = [v for v in plain if (chart.now - v.day).days <= 1]
    if not recent:
        within = [v for v in plain if (chart.now - v.day).days <= 3]
        recent = [v for v in within if v.day == within[0].day]
    if not recent:
        return False
    lowest = min(v.value for v in recent)
    return any(
        v.value == lowest
        and any(0 < (v.day - w.day).days <= 90 and lowest <= exact("0.7") * w.value for w in plain)
        for v in recent
    )


@dataclass(frozen=True)
class Exact:
    day: date
    value: Fraction


def _exact(chart: Chart, concept: str) -> list[Exact]:
    """Dated numbers without a comparator, newest first: only they can be compared with each other."""
    return [
        Exact(v.day, number.value) for v in values(chart, concept) for number in v.numbers
        if v.day and not number.comparator
    ]  # fmt: skip


def _class_five(chart: Chart) -> bool:
    for day, results in chart.by_day("mgfa-class"):
        classes = [c for c in MGFA if c in {r.value for r in results}]
        if classes:
            ago = chart.ago(day)
            return classes[0] == "V" and ago is not None and ago <= 7
    return False


def _retains_on_niv(chart: Chart) -> bool:
    dated = [(r.day, r.yes) for r in chart.results("niv-in-use") if r.day and r.yes is not None]
    stopped = max((day for day, yes in dated if not yes), default=date.min)
    start = min((day for day, yes in dated if yes and day > stopped), default=None)
    return chart.ask("paco2", lambda r: r.number.at_least(45) if r.number else None, 120, start) is True


def _retention_clue(chart: Chart) -> bool:
    if chart.above("bicarbonate", 30, 90) or chart.ask("chloride", lambda r: r.is_low, 90):
        return True
    if chart.ask("spo2", lambda r: r.number.at_most(92) if r.number else None, 90):
        return True
    plain = _exact(chart, "fvc-pct")
    recent = [v for v in plain if (chart.now - v.day).days <= 120]
    if not recent:
        return False
    newest = recent[0].day
    lowest = min(v.value for v in recent if v.day == newest)
    return any(0 < (newest - w.day).days <= 92 and w.value - lowest >= 15 for w in plain)


def nutrition_issues(chart: Chart, als: Als, issues: Issues) -> None:
    declined = chart.yes("gastrostomy") is True or chart.yes("gastrostomy-declined") is True
    if not als.in_play or declined or chart.hospice:
        return
    dysphagia = chart.yes("dysphagia") is True or chart.confirmed("dysphagia-dx")
    lost = chart.at_least("weight-loss-pct", 10) or (dysphagia and chart.at_least("weight-loss-pct", 5))
    if lost or (dysphagia and chart.below("fvc-pct", 60, 120)):
        issues.raise_("als-gastrostomy-window", "moderate")


def monitoring_issues(picture: Picture, issues: Issues) -> None:
    chart, als, mg = picture.chart, picture.als, picture.mg
    if not chart.full or chart.hospice:
        return
    days = [
        r.day
        for concept in ("mip", "snip", "vc-mlkg", "fvc-pct", "fvc-l")
        for r in chart.results(concept)
        if r.day and r.number  # the newest is the newest usable one; "any value" is said of ALT alone
    ]
    ago = chart.ago(max(days)) if days else None

    def overdue(limit: int) -> bool:
        return ago is None or ago > limit

    if not ventilated(chart):
        if mg.overlap or als.in_play:
            if overdue(100):
                issues.raise_("resp-monitoring-overdue", "moderate")
        elif mg.confirmed:
            grade = next((c for c in MGFA if c in chart.newest_values("mgfa-class")), "I")
            if grade != "I" and overdue(100 if grade in SEVERE else 190):
                issues.raise_("resp-monitoring-overdue", "low")
    _riluzole(chart, issues)


def _riluzole(chart: Chart, issues: Issues) -> None:
    orders = [o for o in chart.orders if o.drug == "riluzole"]
    starts = [o.start for o in orders if o.taken and o.start]  # of what is taken; a renewal counts while it lasts
    if not starts:
        return
    since = (chart.now - min(starts)).days
    last = min(((chart.now - r.day).days for r in chart.results("alt") if r.day), default=None)
    if since <= 92 and since > 35 and (last is None or last > 35):
        issues.raise_("riluzole-monitoring-overdue", "moderate", "batch-only")
    if since > 92 and (last is None or last > 100):
        issues.raise_("riluzole-monitoring-overdue", "low", "batch-only")
