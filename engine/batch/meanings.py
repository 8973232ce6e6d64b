"""What codes mean to the rules, told from the bytes of a line alone and remembered by them."""

from __future__ import annotations

import msgspec

from engine.batch.relevance import Relevance
from engine.fhir.elements import Codings
from engine.fhir.grouping import CARRIERS
from engine.fhir.lookup import Lookup

NOTHING, COMMON, RARE, TO_READ = "nothing", "common", "rare", "to read"
_REMEMBERED, _LONGEST = 20_000, 1_000      # codes of resources that are remembered; bytes of the longest ones


class _Coding(msgspec.Struct, gc=False):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct, gc=False):
    coding: list[_Coding] = []


class Meanings:
    """What the codes of a resource and of its components, as JSON, mean to the rules; remembered by their bytes."""

    def __init__(self, lookup: Lookup, relevance: Relevance) -> None:
        self.lookup = lookup
        self._relevance = relevance
        self._concept = msgspec.json.Decoder(_Concept | None).decode
        self._meant: dict[str, dict[tuple[bytes, ...], str]] = {carrier: {} for carrier in CARRIERS.values()}

    def of(self, carrier: str, codes: tuple[bytes, ...]) -> str:
        """Nothing, something common, something rare; or the resource has to be read in full to know."""
        memory = self._meant[carrier]
        found = memory.get(codes)
        if found is None:
            found = self._looked_up(carrier, codes)
            if sum(map(len, codes)) <= _LONGEST:
                if len(memory) >= _REMEMBERED:
                    memory.clear()
                memory[codes] = found
        return found

    def can_wait(self, carrier: str, codes: tuple[bytes, ...]) -> bool:
        """Whether no rule is concerned by a resource of these codes alone."""
        return self.of(carrier, codes) in (NOTHING, COMMON)

    def _looked_up(self, carrier: str, codes: tuple[bytes, ...]) -> str:
        try:
            found = self._meaning(carrier, [self._concept(code) if code else None for code in codes])
            alike = (self._relevance.looks_alike(carrier, code) for code in codes if code)
            if found in (NOTHING, COMMON) and any(alike):
                found = RARE
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = TO_READ
        return found

    def _meaning(self, carrier: str, concepts: list[_Concept | None]) -> str:
        own = concepts[0]
        if own is not None and not own.coding:
            return TO_READ
        found = NOTHING
        for concept in concepts:
            if concept is None:
                continue
            known = self.lookup.known(carrier, _codings(concept))
            if (known.named or known.suspicious) if concept is own else not concept.coding:
                return RARE                   # it has to be read for another reason than its meaning
            if known.meanings and found is NOTHING:
                found = COMMON
            if any(one.concept in self._relevance.concepts for one in known.meanings):
                found = RARE
        return found


def _codings(concept: _Concept) -> Codings:
    return tuple([(one.system, code) for one in concept.coding if (code := one.code.strip())])
