from __future__ import annotations

import itertools

import pytest
from house_alarm import all_, any_, at_least, is_, is_not, issue, unknown

from engine.inference.kleene import Truth, compiled
from engine.rules.program import Literal, conditions, literals

VALUE: dict[Truth, str] = {True: "present", False: "absent", None: "unknown"}
A, B, C = (is_(name, "present") for name in "abc")


def facts(*truths: Truth) -> dict[str, str]:
    return {name: VALUE[truth] for name, truth in zip("abc", truths, strict=False)}


@pytest.mark.parametrize("truths", list(itertools.product([True, False, None], repeat=3)))
def test_all_any_and_at_least_are_kleenes(truths: tuple[Truth, ...]) -> None:
    """The words of the definition, for every combination of three parts, flat and nested."""
    given = facts(*truths)
    every = False if False in truths else None if None in truths else True
    some = True if True in truths else None if None in truths else False
    true, possible = truths.count(True), 3 - truths.count(False)
    two = True if true >= 2 else None if possible >= 2 else False

    assert compiled(all_(A, B, C))(given) is every
    assert compiled(all_(A, all_(B, C)))(given) is every
    assert compiled(any_(A, B, C))(given) is some
    assert compiled(any_(A, any_(B, C)))(given) is some
    assert compiled(at_least(2, A, B, C))(given) is two
    assert compiled(at_least(2, any_(A), all_(B), C))(given) is two


def test_a_literal_on_values_is_unknown_with_its_fact() -> None:
    test = compiled(is_("a", "confirmed", "suspected"))
    assert [test({"a": value}) for value in ("confirmed", "refuted", "unknown")] == [True, False, None]


def test_a_not_literal_takes_unknown_as_another_value() -> None:
    test = compiled(is_not("a", "refuted"))
    assert [test({"a": value}) for value in ("confirmed", "refuted", "unknown")] == [True, False, True]


def test_unknown_and_not_unknown_are_never_unknown() -> None:
    assert [compiled(unknown("a"))({"a": value}) for value in ("present", "unknown")] == [False, True]
    assert [compiled(is_not("a", "unknown"))({"a": value}) for value in ("present", "unknown")] == [True, False]


def test_a_literal_that_does_not_read_unknown_is_unknown_even_if_it_names_it() -> None:
    literal = Literal("a", frozenset({"present", "unknown"}))
    for condition in (literal, all_(literal), any_(literal)):
        assert compiled(condition)({"a": "unknown"}) is None


def test_a_false_part_decides_an_all_even_after_an_unknown_one() -> None:
    assert compiled(all_(A, B))({"a": "unknown", "b": "absent"}) is False
    assert compiled(all_(any_(A, A), B))({"a": "unknown", "b": "absent"}) is False


def test_empty_conditions_have_their_mathematical_truth() -> None:
    assert compiled(all_())({}) is True
    assert compiled(any_())({}) is False
    assert compiled(at_least(0))({}) is True
    assert compiled(at_least(1))({}) is False


def test_literals_and_conditions_come_in_the_order_of_writing() -> None:
    rule = issue("x", all_(A, any_(B, C)), C, unless=at_least(1, A))
    assert [[literal.fact for literal in literals(condition)] for condition in conditions(rule)] == [
        ["a", "b", "c"],
        ["c"],
        ["a"],
    ]
