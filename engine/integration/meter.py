"""What the work tells of itself; nothing of a patient. This one listens to nothing: the service has one that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.model.problem import Problem
from engine.store.outbox import Waiting


class Meter:
    """Figures of deciding and delivering. Safe to use from several threads."""

    def changed(self, kind: str) -> None:
        """A finding is `new`, `changed` or `withdrawn`."""

    def decided(self, patients: int) -> None:
        """So many patients were decided on."""

    def evaluated(self, problems: Sequence[Problem], disagreements: Sequence[str]) -> None:
        """A patient was: what of the data could not be used, and the rules on which the backends did not agree."""

    def delivered(self, lane: str, outcome: str) -> None:
        """A letter of a lane is `done`, tried `again` or `dead`."""

    def failed(self, part: str) -> None:
        """Something of `decide`, `deliver`, `recover` ... failed and is tried again."""

    def waiting(self, due: int, oldest: int, parked: int, letters: Mapping[str, Waiting]) -> None:
        """Patients who are due, milliseconds of the oldest, patients who failed, and what waits to be delivered."""
