"""Exact numbers: canonical units, plausible limits, and tests that hold whatever a comparator leaves open.

Source: clinical specification 1.4. Nothing here rounds: factors and limits are decimals, and a number too large or
too small to be a measurement is not plausible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import Literal, TypeVar

import msgspec

from engine.facts.concept import Concept
from engine.facts.definition import Band
from engine.model.record import Comparator, Quantity

Fault = Literal["", "unit-missing", "unit-unconvertible", "implausible-value", "not-done"]
Test = Literal["below", "at_most", "above", "at_least"]
T = TypeVar("T")

EXACT = Context(prec=80)
LARGEST_EXPONENT = 30
_ANNOTATION = re.compile(r"\{[^{}]*\}")
TURNED: dict[Comparator, Comparator] = {"": "", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Measure(msgspec.Struct, frozen=True, gc=False):
    """A number in the canonical unit of its concept, or a multiple of a limit."""

    value: Decimal
    comparator: Comparator = ""


def sane(value: Decimal) -> bool:
    """Whether a decimal can be computed with: finite, and neither absurdly large nor absurdly small."""
    return value.is_finite() and (not value or -LARGEST_EXPONENT <= value.adjusted() <= LARGEST_EXPONENT)


def bare(unit: str) -> str:
    """A unit without the annotations of UCUM: `{...}` is a remark and no unit, and alone it is the number 1."""
    return (_ANNOTATION.sub("", unit).rstrip("/.") or "1") if "{" in unit else unit


def factor_of(unit: str, concept: Concept) -> Decimal | None:
    """The factor from `unit` to the concept's canonical unit; None if it cannot be converted."""
    if unit != concept.unit and unit not in concept.also:
        unit = bare(unit)
    return Decimal(1) if unit == concept.unit else concept.also.get(unit)


def canonical(quantity: Quantity, concept: Concept) -> Measure | Fault:
    """The number in the concept's canonical unit, or why it cannot be used.

    A concept without a unit is a count: whatever unit stands beside the number says nothing. With `absolute` a negative
    number is its magnitude and turns the comparator; `zero_not_done` makes 0 a test that was not done.
    """
    value, comparator = quantity.value, quantity.comparator
    if not value and concept.zero_not_done and value.is_finite():
        return "not-done"
    if concept.unit:
        if not quantity.unit:
            return "unit-missing"
        factor = factor_of(quantity.unit, concept)
        if factor is None:
            return "unit-unconvertible"
    else:
        factor = Decimal(1)
    if not sane(value):
        return "implausible-value"
    if concept.absolute and value < 0:
        value, comparator = value.copy_abs(), TURNED[comparator]
    if factor != 1:
        value = EXACT.multiply(value, factor)
    if concept.plausible is not None and not concept.plausible[0] <= value <= concept.plausible[1]:
        return "implausible-value"
    return Measure(value, comparator)


def against(quantity: Quantity, limit: Quantity, concept: Concept) -> tuple[Measure, Decimal] | None:
    """A number and a limit of its own range in one unit; None if they cannot be compared.

    A range without a unit has that of the value. The same unit can always be compared, whatever it is; two units only
    if the concept converts both. A number without unit is never compared.
    """
    if not quantity.unit or not sane(limit.value):
        return None
    measure = canonical(quantity, concept)
    unit = limit.unit or quantity.unit
    if isinstance(measure, Measure) and concept.unit:
        factor = factor_of(unit, concept)
        return None if factor is None else (measure, EXACT.multiply(limit.value, factor))
    foreign = measure == "unit-unconvertible" or (not concept.unit and isinstance(measure, Measure))
    if not foreign or bare(unit) != bare(quantity.unit) or not sane(quantity.value):
        return None
    return Measure(quantity.value, quantity.comparator), limit.value


def place(measure: Measure) -> tuple[Decimal, int]:
    """Where the number stands among others: `<5` below 5, `>5` above it."""
    return measure.value, {"<": -2, "<=": -1, "": 0, ">=": 1, ">": 2}[measure.comparator]


def ratio(above: Measure, below: Measure, factor: Decimal = Decimal(1)) -> Measure | None:
    """`above` times `factor` over `below`, both positive; None where the two comparators pull apart or `below` is 0.

    `<x` over `>y` is less than x/y; `<x` over `<y` may be anything.
    """
    ends = [end for end in (above.comparator, TURNED[below.comparator]) if end]
    if not below.value or len({end[0] for end in ends}) > 1:
        return None
    comparator: Comparator = min(ends, key=len) if ends else ""      # strict as soon as one of the two is
    return Measure(EXACT.divide(EXACT.multiply(above.value, factor), below.value), comparator)


def certainly(measure: Measure, test: Test, limit: Decimal) -> bool | None:
    """Whether the number passes the test for certain: True, False, or None when its comparator leaves it open.

    `<x` is below a limit only if x is at most the limit, `>x` above it only if x is at least the limit.
    """
    value, comparator = measure.value, measure.comparator
    if test in ("above", "at_least"):
        opposite = certainly(measure, "at_most" if test == "above" else "below", limit)
        return None if opposite is None else not opposite
    if not comparator:
        return value < limit if test == "below" else value <= limit
    if comparator == "<":
        return True if value <= limit else None
    if comparator == "<=":
        return True if value < limit or (test == "at_most" and value == limit) else None
    if comparator == ">":
        return False if value >= limit else None
    return False if value > limit or (test == "below" and value == limit) else None


def band(measure: Measure, bands: Sequence[Band], otherwise: str) -> str:
    """The strongest band that the number certainly reaches, `otherwise` if it is clear of all, "" if left open."""
    return strongest(bands, otherwise, lambda one: (certainly(measure, one.test, one.limit), ()))[0]


def strongest(
    bands: Sequence[Band], otherwise: str, answer: Callable[[Band], tuple[bool | None, Sequence[T]]]
) -> tuple[str, list[T]]:
    """The first band that is reached, `otherwise` if none is, "" if that is left open; and what it rests on.

    Each band is a question of its own: `answer` says whether it is reached and what says so. A stronger band that is
    left open hides no weaker one that is reached; what speaks against a stronger one belongs to the reasons.
    """
    denied: list[T] = []
    left_open = False
    for one in bands:
        reached, resting = answer(one)
        if reached:
            return one.value, [*resting, *denied]
        left_open = left_open or reached is None
        denied += resting
    return "" if left_open else otherwise, denied
