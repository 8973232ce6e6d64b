"""A made-up program about a house alarm, small enough to read, and short ways to write conditions."""

from __future__ import annotations

from engine.rules.program import All, Any, AtLeast, Condition, Derived, DerivedCase, Issue, IssueCase, Literal, Program

SMOKE = ("seen", "smelt", "absent", "unknown")
YES_NO = ("present", "absent", "unknown")


def is_(fact: str, *values: str) -> Literal:
    return Literal(fact, frozenset(values))


def is_not(fact: str, *values: str) -> Literal:
    return Literal(fact, frozenset(values), positive=False, closed=True)


def unknown(fact: str) -> Literal:
    return Literal(fact, frozenset({"unknown"}), closed=True)


def all_(*parts: Condition) -> All:
    return All(parts)


def any_(*parts: Condition) -> Any:
    return Any(parts)


def at_least(count: int, *parts: Condition) -> AtLeast:
    return AtLeast(count, parts)


def derived(name: str, *cases: tuple[str, Condition]) -> Derived:
    values = tuple(dict.fromkeys([*(value for value, _ in cases), "absent", "unknown"]))
    return Derived(name=name, rule=name, cases=tuple(DerivedCase(*case) for case in cases), values=values)


def plain(name: str, when: Condition) -> Derived:
    return derived(name, ("present", when))


def issue(
    name: str, *cases: Condition, unless: Condition | None = None, anchors: tuple[Literal, ...] = ()
) -> Issue:
    raised = tuple(IssueCase(severity="high", when=when) for when in cases)
    return Issue(name=name, rule=name, cases=raised, unless=unless, anchors=anchors)


HOUSE = Program(
    base={
        "smoke": SMOKE,
        "heat": YES_NO,
        "cooking": YES_NO,
        "occupied": YES_NO,
        "order.water": ("much", "little", "unknown"),
    },
    patient=(
        plain("hot", all_(is_("heat", "present"), is_not("cooking", "present"))),
        plain("signs", any_(is_("smoke", "seen", "smelt"), is_("hot", "present"))),
        derived(
            "fire",
            ("sure", all_(is_("smoke", "seen"), is_("hot", "present"))),
            ("likely", all_(is_("signs", "present"), is_not("cooking", "present"))),
            ("possible", is_("signs", "present")),
        ),
        issue(
            "alarm",
            is_("fire", "sure"),
            is_("fire", "likely"),
            unless=is_("occupied", "absent"),
            anchors=(is_("smoke", "seen", "smelt"), is_("heat", "present")),
        ),
        issue("look", all_(is_("fire", "possible"), is_not("alarm", "present")), anchors=(is_("smoke", "smelt"),)),
    ),
    order=(
        issue("flood", all_(is_("order.water", "much"), is_("fire", "absent")), anchors=(is_("order.water", "much"),)),
    ),
)
