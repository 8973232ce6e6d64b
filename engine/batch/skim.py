"""Lines of a bulk export that can wait: alone they concern no rule; only beside something that does are they needed.

Of a line no more is read than its type, its codes and its subject. What can wait is not kept: it is remembered whose
lines lie from which byte to which, and they are read again if that patient turns out to concern a rule
(`Worker.pick`). All else goes to the router at once.
"""

from __future__ import annotations

from collections.abc import Sequence

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


class _Head(msgspec.Struct, gc=False):
    """What decides whether a line can wait. The default, which no line has, cannot."""

    resourceType: str = ""                             # noqa: N815
    id: str = ""
    status: str = ""
    code: msgspec.Raw = msgspec.Raw()
    subject: Reference | None = None
    patient: Reference | None = None
    component: list[_Component] = []
    contained: msgspec.Raw = msgspec.Raw()
    identifier: msgspec.Raw = msgspec.Raw()
    medicationCodeableConcept: msgspec.Raw = msgspec.Raw()   # noqa: N815
    medicationReference: msgspec.Raw = msgspec.Raw()         # noqa: N815
    medication: msgspec.Raw = msgspec.Raw()
    vaccineCode: msgspec.Raw = msgspec.Raw()                 # noqa: N815
    administeredProduct: msgspec.Raw = msgspec.Raw()         # noqa: N815


class Skim:
    """Decides about lines, and remembers what it decided by the bytes of their codes."""

    def __init__(self, meanings: Meanings, relevance: Relevance) -> None:
        self._meanings = meanings
        self._relevance = relevance
        self._decode = msgspec.json.Decoder(_Head).decode
        self._can_wait: dict[str, dict[_Key, bool]] = {kind: {} for kind in CARRIERS}

    def heads(self, lines: Sequence[bytes]) -> Sequence[_Head]:
        """The heads of lines; the default for one that is refused."""
        try:
            return list(map(self._decode, lines))
        except _REFUSED:
            return [self._head(line) for line in lines]

    def _head(self, line: bytes) -> _Head:
        try:
            return self._decode(line)
        except _REFUSED:
            return _Head()

    def remembered(self, kind: str) -> dict[_Key, bool] | None:
        """Whether resources of a kind can wait, by their codes; None: it has none."""
        return self._can_wait.get(kind)

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
        skim, now, waits, met = self._skim, list[int](), list[Stretch](), self._met
        lines = block.lines
        start, begun, whose = block.start, 0, ""
        last, remembered = "", None
        reference, patient = self._last
        for index, head in enumerate(skim.heads(lines)):
            kind = head.resourceType
            if kind != last:
                last, remembered = kind, skim.remembered(kind)
            if remembered is None:
                owner = self._of_another_kind(head, kind)
                if owner is None:
                    continue
            else:
                code = bytes(head.code)
                key = (code, *[bytes(part.code) for part in head.component]) if head.component else code
                known = remembered.get(key)
                if known is None:
                    known = skim.can_wait(kind, key)
                subject = head.subject or head.patient
                if known and subject is not None and not head.contained:
                    if subject.reference != reference:
                        reference, patient = subject.reference, simple(subject)
                    owner = patient
                else:
                    owner = ""
            if owner != whose:
                end = start + sum(map(len, lines[begun:index]))
                if whose:
                    waits.append(Stretch(whose, file, start, end, block.number + begun))
                whose, start, begun = owner, end, index
            if not owner:
                now.append(index)
        if whose:
            end = start + sum(map(len, lines[begun:]))
            waits.append(Stretch(whose, file, start, end, block.number + begun))
        if waits:
            self.count += len(waits)
            self._spill.put_all(WAITING, 0, waits)
            for stretch in waits:
                met.setdefault(stretch.patient, False)
        self._last = reference, patient
        return now

    def end(self) -> None:
        """Writes who was met, to the partition of each."""
        by_partition: dict[int, list[Patient]] = {}
        for patient, given in self._met.items():
            by_partition.setdefault(self._router.partition(patient), []).append(Patient(patient, given))
        for partition, met in by_partition.items():
            self._spill.put_all(MET, partition, met)

    def _of_another_kind(self, head: _Head, kind: str) -> str | None:
        """The patient of a resource without a code of its own; "": it cannot wait; None: no rule reads it."""
        if kind in MEDICATION_KINDS:
            return simple(head.subject or head.patient) if self._skim.order_can_wait(kind, head) else ""
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
