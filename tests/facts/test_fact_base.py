"""The fact base as a whole: one value out of a closed set, evidence that suffices, nothing that depends on order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from result_kit import AS_OF, ago, diagnosis, medication, record, reduced, references, result
from ruleset_kit import FILES, base, load

from engine.facts.base import FactBase
from engine.model.fact import UNKNOWN, Reason
from engine.model.record import Diagnosis, Medication, Record, Result

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DAYS = st.one_of(
    st.none(), st.integers(-3, 3), st.sampled_from([29, 30, 31, 89, 90, 91, 364, 365, 366]), st.integers(0, 900)
)
DATES = DAYS.map(lambda days: None if days is None else AS_OF - timedelta(days=days))
INGREDIENTS = st.sampled_from(["calmal", "calmol", "wakal"])


@st.composite
def diagnoses(draw: st.DrawFn) -> Diagnosis:
    return diagnosis(
        draw(st.sampled_from(["fog", "haze"])),
        draw(st.sampled_from(["confirmed", "suspected", "refuted"])),
        draw(DAYS),
        onset=draw(DATES),
        ended=draw(st.booleans()),
        encounter_only=draw(st.booleans()),
    )


@st.composite
def medications(draw: st.DrawFn) -> Medication:
    return medication(
        draw(INGREDIENTS),
        draw(st.sampled_from(["active", "on-hold", "draft", "completed", "stopped"])),
        start=draw(DATES),
        end=draw(DATES),
        route=draw(st.sampled_from(["", "drops", "iv", "oral"])),
        reason=draw(st.sampled_from(["", "sleep", "pain", "whim"])),
        initiation=draw(st.booleans()),
        daily_mg=draw(st.one_of(st.none(), st.decimals(0, 900, places=1))),
        per_kg=draw(st.one_of(st.just({}), st.just({"daily-mg": Decimal("0.4")}))),
    )


@st.composite
def results(draw: st.DrawFn) -> Result:
    concept = draw(st.sampled_from(["salt", "weight", "onset-day"]))
    day = draw(DAYS.filter(lambda days: days is None or days >= 0))
    if concept == "onset-day":
        return result(concept, day, date_value=draw(DATES))
    unit = draw(st.sampled_from(["g/L", "kg", "mg/L", ""]))
    return result(concept, day, draw(st.decimals(0, 200, places=1)), unit, cmp=draw(st.sampled_from(["", "<", ">"])))


ENTRIES = st.lists(st.one_of(diagnoses(), medications(), results()), max_size=12)
RECORDS = st.tuples(ENTRIES, st.booleans())


def of(entries: list[Any], complete: bool) -> Record:
    return record(*entries, complete=complete)


@FEW
@given(RECORDS)
def test_every_fact_has_exactly_one_value_of_its_closed_set(drawn: tuple[list[Any], bool]) -> None:
    whole, closed = of(*drawn), base().values()
    facts = dict(base().compute(whole))
    for order in whole.medications:
        facts |= base().compute_order(whole, order, facts)
    for name, fact in facts.items():
        assert fact.name == name
        assert fact.value in closed[name]
        assert (fact.value == UNKNOWN) == (fact.reason is not None)
        assert fact.value == UNKNOWN or fact.evidence


@FEW
@given(RECORDS)
def test_the_evidence_alone_gives_the_same_value_and_the_same_day(drawn: tuple[list[Any], bool]) -> None:
    whole = of(*drawn)
    for name, fact in base().compute(whole).items():
        if fact.value != UNKNOWN:
            again = base().compute(reduced(whole, references(fact)))[name]
            assert (again.value, again.since) == (fact.value, fact.since), name


@FEW
@given(RECORDS)
def test_the_evidence_of_an_order_fact_suffices_too(drawn: tuple[list[Any], bool]) -> None:
    whole = of(*drawn)
    for order in whole.medications:
        for name, fact in base().compute_order(whole, order, {}).items():
            if fact.value != UNKNOWN:
                less = reduced(whole, references(fact))
                assert base().compute_order(less, order, {})[name].value == fact.value, name


@FEW
@given(RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_the_entries_never_matters(drawn: tuple[list[Any], bool], random: Any) -> None:
    entries, complete = drawn
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert base().compute(of(entries, complete)) == base().compute(of(shuffled, complete))


@FEW
@given(RECORDS)
def test_an_entry_of_no_known_concept_changes_nothing(drawn: tuple[list[Any], bool]) -> None:
    entries, complete = drawn
    noise = [result("stray", 1, "present"), diagnosis("stray", "confirmed"), medication("stray", "active")]
    assert base().compute(of([*entries, *noise], complete)) == base().compute(of(entries, complete))


@FEW
@given(RECORDS)
def test_what_is_not_touched_would_have_been_unknown_anyway(drawn: tuple[list[Any], bool]) -> None:
    whole = of(*drawn)
    facts = base().compute(whole)
    every = msgspec.structs.replace(base())
    every.__dict__["_index"] = {}
    every.__dict__["_always"] = frozenset(position for position, _ in base()._of_patient)
    for name, fact in every.compute(whole).items():
        if fact.value != UNKNOWN:
            assert facts[name] == fact


def test_a_compiled_fact_base_is_the_same_one() -> None:
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(base()), type=FactBase)
    assert again == base()
    entries = (diagnosis("fog", "confirmed", 5, encounter_only=True), medication("calmal", "active", start=ago(400)))
    assert again.compute(record(*entries)) == base().compute(record(*entries))
    assert again.values() == base().values()


def test_every_closed_set_holds_unknown() -> None:
    assert all(values[-1] == UNKNOWN for values in base().values().values())


def test_who_was_not_asked_does_not_answer() -> None:
    nobody = record(asked=frozenset({"haze"}))
    assert base().unknown("plain-fog", nobody).reason is Reason.NOT_REQUESTED
    assert base().unknown("any-disease", nobody).reason is Reason.NOTHING_RECORDED
    assert base().unknown("plain-fog", record()).reason is Reason.NOTHING_RECORDED
    drugs_only = record(asked=frozenset({"calmal"}))
    assert base().unknown("newest-start", drugs_only).reason is Reason.NOTHING_RECORDED
    assert base().unknown("fog-to-haze", drugs_only).reason is Reason.NOT_REQUESTED
    assert base().unknown("sex", nobody).reason is Reason.NOTHING_RECORDED


def test_a_fact_that_follows_another_is_touched_with_it() -> None:
    facts = base().compute(record(medication("calmal", "active", start=ago(90))))
    assert facts["newest-start"].value == "recent"


def test_what_is_said_of_a_fact() -> None:
    info = base().info()
    diagnosis_info = info["fog-diagnosis"]
    assert (diagnosis_info.title, diagnosis_info.kind, diagnosis_info.concepts) == ("Fog", "condition", ("fog",))
    assert diagnosis_info.parameters == ("apart-days",)
    assert info["salt-on-wakal"].needs == ("wakal",)
    assert (info["wakal"].ask_for, info["wakal"].prevalence, info["wakal"].drugs) == ("wakal", 0.001, ("wakal",))
    assert info["salt"].common and not info["salt-on-wakal"].common
    assert info["live-haze"].sets == {"over": ("refuted", "ended")}
    assert info["age"].parameters == ("elder", "grown-up")


def test_drug_classes_are_named_sets_of_the_ingredient_and_routes_are_none() -> None:
    info = base().info()["order.ingredient"]
    assert info.values == ("calmal", "calmol", "wakal", UNKNOWN)
    assert info.sets == {"calming": ("calmal", "calmol"), "waking": ("wakal",)}
    assert info.common_values == {"calmal", "calmol"}
    assert info.order and info.current


@pytest.mark.parametrize(
    ("name", "current"),
    [
        ("wakal", True),
        ("calm-ever", False),
        ("calm-lately", True),
        ("plain-fog", False),
        ("order.age", True),
        ("salt", False),
    ],
)
def test_which_facts_speak_of_now(name: str, current: bool) -> None:
    assert base().info()[name].current is current


def test_every_parameter_that_a_fact_or_a_concept_reads_is_known_to_be_read() -> None:
    assert base().read_parameters() == frozenset(base().parameters)
    assert load(more_parameters()).parameters.keys() - load(more_parameters()).read_parameters() == {"idle"}


def more_parameters() -> dict[str, str]:
    return {**FILES, "parameters.yaml": FILES["parameters.yaml"] + "idle: 3\n"}


def test_the_order_of_the_needs_is_kept() -> None:
    names = [definition.name for definition in base().definitions]
    assert names.index("calm-ever") < names.index("newest-start")
    assert names.index("wakal") < names.index("salt-on-wakal")
