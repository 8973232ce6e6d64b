"""Counting in bounded memory: how often something was met, and whether in enough patients to be shown."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

MOST = 5_000                               # different things in one tally
LONGEST = 200                              # characters of a code, a display or a unit
_DISPLAYS = 4                              # displays of one code
_KEYS = 50                                 # shared resources of one code

K = TypeVar("K", bound=Hashable)


class Patients:
    """As many different patients as are asked for, by a number; no more are remembered."""

    __slots__ = ("fewest", "known")

    def __init__(self, fewest: int) -> None:
        self.fewest = fewest
        self.known: frozenset[int] = frozenset()

    def add(self, patient: int) -> None:
        """One patient; 0 is nobody."""
        if patient and len(self.known) < self.fewest and patient not in self.known:
            self.known |= {patient}

    @property
    def enough(self) -> bool:
        return len(self.known) >= self.fewest


class Cell:
    """One thing that was met."""

    __slots__ = ("count", "displays", "patients", "through")

    def __init__(self, fewest: int) -> None:
        self.count = 0
        self.patients = Patients(fewest)
        self.displays: dict[str, Patients] = {}
        self.through: set[int] = set()     # shared resources that hold it; their patients are those who refer to them

    def add(self, patient: int, display: str = "", through: int = 0) -> None:
        """Met once more."""
        self.count += 1
        self.patients.add(patient)
        if through and len(self.through) < _KEYS:
            self.through.add(through)
        if display and len(display) <= LONGEST:
            if display not in self.displays and len(self.displays) < _DISPLAYS:
                self.displays[display] = Patients(self.patients.fewest)
            if display in self.displays:
                self.displays[display].add(patient)

    @property
    def display(self) -> str:
        """The first display that enough patients have."""
        return next((display for display, patients in self.displays.items() if patients.enough), "")


class Tally(Generic[K]):
    """Counts by key, at most `most` of them; `more` counts what found no room."""

    def __init__(self, fewest: int, most: int = MOST) -> None:
        self._fewest = fewest
        self._most = most
        self.cells: dict[K, Cell] = {}
        self.more = 0

    def cell(self, key: K) -> Cell | None:
        """The cell of a key; None: there is no room for another one."""
        cell = self.cells.get(key)
        if cell is None and len(self.cells) < self._most and not _too_long(key):
            cell = self.cells[key] = Cell(self._fewest)
        return cell

    def add(self, key: K, patient: int = 0, display: str = "", through: int = 0) -> None:
        """A key was met once more."""
        cell = self.cell(key)
        if cell is None:
            self.more += 1
        else:
            cell.add(patient, display, through)

    def ranked(self) -> Iterator[tuple[K, Cell]]:
        """The most frequent first; what is met as often, in the order of the keys."""
        yield from sorted(self.cells.items(), key=lambda item: (-item[1].count, str(item[0])))


def _too_long(key: object) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, str) and len(part) > LONGEST for part in parts)
