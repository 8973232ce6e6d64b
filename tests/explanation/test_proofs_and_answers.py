"""Proofs and answers over random programs: what is forgotten outside a proof changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.explanation.answers import Answering
from engine.explanation.proof import Proof
from engine.explanation.state import rules_by_name
from engine.inference.plain import PlainBackend
from engine.rules.program import (
    All,
    Any,
    AtLeast,
    Condition,
    Derived,
    DerivedCase,
    Issue,
    IssueCase,
    Literal,
    Program,
    Rule,
)

BASE = dict.fromkeys(("f1", "f2", "f3", "f4", "f5"), ("a", "b", "absent", "unknown"))


@st.composite
def literals(draw: st.DrawFn, facts: Sequence[tuple[str, Sequence[str]]]) -> Literal:
    name, values = draw(st.sampled_from(facts))
    known = [value for value in values if value != "unknown"]
    kind = draw(st.sampled_from(["is", "is", "is", "not", "unknown", "not unknown"]))
    if kind == "unknown":
        return Literal(name, frozenset({"unknown"}), closed=True)
    if kind == "not unknown":
        return Literal(name, frozenset({"unknown"}), positive=False, closed=True)
    chosen = frozenset(draw(st.lists(st.sampled_from(known), min_size=1, max_size=2)))
    return Literal(name, chosen, positive=kind == "is", closed=kind == "not")


def conditions(facts: Sequence[tuple[str, Sequence[str]]]) -> st.SearchStrategy[Condition]:
    def nest(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
        counted = st.lists(inner, min_size=2, max_size=4).map(tuple)
        return st.one_of(
            parts.map(All),
            parts.map(Any),
            counted.flatmap(lambda p: st.integers(1, len(p)).map(lambda n: AtLeast(n, p))),
        )

    return st.recursive(literals(facts), nest, max_leaves=5)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    facts: list[tuple[str, Sequence[str]]] = list(BASE.items())
    rules: list[Rule] = []
    for index in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            cases = tuple(
                DerivedCase(draw(st.sampled_from(["x", "y", "absent"])), draw(conditions(facts)))
                for _ in range(draw(st.integers(1, 3)))
            )
            values = (*dict.fromkeys(case.value for case in cases), "absent", "unknown")
            rules.append(Derived(name=f"d{index}", rule=f"d{index}", cases=cases, values=values))
            facts.append((f"d{index}", values))
        else:
            rules.append(draw(issues(f"i{index}", facts)))
            facts.append((f"i{index}", ("present", "absent", "unknown")))
    rules.append(draw(issues("last", facts)))
    return Program(patient=tuple(rules), order=(), base=BASE)


@st.composite
def issues(draw: st.DrawFn, name: str, facts: Sequence[tuple[str, Sequence[str]]]) -> Issue:
    cases = tuple(
        IssueCase(severity=severity, when=draw(conditions(facts)))
        for severity in draw(st.lists(st.sampled_from(["high", "moderate", "low"]), min_size=1, max_size=3))
    )
    unless = draw(conditions(facts)) if draw(st.booleans()) else None
    return Issue(name=name, rule=name, cases=cases, unless=unless)


values = st.fixed_dictionaries({name: st.sampled_from(closed) for name, closed in BASE.items()}).map(
    lambda facts: {name: value for name, value in facts.items() if value != "unknown"}
)


@pytest.mark.soak
@settings(max_examples=examples(60), deadline=None)
@given(programs(), values)
def test_forgetting_every_fact_outside_its_proof_leaves_a_finding_as_it_is(
    program: Program, facts: dict[str, str]
) -> None:
    backend, rules = PlainBackend(program), rules_by_name(program)
    state = backend.session(facts)
    proof = Proof(rules, state)
    for rule in program.patient:
        if not isinstance(rule, Issue) or state.value(rule.name) != "present":
            continue
        index = state.case(rule.name)
        assert index is not None
        kept = {*proof.value_in(rule.name, frozenset({"present"}))}
        for higher in rule.cases[:index]:
            kept |= {*proof.not_true(higher.when)}

        smaller = backend.session({name: value for name, value in facts.items() if name in kept})

        assert smaller.value(rule.name) == "present"
        assert smaller.case(rule.name) == index


@pytest.mark.soak
@settings(max_examples=examples(60), deadline=None)
@given(programs(), values)
def test_an_answer_found_by_reasoning_backwards_names_only_unknown_facts_and_their_values(
    program: Program, facts: dict[str, str]
) -> None:
    state = PlainBackend(program).session(facts)
    answering = Answering(rules_by_name(program), state, BASE)
    last = program.patient[-1]
    assert isinstance(last, Issue)

    for way in answering.to_change(last, state.case("last")):

        assert 1 <= len(way) <= 3
        assert all(name not in facts and value in BASE[name] and value != "unknown" for name, value in way)


@pytest.mark.soak
@settings(max_examples=examples(60), deadline=None)
@given(programs(), values)
def test_a_single_answer_that_makes_or_unmakes_a_finding_is_found_unless_it_only_blurs_a_derived_fact(
    program: Program, facts: dict[str, str]
) -> None:
    """An answer may also turn a derived fact from known to unknown (through `not`): nobody asks to know less."""
    backend = PlainBackend(program)
    state = backend.session(facts)
    answering = Answering(rules_by_name(program), state, BASE)
    last = program.patient[-1]
    assert isinstance(last, Issue)
    ways = set(answering.to_change(last, state.case("last")))
    before = (state.case("last"), state.value("last") == "present")

    for name, closed in BASE.items():
        for value in closed:
            if name in facts or value == "unknown":
                continue
            after = backend.session({**facts, name: value})
            changed = (after.case("last"), after.value("last") == "present") != before
            blurred = any(
                after.value(rule.name) == "unknown" != state.value(rule.name) for rule in program.patient
            )
            if changed and not blurred and before[1] != (after.value("last") == "present"):
                assert frozenset({(name, value)}) in ways or _covered(ways, name), (name, value)


def _covered(ways: set[frozenset[tuple[str, str]]], name: str) -> bool:
    return any(fact == name for way in ways for fact, _ in way)


@pytest.mark.parametrize("kind", ["all", "any"])
def test_a_proof_of_an_any_keeps_one_way_and_of_an_all_every_part(kind: str) -> None:
    one, two = Literal("f1", frozenset({"a"})), Literal("f2", frozenset({"a"}))
    when: Condition = All((one, two)) if kind == "all" else Any((one, two))
    program = Program(
        patient=(Issue(name="i", rule="i", cases=(IssueCase(severity="high", when=when),)),), order=(), base=BASE
    )
    state = PlainBackend(program).session({"f1": "a", "f2": "a"})

    proof = Proof(rules_by_name(program), state).true(when)

    assert proof == (("f1", "f2") if kind == "all" else ("f1",))
