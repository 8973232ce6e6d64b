"""Terminology with a memory: real data repeat the same few codings, so each combination is looked up once.

This stands before everything else in the reader: a resource whose codes mean nothing costs one dictionary access.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from engine.fhir.elements import Codings
from engine.terminology.content import Meaning
from engine.terminology.terminology import Terminology

_KEPT = 50_000  # answers of each kind
_LONGEST = 800  # characters of the codings that are remembered
_T = TypeVar("_T")


class Known(msgspec.Struct, frozen=True):
    """What the codings of a resource mean, and whether it must be kept although they mean nothing."""

    meanings: tuple[Meaning, ...] = ()
    named: bool = False  # names the reason of an order, or a drug
    suspicious: bool = False  # looks relevant, but its code system is not known

    @property
    def kept(self) -> bool:
        return bool(self.meanings) or self.named or self.suspicious


class Place(msgspec.Struct, frozen=True):
    """A body site in the words of the rules; all empty: no table knows it."""

    region: str = ""
    muscle: str = ""
    nerve: str = ""
    site: str = ""
    side: str = ""

    @property
    def known(self) -> bool:
        return bool(self.region or self.muscle or self.nerve or self.site)


class Lookup:
    """Answers of one terminology, remembered by the codings that were asked for."""

    def __init__(self, terminology: Terminology) -> None:
        self.terminology = terminology
        self._known: dict[tuple[str, Codings], Known] = {}
        self._codes: dict[tuple[str, Codings], str] = {}
        self._answers: dict[Codings, str] = {}
        self._places: dict[Codings, Place] = {}

    def known(self, carrier: str, codings: Codings) -> Known:
        """The meanings in a kind of resource (a carrier of the terminology)."""
        key = (carrier, codings)
        return self._known.get(key) or _remembered(self._known, key, codings, lambda: self._find(carrier, codings))

    def limited(self, carrier: str, codings: Codings, category: Codings) -> Known:
        """As `known`, without the concepts that the category of the resource excludes; it adds none."""
        known = self.known(carrier, codings)
        still = {meaning.concept for meaning in self.known(carrier, codings + category).meanings}
        if all(meaning.concept in still for meaning in known.meanings):
            return known
        return Known(tuple(meaning for meaning in known.meanings if meaning.concept in still), known.named)

    def code(self, codeset: str, codings: Codings) -> str:
        """The value of a code set, "" if there is none."""
        key = (codeset, codings)
        found = self._codes.get(key)
        if found is None:
            return _remembered(self._codes, key, codings, lambda: self.terminology.code(codeset, codings))
        return found

    def answer(self, codings: Codings) -> str:
        """The answer that coded values state, "" if none."""
        found = self._answers.get(codings)
        if found is None:
            return _remembered(self._answers, codings, codings, lambda: self.terminology.answer(codings))
        return found

    def place(self, codings: Codings) -> Place:
        """The body site of codings; several codings of one site complete each other."""
        return self._places.get(codings) or _remembered(self._places, codings, codings, lambda: self._site(codings))

    def _find(self, carrier: str, codings: Codings) -> Known:
        meanings = self.terminology.concepts(carrier, codings)
        named = bool(self.terminology.code("order-reason", codings)) or (
            carrier == "procedure" and bool(self.terminology.drugs(codings))
        )
        suspicious = not meanings and not named and self.terminology.unrecognised(codings)
        return Known(meanings, named, suspicious)

    def _site(self, codings: Codings) -> Place:
        code = self.terminology.code
        muscle = code("muscle", codings)
        return Place(
            region=code("region", codings) or self.terminology.region_of(muscle),     # a muscle lies in its region
            muscle=muscle,
            nerve=code("nerve", codings),
            site=code("lesion-site", codings),
            side=code("laterality", codings),
        )


def _remembered(memory: dict[Any, _T], key: object, codings: Codings, find: Callable[[], _T]) -> _T:
    found = find()
    if sum(len(system) + len(code) for system, code in codings) <= _LONGEST:
        if len(memory) >= _KEPT:
            memory.clear()
        memory[key] = found
    return found


@lru_cache(maxsize=8)
def lookup_for(terminology: Terminology) -> Lookup:
    """The one memory of a terminology."""
    return Lookup(terminology)
