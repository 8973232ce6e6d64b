"""The small parts of composed resources: codings, quantities, dates; and how a compact fact is taken apart.

Codes come from the terminology (`Terminology.preferred`); the systems named here are those of FHIR's own elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from engine.errors import InputError
from engine.fhir.elements import Json
from engine.fhir.medication_amount import decimal_of, number
from engine.terminology.content import Coding
from engine.terminology.terminology import Terminology

CompactFact = Mapping[str, Any]
"""One fact of a vignette: `r` resource type, `c` concept, and keys of that type."""

UCUM = "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem/"


def coded(coding: Coding, text: str = "") -> Json:
    """A CodeableConcept of one coding."""
    shown = {"display": coding.display} if coding.display else {}
    concept: Json = {"coding": [{"system": coding.system, "code": coding.code, **shown}]}
    return {**concept, "text": text} if text else concept


def fhir_coded(system: str, code: str) -> Json:
    """A CodeableConcept of one of FHIR's own code systems."""
    return {"coding": [{"system": _HL7 + system, "code": code}]}


def quantity(value: object, unit: str = "", comparator: str = "") -> Json:
    """A Quantity in UCUM; without a unit it states none."""
    stated: Json = {"value": exact(value)}
    if comparator:
        stated["comparator"] = comparator
    return {**stated, "unit": unit, "system": UCUM, "code": unit} if unit else stated


def exact(value: object) -> int | Decimal:
    """The number as written. Raises InputError if it is none."""
    found = number(value)
    if found is None:
        raise InputError(f"`{value}` is no number")
    return as_json(found)


def as_json(value: Fraction) -> int | Decimal:
    return int(value) if value.denominator == 1 else decimal_of(value)


def is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def written(value: object) -> str:
    """A date as FHIR writes it: a text as it is, a date, or a bare year."""
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    if not text[:4].isdecimal():
        raise InputError(f"`{text}` is no date: write YYYY, YYYY-MM or YYYY-MM-DD")
    return text


def preferred(terminology: Terminology, concept: object, kind: str) -> Coding:
    """The coding to emit. Raises InputError, with the nearest name, if the terminology has none."""
    coding = terminology.preferred(str(concept), kind)
    if coding is None:
        known = terminology.content.preferred.get(kind, {})
        raise InputError(f"`{concept}` has no code to write as {kind}{_nearest(str(concept), known)}")
    return coding


def refuse_unknown(fact: CompactFact, known: Iterable[str]) -> None:
    """Raises InputError for a key that this kind of fact does not have."""
    known = tuple(known)
    for key in fact:
        if key not in known:
            raise InputError(f"`{key}` is no key of a fact of `r: {fact.get('r')}`{_nearest(str(key), known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    found = get_close_matches(word[:80], list(known), n=1, cutoff=0.6)
    return f"; did you mean `{found[0]}`?" if found else ""
