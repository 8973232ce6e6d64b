"""Lines of a bulk export that can wait: alone they concern no rule; only beside something that does are they needed.

Of a line no more is read than its type, its codes and its subject. What can wait is not kept: it is remembered whose
lines lie from which byte to which, and they are read again if that patient turns out to concern a rule
(`Worker.pick`). All else goes to the router at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Literal, cast

import msgspec

from engine.batch.pieces import Block
from engine.batch.relevance import Relevance
from engine.batch.routing import NESTED, Meanings, Reference, Router, is_plain, simple
from engine.batch.spill import MET, WAITING, Patient, Spill, Stretch
from engine.fhir.decode import decode
from engine.fhir.grouping import CARRIERS, KINDS, MEDICATION_KINDS, in_progress

_REMEMBERED, _LONGEST = 20_000, 1_000      # codes of resources that are remembered; bytes of the longest ones
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Key = bytes | tuple[bytes, ...]


class _Component(msgspec.Struct, gc=False):
    code: msgspec.Raw = msgspec.Raw()


class _Coded(msgspec.Struct, gc=False):
    """What decides whether a resource with a code can wait."""

    code: msgspec.Raw = msgspec.Raw()
    subject: Reference | None = None
    patient: Reference | None = None
    component: list[_Component] = []
    contained: msgspec.Raw = msgspec.Raw()


class _Head(_Coded, gc=False):
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


def _of_kind(kind: str) -> type[_Coded]:
    """What is read of a line that has to be of this kind: every further element costs all lines."""
    made: Any = msgspec.defstruct(kind, [("resourceType", Literal[kind])], bases=(_Coded,), kw_only=True, gc=False)
    return cast(type[_Coded], made)


class Skim:
    """Decides about lines, and remembers what it decided by the bytes of their codes."""

    def __init__(self, meanings: Meanings, relevance: Relevance) -> None:
        self._meanings = meanings
        self._relevance = relevance
        self._decode = msgspec.json.Decoder(_Head).decode
        self._decode_as = {kind: msgspec.json.Decoder(_of_kind(kind)).decode for kind in CARRIERS}
        self._can_wait: dict[str, dict[_Key, bool]] = {kind: {} for kind in CARRIERS}

    def coded(self, kind: str, lines: Sequence[bytes]) -> Sequence[_Coded] | None:
        """The heads of lines that are all of one kind of resource with a code, as those of most files are."""
        try:
            return list(map(self._decode_as[kind], lines)) if kind in self._decode_as else None
        except _REFUSED:
            return None

    def heads(self, lines: Sequence[bytes]) -> Sequence[_Head]:
        """The heads of any lines; the default for one that is refused."""
        try:
            return list(map(self._decode, lines))
        except _REFUSED:
            return [self.head(line) for line in lines]

    def head(self, line: bytes) -> _Head:
        """The head of one."""
        try:
            return self._decode(line)
        except _REFUSED:
            return _Head()

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

    def order_can_wait(self, kind: str, head: _Head) -> bool:
        """The same of a medication entry, which has to say itself what it is of."""
        if not head.id or head.contained or head.medicationReference or head.medication or head.administeredProduct:
            return False
        concept = bytes(head.vaccineCode if kind == "Immunization" else head.medicationCodeableConcept)
        return not concept or not self._relevance.product(concept)


class Waiting:
    """What waits of one part, by patient. `add` gives it blocks of lines, `end` writes who was met."""

    def __init__(self, skim: Skim, router: Router, spill: Spill) -> None:
        self._skim = skim
        self._router = router
        self._spill = spill
        self._met: dict[str, bool] = {}        # patient -> whether the Patient resource is among what waits
        self._last = "", ""                    # a reference, and the patient whose it is
        self.count = 0

    def add(self, file: int, block: Block) -> list[int]:
        """Remembers what can wait; gives the indices of the lines that cannot."""
        now, waits, met = list[int](), list[Stretch](), self._met
        lines, start, begun = block.lines, block.start, 0
        for owner, run in groupby(self._owners(lines)):
            done = begun + len(list(run))
            end = start + sum(map(len, lines[begun:done]))
            if owner:
                waits.append(Stretch(owner, file, start, end, block.number + begun))
            elif owner is not None:
                now += range(begun, done)
            start, begun = end, done
        if waits:
            self.count += len(waits)
            self._spill.put_all(WAITING, 0, waits)
            for stretch in waits:
                met.setdefault(stretch.patient, False)
        return now

    def end(self) -> None:
        """Writes who was met, to the partition of each."""
        by_partition: dict[int, list[Patient]] = {}
        for patient, given in self._met.items():
            by_partition.setdefault(self._router.partition(patient), []).append(Patient(patient, given))
        for partition, met in by_partition.items():
            self._spill.put_all(MET, partition, met)

    def _owners(self, lines: Sequence[bytes]) -> Sequence[str | None]:
        """Of each line the patient whose it is; "": it cannot wait; None: no rule reads it."""
        kind = self._skim.head(lines[0]).resourceType
        heads = self._skim.coded(kind, lines)
        if heads is not None:
            return self._of_kind(kind, heads)
        owners: list[str | None] = []
        for head in self._skim.heads(lines):
            kind = head.resourceType
            if kind in CARRIERS:
                owners += self._of_kind(kind, (head,))
            else:
                owners.append(self._of_another_kind(head, kind))
        return owners

    def _of_kind(self, kind: str, heads: Iterable[_Coded]) -> list[str | None]:
        remembered = self._skim.remembered(kind)
        reference, patient = self._last            # mostly that of the line before
        owners: list[str | None] = []
        for head in heads:
            code = bytes(head.code)
            key = (code, *[bytes(part.code) for part in head.component]) if head.component else code
            known = remembered.get(key)
            if known is None:
                known = self._skim.can_wait(kind, key)
            subject = head.subject or head.patient
            if known and subject is not None and not head.contained:
                if subject.reference != reference:
                    reference, patient = subject.reference, simple(subject)
                owners.append(patient)
            else:
                owners.append("")
        self._last = reference, patient
        return owners

    def _of_another_kind(self, head: _Head, kind: str) -> str | None:
        if kind in MEDICATION_KINDS:
            if not self._skim.order_can_wait(kind, head):
                return ""
            subject = head.subject or head.patient
            if subject is not None and subject.reference != self._last[0]:
                self._last = subject.reference, simple(subject)
            return self._last[1] if subject is not None else ""
        if kind == "Encounter":
            return "" if in_progress(head.status) else None
        if kind != "Patient":
            return None if kind not in KINDS and kind not in NESTED else ""
        name = f"Patient/{head.id}"
        if not is_plain(name):
            return ""
        self._router.there(name, {"identifier": decode(bytes(head.identifier))} if head.identifier else {})
        self._met[name] = True
        return name
