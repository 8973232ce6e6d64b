"""Random compact patients, by seed, biased to be interesting: near thresholds, at window borders, contradictory.

A patient is a mixture of themes (ALS, MG, antibodies, breathing, drugs ...) with noise; or a known vignette with a few
facts dropped, doubled, shifted or changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from maker import DAYS, NOWS, Fact, Maker
from themes import THEMES


def random_patient(seed: int) -> dict[str, Any]:
    """A compact patient of mixed themes."""
    rng = Random(seed)
    make = Maker(rng, rng.choice(NOWS))
    facts = [fact for theme, share in THEMES if make.chance(share) for fact in theme(make)]
    for fact in list(facts):
        if make.chance(0.03):
            facts.append(dict(fact))
    rng.shuffle(facts)
    case = {"id": f"random-{seed}", "now": make.now.isoformat(), "patient": _patient(make), "facts": facts}
    return {**case, "scope": "full"} if make.chance(0.4) else case


def _patient(make: Maker) -> dict[str, Any]:
    patient: dict[str, Any] = {}
    if make.chance(0.95):
        patient["sex"] = make.pick(("male", "male", "female", "other"))
    days = make.pick((20000, 20000, 23000, 25000, 16436, 16437, 9131, 9132, 6574, 6575, 4000))
    if make.chance(0.95):
        born = (make.now - timedelta(days=days)).isoformat()
        patient["birth"] = born if make.chance(0.95) else born[:7] if make.chance(0.5) else born[:4]
    if make.chance(0.02):
        patient["active"] = make.chance(0.5)
    if make.chance(0.005):
        patient["deceased"] = True
    return patient


# ---- vignettes, changed

def changed(case: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A vignette with one to three of its facts dropped, doubled, shifted or changed, and now and then a new theme."""
    rng = Random(seed)
    now = date.fromisoformat(str(case["now"]))
    make = Maker(rng, now)
    facts = [dict(fact) for fact in case["facts"]]
    for _ in range(rng.randint(1, 3)):
        if facts:
            _change(make, facts, rng.randrange(len(facts)))
    if make.chance(0.35):
        theme = rng.choice([theme for theme, _ in THEMES])
        facts += theme(make)
    patient = dict(case["patient"]) if make.chance(0.85) else _patient(make)
    result = {"id": f"{case['id']}-{seed}", "now": case["now"], "patient": patient, "facts": facts}
    scope = case.get("scope") if make.chance(0.7) else make.pick((None, "full"))
    return {**result, "scope": scope} if scope else result


SWAPS = {
    "present": "absent", "absent": "present", "positive": "negative", "negative": "positive", "normal": "abnormal",
    "abnormal": "normal", "compression": "normal", "definite": "probable", "I": "V", "V": "IIb",
}  # fmt: skip


def _change(make: Maker, facts: list[Fact], index: int) -> None:
    fact = facts[index]
    match make.rng.randint(0, 6):
        case 0:
            del facts[index]
        case 1:
            facts.append(dict(fact))
            _change_value(make, facts[-1])
        case 2 | 3:
            _shift(make, fact)
        case 4:
            _change_value(make, fact)
        case 5 if fact["r"] == "Condition":
            fact["ver"] = make.pick(("confirmed", "provisional", "refuted", "refuted", "entered-in-error"))
        case 5 if fact["r"] == "MedicationRequest":
            fact["status"] = make.pick(("active", "draft", "on-hold", "completed", "stopped"))
        case 5 if fact["r"] == "Observation":
            fact["status"] = make.pick(("final", "amended", "preliminary", "entered-in-error"))
        case _:
            facts.append(dict(fact))
            _shift(make, facts[-1])


def _shift(make: Maker, fact: Fact) -> None:
    for key in ("d", "rec", "start"):
        if fact.get(key) is None or len(str(fact[key])) < 10:
            continue
        old = date.fromisoformat(str(fact[key]))
        new = old + timedelta(days=make.pick((-400, -91, -30, -28, -2, -1, 1, 2, 27, 28, 30, 90)))
        if make.chance(0.3):
            new = make.now - timedelta(days=make.pick(DAYS))
        end = fact.get("end")
        longest = 365 if fact["r"] == "MedicationDispense" else 100000
        if key != "start" or end is None or 0 <= (date.fromisoformat(str(end)) - new).days <= longest:
            fact[key] = new.isoformat()
        if make.chance(0.06) and key != "start":
            del fact[key]


def _change_value(make: Maker, fact: Fact) -> None:
    value = fact.get("v")
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if fact["c"] not in ("ar-cag", "ms-attacks"):
            fact["v"] = round(float(value) * make.pick((0.5, 0.98, 1.02, 2, 10)), 3)
            if fact.get("u") and make.chance(0.1):
                fact["cmp"] = make.pick(("<", ">", "<=", ">="))
    elif value in SWAPS and not (fact["c"] == "mgfa-class" and value == "V" and make.chance(0.5)):
        fact["v"] = SWAPS[str(value)]
