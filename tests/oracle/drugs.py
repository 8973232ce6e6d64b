"""Medication safety (sections 1.8 and 8; ruleset medication-safety, and drug-induced-mg)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from chart import Chart, Issues, Order
from mg import Mg, Picture
from reading import HIGH, Answer, Result, exact
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]

CLASSES: dict[str, set[str]] = {
    name: set(drugs)
    for name, drugs in YAML(typ="safe").load(ROOT / "rulesets/neuromuscular/tables/classes.yaml").items()
}
AVOID_HIGH = CLASSES["fluoroquinolone"] | CLASSES["aminoglycoside"]
AVOID_MODERATE = CLASSES["macrolide"] | CLASSES["class-1a"]
HARDLY_ABSORBED = CLASSES["polymyxin"] | CLASSES["lincosamide"]
CHECKPOINT = CLASSES["checkpoint-inhibitor"]
ALS_HAZARDS = {
    "quinine": "high", "botulinum-toxin": "high", "quinidine": "moderate", "dextromethorphan-quinidine": "moderate",
    "phenytoin": "moderate",
}  # fmt: skip
LOWER = {"high": "moderate", "moderate": "low", "low": "low"}


def medication_issues(picture: Picture, niv_threshold: bool, issues: Issues) -> None:
    chart, mg = picture.chart, picture.mg
    for order in chart.orders:
        if mg.risk != "none" and (order.ordered or order.supplied):
            _by_class(picture, order, issues)
        if order.ordered:
            _by_order(picture, niv_threshold, order, issues)
    _pairs(chart, issues)
    _riluzole(chart, issues)
    _vaccines(chart, mg, issues)
    _checkpoint_warning(chart, mg, issues)
    drug_induced(chart, mg, issues)


# ---- MG drug classes

def long_standing(chart: Chart, mg: Mg, order: Order) -> bool:
    if order.draft or order.start is None or order.days is None or order.days <= 90:
        return False
    known = [day for day in (chart.diagnosis("mg").onset, mg.achr.first) if day]
    risk = max(known, default=None)
    return not (risk and (chart.now - risk).days <= 90 and risk > order.start)


def _by_class(picture: Picture, order: Order, issues: Issues) -> None:
    chart, signs, als, mg = picture.chart, picture.signs, picture.als, picture.mg
    drug = order.drug

    def card(issue: str, severity: str) -> None:
        if long_standing(chart, mg, order):
            issues.raise_(issue, "low", "batch-only")
            return
        graded = severity if mg.risk == "established" else LOWER[severity]
        issues.raise_(issue, graded, "interruptive" if graded == "high" and order.draft else "")

    def note(issue: str) -> None:
        issues.raise_(issue, "low", "information" if order.new else "batch-only")

    if drug in ALS_HAZARDS and als.in_play:
        card("als-symptomatic-drug-hazard-in-mg", ALS_HAZARDS[drug])
    elif drug in CLASSES["contraindicated"]:
        card("mg-drug-contraindicated", "high")
    elif drug == "magnesium":
        route = order.get("route")
        if route in (None, "iv", "im", "parenteral"):
            card("mg-drug-contraindicated", "high" if route else "moderate")
    elif drug in AVOID_HIGH | AVOID_MODERATE:
        card("mg-drug-avoid", "low" if order.topical else "high" if drug in AVOID_HIGH else "moderate")
    elif drug in CLASSES["beta-blocker"]:
        if order.new:
            card("mg-drug-avoid", "moderate")
        else:
            issues.raise_("mg-drug-avoid", "low", "batch-only")
    elif drug in CLASSES["caution"]:
        chest = drug == "iodinated-contrast" and order.get("reason") == "chest-imaging"
        if not chest and not (drug in HARDLY_ABSORBED and order.topical):
            note("mg-drug-caution")
    elif drug == "interferon-beta":
        note("mg-interferon-beta")
    elif drug in CHECKPOINT:
        card("mg-checkpoint-inhibitor", "high")
    elif drug in CLASSES["non-depolarising-blocker"]:
        card("mg-neuromuscular-blocker", "moderate")
    elif drug == "suxamethonium" and not als.in_play and not signs.emg:
        card("mg-suxamethonium", "high")


# ---- single orders

def _by_order(picture: Picture, niv_threshold: bool, order: Order, issues: Issues) -> None:
    chart, signs, als, mg = picture.chart, picture.signs, picture.als, picture.mg
    drug, initial = order.drug, is_initial(chart, order)
    if drug in CLASSES["sedative"] and order.new and not chart.hospice and order.get("reason") != "palliative-dyspnoea":
        if mg.risk == "established" or (als.in_play and niv_threshold):
            issues.raise_("mg-sedative-respiratory-risk", "moderate")
        elif mg.risk == "possible" and not als.in_play:
            issues.raise_("mg-sedative-respiratory-risk", "low")
    if drug == "suxamethonium" and (als.in_play or signs.emg):
        issues.raise_("als-suxamethonium", "high", "interruptive")
    if drug == "quinine" and als.in_play and mg.risk == "none" and order.get("reason") != "malaria":
        issues.raise_("als-quinine-for-cramps", "moderate")
    if drug == "pyridostigmine":
        single, daily = (exact(order.get(key) or 0) for key in ("single_mg", "daily_mg"))
        if single > 120 or daily > 480:
            issues.raise_("pyridostigmine-dose-high", "moderate")
        elif initial and daily > 90:
            issues.raise_("pyridostigmine-start-high", "low")
        if als.in_play and mg.risk == "none":
            issues.raise_("pyridostigmine-in-als-without-mg", "low")
        if mg.musk is True:
            issues.raise_("musk-pyridostigmine-sensitivity", "low")
    if drug in ("prednisone", "prednisolone") and initial and mg.risk == "established":
        dose = order.get("dose_mg_day") or order.get("daily_mg")
        if dose and chart.below("body-weight", exact(dose) / exact("0.5"), 365) is True:
            issues.raise_("mg-steroid-start-high", "moderate")
    total = order.get("total_g") if drug == "ivig" and order.get("course") == "induction" else None
    if total and chart.below("body-weight", exact(total) / exact("2.2"), 365) is True:
        issues.raise_("ivig-dose-check", "moderate")
    if drug == "edaravone" and chart.yes("sulfite-allergy") is True:
        issues.raise_("edaravone-sulfite-allergy", "high", "interruptive")
    if drug == "tofersen" and chart.yes("sod1-pathogenic") is not True:
        issues.raise_("tofersen-without-sod1", "moderate")


def is_initial(chart: Chart, order: Order) -> bool:
    if order.get("initial"):
        return True
    if not order.draft or not chart.full:
        return False
    others = [other for other in chart.orders if other is not order and other.drug == order.drug]
    return not any(
        other.status in ("active", "on-hold") or other.days_ended is None or other.days_ended <= 365
        for other in others
    )


# ---- combinations

def _pairs(chart: Chart, issues: Issues) -> None:
    def present(drugs: set[str], *, systemic: bool = False) -> bool:
        return any(o.drug in drugs and o.in_play and not (systemic and o.topical) for o in chart.orders)

    partner = present(CLASSES["dmq-contraindicated"]) or chart.confirmed("long-qt")
    if partner and present({"dextromethorphan-quinidine"}):
        issues.raise_("dmq-with-quinine", "high", "interruptive")
    if present({"tizanidine"}) and present({"fluvoxamine", "ciprofloxacin"}, systemic=True):
        issues.raise_("tizanidine-cyp1a2-inhibitor", "high", "interruptive")
    if present({"riluzole"}) and present(CLASSES["cyp1a2-inhibitor"], systemic=True):
        issues.raise_("riluzole-cyp1a2-inhibitor", "moderate")
    if present({"azathioprine"}) and present(CLASSES["xanthine-oxidase-inhibitor"]):
        issues.raise_("azathioprine-xanthine-oxidase-inhibitor", "high", "interruptive")
    ordered = [o for o in chart.orders if o.ordered]
    drying = [
        o for o in ordered if o.drug in CLASSES["anticholinergic"] and o.get("reason") != "muscarinic-side-effect"
    ]
    if drying and any(o.drug == "pyridostigmine" for o in ordered):
        issues.raise_("anticholinergic-with-pyridostigmine", "low")


def _vaccines(chart: Chart, mg: Mg, issues: Issues) -> None:
    if mg.risk != "established":
        return
    suppressed = any(o.taken and o.drug in CLASSES["immunosuppressant"] and not o.topical for o in chart.orders)
    vaccines = {o.drug for o in chart.orders if (o.ordered or o.supplied) and o.drug in CLASSES["live-vaccine"]}
    if "yellow-fever-vaccine" in vaccines or (vaccines and suppressed):
        issues.raise_("mg-live-vaccine", "high", "interruptive")


# ---- riluzole

def _riluzole(chart: Chart, issues: Issues) -> None:
    orders = [o for o in chart.orders if o.drug == "riluzole" and o.in_play]
    if not orders:
        return
    started = min((o.start for o in orders if not o.draft and o.start), default=None)
    if started and started > chart.now:
        started = None

    def over(concept: str, factor: int) -> bool:
        return chart.ask(concept, lambda result: result.times_upper(factor), 90, started) is True

    def enzyme_over(factor: int) -> bool:
        return over("alt", factor) or over("ast", factor)

    if enzyme_over(5) or (enzyme_over(3) and over("bilirubin", 2)):
        issues.raise_("riluzole-hepatotoxicity", "high", "interruptive")
    elif enzyme_over(3) or chart.ask("bilirubin", _high, 90, started) is True:
        issues.raise_("riluzole-hepatotoxicity", "moderate")

    def few(limit: str) -> bool:
        question = lambda result: result.number.below(exact(limit)) if result.number else None  # noqa: E731
        return chart.ask("anc", question, 90, started) is True

    if few("0.5"):
        issues.raise_("riluzole-neutropenia", "high", "interruptive")
    elif few("1.5"):
        issues.raise_("riluzole-neutropenia", "moderate")
    if chart.confirmed("ild"):
        issues.raise_("riluzole-ild", "high", "interruptive")


def _high(result: Result) -> Answer:
    return result.above_own_range


# ---- drugs that cause MG

def _checkpoint_warning(chart: Chart, mg: Mg, issues: Issues) -> None:
    if mg.held:
        return
    for order in chart.orders:
        if order.drug not in CHECKPOINT or not order.given or order.start is None:
            continue
        running = order.status in ("active", "on-hold")
        recent = order.days_ended is not None and order.days_ended <= 183
        if (running or recent) and _new_since(chart, order.start):
            issues.raise_("ici-neuromuscular-warning", "high", "interruptive")


def _new_since(chart: Chart, start: date) -> bool:
    for concept in ("ptosis", "diplopia", "dysphagia-dx"):
        diagnosis = chart.diagnosis(concept)
        began = [day for entry in diagnosis.confirmed_entries if (day := chart.began(entry))]
        if diagnosis.confirmed and any(day >= start for day in began):
            return True
    for concept in ("ocular-weakness", "fatigability", "dysphagia"):
        for _, results in chart.by_day(concept, start=start):
            if {r.yes for r in results} - {None} == {True}:
                return True
    for concept in ("ck", "troponin"):
        for _, results in chart.by_day(concept, start=start):
            if any(r.flag in HIGH or r.is_high is True for r in results):
                return True
    return False


def drug_induced(chart: Chart, mg: Mg, issues: Issues) -> None:
    onset = chart.diagnosis("mg").onset
    if not mg.held or onset is None:
        return
    for order in chart.orders:
        checkpoint = order.drug in CHECKPOINT
        if not (checkpoint or order.drug in ("penicillamine", "interferon-alfa")) or not order.given:
            continue
        if order.start is None or not 0 <= (onset - order.start).days <= 365:
            continue
        if checkpoint and ((onset - order.start).days <= 90 or order.status in ("active", "on-hold")):
            issues.raise_("drug-induced-mg", "high", "interruptive")
        else:
            issues.raise_("drug-induced-mg", "moderate")
