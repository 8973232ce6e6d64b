"""What a ruleset's folder says about the ruleset, beside its rules: files that no evaluation reads.

    properties.yaml          what must hold for every patient                       (Property)
    accepted-survivors.yaml  changes that no vignette need notice, and why          (Accepted)
    traceability.yaml        each statement of a source with its rules, or why none (Statement)
    debatable.yaml           points on which sources disagree, and what was chosen  (Point)

Each is optional. Names of rules, facts, parameters and references are checked; faults carry their place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from engine.document import Document, load_document
from engine.errors import Fault, Place, RulesetError, nearest
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.conditions import Reader
from engine.rules.program import Condition, Issue
from engine.rules.ruleset import Ruleset
from engine.rules.shape import Node, quoted
from engine.rules.vocabulary import Word


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold for every patient: whenever `when` is true, `then` is; or of `at_most_one` one at most."""

    id: str
    says: str
    source: str
    place: Place
    when: Condition | None = None
    then: Condition | None = None
    at_most_one: tuple[Condition, ...] = ()


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Mutants that may survive. A name may hold `*` for any words."""

    names: tuple[str, ...]
    reason: str
    place: Place


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of a source in our own words: its rules (and facts), or the reason why there is none."""

    source: str
    says: str
    rules: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    note: str = ""
    reason: str = ""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point that is silent, contradictory or debatable in the sources, what was chosen, and where that lives."""

    number: int
    point: str
    chosen: str
    rules: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, in the order of writing."""

    properties: tuple[Property, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    statements: tuple[Statement, ...] = ()
    points: tuple[Point, ...] = ()
    references: tuple[str, ...] = ()


def read_files(folder: Path, ruleset: Ruleset) -> Files:
    """Everything that the folder says about its ruleset. Raises RulesetError with every fault."""
    faults: list[Fault] = []
    known = _Known(ruleset, tuple((_mapping(folder / "references.yaml", faults) or {}).keys()))
    found = Files(
        properties=tuple(_properties(folder / "properties.yaml", known, faults)),
        accepted=tuple(_accepted(folder / "accepted-survivors.yaml", faults)),
        statements=tuple(_statements(folder / "traceability.yaml", known, faults)),
        points=tuple(_points(folder / "debatable.yaml", known, faults)),
        references=known.references,
    )
    if faults:
        raise RulesetError(faults)
    return found


class _Known:
    """What the files may name."""

    def __init__(self, ruleset: Ruleset, references: tuple[str, ...]) -> None:
        self.references = references
        self.rules = {*ruleset.info, *(info.id for info in ruleset.info.values())}
        self.facts = {*ruleset.fact_info, *(info.definition for info in ruleset.fact_info.values())}
        self.parameters = frozenset(ruleset.facts.parameters)
        self.vocabulary = {
            name: Word(info.values, {key: frozenset(of) for key, of in info.sets.items()})
            for name, info in ruleset.fact_info.items()
        }
        for rule in (*ruleset.program.patient, *ruleset.program.order):
            values = (PRESENT, ABSENT, UNKNOWN) if isinstance(rule, Issue) else rule.values
            self.vocabulary[rule.name] = Word(values)


def _properties(path: Path, known: _Known, faults: list[Fault]) -> Iterator[Property]:
    ids: set[str] = set()
    for document, node in _entries(path, "a property", faults):
        node.only(("id", "says", "source", "when", "then", "at_most_one"), "a property")
        reader = Reader(document, known.vocabulary, faults)
        name = node.text("id", required=True)
        if name in ids:
            node.fault(f"the property {quoted(name)} stands twice", below=("id",))
        ids.add(name)
        implies = "when" in node and "then" in node
        if implies == ("at_most_one" in node):
            node.fault("a property has `when` and `then`, or `at_most_one`")
            continue
        one = [reader.read(item.path) for item in node.items("at_most_one", "conditions")]
        yield Property(
            id=name,
            says=node.text("says", required=True),
            source=node.text("source", required=True),
            place=node.place(),
            when=reader.read((*node.path, "when")) if implies else None,
            then=reader.read((*node.path, "then")) if implies else None,
            at_most_one=tuple(condition for condition in one if condition is not None),
        )


def _accepted(path: Path, faults: list[Fault]) -> Iterator[Accepted]:
    for _, node in _entries(path, "an entry", faults):
        node.only(("mutants", "reason"), "an entry")
        names = node.texts("mutants")
        if not names:
            node.fault("`mutants` is missing", "name them as `endplate rules check --thorough` does")
        yield Accepted(names=names, reason=node.text("reason", required=True), place=node.place())


def _statements(path: Path, known: _Known, faults: list[Fault]) -> Iterator[Statement]:
    for _, node in _entries(path, "a statement", faults):
        node.only(("source", "says", "rules", "facts", "note", "reason"), "a statement")
        statement = Statement(
            source=node.text("source", required=True),
            says=node.text("says", required=True),
            rules=_names(node, "rules", known.rules, "rule"),
            facts=_names(node, "facts", known.facts, "fact"),
            note=node.text("note"),
            reason=node.text("reason"),
        )
        if statement.source and statement.source not in known.references:
            node.fault(f"{quoted(statement.source)} is not among the references", below=("source",))
        if bool(statement.rules or statement.facts) == bool(statement.reason):
            node.fault("a statement has `rules` or `facts`, or else the `reason` why there are none")
        yield statement


def _points(path: Path, known: _Known, faults: list[Fault]) -> Iterator[Point]:
    for index, (_, node) in enumerate(_entries(path, "a point", faults)):
        node.only(("number", "point", "chosen", "rules", "facts", "parameters", "sources"), "a point")
        if node.value.get("number") != index + 1:
            node.fault(f"the points are numbered in order: this is number {index + 1}", below=("number",))
        yield Point(
            number=index + 1,
            point=node.text("point", required=True),
            chosen=node.text("chosen", required=True),
            rules=_names(node, "rules", known.rules, "rule"),
            facts=_names(node, "facts", known.facts, "fact"),
            parameters=_names(node, "parameters", known.parameters, "parameter"),
            sources=_names(node, "sources", known.references, "reference"),
        )


def _names(node: Node, key: str, known: Collection[str], what: str) -> tuple[str, ...]:
    names = node.texts(key)
    for index, name in enumerate(names):
        if name not in known:
            below = (key, index) if isinstance(node.value[key], list) else (key,)
            node.fault(f"{quoted(name)} is no {what}", nearest(name, known), below)
    return names


def _entries(path: Path, what: str, faults: list[Fault]) -> Iterator[tuple[Document, Node]]:
    """The entries of a file that is a list of mappings; none if there is no such file."""
    document = _document(path, faults)
    if document is None:
        return
    node = Node(document, (), faults)
    if not isinstance(node.value, list):
        node.fault("the file is a list")
        return
    for index in range(len(node.value)):
        if node.at(index).is_mapping(what):
            yield document, node.at(index)


def _mapping(path: Path, faults: list[Fault]) -> dict[str, object] | None:
    document = _document(path, faults)
    return document.data if document is not None and isinstance(document.data, dict) else None


def _document(path: Path, faults: list[Fault]) -> Document | None:
    if not path.exists():
        return None
    try:
        return load_document(path)
    except RulesetError as error:
        faults += error.faults
        return None
