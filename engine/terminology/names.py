"""What concepts are called: displays of value sets and titles of concepts, to find what a local code may mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.terminology.rows import Row
from engine.terminology.systems import plain_text

_LONGEST = 12                              # words of a name that is looked for within a display
_SHORTEST = 2                              # one word alone is too common to mean anything within others
_DETAILS = ("use", "study", "only", "answer", "denied", "region", "sign")


class Match(msgspec.Struct, frozen=True):
    """A concept that a display may mean. `whole`: the display is a name of it; `details`: of the code so called."""

    concept: str
    whole: bool
    name: str
    details: Mapping[str, str] = {}


class _Name(msgspec.Struct, frozen=True):
    concept: str
    carriers: frozenset[str]
    name: str
    details: Mapping[str, str] = {}


class Names:
    """An index of names; what a name of an exclusion says counts for nothing."""

    def __init__(self, rows: Iterable[Row], titles: Mapping[str, str]) -> None:
        self._names: dict[str, list[_Name]] = {}
        self._sorted: dict[tuple[str, ...], str] = {}
        self._short: dict[str, list[_Name]] = {}              # names without what follows in brackets
        carriers: dict[str, set[str]] = {}
        for row in rows:
            if row.form == "concept" and row["use"] != "exclude":
                found = frozenset(row["carriers"].split())
                carriers.setdefault(row["concept"], set()).update(found)
                if row["display"]:
                    details = {key: row[key] for key in _DETAILS if row[key] not in ("", "include")}
                    self._add(_Name(row["concept"], found, row["display"], details))
        for concept, title in titles.items():
            self._add(_Name(concept, frozenset(carriers.get(concept, ())), title or concept))

    def _add(self, name: _Name) -> None:
        words = plain_text(name.name)
        if words:
            held = self._names.setdefault(words, [])
            if not any(one.concept == name.concept and one.carriers == name.carriers for one in held):
                held.append(name)
            self._sorted.setdefault(tuple(sorted(words.split())), words)
        short = plain_text(name.name.partition("[")[0])
        if short and short != words:
            self._short.setdefault(short, []).append(name)

    def matches(self, display: str, carrier: str) -> list[Match]:
        """The concepts that a display may mean in a kind of resource: those that are called so (in any order of
        words), else those that are nearly so (without what a name has in brackets), else those whose name of two or
        more words stands within it."""
        words = plain_text(display).split()
        if not words:
            return []
        whole = self._names.get(" ".join(words)) or self._names.get(self._sorted.get(tuple(sorted(words)), ""), [])
        found = list(_fitting(whole, carrier, whole=True))
        found = found or list(_fitting(self._short.get(" ".join(words), ()), carrier, whole=False))
        return found or list(_fitting(self._within(words), carrier, whole=False))

    def _within(self, words: list[str]) -> Iterator[_Name]:
        at = 0
        while at < len(words):
            for length in range(min(_LONGEST, len(words) - at), _SHORTEST - 1, -1):
                phrase = " ".join(words[at : at + length])
                if found := self._names.get(phrase) or self._short.get(phrase):
                    yield from found
                    at += length - 1
                    break
            at += 1


def token(carriers: frozenset[str], carrier: str) -> str:
    """The word of a value set for a kind of resource that carries a concept; "" if it does not."""
    if carrier in carriers or "any" in carriers:
        return carrier
    return "finding" if carrier == "condition" and "finding" in carriers else ""


def _fitting(names: Iterable[_Name], carrier: str, *, whole: bool) -> Iterator[Match]:
    seen: set[str] = set()
    for name in names:
        word = token(name.carriers, carrier)
        if word and name.concept not in seen:
            seen.add(name.concept)
            yield Match(name.concept, whole, name.name, {"in": word, **(name.details if whole else {})})
