"""What a ruleset declares and nothing uses: concepts and drugs of the value sets, orders, references.

(Facts, named sets, classes and parameters that nothing reads are faults: the checker refuses them.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.document import load_document
from engine.errors import RulesetError
from engine.rules.ruleset import Ruleset


class Leftover(msgspec.Struct, frozen=True, order=True):
    """Something that is declared in `file` and that nothing uses."""

    file: str
    what: str
    name: str


def leftovers(folder: Path, ruleset: Ruleset) -> Iterator[Leftover]:
    """Everything unused, by file and name."""
    read = _read(ruleset)
    content = ruleset.content
    concepts = {e.meaning.concept for codes in content.entries.values() for rows in codes.values() for e in rows}
    concepts -= {e.meaning.concept for codes in content.entries.values() for rows in codes.values() for e in rows
                 if e.exclude}
    for name in sorted(concepts - read):
        yield Leftover("valuesets", "concept", name)
    drugs = {e.drug.ingredient for codes in content.drugs.values() for rows in codes.values() for e in rows
             if not e.silent and not e.drug.minor}
    for name in sorted(drugs - read - _words(folder, "tables", "rules") - {""}):
        yield Leftover("valuesets", "drug", name)
    used = _words(folder, "rules")
    for file, what in (("orders.yaml", "order"), ("references.yaml", "reference")):
        for name in sorted(_keys(folder / file) - used):
            yield Leftover(file, what, name)


def _read(ruleset: Ruleset) -> frozenset[str]:
    """Concepts and drugs that a fact reads, also through a number that is computed of two others."""
    read = set(ruleset.facts.touched_concepts())
    for definition in ruleset.facts.definitions:
        read |= definition.reads() | definition.drugs()
    for concept in ruleset.facts.tables.concepts.values():
        if concept.computed is not None and concept.name in read:
            read |= {concept.computed.source, concept.computed.per}
    return frozenset(read)


def _words(folder: Path, *rooms: str) -> set[str]:
    """Every text in the YAML files of some rooms of the folder, and every key."""
    found: set[str] = set()
    for room in rooms:
        for path in sorted((folder / room).rglob("*.yaml")):
            _collect(_data(path), found)
    return found


def _collect(data: Any, found: set[str]) -> None:
    if isinstance(data, dict):
        found.update(data)
        for value in data.values():
            _collect(value, found)
    elif isinstance(data, list):
        for value in data:
            _collect(value, found)
    elif isinstance(data, str):
        found.add(data)


def _keys(path: Path) -> set[str]:
    data = _data(path)
    return set(data) if isinstance(data, dict) else set()


def _data(path: Path) -> Any:
    try:
        return load_document(path).data if path.exists() else None
    except RulesetError:
        return None                    # the checker tells it
