"""What holds for every program: order never matters, strata are sound, anchors never miss, dead cases are dead."""

from __future__ import annotations

import json
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from rule_texts import BASE, compiled, concluded, truth

from engine.document import parse_document
from engine.model.fact import UNKNOWN
from engine.rules.conditions import Reader
from engine.rules.program import Issue
from engine.rules.reach import possible
from engine.rules.strata import ranked, reads
from engine.rules.vocabulary import BaseFact, word_of

VOCABULARY = {name: word_of(fact) for name, fact in BASE.items()}
FACTS = {name: word.values for name, word in VOCABULARY.items()}


@st.composite
def one_test(draw, facts):
    fact = draw(st.sampled_from(sorted(facts)))
    known = [value for value in facts[fact] if value != UNKNOWN]
    some = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
    form = draw(st.sampled_from(["values", "values", "values", "not", "unknown", "not unknown"]))
    test = {"values": some, "not": {"not": some}, "unknown": "unknown", "not unknown": "not unknown"}[form]
    return {fact: test}


def wholes(facts, depth=2):
    literal = one_test(facts)
    if depth == 0:
        return literal
    inner = st.lists(wholes(facts, depth - 1), min_size=1, max_size=3)
    counted = st.lists(wholes(facts, depth - 1), min_size=2, max_size=3).flatmap(
        lambda parts: st.integers(1, len(parts)).map(lambda count: {"at_least": count, "of": parts})
    )
    return st.one_of(literal, literal, inner.map(lambda p: {"any": p}), inner.map(lambda p: {"all": p}), counted)


@st.composite
def programs(draw):
    """Bodies of rules, each over base facts and rules before it."""
    facts = {name: values for name, values in FACTS.items() if draw(st.booleans()) or name == "glow"}
    bodies = []
    for number in range(draw(st.integers(1, 7))):
        name = f"f{number}"
        if draw(st.booleans()):
            values = draw(st.lists(st.sampled_from(["high", "low", "absent"]), min_size=1, max_size=3))
            bodies.append({"conclude": name, "cases": [{value: draw(wholes(facts))} for value in values]})
            facts[name] = tuple(dict.fromkeys((*values, "absent", UNKNOWN)))
        else:
            cases = [
                {"severity": "low", "when": draw(wholes(facts))} for _ in range(draw(st.integers(1, 2)))
            ]
            body = {"issue": name, "cases": cases}
            if draw(st.booleans()):
                body["unless"] = draw(wholes(facts, 1))
            bodies.append(body)
            facts[name] = ("present", "absent", UNKNOWN)
    return bodies


def base_values(draw):
    return {name: draw(st.sampled_from(values)) for name, values in FACTS.items()}


def program_of(bodies):
    result, faults = compiled(json.dumps(bodies))
    assert result is not None, faults
    return result


@given(programs(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rules_and_of_entries_never_matters(bodies, random):
    shuffled = list(bodies)
    random.shuffle(shuffled)
    one, two = program_of(bodies).program, program_of(shuffled).program
    assert one == two
    reversed_keys = json.loads(json.dumps(bodies), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    three = program_of(reversed_keys).program
    values = {name: random.choice(values) for name, values in FACTS.items()}
    assert concluded((*one.patient, *one.order), values) == concluded((*three.patient, *three.order), values)


@given(programs())
@settings(max_examples=60, deadline=None)
def test_a_rule_stands_after_what_it_reads_and_above_what_must_be_closed(bodies):
    program = program_of(bodies).program
    for part in (program.patient, program.order):
        names = [rule.name for rule in part]
        assert [rule.stratum for rule in part] == sorted(rule.stratum for rule in part)
        by_name = {rule.name: rule for rule in part}
        for rule in part:
            for fact, closed in reads(rule).items():
                if fact not in by_name:
                    continue
                read = by_name[fact]
                assert names.index(fact) < names.index(rule.name)
                assert read.stratum + (closed or ranked(read)) <= rule.stratum
    assert not any(fact.startswith("order.") for rule in program.patient for fact in reads(rule))
    assert {fact for rule in program.patient for fact in reads(rule)} & {rule.name for rule in program.order} == set()


@given(programs(), st.data())
@settings(max_examples=80, deadline=None)
def test_an_issue_never_fires_without_one_of_its_anchors(bodies, data):
    program = program_of(bodies).program
    rules = (*program.patient, *program.order)
    for _ in range(10):
        values = base_values(data.draw)
        result = concluded(rules, values)
        for rule in rules:
            if isinstance(rule, Issue) and rule.anchors and result[rule.name] == "present":
                assert any(truth(anchor, values) is True for anchor in rule.anchors), (rule, values)
                assert all(anchor.positive and UNKNOWN not in anchor.values for anchor in rule.anchors)


def condition(text):
    return Reader(parse_document(json.dumps(text), "t.yaml"), VOCABULARY, []).read(())


SMALL = {name: FACTS[name] for name in ("glow", "scan", "sex")}
WORLDS = [dict(zip(SMALL, values, strict=True)) for values in product(*SMALL.values())]


@given(st.lists(wholes(SMALL), min_size=1, max_size=2), st.lists(wholes(SMALL), max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_condition_is_called_impossible_exactly_when_no_world_makes_it_true(true, not_true):
    yes, no = [condition(text) for text in true], [condition(text) for text in not_true]
    found = any(
        all(truth(c, world) is True for c in yes) and not any(truth(c, world) is True for c in no) for world in WORLDS
    )
    assert possible(yes, no, VOCABULARY) == found


@given(wholes(SMALL, 2))
@settings(max_examples=150, deadline=None)
def test_reading_keeps_the_meaning_of_what_is_written(text):
    """The condition, flattened and simplified, against the YAML taken literally."""

    def literally(written, world):
        truths = []
        for key, value in written.items():
            if key in ("any", "all"):
                parts = [literally(part, world) for part in value]
                truths.append(_kleene(parts, 1 if key == "any" else len(parts)))
            elif key == "at_least":
                truths.append(_kleene([literally(part, world) for part in written["of"]], value))
            elif key != "of":
                truths.append(_test(value, world[key]))
        return _kleene(truths, len(truths))

    for world in WORLDS:
        assert truth(condition(text), world) == literally(text, world)


def _kleene(truths, need):
    if sum(t is True for t in truths) >= need:
        return True
    return False if sum(t is not False for t in truths) < need else None


def _test(value, actual):
    if value == "unknown":
        return actual == UNKNOWN
    if value == "not unknown":
        return actual != UNKNOWN
    if isinstance(value, dict):
        return actual not in value["not"]
    return None if actual == UNKNOWN else actual in value


# -- anchors of one rule


def anchors(bodies, base=None):
    result, faults = compiled(json.dumps(bodies), base={**BASE, **(base or {})})
    assert result is not None, faults
    return {name: {(a.fact, *sorted(a.values)) for a in rule.anchors}
            for name, rule in result.rules.items() if isinstance(rule, Issue)}  # fmt: skip


def fact(*values, **more):
    return BaseFact(values=(*values, UNKNOWN), **more)


def issue(when, **more):
    return {"issue": "x", "severity": "low", "when": when, **more}


def test_of_an_all_the_rarest_part_is_the_anchor():
    rare = {"rare": fact("present", prevalence=0.0001)}
    assert anchors([issue({"glow": "present", "rare": "present"})], rare)["x"] == {("rare", "present")}


def test_of_an_any_all_parts_are_anchors_and_values_of_one_fact_stand_together():
    found = anchors([issue({"any": [{"glow": "present"}, {"scan": "dark"}, {"scan": "pale"}]})])
    assert found["x"] == {("glow", "present"), ("scan", "dark", "pale")}


def test_two_rare_parts_may_weigh_less_than_one_frequent_part():
    base = {"often": fact("present", prevalence=0.5), "r1": fact("present", prevalence=0.1),
            "r2": fact("present", prevalence=0.1)}  # fmt: skip
    found = anchors([issue({"often": "present", "any": [{"r1": "present"}, {"r2": "present"}]})], base)
    assert found["x"] == {("r1", "present"), ("r2", "present")}


def test_not_and_unknown_anchor_nothing_but_not_unknown_does():
    assert anchors([issue({"glow": "not absent"})])["x"] == set()
    assert anchors([issue({"glow": "unknown"})])["x"] == set()
    assert anchors([issue({"glow": "not unknown"})])["x"] == {("glow", "absent", "present")}
    assert anchors([issue({"fever": {"not": ["unknown", "refuted"]}})])["x"] == {("fever", "confirmed", "suspected")}


def test_common_facts_common_values_and_fields_of_the_order_anchor_nothing():
    base = {"usual": fact("present", common=True), "dq.x": fact("present"), "order.status": fact("draft"),
            "order.route": fact("topical"),
            "order.ingredient": fact("statin", "dimol", common_values=frozenset({"statin"}))}  # fmt: skip
    for when in ({"usual": "present"}, {"dq.x": "present"}, {"order.status": "draft"}, {"order.route": "topical"},
                 {"order.age": "new"}, {"order.ingredient": ["statin", "dimol"]}):  # fmt: skip
        assert anchors([issue(when)], base)["x"] == set(), when
    assert anchors([issue({"order.ingredient": "dimol"})], base)["x"] == {("order.ingredient", "dimol")}


def test_derived_facts_and_issues_are_replaced_by_what_they_need():
    bodies = [
        {"conclude": "grade", "cases": [{"high": {"fever": "confirmed"}}, {"low": {"glow": "present"}}]},
        {"issue": "other", "severity": "low", "when": {"hum": "present"}},
        issue({"any": [{"grade": "high"}, {"other": "present"}]}),
    ]
    assert anchors(bodies)["x"] == {("fever", "confirmed"), ("hum", "present")}


def test_a_documented_absence_of_a_derived_fact_needs_a_documented_reason():
    seen = {"conclude": "seen", "when": {"any": [{"glow": "present"}, {"hum": "present"}]}}
    assert anchors([seen, issue({"seen": "absent"})])["x"] == {("glow", "absent")}


def test_at_least_two_of_three_needs_one_of_any_two():
    of = [{"glow": "present"}, {"hum": "present"}, {"scan": "dark"}]
    assert len(anchors([issue({"at_least": 2, "of": of})])["x"]) == 2

