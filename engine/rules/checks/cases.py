"""Cases: reachable, anchored, interruptive only on something current, adjusted by what exists and applies."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Fault, Place, nearest
from engine.rules.anchors import Cover, currency
from engine.rules.compile import Compiled
from engine.rules.program import Condition, Derived, Issue, Rule, literals
from engine.rules.reach import possible
from engine.rules.shape import quoted
from engine.rules.strata import ORDER

UNANCHORED = "data-quality"        # a group about the record as a whole: dq anchors nothing


def check_cases(compiled: Compiled) -> Iterator[Fault]:
    for rule in compiled.rules.values():
        yield from _unreachable(rule, compiled)
        if isinstance(rule, Issue):
            yield from _without_anchor(rule, compiled)
            yield from _not_current(rule, compiled)
            yield from _adjustments(rule, compiled)
    yield from _policies(compiled)


def place_of(rule: Rule, index: int, compiled: Compiled) -> Place:
    """Where a case stands."""
    source = compiled.sources[rule.name]
    path = source.cases[index].path
    if path == source.path:
        return source.document.key_place((*path, "when"))
    return source.document.key_place(path) if isinstance(rule, Derived) else source.document.place(path)


def _unreachable(rule: Rule, compiled: Compiled) -> Iterator[Fault]:
    vocabulary = compiled.vocabulary
    unless = [rule.unless] if isinstance(rule, Issue) and rule.unless is not None else []
    if unless and not possible(unless, [], vocabulary):
        yield Fault(compiled.sources[rule.name].place("unless"), "the `unless` can never hold", "drop it")
        unless = []
    whens = [case.when for case in rule.cases]
    for index, when in enumerate(whens):
        higher = whens[:index]
        what = f"case {index + 1} of {quoted(rule.name)}" if len(rule.cases) > 1 else quoted(rule.name)
        if not possible([when], [], vocabulary):
            message, hint = f"{what} can never hold", "its tests contradict each other"
        elif not possible([when], higher, vocabulary):
            message, hint = f"{what} is never reached", "an earlier case holds whenever it does"
        elif unless and not possible([when], [*higher, *unless], vocabulary):
            message, hint = f"{what} never fires", "the `unless` holds whenever it does"
        else:
            continue
        yield Fault(place_of(rule, index, compiled), message, hint)


def _without_anchor(issue: Issue, compiled: Compiled) -> Iterator[Fault]:
    if not issue.anchors and issue.group != UNANCHORED:
        yield Fault(
            compiled.sources[issue.name].place(),
            f"{quoted(issue.name)} has no anchor: it could fire in anybody",
            "each case needs a test for a value of a fact that is not common in the population",
        )


def _not_current(issue: Issue, compiled: Compiled) -> Iterator[Fault]:
    cover = Cover(compiled.rules, compiled.base, currency(compiled.base))
    for index, case in enumerate(issue.cases):
        shown = [case.display] + [
            compiled.policies.adjustments[name].display
            for name in case.adjust
            if name in compiled.policies.adjustments
        ]
        if "interruptive" in shown and cover.true(case.when) is None:
            yield Fault(
                place_of(issue, index, compiled),
                "an interruptive case rests on nothing current",
                "test a value in its window, or a drug that is taken or ordered now",
            )


def _adjustments(issue: Issue, compiled: Compiled) -> Iterator[Fault]:
    known = compiled.policies.adjustments
    for index, case in enumerate(issue.cases):
        for name in case.adjust:
            if name not in known:
                message, hint = f"{quoted(name)} is no adjustment", nearest(name, known)
            elif not issue.order and _reads_order(known[name].when, compiled):
                message = f"the adjustment {quoted(name)} reads the order, and {quoted(issue.name)} is about no order"
                hint = "leave it out"
            else:
                continue
            yield Fault(place_of(issue, index, compiled), message, hint)


def _policies(compiled: Compiled) -> Iterator[Fault]:
    policies = compiled.policies
    for gate, place in zip(policies.gates, policies.gate_places, strict=True):
        if _reads_order(gate.when, compiled):
            yield Fault(place, "a gate reads the order", "a gate is about the patient; use an adjustment")
        if not possible([gate.when], [], compiled.vocabulary):
            yield Fault(place, "the gate can never hold", "its tests contradict each other")
    issues = [rule for rule in compiled.rules.values() if isinstance(rule, Issue)]
    named = {name for issue in issues for case in issue.cases for name in case.adjust}
    for name, adjustment in policies.adjustments.items():
        if name not in named:
            yield Fault(policies.places[name], f"no rule names the adjustment {quoted(name)}", "remove it")
        if not possible([adjustment.when], [], compiled.vocabulary):
            yield Fault(policies.places[name], f"the adjustment {quoted(name)} can never hold", "its tests contradict")


def _reads_order(condition: Condition, compiled: Compiled) -> bool:
    return any(is_of_order(literal.fact, compiled) for literal in literals(condition))


def is_of_order(fact: str, compiled: Compiled) -> bool:
    """Whether a fact belongs to the order program, or is a base fact of an order."""
    rule = compiled.rules.get(fact)
    return rule.order if rule is not None else fact.startswith(ORDER)


