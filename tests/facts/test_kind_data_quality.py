"""Kind `data-quality`: every datum that cannot be used or contradicts another, whether or not a fact reads it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from result_kit import TABLES, ago, diagnosis, facts, record, references, result

from engine.facts.kinds.condition import ConditionFact
from engine.facts.kinds.data_quality import REASONS, DataQualityFact, of_a_rare_concept
from engine.facts.view import Tables
from engine.model.record import Diagnosis, Quantity, Result

DISEASE = ConditionFact(name="the-disease", concepts=("disease",), ended_conflicts=True)
QUALITY = DataQualityFact(name="dq", regions=TABLES.regions, ended={"disease": "the-disease"})


def raised(*found: Result | Diagnosis) -> dict[str, set[str]]:
    computed = facts(record(*found), [DISEASE, QUALITY])
    return {
        name.partition(".")[2]: references(fact)
        for name, fact in computed.items()
        if name.startswith("dq.") and fact.value == "present"
    }


@pytest.mark.parametrize(("concept", "given", "reason"), [
    ("share", {"value": 45}, "unit-missing"), ("share", {"value": 45, "unit": "L"}, "unit-unconvertible"),
    ("share", {"value": 4600, "unit": "%"}, "implausible-value"), ("share", {"value": 45, "unit": "%"}, None),
    ("share", {"value": 0, "unit": "%"}, None), ("share", {"value": 45, "flag": "N"}, None),
    ("share", {"value": 45, "preliminary": True}, None), ("pigment", {"value": 45}, None), ("attacks", {"value": 45},
    None),
    ("pull", {"value": 400, "unit": "cm[H2O]", "preliminary": True}, "implausible-value"),
    ("antibody", {"value": 45, "unit": "[arb]", "high": 10}, None), ("antibody", {"value": 45, "unit": "[arb]"},
    "unit-unconvertible"),
])
def test_a_number_that_cannot_be_used_is_named(concept: str, given: dict[str, Any], reason: str | None) -> None:
    found = result(concept, **given)
    assert raised(found) == ({reason: {found.reference}} if reason else {})


def test_only_a_time_critical_result_needs_its_date() -> None:
    undated = result("antibody", None, "negative")
    assert raised(undated) == {"date-missing": {undated.reference}}
    assert raised(result("share", None, 45, "%"), result("fog", None, "present")) == {}


def test_a_day_of_yes_and_no_is_a_conflict_only_if_it_is_the_newest() -> None:
    both = (result("fog", 1, "present"), result("fog", 1, "absent"))
    assert raised(*both) == {"conflicting-results": {one.reference for one in both}}
    assert raised(*both, result("fog", 0, "present")) == {}
    assert raised(*both, result("fog", 0, "unclear"))
    assert raised(result("unheard-of", 0, "positive"), result("unheard-of", 0, "negative"))


def test_routine_flags_of_numbers_are_no_yes_and_no() -> None:
    assert raised(result("pigment", 0, 3, "g", flag="H"), result("pigment", 0, 2, "g", flag="N")) == {}
    assert raised(result("unheard-of", 0, 3, "g", flag="H"), result("unheard-of", 0, 2, "g", flag="N")) == {}
    assert raised(result("metal", 0, 3, "g", flag="H"), result("metal", 0, 2, "g", flag="N"))
    assert raised(result("stage", 0, "V"), result("stage", 0, "I")) == {}


def test_a_titre_may_contradict_another_of_its_day_its_own_range_or_its_flag() -> None:
    both = (result("antibody", 9, "positive"), result("antibody", 9, "negative"), result("antibody", 0, "negative"))
    assert raised(*both) == {"conflicting-results": {one.reference for one in both[:2]}}
    against = result("antibody", 0, 4.8, "nmol/L", high=0.4, flag="NEG")
    assert raised(against) == {"conflicting-results": {against.reference}}
    low = result("antibody", 0, 4.8, "nmol/L", high=0.4, flag="L")
    assert raised(low) == {"conflicting-results": {low.reference}}
    assert raised(result("antibody", 0, "equivocal"), result("antibody", 0, "negative")) == {}
    undated = (result("antibody", None, "positive"), result("antibody", None, "negative"))
    assert set(raised(*undated)) == {"date-missing"}


def test_a_low_flag_is_a_conflict_only_on_what_is_never_low() -> None:
    assert set(raised(result("cell-assay", 0, "negative", flag="L"))) == {"conflicting-results"}
    assert raised(result("metal", 0, "negative", flag="L"), result("salt", 0, flag="L")) == {}


def test_a_sign_may_contradict_another_of_its_region_type_and_day() -> None:
    both = (result("up", 9, "present", region="arm"), result("up", 9, "absent", region="arm"))
    assert raised(*both, result("up", 0, "present",
        region="arm")) == {"conflicting-results": {one.reference for one in both}}
    assert raised(result("up", 9, "present", region="arm", sign="tap"),
        result("up", 9, "absent", region="arm", sign="x")) == {}


@pytest.mark.parametrize(("concept", "word", "region", "unmapped"), [
    ("up", "present", "any", True), ("down", "present", "", True), ("up", "present", "tail", True),
    ("up", "present", "arm", False), ("up", "absent", "any", False), ("up", "absent", "", False),
    ("fog", "present", "", False),
])
def test_a_present_sign_needs_a_region(concept: str, word: str, region: str, unmapped: bool) -> None:
    found = result(concept, 0, word, region=region)
    assert raised(found) == ({"site-unmapped": {found.reference}} if unmapped else {})


@pytest.mark.parametrize(("entries", "conflict"), [
    ([("confirmed", 1), ("refuted", 1)], True), ([("suspected", 1), ("refuted", 1)], True), ([("confirmed", 1),
    ("suspected", 1)], False),
    ([("confirmed", 2), ("refuted", 1)], False), ([("confirmed", 1), ("refuted", 1), ("refuted", 0)], False),
    ([("confirmed", None), ("refuted", None)], True), ([("confirmed", None), ("refuted", 1)], False),
])
def test_refuted_beside_another_status_on_the_newest_date_is_a_conflict(
    entries: list[tuple[str, int | None]], conflict: bool
) -> None:
    found = [diagnosis("any-other", certainty, recorded) for certainty, recorded in entries]
    assert ("conflicting-conditions" in raised(*found)) is conflict


def test_an_entry_that_should_not_have_ended_is_a_conflict_while_the_diagnosis_is_confirmed() -> None:
    ended = diagnosis("disease", "confirmed", 5, ended=True)
    assert raised(ended) == {"conflicting-conditions": {ended.reference}}
    assert raised(ended, diagnosis("disease", "refuted", 0)) == {}
    assert raised(diagnosis("disease", "suspected", 5, ended=True)) == {}
    assert raised(diagnosis("other", "confirmed", 5, ended=True)) == {}


def test_the_text_names_every_datum_with_its_date() -> None:
    fact = facts(record(result("share", 3, 45), result("pull", None, -20, cmp="<")),
        [DISEASE, QUALITY])["dq.unit-missing"]
    assert fact.shown == "dq.unit-missing share 45 (2025-05-29); Pull < -20 (undated)"


def test_the_reasons_of_a_ruleset_are_a_part_of_the_known_ones() -> None:
    some = DataQualityFact(name="dq", reasons=("unit-missing",))
    assert some.values() == {"dq.unit-missing": ("present",)}
    assert set(facts(record(result("share", 0, 45), result("antibody", None, "negative")),
        [some])) == {"dq.unit-missing"}
    assert len(DataQualityFact(name="dq", reasons=(*REASONS, "odd")).check()) == 1


def test_common_concepts_are_told_from_rare_ones() -> None:
    common = msgspec.structs.replace(TABLES.concepts["share"], common=True)
    tables = Tables(concepts={**TABLES.concepts, "share": common})
    routine, rare = result("share", 0, 45), result("pull", 0, 45)
    of = record(routine, rare)
    fact = facts(record(routine), [DISEASE, QUALITY])["dq.unit-missing"]
    assert not of_a_rare_concept(fact.evidence, of, tables)
    fact = facts(of, [DISEASE, QUALITY])["dq.unit-missing"]
    assert of_a_rare_concept(fact.evidence, of, tables)
    assert ago(0) == of.as_of
    assert isinstance(rare.quantity, Quantity)
