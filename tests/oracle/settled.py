"""What random patients are spared: data on which the two readings are known to differ.

Each line of `settled` takes out one kind of datum, says what differs, and goes when the difference does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from maker import MEASURES, Fact

Case = Mapping[str, Any]

ONE_VALUE = {"fvc-l": "vc-mlkg"}  # one quantity under two concepts
OF_A_REFUTED_MG = {"fatigability", "ocular-weakness", "musk-ab"}


def settled(case: Case) -> dict[str, Any]:
    """The case without what the two readings are known to read differently."""
    facts = [dict(fact) for fact in case["facts"]]
    _exact_among_several(facts)
    facts = [_flagged(fact) for fact in facts]
    facts = _first_alone(facts, lambda concept: concept in ("weakness-pattern", "thymectomy"))
    if any(fact["c"] == "mg" and fact.get("ver") == "refuted" for fact in facts):
        facts = _first_alone(facts, lambda concept: concept in OF_A_REFUTED_MG)
    if case.get("scope") == "full":
        facts = _first_alone(facts, lambda concept: concept == "riluzole")
    return {**case, "facts": facts}


def _exact_among_several(facts: list[Fact]) -> None:
    """Of several values of a quantity the engine lets one with a comparator speak for the gravest limit that it
    certainly passes; here each limit is a question of its own. A weight with a comparator it does not read."""
    counts = Counter(ONE_VALUE.get(fact["c"], fact["c"]) for fact in facts)
    for fact in facts:
        quantity = ONE_VALUE.get(fact["c"], fact["c"])
        if fact["c"] in MEASURES and (counts[quantity] > 1 or quantity == "body-weight"):
            fact.pop("cmp", None)
        if fact["c"] == "bilirubin" and counts["bilirubin"] > 1:
            fact.pop("cmp", None)


def _flagged(fact: Fact) -> Fact:
    """Flagged low, but above its own range: raised for the engine, low here."""
    if fact["c"] == "bilirubin" and str(fact.get("interp", "")).startswith("L"):
        return {key: value for key, value in fact.items() if key != "interp"}
    return fact


def _first_alone(facts: list[Fact], chosen: Callable[[str], bool]) -> list[Fact]:
    """One datum of each of these concepts.

    - weakness-pattern: it reads proximal weakness ever recorded, here the newest pattern;
    - thymectomy: once present it stays, here the newest record decides;
    - signs after a refuted MG: an older one that the newest denies re-opens it;
    - riluzole: its first phase starts with the orders taken now, here with the first order that was ever given.
    """
    seen: set[str] = set()
    kept = []
    for fact in facts:
        if not chosen(fact["c"]) or fact["c"] not in seen:
            kept.append(fact)
        seen.add(fact["c"])
    return kept
