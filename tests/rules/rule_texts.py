"""Rules written in tests, without headers: a YAML list of bodies over a handful of base facts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from engine.document import parse_document
from engine.errors import Fault
from engine.model.fact import UNKNOWN
from engine.rules.compile import Compiled, compile_program
from engine.rules.program import All, Any, AtLeast, Condition, Derived, Issue, Literal, Rule
from engine.rules.shape import Node
from engine.rules.source import read_body
from engine.rules.vocabulary import BaseFact, base_facts

BASE = base_facts(
    {
        "glow": ["present", "absent"],
        "hum": ["present", "absent"],
        "scan": ["dark", "pale", "clear"],
        "fever": ["confirmed", "suspected", "refuted"],
        "sex": ["male", "female"],
        "pulse": ["critical", "fast", "calm"],
        "order.ingredient": ["bright-a", "bright-b", "dimol"],
        "order.age": ["new", "current", "long"],
    },
    {"scan": {"abnormal": ["dark", "pale"]}, "order.ingredient": {"brightener": ["bright-a", "bright-b"]}},
)


def compiled(
    text: str, base: Mapping[str, BaseFact] | None = None, policies: str = ""
) -> tuple[Compiled | None, list[Fault]]:
    """The rules of a text, and all faults; with faults of its form there is no program, as in a folder."""
    faults: list[Fault] = []
    document = parse_document(text, "rules.yaml")
    sources = [read_body(Node(document, (index,), faults)) for index in range(len(document.data))]
    shared = parse_document(policies, "ruleset.yaml") if policies else None
    known = [source for source in sources if source is not None]
    program = compile_program(known, BASE if base is None else base, faults, policies=shared)
    return (None if faults else program), faults


def accepted(text: str, policies: str = "") -> Compiled:
    """The rules of a text that has no fault."""
    result, faults = compiled(text, policies=policies)
    assert result is not None and not faults, [str(fault) for fault in faults]
    return result


def refused(text: str, policies: str = "") -> list[str]:
    """The faults of a text, as they are shown."""
    result, faults = compiled(text, policies=policies)
    assert faults and result is None
    return [str(fault) for fault in faults]


def truth(condition: Condition, values: Mapping[str, str]) -> bool | None:
    """Kleene truth, written from the page of the rule language."""
    if isinstance(condition, Literal):
        value = values.get(condition.fact, UNKNOWN)
        if value == UNKNOWN and not condition.closed:
            return None
        return (value in condition.values) == condition.positive
    parts = [truth(part, values) for part in condition.parts]
    need = {All: len(parts), Any: 1, AtLeast: getattr(condition, "count", 0)}[type(condition)]
    if sum(part is True for part in parts) >= need:
        return True
    return False if sum(part is not False for part in parts) < need else None


def concluded(rules: tuple[Rule, ...], base: Mapping[str, str]) -> dict[str, str]:
    """The value of every rule, in dependency order."""
    values = dict(base)
    for rule in rules:
        truths = [truth(case.when, values) for case in rule.cases]
        if isinstance(rule, Derived):
            first = next((case.value for case, true in zip(rule.cases, truths, strict=True) if true), None)
            values[rule.name] = first or ("absent" if all(true is False for true in truths) else UNKNOWN)
        else:
            held = rule.unless is not None and truth(rule.unless, values) is True
            fires = any(truths) and not held
            silent = held or all(true is False for true in truths)
            values[rule.name] = "present" if fires else "absent" if silent else UNKNOWN
    return values


def assignments(base: Mapping[str, BaseFact], *names: str) -> list[dict[str, str]]:
    """Every combination of values of some facts, unknown included."""
    return [
        dict(zip(names, values, strict=True)) for values in product(*(base[name].values for name in names))
    ]


__all__ = ["BASE", "Issue", "accepted", "assignments", "compiled", "concluded", "refused", "truth"]
