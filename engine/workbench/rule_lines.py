"""Conditions of rules as nested lines, each with the fact that it tests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One line: the fact that it tests ("" for `any of` and the like), the words after it, and what stands below it."""

    fact: str
    words: str
    below: tuple[Line, ...] = ()


def nested(lines: Sequence[tuple[int, str]], depth: int = 0) -> tuple[Line, ...]:
    """An outline of (depth, text), as `Wording.tree` gives it, as a tree."""
    found: list[Line] = []
    for place, (own, text) in enumerate(lines):
        if own == depth:
            rest = lines[place + 1 :]
            end = next((number for number, (other, _) in enumerate(rest) if other <= depth), len(rest))
            fact, colon, words = text.partition(": ")
            below = nested(rest[:end], depth + 1)
            found.append(Line(fact, words, below) if colon else Line("", text, below))
    return tuple(found)
