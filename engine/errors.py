"""Every exception that Endplate raises on purpose, and the place of a fault in a ruleset.

    EndplateError
    ├── InputError            the input as a whole cannot be used (one bad entry never raises: it is a `Problem`)
    ├── RulesetError          a ruleset is refused; holds all its faults, each with its place
    ├── BackendError          an inference backend failed or is not installed
    ├── RunError              a batch stopped before its end; what it did is kept and `--resume` goes on
    ├── RemoteError           another server refused, failed or did not answer
    ├── OutputError           what would be written is not valid: a fault of ours
    └── SettingsError         a setting is missing or contradicts another

A message says what happened, where, and what to do: lower case, user text in backticks, no Python names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb

import msgspec


class Place(msgspec.Struct, frozen=True):
    """A position in a text file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Fault(msgspec.Struct, frozen=True):
    """One error in a ruleset: where, what, and what to do (`hint`, often the nearest name)."""

    place: Place
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f"; {self.hint}" if self.hint else "")


def nearest(word: str, among: Iterable[str]) -> str:
    """A hint that names the most similar word, or nothing."""
    found = get_close_matches(word[:80], list(among), n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else ""


def defect(error: Exception) -> str:
    """What went wrong in our own code, and where, without anything of the data: `KeyError at dosage.py:120`.

    Called where a defect may cost its part alone (an entry, a fact, a finding), which then says so.
    """
    frames = extract_tb(error.__traceback__)
    return type(error).__name__ + (f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "")


class EndplateError(Exception):
    """The root of the tree: catch this to show a one-line message."""


class InputError(EndplateError):
    """Nothing in the input can be evaluated."""


class RulesetError(EndplateError):
    """A ruleset that is refused as a whole, with every fault found in it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class BackendError(EndplateError):
    """The inference backend cannot run, or stopped half way."""


class RunError(EndplateError):
    """A batch stopped before its end: disk full, a worker was killed. What it did is kept."""


class RemoteError(EndplateError):
    """Another server refused, failed or did not answer. Names its origin, never what it said of patients."""


class OutputError(EndplateError):
    """An output failed its own check; a fault of Endplate, never of the input."""


class SettingsError(EndplateError):
    """A setting is missing or wrong; the message names it and a value that works."""
