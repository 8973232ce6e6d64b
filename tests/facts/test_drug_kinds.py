"""Drugs that the patient has, and the order at hand: status, time, route and dose at every border."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from result_kit import ago, diagnosis, medication, record, references, result
from ruleset_kit import base

from engine.model.fact import Fact, Reason
from engine.model.record import Medication


def drug(status: str = "active", start: int | None = None, end: int | None = None, **more: Any) -> Medication:
    day = {name: None if days is None else ago(days) for name, days in (("start", start), ("end", end))}
    return medication(more.pop("ingredient", "calmal"), status, **day, **more)


def fact(name: str, *entries: Any, **more: Any) -> Fact:
    of = record(*entries, **more)
    return base().compute(of).get(name) or base().unknown(name, of)


def order_fact(name: str, order: Medication, *others: Any, **more: Any) -> Fact:
    of = record(order, *others, **more)
    return base().compute_order(of, order, base().compute(of)).get(name) or base().unknown(name, of)


# ---- exposure


@pytest.mark.parametrize(
    ("entry", "uses"),
    [
        (drug("active"), {"taking", "ordered", "ever"}),
        (drug("on-hold"), {"ordered"}),
        (drug("on-hold", 0), {"ordered", "ever"}),
        (drug("on-hold", -1), {"ordered"}),
        (drug("draft", 5), {"ordered"}),
        (drug("stopped", 5), {"ever"}),
        (drug("completed", 900, 90), {"taking", "ever"}),
        (drug("completed", 90), {"taking", "ever"}),
        (drug("completed", 900, 91), {"ever"}),
        (drug("completed", 91), {"ever"}),
        (drug("completed"), {"ever"}),
    ],
)
def test_what_a_status_counts_for(entry: Medication, uses: set[str]) -> None:
    found = {use for use in ("taking", "ordered", "ever") if fact(f"calm-{use}", entry).value == "present"}
    assert found == uses


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        (drug("active"), True),
        (drug("on-hold"), True),
        (drug("draft"), True),
        (drug("completed", 91), False),
        (drug("stopped", 3), False),
    ],
)
def test_taken_or_ordered_is_both(entry: Medication, counts: bool) -> None:
    wakal = medication("wakal", entry.status, start=entry.start)
    assert (fact("wakal", wakal).value == "present") is counts


@pytest.mark.parametrize(
    ("route", "value"), [("drops", "unknown"), ("cream", "unknown"), ("inhaled", "present"), ("", "present")]
)
def test_a_topical_route_is_not_systemic_and_every_other_one_is(route: str, value: str) -> None:
    found = fact("calm-taking", drug(route=route))
    assert found.value == value
    assert fact("calm-ever", drug(route=route)).value == "present"


def test_an_order_for_the_excepted_reason_does_not_count() -> None:
    assert fact("calm-ordered", drug(reason="sleep")).value == "unknown"
    assert fact("calm-ordered", drug(reason="sleep"), drug(reason="pain")).value == "present"
    assert fact("calm-ordered", drug()).value == "present"


@pytest.mark.parametrize(("start", "value"), [(30, "unknown"), (31, "present"), (None, "unknown")])
def test_taken_for_longer_than_a_month_begins_on_day_31(start: int | None, value: str) -> None:
    assert fact("calm-long", drug("active", start)).value == value


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        (drug("stopped", 900, 90), "present"),
        (drug("stopped", 900, 91), "unknown"),
        (drug("stopped", 90), "present"),
        (drug("stopped"), "unknown"),
        (drug("active", 900), "present"),
        (drug("on-hold", 900), "present"),
        (drug("draft"), "unknown"),
    ],
)
def test_given_within_90_days_or_until_now(entry: Medication, value: str) -> None:
    assert fact("calm-lately", entry).value == value


def test_an_exposure_holds_from_the_earliest_known_start_and_drafts_stand_apart() -> None:
    entries = (drug("active", 20), drug("active"), drug("draft", 400), drug("on-hold", -3))
    found = fact("calm-ordered", *entries)
    assert found.since == ago(20)
    assert references(found) == {entry.reference for entry in entries}
    assert fact("calm-ordered", drug("draft", 400)).since is None
    assert fact("calm-taking", drug("active", -3)).since is None


def test_the_reason_for_an_unknown_exposure() -> None:
    assert fact("calm-taking", drug("completed", 900, 800)).reason is Reason.OUT_OF_DATE
    assert fact("calm-ever", drug("draft")).reason is Reason.NOT_USABLE
    assert fact("calm-ever").reason is Reason.NOTHING_RECORDED
    assert fact("calm-ever", asked=frozenset({"fog"})).reason is Reason.NOT_REQUESTED


def test_the_names_of_the_drugs_are_shown() -> None:
    assert "calmal, calmol" in fact("calm-ever", drug(ingredient="calmol"), drug()).shown


# ---- a drug before the onset of a disease


@pytest.mark.parametrize(
    ("before", "value"),
    [(-1, "unknown"), (0, "soon"), (90, "soon"), (91, "later"), (365, "later"), (366, "unknown")],
)
def test_a_disease_after_a_drug_that_was_stopped(before: int, value: str) -> None:
    found = fact("calm-to-fog", drug("stopped", 400 + before), diagnosis("fog", "confirmed", 400))
    assert found.value == value


def test_a_drug_that_is_still_given_makes_it_soon() -> None:
    fog = diagnosis("fog", "suspected", 100, onset=ago(400))
    assert fact("calm-to-fog", drug("active", 700), fog).value == "soon"
    assert fact("calm-to-fog", drug("on-hold", 700), fog).value == "soon"
    assert fact("calm-to-fog", drug("active", 800), fog).value == "unknown"
    assert fact("wakal-to-fog", drug("active", 500, ingredient="wakal"), fog).value == "later"


def test_a_drug_before_a_disease_needs_both_dates_and_a_disease_that_is_not_refuted() -> None:
    assert fact("calm-to-fog", drug("active"), diagnosis("fog", "confirmed", 9)).reason is Reason.NOT_USABLE
    assert fact("calm-to-fog", drug("active", 99), diagnosis("fog", "refuted", 9)).reason is Reason.NOT_USABLE
    assert fact("calm-to-fog", drug("draft", 99), diagnosis("fog", "confirmed", 9)).reason is Reason.NOTHING_RECORDED


# ---- the order at hand


def test_the_plain_fields_of_an_order() -> None:
    order = drug("on-hold", 5, reason="pain", course="induction")
    assert order_fact("order.ingredient", order).value == "calmal"
    assert order_fact("order.ingredient", order).shown == "calmal"
    assert order_fact("order.status", order).value == "on-hold"
    assert order_fact("order.reason", order).value == "pain"
    assert order_fact("order.course", order).value == "induction"
    assert references(order_fact("order.status", order)) == {order.reference}


def test_a_code_outside_the_closed_set_is_unknown_and_not_a_new_value() -> None:
    assert order_fact("order.reason", drug(reason="whim")).reason is Reason.NOT_USABLE
    assert order_fact("order.ingredient", drug(ingredient="stray")).reason is Reason.NOT_USABLE
    assert order_fact("order.reason", drug()).reason is Reason.NOTHING_RECORDED


@pytest.mark.parametrize(
    ("route", "value"),
    [("drops", "topical"), ("iv", "parenteral"), ("im", "parenteral"), ("oral", "other"), ("", "unknown")],
)
def test_a_route_is_topical_parenteral_other_or_not_stated(route: str, value: str) -> None:
    assert order_fact("order.route", drug(route=route)).value == value


@pytest.mark.parametrize(
    ("status", "start", "value"),
    [
        ("draft", 400, "new"),
        ("draft", None, "new"),
        ("active", 30, "new"),
        ("active", 31, "current"),
        ("active", 90, "current"),
        ("active", 91, "long"),
        ("active", None, "unknown"),
        ("completed", 91, "long"),
    ],
)
def test_an_order_is_new_for_30_days_and_long_standing_after_90(status: str, start: int | None, value: str) -> None:
    assert order_fact("order.age", drug(status, start)).value == value


def test_a_coded_initiation_is_initial_whatever_the_record() -> None:
    assert order_fact("order.initial", drug("active", 400, initiation=True), drug("active")).value == "present"


@pytest.mark.parametrize(
    ("other", "value"),
    [
        (None, "present"),
        (drug("stopped", 900, 366), "present"),
        (drug("stopped", 366), "present"),
        (drug("stopped", 900, 365), "unknown"),
        (drug("completed", 365), "unknown"),
        (drug("completed"), "unknown"),
        (drug("active", 900), "unknown"),
        (drug("on-hold", 900, 800), "unknown"),
        (drug("active", ingredient="calmol"), "present"),
    ],
)
def test_a_draft_is_initial_when_a_complete_record_holds_no_other_entry(other: Medication | None, value: str) -> None:
    others = () if other is None else (other,)
    assert order_fact("order.initial", drug("draft"), *others, complete=True).value == value
    assert order_fact("order.initial", drug("draft"), *others).value == "unknown"
    assert order_fact("order.initial", drug("active"), *others, complete=True).value == "unknown"


def test_the_order_program_runs_for_current_entries_and_for_supplies_that_ended_lately() -> None:
    running = [drug("active"), drug("on-hold"), drug("draft"), drug("completed", 900, 90, supply=True)]
    over = [
        drug("stopped", 3),
        drug("completed", 900, 91, supply=True),
        drug("completed", 3),
        drug("completed", supply=True),
    ]
    assert base().current_orders(record(*over, *running)) == tuple(running)


def test_another_row_of_the_same_order_is_no_other_entry() -> None:
    order = drug("draft", reference="MedicationRequest/one")
    assert (
        order_fact("order.initial", order, drug("draft", reference="MedicationRequest/one"), complete=True).value
        == "present"
    )


# ---- doses


@pytest.mark.parametrize(
    ("dose", "value"), [("120", "normal"), ("120.01", "above-maximum"), (None, "unknown"), ("0", "unknown")]
)
def test_a_single_dose_above_the_maximum(dose: str | None, value: str) -> None:
    order = drug(single_mg=None if dose is None else Decimal(dose))
    assert order_fact("order.single", order).value == value


@pytest.mark.parametrize(
    ("dose", "value"), [("90", "normal"), ("91", "above-start"), ("480", "above-start"), ("481", "above-maximum")]
)
def test_a_daily_dose_has_two_limits(dose: str, value: str) -> None:
    found = order_fact("order.daily", drug(daily_mg=Decimal(dose)))
    assert found.value == value
    assert f"{dose} mg" in found.shown


def test_a_drug_that_only_a_name_states_is_marked_so_in_the_evidence() -> None:
    for named, said in ((False, "calmal active, oral"), (True, "calmal active, oral, found by name")):
        order = drug(daily_mg=Decimal(900), route="oral", found_by_name=named)
        assert [one.said for one in order_fact("order.daily", order).evidence] == [said]


def test_a_dose_of_another_drug_is_not_this_fact() -> None:
    assert order_fact("order.daily", drug(ingredient="wakal", daily_mg=Decimal(900))).reason is Reason.NOTHING_RECORDED


@pytest.mark.parametrize(
    ("weight", "day", "value"),
    [(70, 365, "normal"), (69.9, 365, "above-start"), (70, 366, "unknown"), (70, None, "unknown")],
)
def test_a_dose_by_body_weight_needs_a_weight_of_the_last_year(weight: float, day: int | None, value: str) -> None:
    order, scales = drug(daily_mg=Decimal(35)), result("weight", day, weight, "kg")
    found = order_fact("order.daily-per-kg", order, scales)
    assert found.value == value
    assert (scales.reference in references(found)) == (value != "unknown")


def test_of_two_weights_of_one_day_the_lower_one_counts_and_one_without_unit_does_not() -> None:
    order = drug(daily_mg=Decimal(35))
    weights = (result("weight", 3, 71, "kg"), result("weight", 3, 69, "kg"), result("weight", 1, 90))
    assert order_fact("order.daily-per-kg", order, *weights).value == "above-start"


@pytest.mark.parametrize(("weights", "value"), [
    ([(3, 69, "<")], "above-start"),                       # at least 0.507 mg/kg
    ([(3, 70, "<=")], "unknown"),
    ([(3, 70, ">")], "normal"),
    ([(3, 80, "<"), (9, 69, "")], "above-start"),          # below 80 leaves it open, the older weight does not
    ([(3, 80, "<"), (9, 71, "")], "normal"),
    ([(3, 70, ">"), (9, 60, "")], "normal"),               # the newest decides
    ([(3, 80, "<"), (3, 69, "")], "above-start"),
    ([(3, 70, ">="), (3, 70, "")], "normal"),
    ([(3, 70, ""), (3, 70, "<")], "above-start"),          # below 70 is the lower one of the day
    ([(366, 69, "<")], "unknown"),
])
def test_a_weight_with_a_comparator_decides_where_it_can(weights: list[tuple[int, float, str]], value: str) -> None:
    order = drug(daily_mg=Decimal(35))
    found = [result("weight", day, weight, "kg", cmp=cmp) for day, weight, cmp in weights]
    assert order_fact("order.daily-per-kg", order, *found).value == value


def test_a_dose_that_the_order_states_per_kg_needs_no_weight() -> None:
    order = drug(per_kg={"course-g": Decimal("2.3")}, daily_mg=Decimal(5))
    found = order_fact("order.course-per-kg", order)
    assert (found.value, found.shown.split()[-2:]) == ("above-maximum", ["2.3", "g/kg"])
    assert order_fact("order.daily-per-kg", order).reason is Reason.NOT_USABLE


def test_a_dose_that_is_no_measurement_is_unknown() -> None:
    assert order_fact("order.single", drug(single_mg=Decimal("NaN"))).value == "unknown"
    assert order_fact("order.single", drug(single_mg=Decimal("1e400"))).value == "unknown"
