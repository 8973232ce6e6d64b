# ruff: noqa: E501
"""What a condition, a case or a policy is refused for: message, place, nearest name; all faults at once."""

from __future__ import annotations

import pytest
from rule_texts import compiled, refused

WHEN = "- conclude: x\n  when: {}\n"


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("{glowing: present}", "rules.yaml:2:10: `glowing` is no fact; did you mean `glow`?"),
        ("{zzz: present}", "rules.yaml:2:10: `zzz` is no fact"),
        ("{glow: presnt}", "rules.yaml:2:16: `presnt` is no value or named set of `glow`; did you mean `present`?"),
        ("{scan: abnormall}", "`abnormall` is no value or named set of `scan`; did you mean `abnormal`?"),
        ("{glow: zzz}", "`zzz` is no value or named set of `glow`; values: present, absent, unknown"),
        ("{glow: not presnt}", "`presnt` is no value or named set of `glow`"),
        ("{glow: [present, [absent]]}", "`['absent']` is no value of `glow`"),
        ("{glow: [not present, absent]}", "`not present` is no value or named set of `glow`; several values take"),
        ("{pulse: 140}", "`140` is a number, and rules hold none; give the fact a band with a parameter"),
        ("{pulse: 0.5}", "`0.5` is a number, and rules hold none"),
        ("{pulse: '140'}", "`140` is no value or named set of `pulse`; rules hold no number, code or path"),
        ("{glow: 11034-6}", "rules hold no number, code or path"),
        ("{glow: 'http://loinc.org'}", "rules hold no number, code or path"),
        ("{glow: Observation.value}", "rules hold no number, code or path"),
        ("{Condition.code: x}", "`Condition.code` is no fact"),
        ("{glow: true}", "`true` is no value of `glow`"),
        ("{glow: }", "`null` is no value of `glow`"),
        ("{glow: []}", "no value is named for `glow`"),
        ("{glow: {not: []}}", "no value is named for `glow`"),
        ("{glow: {is: present}}", "`glow` is tested by values or by `not`; write `{not: [a, b]}`"),
        ("{glow: {not: present, or: absent}}", "`or` is no key of the test of `glow`"),
        ("{}", "a condition must be a mapping, not empty"),
        ("[{glow: present}]", "a condition must be a mapping, not `[{'glow': 'present'}]`"),
        ("present", "a condition must be a mapping, not `present`"),
        ("{any: []}", "`any` must be a list of conditions"),
        ("{any: {glow: present}}", "`any` must be a list of conditions"),
        ("{all: [glow]}", "a condition must be a mapping, not `glow`"),
        ("{at_least: 2}", "`at_least` and `of` stand together"),
        ("{of: [{glow: present}]}", "`at_least` and `of` stand together"),
        ("{at_least: 3, of: [{glow: present}, {hum: present}]}", "`at_least: 3` of 2 conditions; count between 1 and 2"),
        ("{at_least: 0, of: [{glow: present}, {hum: present}]}", "`at_least: 0` of 2 conditions"),
        ("{at_least: two, of: [{glow: present}]}", "`at_least` is a whole number, not `two`"),
        ("{at_least: true, of: [{glow: present}]}", "`at_least` is a whole number, not `true`"),
        ("{at_least: 1.0, of: [{glow: present}]}", "`at_least` is a whole number, not `1.0`"),
    ],
)
def test_a_condition_is_refused(condition, fault):
    faults = refused(WHEN.format(condition))
    assert len(faults) == 1 and fault in faults[0], faults


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("- {when: {glow: present}}", "a rule has one of `conclude` and `issue`"),
        ("- {conclude: x, issue: y, when: {glow: present}}", "a rule has one of `conclude` and `issue`, not both"),
        ("- {conclude: x}", "a derived fact needs `when` or `cases`"),
        ("- {conclude: X y, when: {glow: present}}", "`X y` cannot name a fact"),
        ("- {conclude: any, when: {glow: present}}", "`any` cannot name a fact"),
        ("- {conclude: unknown, when: {glow: present}}", "`unknown` cannot name a fact"),
        ("- {conclude: 5, when: {glow: present}}", "`conclude` must be text"),
        ("- {conclude: glow, when: {hum: present}}", "`glow` is already a base fact"),
        ("- {conclude: x, whn: {glow: present}, when: {hum: present}}", "`whn` is no key of a derived fact; did you mean `when`?"),
        ("- {conclude: x, severity: low, when: {hum: present}}", "`severity` is no key of a derived fact"),
        ("- {conclude: x, cases: []}", "`cases` must be a list of cases"),
        ("- {conclude: x, cases: [{a: {glow: present}, b: {hum: present}}]}", "a case is one value and its condition"),
        ("- {conclude: x, cases: [glow]}", "a case is one value and its condition"),
        ("- {conclude: x, cases: [{unknown: {glow: present}}]}", "`unknown` cannot be concluded"),
        ("- {conclude: x, cases: [{Big One: {glow: present}}]}", "`Big One` cannot be concluded"),
        ("- {conclude: x, when: {glow: present}, sets: {present: [absent]}}", "the set `present` is named like a value"),
        ("- {conclude: x, when: {glow: present}, sets: {some: [presen]}}", "`presen` is no value of the fact; did you mean"),
        ("- {conclude: x, when: {glow: present}, sets: {some: []}}", "the set `some` is empty"),
        ("- {conclude: x, when: {glow: present}, sets: {all: [present]}}", "`all` cannot name a set"),
        ("- {conclude: x, when: {glow: present}, sets: {}}", "`sets` must be a mapping"),
        ("- {issue: x, when: {glow: present}}", "`severity` is missing"),
        ("- {issue: x, severity: low}", "an issue needs `when` or `cases`"),
        ("- {issue: x, severity: grave, when: {glow: present}}", "`grave` is no severity; use high, moderate, low"),
        ("- {issue: x, severity: low, display: loud, when: {glow: present}}", "`loud` is no display"),
        ("- {issue: x, severity: low, group: crises, when: {glow: present}}", "`crises` is no group; did you mean `crisis`?"),
        ("- {issue: x, severity: low, when: {glow: present}, cases: [{severity: low, when: {hum: present}}]}",
         "`severity` stands in the cases, or there are none"),
        ("- {issue: x, cases: [{severity: low}]}", "a case needs `when`"),
        ("- {issue: x, cases: [{when: {glow: present}}]}", "`severity` is missing"),
        ("- {issue: x, cases: [{severity: low, whn: {}, when: {glow: present}}]}", "`whn` is no key of a case"),
        ("- {issue: x, severity: low, when: {glow: present}, suggest: [scan]}", "a suggestion is a mapping"),
        ("- {issue: x, severity: low, when: {glow: present}, suggest: [{drug: y}]}", "`drug` is no key of a suggestion"),
        ("- {issue: x, severity: low, when: {glow: present}, advice: [1]}", "`advice` holds text only"),
        ("- {issue: x, severity: low, when: {glow: present}, list: [{any: [{glow: present}]}]}",
         "the first entry of a listed condition is the fact whose text it shows"),
        ("- just text", "a rule must be a mapping, not `just text`"),
    ],
)  # fmt: skip
def test_a_rule_is_refused(rule, fault):
    faults = refused(rule)
    assert any(fault in found for found in faults), faults


def test_every_fault_is_told_at_once_with_its_own_place():
    faults = refused(
        "- conclude: a\n  when: {glwo: present}\n- conclude: b\n  when: {any: [{glow: x1}, {hum: x2}]}\n"
        "- issue: c\n  severity: bad\n  when: {glow: present}\n"
    )
    assert [fault.split(": ")[0] for fault in sorted(faults)] == [
        "rules.yaml:2:10", "rules.yaml:4:23", "rules.yaml:4:34", "rules.yaml:6:13",
    ]  # fmt: skip


def test_a_name_is_concluded_once():
    faults = refused("- {conclude: x, when: {glow: present}}\n- {issue: x, severity: low, when: {glow: present}}\n")
    assert faults == ["rules.yaml:2:11: `x` is already concluded in rules.yaml:1:3; give it another name"]


def test_a_faulty_program_is_refused_as_a_whole():
    program, faults = compiled("- {conclude: good, when: {glow: present}}\n- {conclude: bad, when: {glow: p}}\n")
    assert program is None and len(faults) == 1


# -- cycles


def test_a_cycle_names_its_members_in_order():
    faults = refused(
        "- {conclude: b, when: {c: present}}\n- {conclude: c, when: {a: present}}\n- {conclude: a, when: {b: not present}}\n"
        "- {conclude: above, when: {a: present}}\n- {conclude: below, when: {glow: present}}\n"
    )
    assert faults == ["rules.yaml:3:3: rules read each other in a circle: a -> b -> c -> a; split one of them"]


def test_a_rule_that_reads_itself_is_a_cycle():
    assert "in a circle: a -> a" in refused("- {conclude: a, when: {a: not present}}")[0]


def test_an_issue_and_its_unless_may_close_a_cycle():
    faults = refused(
        "- {issue: a, severity: low, when: {glow: present}, unless: {b: present}}\n"
        "- {issue: b, severity: low, when: {a: present}}\n"
    )
    assert "in a circle: a -> b -> a" in faults[0]


def test_separate_cycles_are_told_separately():
    faults = refused("\n".join(
        f"- {{conclude: {a}, when: {{{b}: present}}}}" for a, b in [("a", "b"), ("b", "a"), ("p", "q"), ("q", "p"), ("x", "a")]
    ))  # fmt: skip
    assert len(faults) == 2 and "a -> b -> a" in faults[0] and "p -> q -> p" in faults[1]


def test_a_chain_without_end_is_refused_and_no_crash():
    rules = ["- {conclude: f0, when: {glow: present}}"]
    rules += [f"- {{conclude: f{n}, when: {{f{n - 1}: not present}}}}" for n in range(1, 400)]
    assert "400 rules read each other in one chain" in refused("\n".join(rules))[0]


# -- policies

RULE = "- {issue: x, severity: low, when: {glow: present}, adjust: [a]}\n"


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ("gates: [{when: {glow: present}}]", "a gate has `when` and one of `keep` and `mute`"),
        ("gates: [{when: {glow: present}, keep: [], mute: [care]}]", "a gate has `when` and one of `keep` and `mute`"),
        ("gates: [{when: {glow: present}, keep: [cares]}]", "`cares` is no group"),
        ("gates: [{when: {glow: present}, mute: []}]", "the gate mutes nothing"),
        ("gates: [{when: {glwo: present}, keep: []}]", "`glwo` is no fact; did you mean `glow`?"),
        ("gates: []", "`gates` must be a list of gates"),
        ("gates: [x]", "a gate must be a mapping"),
        ("adjustments: {a: {when: {glow: present}}}", "an adjustment has `when`, and `severity` or `display`"),
        ("adjustments: {a: {severity: low}}", "an adjustment has `when`, and `severity` or `display`"),
        ("adjustments: {a: {when: {glow: present}, severity: lower}}", "`lower` is no severity"),
        ("adjustments: {a: {when: {glow: presnt}, severity: low}}", "`presnt` is no value or named set of `glow`"),
        ("adjustments: [a]", "`adjustments` must be a mapping"),
    ],
)
def test_a_policy_is_refused(policy, fault):
    faults = refused(RULE, policies=f"id: t\nversion: 1.0.0\ntitle: t\n{policy}\n")
    assert any(fault in found and found.startswith("ruleset.yaml:") for found in faults), faults
