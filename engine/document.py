"""YAML with places: plain Python values, and where each of them stands in its file.

(For everybody who loads a file of a ruleset: facts use this module too, so it lies below `rules`.)

YAML 1.2, so `yes`, `no` and `on` are text; numbers stay exact (int or Decimal), dates stay text, and keys are text as
written. Aliases and merge keys (`<<`) are resolved; an alias into itself is a fault.

The meaning, and every message, is that of ruamel.yaml. libyaml reads ten times as fast: it does wherever the two are
certain to agree, with the tags of YAML 1.2; what it does not take is left to ruamel.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML, nodes
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver

from engine.errors import Fault, Place, RulesetError

Node = Any                                  # of either library

MAPPING = (nodes.MappingNode, yaml.MappingNode)
SEQUENCE = (nodes.SequenceNode, yaml.SequenceNode)
SCALAR = (nodes.ScalarNode, yaml.ScalarNode)
Path_ = tuple[str | int, ...]
Data = Any                                  # dict[str, Data] | list[Data] | str | int | Decimal | bool | None

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?")
_MERGES = 8
_DEPTH = 60                                 # no file of a ruleset nests deeper
_DIFFERS = re.compile(                      # where libyaml may understand something else, or accept more
    r"[\t\r\x85\u2028\u2029\ufeff]|^(%|---|\.\.\.)|(?:^|[\s\[{,:?&-])!|(?:^|[\s\[{,-])\?(?:\s|$)|[|>][-+\d]{0,2}#|^ +$"
    r"|[\]}\"']:\S",
    re.MULTILINE,
)
_RESOLVER = VersionedResolver(version=(1, 2))


class Document:
    """One YAML file. `data` is None for an empty file."""

    def __init__(self, file: str, root: Node | None) -> None:
        self.file = file
        self._root = root
        self._faults: list[Fault] = []
        self._done: dict[int, Data] = {}    # an aliased node is built once
        self.data: Data = self._value(root, ()) if root is not None else None
        if self._faults:
            raise RulesetError(self._faults)

    def place(self, path: Path_ = ()) -> Place:
        """The place of the value at `path`; of the deepest part of the path that exists, if it does not."""
        node = self._root
        for step in path:
            node, parent = self._step(node, step)[1], node
            if node is None:
                node = parent
                break
        return self._at(node)

    def key_place(self, path: Path_) -> Place:
        """The place of the key at the end of `path` (of the item, in a list)."""
        node = self._root
        for step in path[:-1]:
            node = self._step(node, step)[1]
        key = self._step(node, path[-1])[0] if path else None
        return self._at(key) if key is not None else self.place(path)

    def _at(self, node: Node | None) -> Place:
        mark = getattr(node, "start_mark", None)
        return Place(self.file, mark.line + 1, mark.column + 1) if mark is not None else Place(self.file)

    def _step(self, node: Node | None, step: str | int) -> tuple[Node | None, Node | None]:
        """The key node and the value node that `step` leads to."""
        if isinstance(node, MAPPING):
            found: tuple[Node | None, Node | None] = (None, None)
            for key, value, _ in self._entries(node):
                if key.value == step:
                    found = (key, value)
            return found
        if isinstance(node, SEQUENCE) and isinstance(step, int) and 0 <= step < len(node.value):
            return node.value[step], node.value[step]
        return None, None

    def _entries(self, node: Node, depth: int = 0) -> Iterator[tuple[Node, Node, bool]]:
        """Key, value and whether it was merged in; merged entries first, so that own ones win."""
        merges = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        if merges and depth == _MERGES:
            self._fault(node, "merge keys nest too deep", "write the entries out")
            return
        for merge in merges:
            for source in reversed(merge.value) if isinstance(merge, SEQUENCE) else (merge,):
                if isinstance(source, MAPPING):
                    yield from ((key, value, True) for key, value, _ in self._entries(source, depth + 1))
        yield from ((key, value, False) for key, value in node.value if key.tag != f"{_TAG}merge")

    def _fault(self, node: Node, message: str, hint: str = "") -> None:
        self._faults.append(Fault(self._at(node), message, hint))

    def _value(self, node: Node, above: tuple[int, ...]) -> Data:
        if id(node) not in self._done:
            if id(node) in above or len(above) > _DEPTH:
                self._fault(node, "the value contains itself or nests too deep")
                return None
            self._done[id(node)] = self._build(node, above)
        return self._done[id(node)]

    def _build(self, node: Node, above: tuple[int, ...]) -> Data:
        inside = (*above, id(node))
        if not isinstance(node, SCALAR) and str(node.tag) not in (f"{_TAG}map", f"{_TAG}seq"):
            self._fault(node, f"the tag `{str(node.tag).removeprefix(_TAG)[:40]}` is not used here", "remove the tag")
            return None
        if isinstance(node, MAPPING):
            mapping: dict[str, Data] = {}
            own: set[str] = set()
            for key, value, merged in self._entries(node):
                if not isinstance(key, SCALAR):
                    self._fault(key, "a key must be text")
                    continue
                if not merged and key.value in own:
                    self._fault(key, f"`{key.value}` stands here twice", "keep one of them")
                    continue
                if not merged:
                    own.add(key.value)
                mapping[key.value] = self._value(value, inside)
            return mapping
        if isinstance(node, SEQUENCE):
            return [self._value(item, inside) for item in node.value]
        return self._scalar(node)

    def _scalar(self, node: Node) -> Data:
        text: str = node.value
        match str(node.tag).removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float":
                if _INT.fullmatch(text) and len(text) < 40:
                    return int(text)
                if _DECIMAL.fullmatch(text) and len(text) < 40:
                    return Decimal(text)
                self._fault(node, f"`{text[:40]}` is no plain decimal number", "quote it if it is text")
                return None
            case "str" | "timestamp":
                return text
            case other:
                self._fault(node, f"the tag `{other}` is not used here", "remove the tag")
                return None


def load_document(path: Path, shown: str = "") -> Document:
    """Read one YAML file. `shown` is the file's name in messages (default: the path as given).

    Raises RulesetError with every fault of the file: not readable, no UTF-8, syntax, duplicate keys.
    """
    file = shown or path.as_posix()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RulesetError([Fault(Place(file), f"cannot be read: {(error.strerror or 'error').lower()}")]) from None
    except UnicodeDecodeError as error:
        raise RulesetError([Fault(Place(file), f"is not UTF-8 (byte {error.start})", "save it as UTF-8")]) from None
    return parse_document(text, file)


def parse_document(text: str, file: str) -> Document:
    """The same for text that is already in memory."""
    try:
        return Document(file, composed(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
        raise RulesetError([Fault(place, _lower(error.problem or error.context or "no valid yaml"))]) from None
    except YAMLError as error:
        raise RulesetError([Fault(Place(file), _lower(str(error).splitlines()[0]))]) from None
    except RecursionError:
        raise RulesetError([Fault(Place(file), "the value nests too deep")]) from None
    except ValueError as error:             # an odd version directive and the like
        raise RulesetError([Fault(Place(file), _lower(str(error)))]) from None


def composed(text: str) -> Node | None:
    """The root node, None for an empty text. Raises what ruamel.yaml raises."""
    if yaml.__with_libyaml__ and not _DIFFERS.search(text):
        try:
            return _Fast(text).get_single_node()
        except (yaml.YAMLError, RecursionError, UnicodeError):
            pass                            # the other one says what is wrong
    return YAML(typ="safe", pure=True).compose(text)


@lru_cache(8192)
def _tag(plain: str) -> str:
    return str(_RESOLVER.resolve(nodes.ScalarNode, plain, (True, False)))


if yaml.__with_libyaml__:

    class _Fast(yaml.CBaseLoader):
        """The parser and composer of libyaml with the tags of YAML 1.2."""

        def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
            if kind is not yaml.ScalarNode:
                return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"
            if implicit[0] and not value:
                raise yaml.YAMLError        # nothing stands there, and each says so of another place
            return _tag(value) if implicit[0] else f"{_TAG}str"

        def descend_resolver(self, current_node: Any, current_index: Any) -> None:
            """Tags do not depend on where something stands."""

        def ascend_resolver(self) -> None:
            """See above."""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("\n", " ")
