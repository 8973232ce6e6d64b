"""What resources refer to and that may stand anywhere, because patients share it: Medications and Organizations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.batch.setup import Setup
from engine.batch.spill import WANTED, Spill, Want

SHARED_KINDS = ("Medication", "Organization")
_REFERENCE = re.compile(rb'[MO](?:edication|rganization)\\?/[^"#/\\?|]+')
_REMEMBERED = 200_000


class Wants:
    """Notes for a later stage which partition of the patients wants what, mostly once; `count`: of the notes."""

    def __init__(self, setup: Setup, spill: Spill) -> None:
        self._setup = setup
        self._spill = spill
        self._noted: set[tuple[str, int]] = set()
        self.count = 0

    def note(self, raw: bytes, partition: int) -> None:
        """What a resource of a partition refers to."""
        for key in references(raw):
            if (key, partition) not in self._noted:
                self._noted.add((key, partition))
                self.count += 1
                self._spill.put(WANTED, self._setup.partition(key), Want(key, partition))
                if len(self._noted) > _REMEMBERED:
                    self._noted.clear()


def references(raw: bytes) -> Iterator[str]:
    """The keys of what is shared ("Medication/x", "Organization/y") and named in the bytes of a resource."""
    for found in _REFERENCE.findall(raw):
        yield found.replace(b"\\/", b"/").decode("utf-8", "replace")
