"""Lines of a bulk export that can wait: alone they concern no rule; only beside something that does are they needed.

What can wait is not kept: it is remembered whose lines lie from which byte to which, and they are read again if that
patient turns out to concern a rule (`Worker.pick`). All else goes to the router at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from engine.batch.pieces import Block
from engine.batch.routing import NESTED, Router
from engine.batch.skim import Coded, Head
from engine.batch.spill import MET, WAITING, Patient, Spill, Stretch
from engine.batch.subjects import is_plain, simple
from engine.batch.tools import Tools
from engine.fhir.decode import decode
from engine.fhir.grouping import CARRIERS, KINDS, MEDICATION_KINDS, in_progress


class Waiting:
    """What waits of one part, by patient. `add` gives it blocks of lines, `end` writes who was met."""

    def __init__(self, tools: Tools, router: Router, spill: Spill) -> None:
        self._skim = tools.skim
        self._partition = tools.setup.partition
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
            by_partition.setdefault(self._partition(patient), []).append(Patient(patient, given))
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

    def _of_kind(self, kind: str, heads: Iterable[Coded]) -> list[str | None]:
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

    def _of_another_kind(self, head: Head, kind: str) -> str | None:
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
