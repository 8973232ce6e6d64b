"""Proofs: the clauses say what the plain backend says, and what is called impossible is impossible."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_kit import THREE, all_, any_, at_least, derived, is_, is_not, issue, program

from engine.inference.plain import infer
from engine.quality.clauses import Clauses
from engine.quality.mutants import Mutant, replaced
from engine.quality.proofs import Prover
from engine.quality.solver import Solver
from engine.rules.program import Adjustment, Condition, Gate, Literal, Program, Rule

FACTS = ("a", "b", "c")


def conditions(facts: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    values = st.sets(st.sampled_from(THREE), min_size=1, max_size=2).map(frozenset)
    tests = st.builds(
        lambda fact, of, closed: Literal(fact, of, positive=not closed, closed=closed or "unknown" in of),
        st.sampled_from(facts), values, st.booleans(),
    ).filter(lambda test: test.positive or test.closed)  # fmt: skip
    pure = tests.filter(lambda test: not (test.positive and "unknown" in test.values and len(test.values) > 1))
    return st.recursive(
        pure,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: all_(*parts)),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: any_(*parts)),
            st.lists(inner, min_size=3, max_size=3).map(lambda parts: at_least(2, *parts)),
        ),
        max_leaves=6,
    )


@st.composite
def programs(draw: st.DrawFn) -> Program:
    level = derived("level", ("high", draw(conditions(FACTS))), ("low", draw(conditions(FACTS))))
    names = (*FACTS, "first")
    first = issue("first", ("high", draw(conditions(FACTS))), unless=draw(st.none() | conditions(FACTS)))
    second = issue("second", ("high", draw(conditions(names))), ("low", draw(conditions(names))))
    return program(level, first, second)


@settings(max_examples=60, deadline=None)
@given(programs())
def test_the_clauses_have_exactly_the_models_that_the_plain_backend_computes(made: Program) -> None:
    clauses = Clauses(made)
    with Solver(clauses) as solver:
        for values in product(THREE, repeat=3):
            facts = dict(zip(FACTS, values, strict=True))
            known = {fact: value for fact, value in facts.items() if value != "unknown"}
            concluded = infer(known, made.patient)
            assumed = [clauses.has(fact, (value,)) for fact, value in facts.items()]
            for rule in made.patient:
                said = concluded.values[rule.name]
                assert solver.possible(*assumed, clauses.has(rule.name, (said,)))
                assert not solver.possible(*assumed, -clauses.has(rule.name, (said,)))
                for index, selected in enumerate(clauses.selected[rule.name]):
                    assert solver.possible(*assumed, selected) == (concluded.cases.get(rule.name) == index)


@settings(max_examples=40, deadline=None)
@given(programs(), st.data())
def test_a_difference_is_found_exactly_where_enumeration_finds_one(made: Program, data: st.DataObject) -> None:
    changed: Rule = msgspec.structs.replace(made.patient[1], unless=data.draw(conditions(FACTS)))
    other = replaced(made, changed)
    difference = Prover(made).difference(Mutant(name="m", program=other, rule="first"))

    def shown(of: Program, known: dict[str, str]) -> list[object]:
        concluded = infer(known, of.patient)
        return [(n, concluded.values[n] == "present", concluded.cases.get(n) if concluded.values[n] == "present" else 0)
                for n in ("first", "second")]

    worlds = [
        {fact: value for fact, value in zip(FACTS, values, strict=True) if value != "unknown"}
        for values in product(THREE, repeat=3)
    ]
    assert (difference.what == "findings") == any(shown(made, known) != shown(other, known) for known in worlds)
    if difference.what == "findings":
        assert shown(made, dict(difference.example)) != shown(other, dict(difference.example))


def test_a_witness_knows_no_more_than_it_needs() -> None:
    made = program(issue("x", ("high", any_(all_(is_("a", "present"), is_("b", "present")), is_("c", "absent")))))
    clauses = Clauses(made)
    with Solver(clauses) as solver:
        assert solver.witness(clauses.has("x", ("present",)), -clauses.has("c", ("absent",))) == {
            "a": "present", "b": "present",
        }  # fmt: skip
        assert solver.witness(clauses.has("x", ("present",)), clauses.has("x", ("absent",))) is None


def test_a_case_that_only_facts_together_make_impossible_is_never_the_answer() -> None:
    risk = derived("risk", ("high", all_(is_("a", "present"), is_("b", "absent"))))
    made = program(risk, issue("x", ("high", is_("b", "present")), ("low", is_("risk", "high"))),
                   issue("y", ("high", all_(is_("risk", "high"), is_("b", "present")))))

    assert [(found.rule, found.case) for found in Prover(made).never()] == [("y", 0)]


def test_a_gate_that_mutes_an_issue_for_good_is_seen() -> None:
    gate = Gate(when=is_not("a", "present"), mute=("care",))
    made = program(issue("x", ("low", is_("a", "absent")), group="care"), gates=(gate,))

    assert [found.rule for found in Prover(made).never()] == ["x"]


def test_an_implication_between_issues_is_proved_and_its_converse_is_not() -> None:
    made = program(issue("narrow", ("low", all_(is_("a", "present"), is_("b", "present")))),
                   issue("wide", ("low", is_("a", "present"))))

    found = list(Prover(made).together([("narrow", "wide"), ("wide", "narrow")]))

    assert [(always.issue, always.also) for always in found] == [("narrow", "wide")]


def test_a_property_holds_or_has_a_counterexample() -> None:
    made = program(derived("risk", ("some", is_("a", "present"))))
    prover = Prover(made, [is_("risk", "some"), is_("a", "present"), is_("b", "present")])

    assert prover.counterexample([is_("risk", "some")], [is_("a", "present")]) is None
    assert prover.counterexample([is_("risk", "some")], [is_("b", "present")]) == {"a": "present"}


@pytest.mark.parametrize(("severity", "what"), [("low", "findings"), ("", "nothing")])
def test_a_policy_counts_for_what_is_shown(severity: str, what: str) -> None:
    mild = Adjustment(name="mild", when=is_("b", "present"), severity="low")
    x = issue("x", ("high", is_("a", "present")))
    case = msgspec.structs.replace(x.cases[0], adjust=("mild",))
    made = program(msgspec.structs.replace(x, cases=(case,)), adjustments={"mild": mild})
    kept = msgspec.structs.replace(mild, severity="" if severity else "low")
    other = msgspec.structs.replace(made, adjustments={"mild": kept})

    assert Prover(made).difference(Mutant(name="m", program=other)).what == what


def test_two_programs_that_only_conclude_or_word_otherwise_are_told_from_equal_ones() -> None:
    made = program(derived("grade", ("one", is_("a", "present"))), issue("x", ("low", is_("a", "present"))))
    prover = Prover(made)

    def what(changed: Rule) -> str:
        return prover.difference(Mutant(name="m", program=replaced(made, changed), rule=changed.name)).what

    assert what(derived("grade", ("one", is_("b", "present")))) == "conclusions"
    assert what(derived("grade", ("one", all_(is_("a", "present"), is_("a", "present"))))) == "nothing"
    worded = msgspec.structs.replace(made.patient[1].cases[0], summary="other words")
    assert what(msgspec.structs.replace(made.patient[1], cases=(worded,))) == "words"
