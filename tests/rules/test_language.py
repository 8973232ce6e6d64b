# ruff: noqa: E501
"""The rule language: what each form of a condition, a case, a set and a policy means."""

from __future__ import annotations

import pytest
from rule_texts import BASE, accepted, assignments, concluded, truth

from engine.rules.program import All, Any, AtLeast, Condition, Derived, Gate, Issue, Literal


def condition(text: str) -> Condition:
    return accepted(f"- conclude: x\n  when: {text}\n").rules["x"].cases[0].when


def rule(text: str, name: str) -> Derived | Issue:
    return accepted(text).rules[name]


# -- literals


def test_a_value_a_list_and_a_named_set_are_one_literal_each():
    assert condition("{glow: present}") == Literal("glow", frozenset({"present"}))
    assert condition("{fever: [confirmed, suspected]}") == Literal("fever", frozenset({"confirmed", "suspected"}))
    assert condition("{scan: abnormal}") == Literal("scan", frozenset({"dark", "pale"}))
    assert condition("{order.ingredient: [brightener, dimol]}").values == {"bright-a", "bright-b", "dimol"}


@pytest.mark.parametrize("text", ["{fever: not refuted}", "{fever: {not: refuted}}", "{fever: {not: [refuted]}}"])
def test_not_is_another_value_unknown_included(text):
    assert condition(text) == Literal("fever", frozenset({"refuted"}), positive=False, closed=True)
    assert truth(condition(text), {}) is True
    assert truth(condition(text), {"fever": "refuted"}) is False


def test_not_takes_a_named_set():
    assert condition("{scan: not abnormal}").values == {"dark", "pale"}


def test_unknown_is_a_value_that_is_never_unknown_itself():
    assert condition("{glow: unknown}") == Literal("glow", frozenset({"unknown"}), closed=True)
    assert truth(condition("{glow: not unknown}"), {}) is False
    assert truth(condition("{glow: not unknown}"), {"glow": "absent"}) is True


def test_unknown_in_a_list_is_a_test_beside_the_values():
    mixed = condition("{glow: [absent, unknown]}")
    assert [truth(mixed, {"glow": value}) for value in ("absent", "unknown", "present")] == [True, True, False]


# -- combinations


def test_a_mapping_is_all_of_its_entries():
    assert condition("{glow: present, hum: absent}") == All(
        (Literal("glow", frozenset({"present"})), Literal("hum", frozenset({"absent"})))
    )


def test_any_all_and_at_least_nest():
    found = condition("{any: [{glow: present}, {all: [{hum: present}, {any: [{scan: dark}, {sex: male}]}]}]}")
    assert isinstance(found, Any) and isinstance(found.parts[1], All) and isinstance(found.parts[1].parts[1], Any)


def test_nested_groups_of_one_kind_are_one_group():
    assert condition("{any: [{any: [{glow: present}, {hum: present}]}, {sex: male}]}") == condition(
        "{any: [{glow: present}, {hum: present}, {sex: male}]}"
    )


def test_at_least_counts_and_stands_beside_literals():
    found = condition("{sex: male, at_least: 2, of: [{glow: present}, {hum: present}, {scan: dark}]}")
    assert isinstance(found, All) and isinstance(found.parts[1], AtLeast) and found.parts[1].count == 2


@pytest.mark.parametrize("values", assignments(BASE, "glow", "hum", "scan"))
def test_at_least_is_kleene(values):
    found = condition("{at_least: 2, of: [{glow: present}, {hum: present}, {scan: dark}]}")
    known = [values["glow"] == "present", values["hum"] == "present", values["scan"] == "dark"]
    unknown = [value == "unknown" for value in values.values()]
    sure, possible = sum(known), sum(known) + sum(unknown)
    assert truth(found, values) is (True if sure >= 2 else False if possible < 2 else None)


@pytest.mark.parametrize(("count", "kind"), [(1, Any), (3, All)])
def test_at_least_one_or_all_need_no_counting(count, kind):
    assert isinstance(condition(f"{{at_least: {count}, of: [{{glow: present}}, {{hum: present}}, {{sex: male}}]}}"), kind)


# -- derived facts


def test_when_alone_concludes_present():
    found = rule("- {conclude: x, when: {glow: present}}", "x")
    assert [case.value for case in found.cases] == ["present"]
    assert found.values == ("present", "absent", "unknown")


RANKED = """
- conclude: grade
  when: {glow: not absent}
  cases:
    - high: {fever: confirmed}
    - low: {fever: suspected}
    - high: {hum: present}
  sets: {some: [high, low]}
- conclude: some-grade
  when: {grade: some}
"""


def test_a_common_when_is_part_of_every_case():
    found = rule(RANKED, "grade")
    common = Literal("glow", frozenset({"absent"}), positive=False, closed=True)
    assert all(isinstance(case.when, All) and case.when.parts[0] == common for case in found.cases)


def test_a_value_may_return_lower_down_and_the_closed_set_names_it_once():
    found = rule(RANKED, "grade")
    assert [case.value for case in found.cases] == ["high", "low", "high"]
    assert found.values == ("high", "low", "absent", "unknown")


def test_named_sets_of_derived_facts_are_expanded():
    assert rule(RANKED, "some-grade").cases[0].when == Literal("grade", frozenset({"high", "low"}))


@pytest.mark.parametrize(
    ("values", "grade"),
    [
        ({"fever": "confirmed", "hum": "present"}, "high"),
        ({"fever": "suspected", "hum": "present"}, "low"),
        ({"hum": "present"}, "high"),
        ({"fever": "refuted"}, "unknown"),
        ({"fever": "refuted", "hum": "absent"}, "absent"),
        ({"glow": "absent", "fever": "confirmed"}, "absent"),
    ],
)
def test_the_first_true_case_wins_and_absent_needs_all_cases_false(values, grade):
    assert concluded(accepted(RANKED).program.patient, values)["grade"] == grade


def test_absent_may_be_concluded_by_a_case():
    found = rule("- {conclude: x, cases: [{present: {glow: present}}, {absent: {fever: refuted}}]}", "x")
    assert found.values == ("present", "absent", "unknown")


# -- issues

ISSUES = """
- issue: plain
  severity: high
  when: {glow: present}
- issue: cased
  group: drug-safety
  when: {sex: male}
  display: batch-only
  adjust: [first, second]
  summary: common text
  advice: [wait]
  cases:
    - {severity: high, when: {fever: confirmed}, display: interruptive, summary: own text, advice: [go, run]}
    - {severity: low, when: {fever: suspected}, adjust: []}
  unless: {plain: present}
"""
ADJUSTMENTS = """
id: t
version: 1.0.0
title: t
gates:
  - {when: {sex: female}, keep: [crisis]}
  - {when: {hum: present}, mute: [care, closed-world]}
  - {when: {scan: dark}, keep: []}
adjustments:
  first: {when: {order.age: long}, severity: low, display: batch-only}
  second: {when: {glow: present}, severity: one-step-lower}
"""


def test_an_issue_without_cases_has_one():
    found = accepted(ISSUES, ADJUSTMENTS).rules["plain"]
    assert isinstance(found, Issue)
    assert [(case.severity, case.display, case.adjust) for case in found.cases] == [("high", "", ())]
    assert (found.group, found.unless, found.order) == ("diagnostic", None, False)


def test_a_case_takes_from_the_rule_what_it_does_not_say_itself():
    first, second = accepted(ISSUES, ADJUSTMENTS).rules["cased"].cases
    assert (first.severity, first.display, first.summary, first.advice) == ("high", "interruptive", "own text", ("go", "run"))
    assert (second.severity, second.display, second.summary, second.advice) == ("low", "batch-only", "common text", ("wait",))


def test_adjustments_keep_their_order_and_a_case_may_refuse_them():
    first, second = accepted(ISSUES, ADJUSTMENTS).rules["cased"].cases
    assert (first.adjust, second.adjust) == (("first", "second"), ())


def test_an_issue_is_read_as_a_fact():
    found = accepted(ISSUES, ADJUSTMENTS).rules["cased"]
    assert found.unless == Literal("plain", frozenset({"present"}))


def test_an_issue_is_present_only_when_a_case_is_true_and_unless_is_not():
    rules = accepted(ISSUES, ADJUSTMENTS).program.patient
    male = {"sex": "male", "fever": "confirmed"}
    assert concluded(rules, male)["cased"] == "present"
    assert concluded(rules, {**male, "glow": "absent"})["cased"] == "present"
    assert concluded(rules, {**male, "glow": "present"})["cased"] == "absent"
    assert concluded(rules, {"sex": "male"})["cased"] == "unknown"
    assert concluded(rules, {"sex": "female"})["cased"] == "absent"


def test_gates_keep_or_mute_groups():
    gates = accepted(ISSUES, ADJUSTMENTS).program.gates
    assert [(gate.keep, gate.mute) for gate in gates] == [(("crisis",), None), (None, ("care", "closed-world")), ((), None)]
    assert all(isinstance(gate, Gate) for gate in gates)


def test_adjustments_have_conditions_over_all_facts():
    found = accepted(ISSUES, ADJUSTMENTS).program.adjustments
    assert found["second"].severity == "one-step-lower"
    assert found["first"].when == Literal("order.age", frozenset({"long"}))


# -- the two programs

TWO = """
- {issue: on-drug, severity: low, when: {hazard: present}}
- {conclude: hazard, when: {order.ingredient: brightener, at-risk: present}}
- {conclude: at-risk, when: {fever: confirmed}}
- {issue: told, severity: low, when: {at-risk: present}, adjust: [first]}
"""


def test_a_rule_that_reads_the_order_through_others_belongs_to_the_order_program():
    program = accepted(TWO, ADJUSTMENTS).program
    assert [rule.name for rule in program.order] == ["hazard", "on-drug"]
    assert [rule.name for rule in program.patient] == ["at-risk", "told"]
    assert all(rule.order for rule in program.order) and not any(rule.order for rule in program.patient)


def test_an_adjustment_that_reads_the_order_moves_no_rule():
    assert not accepted(TWO, ADJUSTMENTS).rules["told"].order


def test_the_base_of_a_program_names_every_closed_set_with_unknown():
    program = accepted(TWO).program
    assert program.base["glow"] == ("present", "absent", "unknown")
    assert list(program.base) == sorted(BASE)
