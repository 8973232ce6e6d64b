"""Numbers with units and comparators: what is certain, and what is left open."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_kit import CONCEPTS, bands, dec

from engine.facts.quantity import Measure, against, band, bare, canonical, certainly
from engine.model.record import Quantity

TESTS = {
    "below": lambda value, limit: value < limit,
    "at_most": lambda value, limit: value <= limit,
    "above": lambda value, limit: value > limit,
    "at_least": lambda value, limit: value >= limit,
}
MAY_BE = {
    "": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("comparator", MAY_BE)
@given(bound=st.integers(-6, 6), limit=st.integers(-6, 6))
def test_a_test_is_certain_exactly_when_every_number_that_it_may_be_agrees(
    test: str, comparator: str, bound: int, limit: int
) -> None:
    quarters = [Decimal(value) / 4 for value in range(-60, 61)]
    possible = {TESTS[test](value, limit) for value in quarters if MAY_BE[comparator](value, bound)}
    expected = possible.pop() if len(possible) == 1 else None
    assert certainly(Measure(Decimal(bound), comparator), test, Decimal(limit)) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "comparator", "expected"), [
    (49, "", "low"), (50, "", "reduced"), (59, "", "reduced"), (60, "", "fine"),
    (50, "<", "low"), (51, "<", "reduced"), (61, "<", ""),
    (50, "<=", "reduced"), (60, "<=", ""),
    (60, ">", "fine"), (59, ">", ""), (60, ">=", "fine"), (59, ">=", ""),
])
def test_a_number_gets_the_strongest_band_that_it_certainly_reaches(value: int, comparator: str, expected: str) -> None:
    down = bands(("low", "below", 50), ("reduced", "below", 60))
    assert band(Measure(Decimal(value), comparator), down, "fine") == expected  # type: ignore[arg-type]


def test_a_number_is_converted_exactly() -> None:
    assert canonical(Quantity(dec("5.884"), "kPa"), CONCEPTS["pull"]) == Measure(dec("60.00008944"))
    assert canonical(Quantity(dec("0.7"), "ukat/L"), CONCEPTS["enzyme"]) == Measure(dec("42.0"))


@pytest.mark.parametrize(("quantity", "fault"), [
    (Quantity(dec(30)), "unit-missing"),
    (Quantity(dec(30), "L"), "unit-unconvertible"),
    (Quantity(dec(0), "cm[H2O]"), "not-done"),
    (Quantity(dec(0)), "not-done"),
    (Quantity(dec(301), "cm[H2O]"), "implausible-value"),
    (Quantity(dec(-301), "cm[H2O]"), "implausible-value"),
    (Quantity(Decimal("NaN"), "cm[H2O]"), "implausible-value"),
])
def test_a_number_that_cannot_be_used_says_why(quantity: Quantity, fault: str) -> None:
    assert canonical(quantity, CONCEPTS["pull"]) == fault


def test_the_limits_of_plausibility_are_plausible() -> None:
    assert canonical(Quantity(dec(300), "cm[H2O]"), CONCEPTS["pull"]) == Measure(dec(300))
    assert canonical(Quantity(dec(1), "%"), CONCEPTS["share"]) == Measure(dec(1))
    assert canonical(Quantity(dec("0.99"), "%"), CONCEPTS["share"]) == "implausible-value"


@pytest.mark.parametrize(("comparator", "turned"), [("", ""), ("<", ">"), ("<=", ">="), (">", "<"), (">=", "<=")])
def test_a_negative_number_without_a_sign_of_its_own_turns_the_comparator(comparator: str, turned: str) -> None:
    read = canonical(Quantity(dec(-60), "cm[H2O]", comparator), CONCEPTS["pull"])  # type: ignore[arg-type]
    assert read == Measure(dec(60), turned)  # type: ignore[arg-type]


def test_a_count_needs_no_unit_and_takes_any() -> None:
    assert canonical(Quantity(dec(3), "{repeats}"), CONCEPTS["attacks"]) == Measure(dec(3))


@pytest.mark.parametrize(("unit", "plain"), [
    ("{repeats}", "1"), ("{}", "1"), ("%{predicted}", "%"), ("10*3/uL{cells}", "10*3/uL"), ("{beats}/min", "/min"),
    ("mg/{dose}", "mg"), ("mg", "mg"), ("", ""), ("{", "{"), ("}{", "}{"),
])
def test_what_stands_in_curly_brackets_is_no_unit(unit: str, plain: str) -> None:
    assert bare(unit) == plain


def test_a_remark_beside_the_unit_changes_nothing() -> None:
    assert canonical(Quantity(dec(45), "%{predicted}"), CONCEPTS["share"]) == Measure(dec(45))
    assert canonical(Quantity(dec(900), "mL{BTPS}"), CONCEPTS["litres"]) == Measure(dec("0.9"))
    assert canonical(Quantity(dec(45), "{predicted}"), CONCEPTS["share"]) == "unit-unconvertible", "a number alone"
    assert canonical(Quantity(dec(45), "{" * 9000 + "}" * 9000), CONCEPTS["share"]) == "unit-unconvertible"
    pigment = CONCEPTS["pigment"]
    assert against(Quantity(dec(3), "{index}"), Quantity(dec(1), "{ratio}"), pigment) == (Measure(dec(3)), dec(1))
    assert against(Quantity(dec(3), "{index}"), Quantity(dec(1), "mg/dL"), pigment) is None


@pytest.mark.parametrize(("value", "limit", "expected"), [
    (Quantity(dec(2), "ukat/L"), Quantity(dec("0.7"), "ukat/L"), (Measure(dec(120)), dec(42))),
    (Quantity(dec(2), "ukat/L"), Quantity(dec(50), "U/L"), (Measure(dec(120)), dec(50))),
    (Quantity(dec(90), "U/L"), Quantity(dec(30)), (Measure(dec(90)), dec(30))),
    (Quantity(dec(90), "[pH]"), Quantity(dec(30)), (Measure(dec(90)), dec(30))),
    (Quantity(dec(90), "[pH]"), Quantity(dec(30), "U/L"), None),
    (Quantity(dec(90), "U/L"), Quantity(dec(30), "[pH]"), None),
    (Quantity(dec(90)), Quantity(dec(30)), None),
    (Quantity(dec(90)), Quantity(dec(30), "U/L"), None),
    (Quantity(dec(20001), "U/L"), Quantity(dec(30)), None),
])
def test_a_number_and_its_own_limit_are_compared_only_in_one_unit(
    value: Quantity, limit: Quantity, expected: object
) -> None:
    assert against(value, limit, CONCEPTS["enzyme"]) == expected


def test_without_a_table_of_units_only_the_same_unit_is_compared() -> None:
    pigment = CONCEPTS["pigment"]
    assert against(Quantity(dec(3), "mg/dL"), Quantity(dec(1), "mg/dL"), pigment) == (Measure(dec(3)), dec(1))
    assert against(Quantity(dec(3), "mg/dL"), Quantity(dec(1), "umol/L"), pigment) is None
