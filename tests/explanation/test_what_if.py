"""Asking again with an answer: what does not rest on it stays decided, and nothing comes out otherwise."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_proofs_and_answers import BASE, programs, values

from engine.explanation.answers import ALREADY, WIDTH, Answering, Answers, narrow, together
from engine.explanation.memory import Memory
from engine.explanation.missing import WhatIf, changes_of
from engine.explanation.proof import Proof
from engine.explanation.state import rules_by_name
from engine.findings import reasons, standing
from engine.inference.plain import PlainBackend
from engine.rules.program import Adjustment, Gate, Issue, Literal, Program, Rule

answers = st.dictionaries(st.sampled_from(sorted(BASE)), st.sampled_from(("a", "b", "absent")), min_size=1, max_size=3)
sets = st.frozensets(st.tuples(st.sampled_from("uvw"), st.sampled_from("abc")), max_size=WIDTH + 1)


def with_policies(program: Program) -> Program:
    """With a gate on one fact, and an adjustment on another one in every case of every issue."""

    def adjusted(rule: Rule) -> Rule:
        if not isinstance(rule, Issue):
            return rule
        return replace(rule, cases=tuple(replace(case, adjust=("lower",)) for case in rule.cases))

    gate = Gate(when=Literal("f1", frozenset({"a"})), keep=())
    lower = Adjustment(name="lower", when=Literal("f2", frozenset({"b"})), severity="one-step-lower")
    rules = tuple(adjusted(rule) for rule in program.patient)
    return replace(program, patient=rules, gates=(gate,), adjustments={"lower": lower})


@pytest.mark.soak
@settings(max_examples=examples(50), deadline=None)
@given(programs(), values, answers)
def test_a_session_with_an_answer_is_one_that_knew_it_from_the_start(
    program: Program, facts: dict[str, str], given_: dict[str, str]
) -> None:
    backend = PlainBackend(program)
    answer = {name: value for name, value in given_.items() if name not in facts}
    before = backend.session(facts, backend.infer(facts).conclusions)

    after, fresh = before.answered(answer), backend.session({**facts, **answer})

    for rule in program.patient:
        assert (after.value(rule.name), after.case(rule.name)) == (fresh.value(rule.name), fresh.case(rule.name))
        assert before.value(rule.name) == backend.session(facts).value(rule.name)


@pytest.mark.soak
@settings(max_examples=examples(50), deadline=None)
@given(programs(), values, answers)
def test_what_would_stand_is_what_stands_with_the_answer(
    program: Program, facts: dict[str, str], given_: dict[str, str]
) -> None:
    program = with_policies(program)
    backend = PlainBackend(program)
    answer = {name: value for name, value in given_.items() if name not in facts}
    issues = [rule for rule in program.patient if isinstance(rule, Issue)]
    stands = partial(standing, program=program, draft=False)
    names = frozenset(issue.name for issue in issues)
    what_if = WhatIf(facts, backend.session(facts), issues, lambda _: names, stands)

    assert what_if(answer) == stands(issues, backend.session({**facts, **answer}))


@pytest.mark.soak
@settings(max_examples=examples(50), deadline=None)
@given(programs(), st.lists(values, min_size=2, max_size=4))
def test_what_is_remembered_of_one_patient_is_right_for_the_next(
    program: Program, patients: list[dict[str, str]]
) -> None:
    backend, memory, rules = PlainBackend(program), Memory(program), rules_by_name(program)
    last = program.patient[-1]
    assert isinstance(last, Issue)
    for facts in patients:
        state = backend.session(facts)
        ways = Answering(rules, state, BASE).to_change(last, state.case(last.name))

        assert memory.recall(last, facts, lambda found=ways: found) == ways  # type: ignore[misc]


@pytest.mark.soak
@settings(max_examples=examples(50), deadline=None)
@given(
    programs(),
    st.lists(values, min_size=2, max_size=4),
    st.frozensets(st.sampled_from(sorted(BASE)), max_size=2),
    st.dictionaries(st.sampled_from(sorted(BASE)), st.frozensets(st.sampled_from("ab"), min_size=1), max_size=2),
)
def test_reasons_that_are_remembered_of_one_patient_are_right_for_the_next(
    program: Program, patients: list[dict[str, str]], conflicting: frozenset[str], shown: dict[str, frozenset[str]]
) -> None:
    program = with_policies(program)
    issues = [rule for rule in program.patient if isinstance(rule, Issue)]
    listed = tuple((name, Literal(name, values)) for name, values in shown.items())
    text = SimpleNamespace(summary="{list}" if listed else "", listed=listed)
    told: Any = {issue.name: text for issue in issues}
    memory, rules, backend = Memory(program, told), rules_by_name(program), PlainBackend(program)
    for facts in patients:
        state = backend.session(facts)
        for fragile in (frozenset(conflicting - facts.keys()), frozenset[str]()):
            source: Any = SimpleNamespace(
                program=program, info=told, state=state, proof=Proof(rules, state, fragile), values=facts, memory=memory
            )
            for issue in issues:
                if (index := state.case(issue.name)) is not None:
                    fresh = SimpleNamespace(**vars(source) | {"memory": Memory(program, told)})
                    assert reasons(issue, index, source) == reasons(issue, index, fresh)  # type: ignore[arg-type]


@pytest.mark.soak
@settings(max_examples=examples(50), deadline=None)
@given(programs(), st.lists(values, min_size=2, max_size=4))
def test_changes_that_are_remembered_of_one_patient_are_right_for_the_next(
    program: Program, patients: list[dict[str, str]]
) -> None:
    program = with_policies(program)
    backend, memory, rules = PlainBackend(program), Memory(program), rules_by_name(program)
    issues = [rule for rule in program.patient if isinstance(rule, Issue)]
    names, stands = frozenset(issue.name for issue in issues), partial(standing, program=program, draft=False)
    for facts in patients:
        state = backend.session(facts)
        ways = Answering(rules, state, BASE).to_change(issues[-1], state.case("last"))
        what_if = WhatIf(facts, state, issues, lambda _: names, stands)
        found = changes_of(ways, ask=what_if, about="last")

        assert memory.changes(issues[-1], ways, facts, lambda found=found: found, draft=False) == found  # type: ignore[misc]


@pytest.mark.soak
@settings(max_examples=examples(60), deadline=None)
@given(st.lists(sets, max_size=12))
def test_narrowing_keeps_the_minimal_consistent_sets_in_their_order(ways: list[Answers]) -> None:
    kept: list[Answers] = []
    for way in sorted(dict.fromkeys(ways), key=len):
        one_each = len({fact for fact, _ in way}) == len(way) <= WIDTH
        if one_each and not any(other <= way for other in kept):
            kept.append(way)

    assert narrow(ways) == tuple(kept)


@pytest.mark.parametrize("parts", list(combinations(((frozenset({("u", "a")}),), ALREADY, ()), 2)))
def test_what_never_comes_true_makes_all_together_never_come_true(parts: tuple[tuple[Answers, ...], ...]) -> None:
    needed = [part for part in parts if part != ALREADY]

    assert together(parts) == (() if () in parts else needed[0])
