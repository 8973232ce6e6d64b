"""A value of a YAML file together with its place, and the faults that are found while values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from engine.document import Document, Path_, load_document
from engine.errors import Fault, Place, RulesetError


class Source(msgspec.Struct, frozen=True):
    """The value at one path of a document, or the key there."""

    document: Document
    path: Path_ = ()
    key: bool = False

    @property
    def value(self) -> Any:
        """What stands there."""
        if self.key:
            return self.path[-1]
        value = self.document.data
        for step in self.path:
            value = value[step]
        return value

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.document.key_place(self.path) if self.key else self.document.place(self.path)

    def entries(self) -> dict[str, Source]:
        """The values of a mapping by key; nothing if it is none."""
        value = self.value
        return {key: Source(self.document, (*self.path, key)) for key in value} if isinstance(value, dict) else {}

    def items(self) -> list[Source]:
        """The values of a list; a single value is a list of one."""
        value = self.value
        if not isinstance(value, list):
            return [self]
        return [Source(self.document, (*self.path, index)) for index in range(len(value))]

    def at_key(self) -> Source:
        """The key that leads here."""
        return Source(self.document, self.path, key=True)


class Faults:
    """Collects faults, so that a ruleset is never refused for the first one only."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, where: Source | Place, message: str, hint: str = "") -> None:
        """One fault at a place."""
        self.found.append(Fault(where if isinstance(where, Place) else where.place, message, hint))

    def read(self, file: Path, *, required: bool = True) -> Source | None:
        """A document; None, with its faults, if it cannot be read, and None if it is missing but not required."""
        if not required and not file.exists():
            return None
        try:
            return Source(load_document(file))
        except RulesetError as error:
            self.found.extend(error.faults)
            return None

    def mapping(self, file: Path, *, required: bool = True) -> dict[str, Source]:
        """The entries of a document that is a mapping (an empty one has none)."""
        source = self.read(file, required=required)
        if source is None or source.value is None:
            return {}
        if not isinstance(source.value, dict):
            self.add(source, "the file must be a mapping of names")
        return source.entries()

    def raise_any(self) -> None:
        """Refuse the ruleset if there is any fault; places in reading order."""
        if self.found:
            raise RulesetError(sorted(dict.fromkeys(self.found), key=_reading_order))


def _reading_order(fault: Fault) -> tuple[str, int, int]:
    return fault.place.file, fault.place.line, fault.place.column


def quoted(value: object) -> str:
    """A value as a message shows it: short, on one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = {True: "true", False: "false", None: "nothing"}[value] if isinstance(value, bool | None) else str(value)
    text = " ".join(text.split())
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
