"""Tolerant access to FHIR elements: a wrong type is an absent element, never an error.

An object where a list belongs is a list of one; a string where a CodeableConcept belongs is its code and its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Codings = tuple[tuple[str, str], ...]

EMPTY: Json = {}
LONGEST_TEXT = 500
HALF = re.compile("[\ud800-\udfff]")


def text(value: object) -> str:
    """A string without outer space, and without halves of surrogate pairs, which no output could encode; a whole number
    as its digits; anything else is ""."""
    if isinstance(value, str):
        stripped = value.strip()
        return stripped if stripped.isascii() else HALF.sub("�", stripped)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else ""


def obj(value: object) -> Json:
    """The object, or the only object of a list; else an empty one."""
    if isinstance(value, dict):
        return value
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) else EMPTY


def items(value: object) -> list[Any]:
    """The list, or the one thing that stands where a list belongs."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def objects(value: object) -> list[Json]:
    """The objects of a list, or the one object that stands where a list belongs."""
    if isinstance(value, list):
        return [one for one in value if isinstance(one, dict)]
    return [value] if isinstance(value, dict) else []


def flag(value: object) -> bool | None:
    """A boolean, also one that is written as a string."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def codings(concept: object) -> Codings:
    """(system, code) of a CodeableConcept, in its order; a missing system is "".

    A list of concepts gives the codings of all; a bare Coding, a CodeableReference and a string are understood too.
    """
    if isinstance(concept, dict):
        coding = concept.get("coding")
        if isinstance(coding, list):
            found = [
                (system if isinstance(system := one.get("system"), str) else "", code)
                for one in coding
                if isinstance(one, dict) and (code := text(one.get("code")))
            ]
            if found:
                return tuple(found)
    return tuple(_codings(concept, 0))


def _codings(concept: object, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(concept, str):
        if code := concept.strip():
            yield "", code
    elif isinstance(concept, list) and depth < 3:
        for one in concept:
            yield from _codings(one, depth + 1)
    elif isinstance(concept, dict):
        for one in objects(concept.get("coding")):
            if code := text(one.get("code")):
                yield text(one.get("system")), code
        if "coding" not in concept and (code := text(concept.get("code"))):
            yield text(concept.get("system")), code
        if "concept" in concept and depth < 3:
            yield from _codings(concept["concept"], depth + 1)


def words(concept: object) -> Iterator[str]:
    """What a CodeableConcept says in words: its text, then the displays of its codings."""
    if isinstance(concept, str):
        yield concept[:LONGEST_TEXT]
        return
    for one in objects(concept):
        inner = obj(one.get("concept")) or one
        candidates = [inner.get("text"), *(coding.get("display") for coding in objects(inner.get("coding")))]
        yield from (said.strip()[:LONGEST_TEXT] for said in candidates if isinstance(said, str) and said.strip())


def code_words(concept: object) -> frozenset[str]:
    """The codes of a status or category in lower case, whatever their system; the text if there is no code."""
    if isinstance(concept, str):
        return frozenset((concept.strip().lower(),)) - {""}
    found = frozenset([code.lower() for _, code in codings(concept)])
    return found or frozenset(said.lower() for said in words(concept))
