"""Amounts of a drug: exact numbers, masses in mg, tablets and millilitres through the strength of the product.

A dose may be absolute (`MG`) or per body weight (`MG_PER_KG`). What is no mass of the drug (units of activity, mg/m2,
drops, an unknown word) has no amount.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction

import msgspec

MG, MG_PER_KG = "mg", "mg/kg"

UnitReader = Callable[[str], str]
"""A unit's spelling -> its UCUM code, "" = spelling not known (`Terminology.unit`)."""

_LIMIT = 10**12
_DIGITS = 50
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?")
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_MASS = {
    "kg": Fraction(10**6), "g": Fraction(1000), "mg": Fraction(1), "ug": Fraction(1, 1000), "ng": Fraction(1, 10**6),
}  # fmt: skip
_SPELLED = {
    "gm": "g", "gram": "g", "grams": "g", "gramm": "g", "milligram": "mg", "milligrams": "mg", "milligramm": "mg",
    "mcg": "ug", "µg": "ug", "μg": "ug", "microgram": "ug", "micrograms": "ug", "mikrogramm": "ug",
    "milliliter": "ml", "milliliters": "ml", "millilitre": "ml", "millilitres": "ml", "cc": "ml",
}  # fmt: skip
_VOLUME = {"ml": Fraction(1), "l": Fraction(1000)}
_UNITS_OF_FORM = frozenset({
    "tablet", "tablets", "tab", "tabs", "tbl", "tabl", "tablette", "tabletten", "comprimé", "comprimés", "comprimido",
    "comprimidos", "capsule", "capsules", "cap", "caps", "kapsel", "kapseln", "gélule", "gélules", "suppository",
    "suppositories", "lozenge", "lozenges",
})  # fmt: skip


class Strength(msgspec.Struct, frozen=True):
    """The drug in one tablet (or capsule) and in one millilitre, in mg; None = not stated or ambiguous."""

    per_unit: Fraction | None = None
    per_ml: Fraction | None = None


UNKNOWN_STRENGTH = Strength()


class Amount(msgspec.Struct, frozen=True):
    """`value` in `basis`: MG, or MG_PER_KG for a dose per body weight; `daily`: it is the amount of a whole day."""

    value: Fraction
    basis: str = MG
    daily: bool = False


def number(value: object) -> Fraction | None:
    """A JSON number (or a plain decimal in a string) as it is written; None for anything else or beyond 10^12."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = Decimal(repr(value)) if math.isfinite(value) else None
    elif isinstance(value, str):
        value = Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite() or not -_DIGITS < value.adjusted() < _DIGITS or len(value.as_tuple().digits) > _DIGITS:
            return None
        value = Fraction(value)
    if isinstance(value, int | Fraction) and -_LIMIT < value < _LIMIT:
        return Fraction(value)
    return None


def positive(value: object) -> Fraction | None:
    """A number above zero."""
    found = number(value)
    return found if found is not None and found > 0 else None


def decimal_of(value: Fraction) -> Decimal:
    """The fraction as a decimal: exact where it ends within 50 digits, else rounded there."""
    with localcontext() as context:
        context.prec = _DIGITS
        return Decimal(value.numerator) / Decimal(value.denominator)


def unit_of(quantity: Mapping[str, object], unit: UnitReader) -> str:
    """The unit of a Quantity as plain UCUM. The code decides; a missing code, or one that is the number of a concept in
    another system, is read from the unit text."""
    code, text = quantity.get("code"), quantity.get("unit")
    if isinstance(code, str) and code.strip() and not code.strip().isdigit():
        text = code
    if not isinstance(text, str):
        return ""
    text = text.strip()
    return _plain(unit(text) or text)


def amount_of(quantity: object, strength: Strength, unit: UnitReader) -> Amount | None:
    """The amount of drug that a Quantity states; None = not certain (no unit, comparator, not above zero, no mass)."""
    if not isinstance(quantity, Mapping) or quantity.get("comparator"):
        return None
    value = positive(quantity.get("value"))
    stated = unit_of(quantity, unit)
    if value is None or not stated:
        return None
    if stated in _UNITS_OF_FORM:
        return _times(value, strength.per_unit)
    head, *per = stated.split("/")
    if head in _VOLUME and not per:
        return _times(value * _VOLUME[head], strength.per_ml)
    if head not in _MASS or len(set(per)) < len(per) or not set(per) <= {"kg", "d"}:
        return None
    return Amount(value * _MASS[head], MG_PER_KG if "kg" in per else MG, "d" in per)


def _times(value: Fraction, strength: Fraction | None) -> Amount | None:
    return None if strength is None else Amount(value * strength)


def _plain(unit: str) -> str:
    """UCUM in lower case without annotations (`mg{base}`, `mg/{dose}`); a lone annotation is its word (`{tablet}`)."""
    lone = re.fullmatch(r"\{([^{}]*)\}", unit)
    bare = (lone.group(1) if lone else _ANNOTATION.sub("", unit)).strip().lower()
    parts = ["d" if part in ("day", "24.h", "(24.h)", "24h") else _SPELLED.get(part, part) for part in bare.split("/")]
    return "/".join(parts).rstrip("/")


# ---------------------------------------------------------------- strength

_STRENGTH = re.compile(
    r"(?P<before>[\d.,]\s*[-–+/x]\s*)?(?<![\w.,])(?P<value>\d+(?:[.,]\d+)?)\s*"
    r"(?P<unit>kg|gm|grams?|g|mg|milligrams?|milligramm|mcg|ug|µg|μg|micrograms?|mikrogramm)(?![\w²])"
    r"(?:\s*(?:/|\bper\b|\bpro\b)\s*(?P<per>\d+(?:[.,]\d+)?)?\s*(?P<per_unit>[^\W\d_]+))?",
    re.IGNORECASE,
)
# an instruction and no product: its mass may be the dose of a day
_INSTRUCTION = re.compile(
    r"\b(daily|day|once|twice|times|every|weekly|hourly|b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|prn|täglich)\b", re.I
)
_LONGEST_NAME = 500


def strength_of(names: Iterable[str], ratios: Iterable[object], unit: UnitReader) -> Strength:
    """The strength that product names (`pyridostigmine bromide 60 MG Oral Tablet`, `10 MG/ML`) and strength ratios of
    a Medication state. Two different strengths anywhere, a range or an unclear number make it unknown."""
    per_unit: set[Fraction | None] = set()
    per_ml: set[Fraction | None] = set()
    found = [stated for name in names for stated in _named(name)]
    found += [_ratio(ratio, unit) for ratio in ratios]
    for value, per in found:
        (per_ml if per == "ml" else per_unit).add(value if per in ("", "ml") else None)
    return Strength(_only(per_unit), _only(per_ml)) if not (per_unit and per_ml) else UNKNOWN_STRENGTH


def _only(values: set[Fraction | None]) -> Fraction | None:
    return next(iter(values)) if len(values) == 1 else None


def _named(name: str) -> list[tuple[Fraction | None, str]]:
    """Each strength in a name as (mg, "" per tablet | "ml" | "?")."""
    found: list[tuple[Fraction | None, str]] = []
    instruction = _INSTRUCTION.search(name[:_LONGEST_NAME])
    for match in _STRENGTH.finditer(name[:_LONGEST_NAME]):
        value, per = _written(match["value"]), _written(match["per"] or "1")
        mass = _MASS.get(_plain(match["unit"]))
        if not value or not per or mass is None or match["before"] or instruction:
            found.append((None, "?"))
        else:
            found.append((value * mass / per, _denominator(match["per_unit"] or "")))
    return found


def _denominator(word: str) -> str:
    plain = _plain(word)
    return "" if not plain or plain in _UNITS_OF_FORM else "ml" if plain == "ml" else "?"


def _written(text: str) -> Fraction | None:
    """A number of a text. `1,000` and `1.000` may be a thousand or one: unknown."""
    whole, _, rest = text.replace(",", ".").partition(".")
    if len(rest) == 3 and int(whole) and ("," in text or rest.endswith("0")):
        return None
    return number(f"{whole}.{rest}" if rest else whole)


def _ratio(ratio: object, unit: UnitReader) -> tuple[Fraction | None, str]:
    """A Ratio of mass per tablet or per mL, or a bare Quantity of mass, as (mg, denominator)."""
    if not isinstance(ratio, Mapping):
        return None, "?"
    numerator, denominator = ratio.get("numerator", ratio), ratio.get("denominator")
    mass = amount_of(numerator, UNKNOWN_STRENGTH, unit)
    if mass is None or mass.basis != MG or mass.daily:
        return None, "?"
    if not isinstance(denominator, Mapping):
        return (mass.value, "") if denominator is None else (None, "?")
    value, stated = positive(denominator.get("value")), unit_of(denominator, unit)
    if value is None:
        return None, "?"
    if stated in _VOLUME:
        return mass.value / (value * _VOLUME[stated]), "ml"
    return (mass.value / value, "") if stated in ("", "1") or stated in _UNITS_OF_FORM else (None, "?")
