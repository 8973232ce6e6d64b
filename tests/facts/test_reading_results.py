"""How one result is read under its concept."""

from __future__ import annotations

from typing import Any

import pytest
from result_kit import CONCEPTS, ago, dec, result, view_of

from engine.facts.quantity import Measure
from engine.facts.reading import (
    entries,
    fault,
    multiple,
    number,
    numbers,
    own_limit,
    own_range,
    positives,
    says_yes,
    titre,
    yes_no,
)
from engine.model.record import Quantity


@pytest.mark.parametrize(("answer", "flag", "word"), [
    ("present", "", "present"), ("positive", "", "present"), ("detected", "", "present"),
    ("absent", "", "absent"), ("negative", "", "absent"), ("not-detected", "", "absent"),
    ("present", "NEG", "present"), ("absent", "H", "absent"),
    ("", "POS", "present"), ("", "DET", "present"), ("", "RR", "present"), ("", "A", "present"), ("", "AA", "present"),
    ("", "WR", "present"), ("", "H", "present"), ("", "HX", "present"), ("equivocal", "POS", "present"),
    ("", "NEG", "absent"), ("", "ND", "absent"), ("", "NR", "absent"), ("", "N", "absent"),
    ("", "L", ""), ("", "IND", ""), ("", "U", ""), ("", "IE", ""), ("equivocal", "", ""), ("normal", "", ""),
    ("", "", ""),
])
def test_a_coded_value_decides_and_else_the_flag(answer: str, flag: str, word: str) -> None:
    assert says_yes(result("fog", answer=answer, flag=flag)) == word


def own(value: float, high: float = 0.4, unit: str = "nmol/L", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "high": high, **more}


def bare(value: float, unit: str = "nmol/L", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, **more}


@pytest.mark.parametrize(("given", "word", "conflict"), [
    # 1: the flag
    (bare(0.01, flag="POS"), "positive", False), (bare(9, flag="NEG"), "negative", False),
    (bare(9, flag="IND"), "equivocal", False), (bare(9, unit="", flag="H"), "positive", False),
    # 1 against 3: equivocal, conflicting
    (own(4.8, flag="NEG"), "equivocal", True), (own(0.1, flag="POS"), "equivocal", True),
    (own(4.8, flag="POS"), "positive", False), (own(0.1, flag="N"), "negative", False),
    (own(4.8, flag="IND"), "equivocal", False), (own(4.8, unit="[arb]", flag="NEG"), "equivocal", True),
    (own(0.5, cmp="<", flag="NEG"), "negative", False), (own(5001, flag="NEG"), "negative", False),
    # a low flag is a conflict, and the value is read on
    (own(4.8, flag="L"), "positive", True), (own(0.1, flag="LL"), "negative", True), (bare(0.1, unit="", flag="L"),
    "", True),
    # 2: the coded value
    ({"value": "positive"}, "positive", False), ({"value": "not-detected"}, "negative", False),
    ({"value": "equivocal"}, "equivocal", False), ({"value": "weak"}, "", False), ({"value": "negative", "flag": "U"},
    "negative", False),
    # 3: the own upper limit, in any unit that both share
    (own(0.41), "positive", False), (own(0.4), "negative", False), (own(45, 10, "[arb]"), "positive", False),
    (own(500, Quantity(dec("0.4"), "nmol/L"), "pmol/L"), "positive", False),
    (own(300, Quantity(dec("0.4"), "nmol/L"), "pmol/L"), "negative", False),
    (own(0.5, cmp="<"), "", False), (own(0.4, cmp="<"), "negative", False), (own(0.4, cmp="<="), "negative", False),
    (own(0.4, cmp=">"), "positive", False), (own(0.4, cmp=">="), "", False), (own(0.3, cmp=">"), "", False),
    # a range that cannot be compared leaves it unknown: the defaults are not asked
    (own(9, Quantity(dec(10), "[arb]")), "", False), (own(9, unit=""), "", False), (own(5001), "", False),
    # 4: the defaults, with an equivocal zone
    (bare(0.5), "positive", False), (bare(0.49), "equivocal", False), (bare(0.03), "equivocal", False),
    (bare(0.02), "negative", False), (bare(500, "pmol/L"), "positive", False), (bare(20, "pmol/L"), "negative", False),
    (bare(0.02, cmp="<"), "negative", False), (bare(0.03, cmp="<"), "", False), (bare(0.5, cmp=">"), "positive", False),
    (bare(0.4, cmp=">"), "", False), (bare(0.9, ""), "", False), (bare(45, "[arb]"), "", False), (bare(5001),
    "", False),
])
def test_a_titre_is_read_by_flag_then_code_then_own_range_then_defaults(
    given: dict[str, Any], word: str, conflict: bool
) -> None:
    assert titre(result("antibody", **given), CONCEPTS["antibody"]) == (word, conflict)


@pytest.mark.parametrize(("given", "side"), [
    ({"flag": "HH"}, "high"), ({"flag": "LU"}, "low"), ({"flag": "N"}, "normal"), ({"flag": "NEG"}, "normal"),
    ({"flag": "H", "value": 1, "unit": "g", "high": 5}, "high"),
    ({"flag": "A", "value": 6, "unit": "g", "high": 5}, "high"), ({"flag": "A"}, ""),
    ({"value": 6, "unit": "g", "high": 5, "low": 1}, "high"), ({"value": 5, "unit": "g", "high": 5, "low": 1},
    "normal"),
    ({"value": 1, "unit": "g", "high": 5, "low": 1}, "normal"), ({"value": 0.9, "unit": "g", "high": 5, "low": 1},
    "low"),
    ({"value": 0.9, "unit": "g", "high": 5}, "normal"), ({"value": 6, "unit": "g", "low": 1}, "normal"),
    ({"value": 5, "cmp": "<", "unit": "g", "high": 5, "low": 1}, ""), ({"value": 1, "cmp": "<", "unit": "g", "low": 1},
    "low"),
    ({"value": 5, "cmp": ">", "unit": "g", "high": 5, "low": 1}, "high"),
    ({"value": 4, "cmp": ">", "unit": "g", "high": 5}, ""),
    ({"value": 6, "high": 5}, ""), ({"value": 6, "unit": "g"}, ""), ({"value": 6, "unit": "g", "high": Quantity(dec(5),
    "mg")}, ""),
])
def test_a_side_of_the_own_range_is_told_by_flag_else_by_the_own_limits(given: dict[str, Any], side: str) -> None:
    assert own_range(result("pigment", **given), CONCEPTS["pigment"]) == side


@pytest.mark.parametrize(("given", "side"), [
    ({"flag": "H"}, "high"), ({"flag": "N"}, "normal"), ({"flag": "L"}, ""),
    ({"flag": "L", "value": 1, "unit": "g", "high": 5}, "normal"),
    ({"value": 6, "unit": "g", "high": 5}, "high"), ({"value": 0.1, "unit": "g", "high": 5, "low": 1}, "normal"),
    ({"value": 0.1, "unit": "g", "low": 1}, ""),
])
def test_an_own_upper_limit_alone_knows_nothing_low(given: dict[str, Any], side: str) -> None:
    assert own_limit(result("pigment", **given), CONCEPTS["pigment"]) == side


@pytest.mark.parametrize(("given", "expected"), [
    ({"value": 2, "unit": "ukat/L", "high": Quantity(dec("0.5"), "ukat/L")}, Measure(dec(4))),
    ({"value": 2, "unit": "ukat/L", "high": Quantity(dec(60), "U/L")}, Measure(dec(2))),
    ({"value": 200, "cmp": "<", "unit": "U/L", "high": 40}, Measure(dec(5), "<")),
    ({"value": 200, "unit": "U/L"}, None), ({"value": 200, "high": 40}, None),
    ({"value": 200, "unit": "U/L", "high": 0}, None),
])
def test_a_multiple_is_of_the_own_upper_limit(given: dict[str, Any], expected: Measure | None) -> None:
    assert multiple(result("enzyme", **given), CONCEPTS["enzyme"]) == expected


@pytest.mark.parametrize(("value", "cmp", "hz", "readable"), [
    (12, "", Quantity(dec(2), "Hz"), True), (12, "", Quantity(dec(5), "Hz"), True),
    (12, "", Quantity(dec("1.9"), "Hz"), False), (12, "", Quantity(dec("5.1"), "Hz"), False),
    (12, "", Quantity(dec(3)), False), (12, "", Quantity(dec(3), "kHz"), False), (12, "", Quantity(dec(3), "Hz", ">"),
    False),
    (12, "", None, False), (12, "", True, False),
    (10, "", Quantity(dec(3), "Hz"), False), (-10, "", Quantity(dec(3), "Hz"), False), (10, ">", Quantity(dec(3),
    "Hz"), True),
    ("10.1", "", Quantity(dec(3), "Hz"), True),
])
def test_a_result_is_readable_only_with_what_its_concept_needs(value: Any, cmp: str, hz: Any, readable: bool) -> None:
    parts = {} if hz is None else {"hz": hz}
    fade = result("fade", value=float(value), unit="%", cmp=cmp, parts=parts)
    assert isinstance(number(fade, CONCEPTS["fade"]), Measure) is readable


def test_a_preliminary_result_counts_only_where_the_concept_says_so() -> None:
    early = [result(name, 0, 30, unit, preliminary=True) for name, unit in (("pull", "cm[H2O]"), ("share", "%"))]
    view = view_of(*early)
    assert len(numbers(view, "pull")) == 1
    assert not numbers(view, "share")
    assert not entries(view, "share")


@pytest.mark.parametrize(("weights", "expected"), [
    ([(0, 50)], 40), ([(365, 50)], 40), ([(366, 50)], None), ([(None, 50)], None), ([(3, 80), (1, 50)], 40),
    ([(1, 50), (1, 100)], 40), ([(1, 0.5)], None), ([], None), ([(0, 16)], None),
])
def test_a_number_is_computed_with_the_newest_usable_companion_in_its_window(
    weights: list[tuple[int | None, float]], expected: float | None
) -> None:
    view = view_of(result("litres", 9, 2, "L"), *(result("weight", day, value, "kg") for day, value in weights))
    found = [reading for reading in numbers(view, "breath") if reading.measure]
    assert [reading.measure for reading in found] == ([] if expected is None else [Measure(dec(expected))])
    if found:
        assert found[0].day == ago(9)
        assert found[0].other is not None


def test_a_computed_number_keeps_its_comparator_and_needs_a_test_that_was_done() -> None:
    view = view_of(result("litres", 0, 1, "L", cmp="<"), result("litres", 0, 0, "L"), result("weight", 0, 50, "kg"))
    assert [reading.measure for reading in numbers(view, "breath")] == [Measure(dec(20), "<")]


def test_readings_come_newest_first_and_undated_last() -> None:
    view = view_of(result("fog", None, "present"), result("fog", 9, "absent"), result("fog", 1, "present"),
        result("fog", 1))
    assert [(reading.day, reading.word) for reading in yes_no(view, "fog")] == [
        (ago(1), "present"), (ago(9), "absent"), (None, "present"),
    ]


def test_a_positive_is_what_the_concept_calls_so() -> None:
    view = view_of(
        result("antibody", 0, 9, "nmol/L"), result("antibody", 1, "negative"),
        result("enzyme", 0, 90, "U/L", high=50), result("enzyme", 0, 90, "U/L"), result("fog", 0, flag="H"),
        result("fog", 3, "absent", flag="H"),
    )
    assert [len(positives(view, name)) for name in ("antibody", "enzyme", "fog", "nothing")] == [1, 1, 1, 0]


def test_a_yes_and_a_no_of_one_day_are_no_positive() -> None:
    view = view_of(result("fog", 1, "present"), result("fog", 1, "absent"), result("fog", 4, "present"))
    assert [reading.day for reading in positives(view, "fog")] == [ago(4)]


@pytest.mark.parametrize(("concept", "given", "expected"), [
    ("share", {"value": 45}, "unit-missing"), ("share", {"value": 45, "unit": "L"}, "unit-unconvertible"),
    ("share", {"value": 4600, "unit": "%"}, "implausible-value"), ("share", {"value": 45, "unit": "%"}, ""),
    ("share", {"value": 0, "unit": "%"}, ""), ("share", {"value": 0}, ""),
    ("share", {"value": 45, "flag": "H"}, ""), ("share", {"value": 4600, "unit": "%", "flag": "N"}, ""),
    ("share", {"value": 45, "flag": "L"}, "unit-missing"), ("share", {"value": 45, "flag": "IND"}, "unit-missing"),
    ("share", {"value": "present"}, ""), ("share", {}, ""),
    ("enzyme", {"value": 45, "unit": "[arb]", "high": 10}, "unit-unconvertible"),
    ("antibody", {"value": 45, "unit": "[arb]", "high": 10}, ""),
    ("antibody", {"value": 45, "unit": "[arb]", "high": Quantity(dec(10), "nmol/L")}, "unit-unconvertible"),
    ("antibody", {"value": 45, "unit": "[arb]"}, "unit-unconvertible"), ("antibody", {"value": 0.9}, "unit-missing"),
    ("antibody", {"value": 0.9, "high": 0.4}, "unit-missing"), ("antibody", {"value": 0.9, "flag": "IND"}, ""),
])
def test_an_unusable_number_is_a_fault_unless_a_flag_decides(concept: str, given: dict[str, Any],
    expected: str) -> None:
    assert fault(result(concept, **given), CONCEPTS[concept]) == expected
