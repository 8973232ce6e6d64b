"""Numbers with units as they are sent: Quantity elements, bare numbers, and numbers written into a text."""

from __future__ import annotations

import re
from decimal import Decimal

from engine.fhir.elements import Json, code_words, obj, text
from engine.fhir.problems import Note
from engine.model.record import Comparator, Quantity
from engine.terminology.content import Range
from engine.terminology.terminology import Terminology

UCUM = "http://unitsofmeasure.org"
LARGEST_EXPONENT = 12
MOST_DIGITS = 40
_FOR_HEALTHY = frozenset({"normal", "normal range", "recommended", "recommended range"})
_COMPARATORS: dict[str, Comparator] = {
    "": "", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "≤": "<=", "≥": ">=", "=<": "<=", "=>": ">=",
}  # fmt: skip
_WRITTEN = re.compile(
    r"([<>]=?|=[<>]|≤|≥)?\s*([-+−]?\d{1,20}(?:[.,]\d{1,30})?(?:[eE][-+]?\d{1,2})?)(?![\d.,])\s*(.*)",
    re.DOTALL | re.ASCII,
)
_UNIT = re.compile(r"[^\W\d_]\S{0,30}|[%{\[/‰µ]\S{1,30}|%")


def read_quantity(value: object, terminology: Terminology, note: Note) -> Quantity | None:
    """A Quantity as it stands; None, with a note, if its number or comparator cannot be used.

    The unit is "" when none is stated, and the sender's own word when no table knows it.
    """
    quantity = obj(value) if isinstance(value, (dict, list)) else {"value": value}
    number = quantity.get("value")
    comparator = _COMPARATORS.get(text(quantity.get("comparator")))
    if isinstance(number, str):
        found = read_number(number)
        if found is None or found[2] or (found[0] and comparator):
            note("unreadable-number", "has a value that is no number")
            return None
        comparator, number = found[0] or comparator, found[1]
    exact = _exact(number)
    if exact is None:
        note("unreadable-number", "has a value that is no number, or an absurd one")
        return None
    if comparator is None:
        note("unreadable-value", "has a comparator that is not known")
        return None
    return Quantity(exact, unit_of(quantity, terminology), comparator)


def unit_of(quantity: Json, terminology: Terminology) -> str:
    """The UCUM code decides; without one the unit's text, if it is a known spelling of a unit."""
    code, name = text(quantity.get("code")), text(quantity.get("unit"))
    if code:
        known = terminology.unit(code)
        if known:
            return known
        system = text(quantity.get("system"))
        if not system or terminology.system(system) == terminology.system(UCUM):
            return code
        return (terminology.unit(name) if name else "") or name or code
    return (terminology.unit(name) or name) if name else ""


def read_text(said: str, terminology: Terminology) -> Quantity | None:
    """The number of a whole text such as `< 60 mmol/L`; None if the text is anything else, or absurd."""
    found = read_number(said)
    if found is None:
        return None
    comparator, number, unit = found
    known = terminology.unit(unit) if unit else ""
    if unit and not known and not _UNIT.fullmatch(unit):
        return None
    exact = _exact(number)
    return None if exact is None else Quantity(exact, known or unit, comparator)


def read_number(said: str) -> tuple[Comparator, Decimal, str] | None:
    """(comparator, number, rest) of a text that begins with a number; `1,234` could be either of two and is none."""
    match = _WRITTEN.fullmatch(said.strip())
    if match is None:
        return None
    comparator, digits, rest = match.group(1) or "", match.group(2).replace("−", "-"), match.group(3).strip()
    whole, comma, fraction = digits.partition(",")
    if comma and len(fraction) == 3 and whole.strip("+-0"):
        return None
    return _COMPARATORS[comparator], Decimal(f"{whole}.{fraction}" if comma else digits), rest


def _exact(number: object) -> Decimal | None:
    """The number itself; None if it is none, not finite, or of an absurd size."""
    if isinstance(number, bool) or not isinstance(number, (Decimal, int, float)):
        return None
    if isinstance(number, int) and abs(number) >= 10**MOST_DIGITS:
        return None
    exact = number if isinstance(number, Decimal) else Decimal(str(number))
    if not exact.is_finite():
        return None
    size = 0 if not exact else abs(exact.adjusted())
    digits = exact.as_tuple()
    return None if size > LARGEST_EXPONENT or len(digits.digits) > MOST_DIGITS else exact


def limits(ranges: list[Json], terminology: Terminology, note: Note) -> tuple[Quantity | None, Quantity | None]:
    """(low, high) of a result's own reference range: the first one for healthy persons, each with its own unit."""
    for one in ranges:
        if _is_normal(one):
            return _limit(one.get("low"), terminology, note), _limit(one.get("high"), terminology, note)
    return None, None


def site_limits(given: Range | None) -> tuple[Quantity | None, Quantity | None]:
    """(low, high) that a site states for results without a range of their own."""
    if given is None:
        return None, None
    low, high = (None if limit is None else Quantity(limit, given.unit) for limit in (given.low, given.high))
    return low, high


def _limit(value: object, terminology: Terminology, note: Note) -> Quantity | None:
    return None if value is None else read_quantity(value, terminology, note)


def _is_normal(one: Json) -> bool:
    kind = code_words(one.get("type"))
    return not kind or bool(kind & _FOR_HEALTHY)
