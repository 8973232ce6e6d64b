"""Loading a ruleset's facts: what is refused, where, and with which hint. Never only the first fault."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruleset_kit import FILES, base, faults_of, load, write

from engine.errors import RulesetError
from engine.facts import kinds
from engine.facts.load import load_definitions


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (
            "x: {kind: condition, concpt: fog}",
            "facts/more.yaml:1:22: there is no option `concpt` here; did you mean `concept`?",
        ),
        (
            "x: {kind: conditon, concept: fog}",
            "facts/more.yaml:1:11: there is no kind `conditon`; did you mean `condition`?",
        ),
        ("x: {concept: fog}", "facts/more.yaml:1:1: `kind` is missing; one of: change, coded"),
        ("x: {kind: condition}", "facts/more.yaml:1:1: `concept` is missing"),
        ("x: 3", "facts/more.yaml:1:4: the fact `x` must be a mapping"),
        ("x y: {kind: condition, concept: fog}", "facts/more.yaml:1:1: `x y` is no name for a fact"),
        (
            "x: {kind: patient, field: height}",
            "facts/more.yaml:1:27: `height` is not allowed here; one of: sex, deceased",
        ),
        (
            "x: {kind: exposure, drugs: wakal, use: ever, last_within: recent-day}",
            "facts/more.yaml:1:59: there is no parameter `recent-day`; did you mean `recent-days`?",
        ),
        (
            "x: {kind: exposure, drugs: wakal, use: ever, last_within: 90}",
            "facts/more.yaml:1:59: `90` is a number; name a parameter of parameters.yaml",
        ),
        (
            "x: {kind: exposure, drugs: wakal, use: ever, last_within: grown-up}",
            "facts/more.yaml:1:59: `grown-up` is in years, but a time span is needed; in days",
        ),
        (
            "x: {kind: exposure, drugs: wakal, use: ever, last_within: per-kg-max}",
            "facts/more.yaml:1:59: `per-kg-max` is 0.5, but whole days are needed",
        ),
        (
            "x: {kind: exposure, drugs: wakal, use: ever, systemic: 1}",
            "facts/more.yaml:1:56: expected true or false, not `1`",
        ),
        ("x: {kind: condition, concept: [fog, 3]}", "facts/more.yaml:1:37: expected a word, not `3`"),
        ("x: {kind: condition, concepts: []}", "facts/more.yaml:1:32: the list is empty"),
        ("x: {kind: condition, concept: fog, title: 3}", "facts/more.yaml:1:43: expected text, not `3`"),
        ("x: {kind: condition, concept: fog, prevalence: rare}", "facts/more.yaml:1:48: expected a number, not `rare`"),
        ("x: {kind: elapsed, from: {}}", "facts/more.yaml:1:1: `x`: a date is said in exactly one way"),
        ("x: {kind: elapsed, from: {onset: fog, value: salt}}", "`x`: a date is said in exactly one way"),
        (
            "x: {kind: elapsed, from: {onset: fog}, bands: [{a: {below: recent-days, above: recent-days}}]}",
            "facts/more.yaml:1:48: a band is `value: {test: parameter}`, one test each",
        ),
        (
            "x: {kind: elapsed, from: {onset: fog}, bands: [{a: {over: recent-days}}]}",
            "facts/more.yaml:1:53: `over` is not allowed here; did you mean `above`?",
        ),
        (
            "x: {kind: elapsed, from: {onset: fog}, bands: [{a: {below: recent-days}}, {b: {below: new-days}}]}",
            "`b` can never be reached after `a`; limits in this order: 90, 30",
        ),
        (
            "x: {kind: elapsed, from: {onset: fog}, bands: [{a: {below: new-days}}, {b: {above: recent-days}}]}",
            "bands test either downwards (below, at_most) or upwards (above, at_least)",
        ),
        (
            "x: {kind: elapsed, from: {onset: fog}, in: months, bands: [{a: {below: grown-up}}]}",
            "facts/more.yaml:1:1: `x`: `grown-up` is in years, but the time is counted in months",
        ),
        (
            "x: {kind: elapsed, from: {onset: fog}, bands: [{a: {below: new-days}}], otherwise: unknown}",
            "`x`: `unknown` is in every closed set and is not listed",
        ),
        (
            "x: {kind: elapsed, from: {fact_since: wakl}}",
            "facts/more.yaml:1:39: `x`: there is no fact `wakl`; did you mean `wakal`?",
        ),
        (
            "x: {kind: result, concept: fog, after: {fact: plain-fog, value: refutd}}",
            "facts/more.yaml:1:65: `x`: `plain-fog` is never `refutd`; did you mean `refuted`?",
        ),
        ("x: {kind: elapsed, from: {fact_since: order.age}}", "`x`: a fact of the patient cannot read `order.age`"),
        (
            "x: {kind: order, field: status}",
            "`x`: facts of the kinds order and dose, and no others, are named `order.`",
        ),
        ("order.x: {kind: condition, concept: fog}", "`order.x`: facts of the kinds order and dose, and no others"),
        ("order.x: {kind: order, field: reason}", "`order.x`: `values` lists the codes of `field: reason`"),
        ("order.x: {kind: order, field: age, new: new-days}", "`order.x`: `field: age`, and no other, takes both"),
        ("order.x: {kind: order, field: initial}", "`order.x`: `field: initial`, and no other, takes `lookback`"),
        (
            "order.x: {kind: dose, drugs: wakal, of: daily, per: weight, bands: [{a: {above: daily-max}}]}",
            "`order.x`: `per` and `per_within` go together",
        ),
        (
            "x: {kind: condition, concept: fog, sets: {confirmed: [refuted]}}",
            "`x`: the set `confirmed` is named like a value",
        ),
        (
            "x: {kind: condition, concept: fog, sets: {sure: [confrmed]}}",
            "`x`: `confrmed` in the set `sure` is none of its values; did you mean `confirmed`?",
        ),
        (
            "x: {kind: condition, concept: fog, shown: 'fog {vaule}'}",
            "`shown` has no placeholder `{vaule}`; did you mean `value`?",
        ),
        ("x: {like: wakl}", "facts/more.yaml:1:11: there is no fact `wakl`; did you mean `wakal`?"),
        ("x: {like: x}", "facts/more.yaml:1:11: `like` goes round in a circle: x -> x"),
        ("x: {like: y}\ny: {like: x}", "`like` goes round in a circle: x -> y -> x"),
        ("wakal: {kind: condition, concept: fog}", "facts/more.yaml:1:1: the fact `wakal` is already defined in"),
        (
            "x: {kind: condition, concept: fog}\nx: {kind: condition, concept: fog}",
            "facts/more.yaml:2:1: `x` stands here twice",
        ),
        ("x: [", "facts/more.yaml:1:5: expected the node content"),
        (
            "x: {kind: elapsed, from: {fact_since: y}}\ny: {kind: elapsed, from: {fact_since: x}}",
            "`x`: the facts need each other: x -> y -> x",
        ),
        ("x: {kind: region-signs, ways: [{sign: fog, with: [[a]]}]}", "the kind needs the regions of the ruleset"),
    ],
)
def test_a_fault_names_its_place_and_the_nearest_name(facts: str, fault: str) -> None:
    assert any(fault in found for found in faults_of(facts)), faults_of(facts)


def test_all_faults_are_told_at_once_in_reading_order() -> None:
    found = faults_of("a: {kind: condition}\nb: {kind: nothing}\nc: {kind: patient, field: height, extra: 1}\n")
    assert [fault.split(":")[1] for fault in found] == ["1", "2", "3", "3"]


def test_a_refused_fact_is_not_told_again_by_those_that_read_it() -> None:
    found = faults_of("a: {kind: result, concept: fog, wthin: new-days}\nb: {kind: elapsed, from: {fact_since: a}}\n")
    assert len(found) == 1


@pytest.mark.parametrize(
    ("missing", "option"),
    [("topical-route", "systemic"), ("topical-route", "field: route"), ("parenteral-route", "field: route")],
)
def test_a_route_class_that_a_kind_reads_must_be_defined(missing: str, option: str) -> None:
    classes = "".join(line for line in FILES["tables/classes.yaml"].splitlines(True) if not line.startswith(missing))
    found = faults_of(more={"tables/classes.yaml": classes})
    assert any(f"`{option}` needs the class `{missing}`; define it in tables/classes.yaml" in fault for fault in found)


def test_taking_needs_its_parameter() -> None:
    parameters = "".join(line for line in FILES["parameters.yaml"].splitlines(True) if not line.startswith("taking"))
    found = faults_of(more={"parameters.yaml": parameters})
    assert any("`use: taking` needs the parameter `taking-days`" in fault for fault in found)
    assert any("`first_taken` needs the parameter `taking-days`" in fault for fault in found)


def test_known_ingredients_and_concepts_close_the_lists() -> None:
    closed = {"ingredients": frozenset({"calmal", "calmol", "wakal"}), "concepts": frozenset({"fog", "haze"})}
    assert load(**closed) == base()
    assert load(**{**closed, "ingredients": closed["ingredients"] | {"iv", "drops"}}) == base()
    assert any(
        "no drug or drug class `wakl`; did you mean `wakal`?" in fault
        for fault in faults_of("x: {kind: exposure, drugs: wakl, use: ever}", **closed)
    )
    assert any(
        "there is no concept `fogg`; did you mean `fog`?" in fault
        for fault in faults_of("x: {kind: condition, concept: fogg}", **closed)
    )
    found = faults_of(ingredients=frozenset({"calmal", "wakal"}))
    assert any(
        "`calmol` in the class `calming` is no known ingredient; did you mean `calmal`?" in fault for fault in found
    )


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("parameters.yaml", "x: {value: high}", "parameters.yaml:1:12: expected a number, not `high`"),
        ("parameters.yaml", "x: {unit: days}", "`value` is missing"),
        ("parameters.yaml", "x: {value: 3, units: days}", "there is no option `units` here; did you mean `unit`?"),
        ("concepts.yaml", "fog: {plausible: [3]}", "`plausible` is a lower and an upper limit"),
        ("concepts.yaml", "fog: {also: {kg: 2}}", "`also` converts to `unit`, which is missing"),
        ("concepts.yaml", "fog: {unit: g, also: {kg: 0}}", "`also` holds further units with factors above 0"),
        (
            "concepts.yaml",
            "fog: {titre: {positive_from: titre-negative, negative_to: titre-positive}}",
            "must lie below",
        ),
        ("concepts.yaml", "fog: {reading: guess}", "`guess` is not allowed here"),
        ("concepts.yaml", "fog: {date: true, reading: titre}", "contradict each other"),
        (
            "concepts.yaml",
            "fog: {needs: {component: hz, between: [new-days], borderline: new-days}}",
            "`between` is a lower",
        ),
        ("concepts.yaml", "fog: [1]", "expected a mapping, not a list"),
        ("concepts.yaml", "- fog", "the file must be a mapping of names"),
        ("tables/classes.yaml", "calming: [calmal, calmal]", "`calmal` stands twice in the class `calming`"),
        ("tables/muscles.yaml", "push: {nerve: n1}", "`push` needs both `nerve` and `roots`, or neither"),
    ],
)
def test_the_other_files_are_checked_as_well(file: str, text: str, fault: str) -> None:
    found = faults_of(more={file: text + "\n"})
    assert any(fault in one for one in found), found


def test_a_region_of_a_muscle_must_be_one() -> None:
    found = faults_of(more={"tables/regions.yaml": "[head, arm]", "tables/muscles.yaml": "push: {region: arms}"})
    assert found == ["tables/muscles.yaml:1:7: there is no region `arms`; did you mean `arm`?"]


def test_a_ruleset_without_facts_is_refused() -> None:
    with TemporaryDirectory() as folder, pytest.raises(RulesetError) as refused:
        load_definitions(Path(folder))
    assert any("the ruleset has no facts" in fault.message for fault in refused.value.faults)
    assert any("cannot be read" in fault.message for fault in refused.value.faults)


def test_a_copy_changes_what_it_names_and_keeps_the_rest() -> None:
    facts = load({**FILES, "facts/more.yaml": "x: {like: fog-diagnosis, concepts: [haze], title: Haze}"})
    copy = next(one for one in facts.definitions if one.name == "x")
    origin = next(one for one in facts.definitions if one.name == "fog-diagnosis")
    assert (copy.title, copy.reads(), copy.shown) == ("Haze", frozenset({"haze"}), origin.shown)


def test_numbers_are_exact_and_keep_their_source() -> None:
    taking = base().parameters["taking-days"]
    assert (taking.value, taking.unit, taking.source, taking.since) == (90, "days", "R1", "2026-01-01")
    assert base().parameters["per-kg-max"].value == Decimal("0.5")
    assert base().tables.concepts["salt"].also == {"mg/L": Decimal("0.001")}
    assert base().tables.concepts["antibody"].reading == "titre"


OPTIONS = sorted(
    {field.encode_name for kind in kinds.KINDS.values() for field in msgspec.structs.fields(kind)} | {"like"}
)
WORDS = st.sampled_from(
    [
        *OPTIONS,
        *["newest_of", "fact_since", "onset", "below", "at_least", "fact", "value", "dated", "muscle", "with"],
        *[
            "fog",
            "wakal",
            "calming",
            "new-days",
            "grown-up",
            "salt",
            "a",
            "x",
            "{value}",
            "{",
            "calm-ever",
            "order.age",
        ],
    ]
)
KINDS = st.sampled_from(sorted(kinds.KINDS))
TREES = st.recursive(
    st.one_of(WORDS, KINDS, st.integers(-5, 99), st.booleans(), st.none(), st.floats(allow_nan=False, width=16)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)
ALIKE = st.sampled_from([definition.name for definition in base().definitions])
CHANGED = st.builds(
    lambda like, kind, options: {**({"kind": kind} if kind else {"like": like}), **options},
    ALIKE,
    st.one_of(st.none(), KINDS),
    st.dictionaries(st.sampled_from(OPTIONS), TREES, max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["x", "order.x", "y"]), st.one_of(CHANGED, TREES), min_size=1, max_size=3))
def test_whatever_stands_there_is_loaded_or_refused_with_places(facts: dict[str, object]) -> None:
    loads(facts)


def loads(facts: dict[str, object]) -> None:
    files = {**FILES, "facts/more.yaml": json.dumps(facts)}
    with TemporaryDirectory() as folder:
        try:
            load_definitions(write(Path(folder), files), codes={"course": ("a",)})
        except RulesetError as refused:
            assert all(fault.place.file and fault.message for fault in refused.faults)
