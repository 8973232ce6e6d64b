"""What a page can show of a whole run: the most severe patients, the first ones without findings, and the first
differences between two versions of the rules. None of it grows with the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.batch.compare import Differs
from engine.batch.rates import Rates
from engine.batch.results import Counts, Found, Silent, unpack
from engine.model.finding import SEVERITIES, Evaluation

MOST_SHOWN = 2_000                         # patients with findings in the report, the most severe first
MOST_SILENT = 200                          # patients without findings that are listed
MOST_DIFFERING, MOST_EXAMPLES = 500, 20    # that the report shows of a comparison: in all, and of one issue


class Shown(msgspec.Struct, frozen=True):
    """The patients that a page or a table can show, in the order of the output."""

    evaluations: tuple[Evaluation, ...]
    more: int                              # with findings, not shown
    silent: int                            # without findings, not shown
    comparison: Mapping[str, Any] | None = None              # as summary.json has it
    differing: tuple[Differs, ...] = ()    # the first few of each issue
    rates: Rates | None = None


class Picked:
    """The most severe patients, as many as a page can hold, and the first ones without findings. They are held packed,
    and only those that may still be shown, because unpacked they take a multiple of it."""

    def __init__(self) -> None:
        self._number = 0
        self._found: dict[str, list[tuple[int, bytes]]] = {severity: [] for severity in SEVERITIES}
        self._silent: list[tuple[int, bytes]] = []

    def add(self, frame: Found | Silent) -> None:
        """A patient, in the order of the output."""
        self._number += 1
        worst = frame.worst if isinstance(frame, Found) else ""
        if worst:
            as_severe = SEVERITIES[: SEVERITIES.index(worst) + 1]
            held, most = self._found[worst], MOST_SHOWN - sum(len(self._found[severity]) for severity in as_severe)
        else:
            held, most = self._silent, MOST_SILENT - len(self._silent)
        if most > 0:
            held.append((self._number, frame.packed))
            self._drop()

    def _drop(self) -> None:
        """Leaves out the last of the least severe patients that are too many."""
        left = MOST_SHOWN
        for held in self._found.values():
            del held[left:]
            left -= len(held)

    def shown(self, counts: Counts) -> Shown:
        """Those that were picked, and how many more there are."""
        found = [one for held in self._found.values() for one in held]
        return Shown(
            tuple(unpack(packed) for _, packed in sorted([*found, *self._silent])),
            counts.with_findings - len(found),
            counts.patients - counts.failed - counts.with_findings - len(self._silent),
        )


class Examples:
    """Of what two versions of the rules say otherwise the first few of each issue."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], int] = {}
        self.first: list[Differs] = []

    def add(self, one: Differs) -> None:
        """One patient and issue, in the order of the output."""
        key = (one.issue, one.how)
        if self._held.get(key, 0) < MOST_EXAMPLES and len(self.first) < MOST_DIFFERING:
            self._held[key] = self._held.get(key, 0) + 1
            self.first.append(one)
