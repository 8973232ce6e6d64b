"""Kind `serial-result`: what titres of one antibody say together, by the clinical specification 1.5."""

from __future__ import annotations

from typing import Any

import pytest
from result_kit import ago, medication, one, references, result

from engine.facts.kinds.serial_result import Explained, SerialResultFact
from engine.model.fact import Fact, Reason
from engine.model.record import Medication, Result

SERIAL = SerialResultFact(
    name="antibody", title="Antibody", concept="antibody", other_assays=("cell-assay", "other-assay"),
    negative_by=("cell-assay",), apart=28, same=("laboratory", "method"),
    explained_by=Explained(taken=frozenset({"drug", "exchange"}), lookback=365, procedure="operation"),
)


def pos(day: int | None, **more: Any) -> Result:
    more = {"laboratory": "a", "method": "m", "reference": f"Observation/p{day}"} | more
    return result("antibody", day, "positive", **more)


def neg(day: int | None, **more: Any) -> Result:
    more = {"laboratory": "a", "method": "m", "reference": f"Observation/n{day}"} | more
    return result("antibody", day, "negative", **more)


def drug(status: str = "active", start: int | None = 400, end: int | None = None, **more: Any) -> Medication:
    given = {"start": None if start is None else ago(start), "end": None if end is None else ago(end)} | more
    return medication(more.pop("ingredient", "drug"), status, **given)


def said(*found: Any, complete: bool = False) -> Fact:
    return one(SERIAL, *found, complete=complete)


@pytest.mark.parametrize(("apart", "value"), [(27, "single"), (28, "confirmed"), (29, "confirmed")])
def test_two_positives_far_enough_apart_confirm(apart: int, value: str) -> None:
    fact = said(pos(10), pos(10 + apart))
    assert (fact.value, fact.since) == (value, ago(10 + apart))
    assert references(fact) == ({"Observation/p10",
        f"Observation/p{10 + apart}"} if value == "confirmed" else {f"Observation/p{10 + apart}"})


def test_a_positive_in_a_second_assay_confirms_whatever_its_date() -> None:
    assert said(pos(5), result("cell-assay", 5, "positive")).value == "confirmed"
    assert said(pos(None), result("other-assay", None, "positive")).value == "confirmed"
    assert said(result("cell-assay", 5, "positive"), result("other-assay", 9, "positive")).value == "confirmed"


def test_a_positive_in_another_assay_alone_is_one_positive() -> None:
    fact = said(result("cell-assay", 5, "positive"), neg(0))
    assert (fact.value, fact.since) == ("single", ago(5))


def test_an_undated_positive_is_a_positive_but_never_a_repetition() -> None:
    assert said(pos(None), pos(40)).value == "single"
    assert said(pos(None), pos(None, reference="Observation/q")).value == "single"
    assert said(pos(None), neg(None)).value == "single"
    assert said(pos(None)).since is None


def test_positive_and_negative_on_one_day_is_positive_and_unconfirmed() -> None:
    fact = said(pos(5), neg(5))
    assert (fact.value, fact.since) == ("conflicting", None)
    assert references(fact) == {"Observation/p5", "Observation/n5"}
    assert said(pos(5), neg(5), pos(60), neg(60)).value == "conflicting"
    assert said(pos(5), neg(5), pos(60)).value == "later-negative"
    assert said(pos(60), neg(60), pos(5)).value == "single"
    assert said(pos(5), neg(5), pos(None)).value == "single"
    assert said(pos(5), neg(5), result("cell-assay", 1, "positive")).value == "single"


def test_an_assay_that_contradicts_itself_confirms_nothing() -> None:
    twice = (result("cell-assay", 5, "positive"), result("cell-assay", 5, "negative"))
    assert said(pos(5), *twice).value == "single"
    assert said(*twice).value == "conflicting"


def test_a_later_negative_takes_the_repetition_back() -> None:
    fact = said(pos(90), pos(60), neg(10))
    assert fact.value == "later-negative"
    assert references(fact) == {"Observation/p90", "Observation/p60", "Observation/n10"}
    assert said(pos(90), neg(75), pos(60)).value == "confirmed"
    assert said(pos(90), neg(10), result("cell-assay", 5, "positive")).value == "confirmed"


@pytest.mark.parametrize(("given", "explains"), [
    (drug(), True), (drug(start=10), True), (drug(start=9), False), (drug(start=None), True),
    (drug("completed", end=375), True), (drug("completed", end=376), False), (drug("completed", end=None), True),
    (drug("stopped", end=100), True), (drug("draft"), False), (drug("on-hold"), True), (drug("on-hold", start=None),
    False),
    (drug("active", end=390), True), (drug(route="drops"), False), (drug(route="iv"), True),
    (medication("sugar", "active"), False),
])
def test_a_systemic_drug_explains_a_later_negative(given: Medication, explains: bool) -> None:
    assert said(pos(90), pos(60), neg(10), given).value == ("confirmed" if explains else "later-negative")
    assert said(pos(60), neg(10), given, complete=True).value == ("single" if explains else "transient")


def test_an_operation_explains_a_transient_titre_but_not_a_lost_repetition() -> None:
    between, before = result("operation", 30, "present"), result("operation", 61, "present")
    assert said(pos(60), neg(10), between, complete=True).value == "later-negative"
    assert said(pos(60), neg(10), result("operation", None, "present"), complete=True).value == "later-negative"
    for day in (60, 10):
        assert said(pos(60), neg(10), result("operation", day, "present"), complete=True).value == "later-negative"
    assert said(pos(60), neg(10), result("operation", 9, "present"), complete=True).value == "transient"
    assert said(pos(60), neg(10), before, complete=True).value == "transient"
    assert said(pos(60), neg(10), result("operation", 30, "absent"), complete=True).value == "transient"
    assert said(pos(90), pos(60), neg(10), between).value == "later-negative"


@pytest.mark.parametrize(("apart", "value"), [(27, "later-negative"), (28, "transient")])
def test_only_a_negative_much_later_makes_a_titre_transient(apart: int, value: str) -> None:
    assert said(pos(10 + apart), neg(10), complete=True).value == value


@pytest.mark.parametrize("change", [
    {"laboratory": "b"}, {"laboratory": ""}, {"method": "x"}, {"method": ""},
])
def test_a_titre_is_transient_only_in_one_laboratory_by_one_method(change: dict[str, str]) -> None:
    assert said(pos(60), neg(10, **change), complete=True).value == "later-negative"
    assert said(pos(60, **change), neg(10), complete=True).value == "later-negative"
    assert said(pos(60, laboratory=""), neg(10, laboratory=""), complete=True).value == "later-negative"


def test_a_titre_is_transient_only_on_a_complete_record_and_without_contradiction() -> None:
    assert said(pos(60), neg(10)).value == "later-negative"
    assert said(pos(60), neg(10), neg(60), pos(90), complete=True).value == "later-negative"
    assert said(pos(60), neg(10), result("cell-assay", 300, "positive"), complete=True).value == "confirmed"
    twice = said(pos(200), pos(60), neg(10), complete=True)
    assert (twice.value, twice.since) == ("transient", ago(200))


def test_negative_and_equivocal_only_without_any_positive() -> None:
    assert said(neg(5), neg(90)).value == "negative"
    assert said(neg(5), result("antibody", 0, "equivocal")).value == "negative"
    assert said(result("antibody", 0, "equivocal")).value == "equivocal"
    assert said(result("antibody", 0, 0.1, "nmol/L")).value == "equivocal"
    assert said(pos(None), neg(0), result("antibody", 0, "equivocal")).value == "single"


def test_a_negative_counts_only_from_the_assays_that_are_named() -> None:
    assert said(result("cell-assay", 0, "negative")).value == "negative"
    fact = said(result("other-assay", 0, "negative"))
    assert (fact.value, fact.reason) == ("unknown", Reason.NOT_USABLE)


def test_nothing_recorded_is_not_the_same_as_nothing_readable() -> None:
    assert said().reason == Reason.NOTHING_RECORDED
    assert said(result("antibody", 0, 0.9)).reason == Reason.NOT_USABLE


def test_the_text_says_how_sure_it_is() -> None:
    fact = said(result("antibody", 60, 6.1, "nmol/L", flag="POS"), result("antibody", 1, 5.4, "nmol/L", flag="POS"))
    assert fact.shown == "Antibody positive, confirmed, 6.1 nmol/L (2025-04-02)"
