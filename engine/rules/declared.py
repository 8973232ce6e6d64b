"""Where the files of a ruleset declare facts, sets, classes and parameters, and which fact takes over another.

The room of facts gives them their meaning; the checker needs to know where something stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from engine.document import Document
from engine.errors import Place


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """Base facts, their sets, the classes and the parameters of a ruleset."""

    facts: Mapping[str, Place] = {}
    sets: Mapping[tuple[str, str], Place] = {}         # (fact, set), where it is written out
    like: Mapping[str, str] = {}                       # fact -> the fact that it takes over
    classes: Mapping[str, Place] = {}                  # of drugs, routes, muscles, regions
    parameters: Mapping[str, Place] = {}
    words: frozenset[str] = frozenset()                # every text in the definitions of facts

    def heirs(self, fact: str) -> frozenset[str]:
        """The fact and every fact that takes it over, through others."""
        found = {fact}
        while more := {heir for heir, of in self.like.items() if of in found} - found:
            found |= more
        return frozenset(found)


def declared(facts: Iterable[Document], classes: Document | None, parameters: Document | None) -> Declared:
    """What the documents declare; whatever has an unexpected form is passed over (its own room reports it)."""
    places: dict[str, Place] = {}
    sets: dict[tuple[str, str], Place] = {}
    like: dict[str, str] = {}
    words: set[str] = set()
    for document in facts:
        words.update(_words(document.data))
        for name, body in _mapping(document.data).items():
            places[name] = document.key_place((name,))
            if isinstance(_mapping(body).get("like"), str):
                like[name] = body["like"]
            for set_name in _mapping(_mapping(body).get("sets")):
                sets[name, set_name] = document.key_place((name, "sets", set_name))
    return Declared(
        facts=places, sets=sets, like=like, classes=_keys(classes), parameters=_keys(parameters), words=frozenset(words)
    )


def _keys(document: Document | None) -> dict[str, Place]:
    return {name: document.key_place((name,)) for name in _mapping(document.data)} if document is not None else {}


def _words(data: Any) -> Iterator[str]:
    todo = [data]
    while todo:
        match todo.pop():
            case dict() as mapping:
                todo += mapping.values()
            case list() as items:
                todo += items
            case str() as text:
                yield text


def _mapping(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}

