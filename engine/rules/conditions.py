"""Conditions: from YAML to `All`, `Any`, `AtLeast` and `Literal` over closed sets (rule language, "Conditions").

    {achr: confirmed} {als: [confirmed, suspected]} {achr: positive}     one value · one of · a named set
    {mg: not refuted} {mg: {not: [confirmed, refuted]}} {musk: unknown}  another value, unknown included · unknown

A mapping is all of its entries: literals, `any: [...]`, `all: [...]`, `at_least: N` with `of: [...]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from engine.document import Document, Path_
from engine.errors import Fault, nearest
from engine.model.fact import UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Literal
from engine.rules.shape import Node, quoted
from engine.rules.texts import CODE_OR_PATH
from engine.rules.vocabulary import Vocabulary, Word

RESERVED = frozenset({"any", "all", "at_least", "of", "not", UNKNOWN})


class Reader:
    """Reads the conditions of one document. `sets` collects the named sets that were used, by fact."""

    def __init__(self, document: Document, vocabulary: Vocabulary, faults: list[Fault]) -> None:
        self.document = document
        self.vocabulary = vocabulary
        self.faults = faults
        self.sets: set[tuple[str, str]] = set()

    def read(self, path: Path_) -> Condition | None:
        """The condition at a path; None, and faults, if any part of it is wrong."""
        return self._mapping(Node(self.document, path, self.faults))

    def _mapping(self, node: Node) -> Condition | None:
        if not node.is_mapping("a condition"):
            return None
        parts: list[Condition | None] = []
        for key, value in node.value.items():
            if key in ("any", "all"):
                of = self._parts(node, key)
                parts.append(None if of is None else any_of(of) if key == "any" else all_of(of))
            elif key in ("at_least", "of"):
                if key == "of" and "at_least" in node:
                    continue
                parts.append(self._at_least(node))
            elif key not in self.vocabulary:
                node.fault_at_key(key, f"{quoted(key)} is no fact", nearest(key, self.vocabulary))
                parts.append(None)
            else:
                parts.append(self._literal(node.at(key), key, self.vocabulary[key], value))
        known = [part for part in parts if part is not None]
        return all_of(known) if len(known) == len(parts) else None

    def _parts(self, node: Node, key: str) -> list[Condition] | None:
        items = node.items(key, "conditions")
        parts = [self._mapping(item) for item in items]
        known = [part for part in parts if part is not None]
        return known if known and len(known) == len(parts) else None

    def _at_least(self, node: Node) -> Condition | None:
        if "at_least" not in node or "of" not in node:
            node.fault("`at_least` and `of` stand together", "write `at_least: 2` and `of: [...]` in one mapping")
            return None
        count = node.value["at_least"]
        if not isinstance(count, int) or isinstance(count, bool):
            node.fault(f"`at_least` is a whole number, not {quoted(count)}", below=("at_least",))
            return None
        parts = self._parts(node, "of")
        if parts is None:
            return None
        if not 1 <= count <= len(parts):
            hint = f"count between 1 and {len(parts)}"
            node.fault(f"`at_least: {str(count)[:20]}` of {len(parts)} conditions", hint, ("at_least",))
            return None
        if count in (1, len(parts)):
            return any_of(parts) if count == 1 else all_of(parts)
        return AtLeast(count, tuple(parts))

    # -- literals -------------------------------------------------------------------------------------------------

    def _literal(self, node: Node, fact: str, word: Word, value: object) -> Condition | None:
        if isinstance(value, dict):
            if "not" not in value:
                node.fault(f"{quoted(fact)} is tested by values or by `not`", "write `{not: [a, b]}`")
                return None
            node.only(("not",), f"the test of {quoted(fact)}")
            values = self._values(node.at("not"), fact, word)
            return None if values is None else Literal(fact, values, positive=False, closed=True)
        if isinstance(value, str) and value.startswith("not "):
            values = self._one(node, fact, word, value.removeprefix("not ").strip())
            return None if values is None else Literal(fact, values, positive=False, closed=True)
        values = self._values(node, fact, word)
        if values is None:
            return None
        return any_of(list(_positive(fact, values)))

    def _values(self, node: Node, fact: str, word: Word) -> frozenset[str] | None:
        if not isinstance(node.value, list):
            return self._one(node, fact, word, node.value)
        if not node.value:
            node.fault(f"no value is named for {quoted(fact)}")
            return None
        found = [self._one(node.at(index), fact, word, item) for index, item in enumerate(node.value)]
        known = [values for values in found if values is not None]
        return frozenset().union(*known) if len(known) == len(found) else None

    def _one(self, node: Node, fact: str, word: Word, name: object) -> frozenset[str] | None:
        if isinstance(name, int | Decimal) and not isinstance(name, bool):
            node.fault(
                f"{quoted(name)} is a number, and rules hold none",
                "give the fact a band with a parameter, and name the band here",
            )
            return None
        if not isinstance(name, str):
            node.fault(f"{quoted(name)} is no value of {quoted(fact)}", f"values: {_listed(word)}")
            return None
        values = word.expand(name)
        if values is None:
            if name.startswith("not "):
                hint = "several values take `{not: [a, b]}`"
            elif CODE_OR_PATH.search(name) or name[:1].isdigit():
                hint = "rules hold no number, code or path, only values of facts"
            else:
                hint = nearest(name, (*word.values, *word.sets)) or f"values: {_listed(word)}"
            node.fault(f"{quoted(name)} is no value or named set of {quoted(fact)}", hint)
        elif name not in word.values:
            self.sets.add((fact, name))
        return values


def _positive(fact: str, values: frozenset[str]) -> Iterator[Literal]:
    """One of values; `unknown` among them is a test of its own, which is never unknown."""
    if known := values - {UNKNOWN}:
        yield Literal(fact, known)
    if UNKNOWN in values:
        yield Literal(fact, frozenset((UNKNOWN,)), closed=True)


def _listed(word: Word) -> str:
    names = [*word.values, *word.sets]
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


# -- building ---------------------------------------------------------------------------------------------------------


def all_of(parts: Sequence[Condition]) -> Condition:
    """All of the parts, nested ones flattened, each once."""
    flat = _flat(parts, All)
    return flat[0] if len(flat) == 1 else All(flat)


def any_of(parts: Sequence[Condition]) -> Condition:
    """Any of the parts, nested ones flattened, each once."""
    flat = _flat(parts, Any)
    return flat[0] if len(flat) == 1 else Any(flat)


def _flat(parts: Sequence[Condition], kind: type[All] | type[Any]) -> tuple[Condition, ...]:
    flat: dict[Condition, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return tuple(flat)
