"""Reading a mapping of a YAML document key by key: the right type or a fault at its place, never an exception."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from engine.document import Document, Path_
from engine.errors import Fault, Place, nearest


def quoted(value: object) -> str:
    """A value as a message shows it: short, on one line."""
    text = {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)
    text = " ".join(text.split())
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"


class Node:
    """The value at one path of a document. Getters give an empty value where the document has none or a wrong one."""

    def __init__(self, document: Document, path: Path_, faults: list[Fault]) -> None:
        self.document = document
        self.path = path
        self.faults = faults
        value: Any = document.data
        for step in path:
            value = value[step]
        self.value = value

    def place(self, *below: str | int) -> Place:
        return self.document.place((*self.path, *below))

    def fault(self, message: str, hint: str = "", below: Path_ = ()) -> None:
        self.faults.append(Fault(self.place(*below), message, hint))

    def fault_at_key(self, key: str, message: str, hint: str = "") -> None:
        self.faults.append(Fault(self.document.key_place((*self.path, key)), message, hint))

    def at(self, *below: str | int) -> Node:
        return Node(self.document, (*self.path, *below), self.faults)

    def __contains__(self, key: object) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def is_mapping(self, what: str) -> bool:
        """Whether the value is a mapping with entries; a fault if not."""
        if isinstance(self.value, dict) and self.value:
            return True
        self.fault(f"{what} must be a mapping, not {quoted(self.value) if self.value else 'empty'}")
        return False

    def only(self, allowed: Collection[str], what: str) -> None:
        """A fault for each key that the mapping may not have."""
        for key in self.value:
            if key not in allowed:
                hint = nearest(key, allowed) or f"allowed: {', '.join(sorted(allowed))}"
                self.fault_at_key(key, f"{quoted(key)} is no key of {what}", hint)

    def text(self, key: str, *, required: bool = False) -> str:
        value = self.value.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is not None:
            self.fault(f"`{key}` must be text", "quote a number that is meant as text", (key,))
        elif required:
            self.fault(f"`{key}` is missing")
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        value = self.value.get(key)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            if not isinstance(item, str) or not item.strip():
                self.fault(f"`{key}` holds text only", below=(key, index) if isinstance(value, list) else (key,))
        return tuple(item.strip() for item in items if isinstance(item, str) and item.strip())

    def word(self, key: str, allowed: Collection[str], *, required: bool = False) -> str:
        """One word out of a closed list, or "" """
        value = self.text(key, required=required)
        if value and value not in allowed:
            self.fault(f"{quoted(value)} is no {key}", nearest(value, allowed) or f"use {', '.join(allowed)}", (key,))
            return ""
        return value

    def items(self, key: str, what: str) -> list[Node]:
        """The entries of a list that must not be empty; () when the key is missing."""
        if key not in self.value:
            return []
        value = self.value[key]
        if not isinstance(value, list) or not value:
            self.fault(f"`{key}` must be a list of {what}", below=(key,))
            return []
        return [self.at(key, index) for index in range(len(value))]
