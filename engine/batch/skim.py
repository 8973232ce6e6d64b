"""What decides whether a line of a bulk export can wait: of it no more is read than type, codes and subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec

from engine.batch.meanings import Meanings
from engine.batch.relevance import Relevance
from engine.batch.subjects import Reference
from engine.fhir.grouping import CARRIERS

_REMEMBERED, _LONGEST = 20_000, 1_000      # codes of resources that are remembered; bytes of the longest ones
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Key = bytes | tuple[bytes, ...]


class _Component(msgspec.Struct, gc=False):
    code: msgspec.Raw = msgspec.Raw()


class Coded(msgspec.Struct, gc=False):
    """What decides whether a resource with a code can wait."""

    code: msgspec.Raw = msgspec.Raw()
    subject: Reference | None = None
    patient: Reference | None = None
    component: list[_Component] = []
    contained: msgspec.Raw = msgspec.Raw()


class Head(Coded, gc=False):
    """What decides whether any resource can. The default, which no line has, cannot."""

    resourceType: str = ""                             # noqa: N815
    id: str = ""
    status: str = ""
    identifier: msgspec.Raw = msgspec.Raw()
    medicationCodeableConcept: msgspec.Raw = msgspec.Raw()   # noqa: N815
    medicationReference: msgspec.Raw = msgspec.Raw()         # noqa: N815
    medication: msgspec.Raw = msgspec.Raw()
    vaccineCode: msgspec.Raw = msgspec.Raw()                 # noqa: N815
    administeredProduct: msgspec.Raw = msgspec.Raw()         # noqa: N815


def _of_kind(kind: str) -> type[Coded]:
    """What is read of a line that has to be of this kind: every further element costs all lines."""
    made: Any = msgspec.defstruct(kind, [("resourceType", Literal[kind])], bases=(Coded,), kw_only=True, gc=False)
    return cast(type[Coded], made)


class Skim:
    """Decides about lines, and remembers what it decided by the bytes of their codes."""

    def __init__(self, meanings: Meanings, relevance: Relevance) -> None:
        self._meanings = meanings
        self._relevance = relevance
        self._decode = msgspec.json.Decoder(Head).decode
        self._decode_as = {kind: msgspec.json.Decoder(_of_kind(kind)).decode for kind in CARRIERS}
        self._can_wait: dict[str, dict[_Key, bool]] = {kind: {} for kind in CARRIERS}

    def coded(self, kind: str, lines: Sequence[bytes]) -> Sequence[Coded] | None:
        """The heads of lines that are all of one kind of resource with a code, as those of most files are."""
        try:
            return list(map(self._decode_as[kind], lines)) if kind in self._decode_as else None
        except _REFUSED:
            return None

    def heads(self, lines: Sequence[bytes]) -> Sequence[Head]:
        """The heads of any lines; the default for one that is refused."""
        try:
            return list(map(self._decode, lines))
        except _REFUSED:
            return [self.head(line) for line in lines]

    def head(self, line: bytes) -> Head:
        """The head of one."""
        try:
            return self._decode(line)
        except _REFUSED:
            return Head()

    def remembered(self, kind: str) -> dict[_Key, bool]:
        """Whether resources of a kind can wait, by their codes."""
        return self._can_wait[kind]

    def can_wait(self, kind: str, key: _Key) -> bool:
        """Whether a resource with these codes can wait. `key`: its code, or a tuple of it and those of components."""
        codes = key if isinstance(key, tuple) else (key,)
        found = self._meanings.can_wait(CARRIERS[kind], codes)
        if sum(map(len, codes)) <= _LONGEST:
            memory = self._can_wait[kind]
            if len(memory) >= _REMEMBERED:
                memory.clear()
            memory[key] = found
        return found

    def order_can_wait(self, kind: str, head: Head) -> bool:
        """The same of a medication entry, which has to say itself what it is of."""
        if not head.id or head.contained or head.medicationReference or head.medication or head.administeredProduct:
            return False
        concept = bytes(head.vaccineCode if kind == "Immunization" else head.medicationCodeableConcept)
        return not concept or not self._relevance.product(concept)
