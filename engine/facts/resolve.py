"""YAML values -> what the types of a Struct's fields ask for (engine/facts/options.py): names resolved, faults kept."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from engine.errors import Place, nearest
from engine.facts.definition import Band
from engine.facts.options import Means
from engine.facts.parameter import Parameter
from engine.facts.source import Faults, Source, quoted

NAME = re.compile(r"[A-Za-z0-9_]+(?:[-./][A-Za-z0-9_]+)*")
TESTS = {"below": "lower", "at_most": "lower", "above": "higher", "at_least": "higher"}
FAILED: Final = object()                  # a value that cannot be read; its fault is already recorded
SUPPLIED = frozenset({"regions", "ingredients", "ended-conflicts"})

T = TypeVar("T", bound=msgspec.Struct)


class Names(msgspec.Struct, kw_only=True):
    """Everything that a name in a ruleset may stand for. `concepts` None: any; no `closed`: any ingredient."""

    parameters: dict[str, Parameter] = {}
    classes: dict[str, frozenset[str]] = {}
    drug_classes: dict[str, frozenset[str]] = {}
    ingredients: frozenset[str] = frozenset()
    closed: bool = False
    concepts: frozenset[str] | None = None
    regions: tuple[str, ...] = ()
    codes: Mapping[str, tuple[str, ...]] = {}
    ended_conflicts: dict[str, str] = {}


class Reference(NamedTuple):
    """A fact, perhaps with a value of it, that an option of `owner` names."""

    owner: str
    fact: str
    value: str
    place: Place


@cache
def fields_of(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a Struct with their resolved types."""
    return msgspec.structs.fields(kind)


def mark_of(kind: Any) -> str:
    """What a name stands for by the type of its field; "" for an unmarked type."""
    marks = kind.__metadata__ if get_origin(kind) is Annotated else ()
    return next((mark.what for mark in marks if isinstance(mark, Means)), "")


class Resolver:
    """Builds Structs from YAML. `used` says which parameters each owner (a fact, a concept) reads."""

    def __init__(self, names: Names, faults: Faults) -> None:
        self.names = names
        self.faults = faults
        self.used: dict[str, set[str]] = {}
        self.references: list[Reference] = []
        self.owner = ""
        self._marks: dict[str, Callable[[Source], Any]] = {
            "concept": self._concept,
            "concepts": lambda source: self._each(source, self._concept),
            "drugs": self._drugs,
            "fact": self._fact,
            "value": self._word,
            "component": self._word,
            "table": self._table,
            "bands": self._bands,
            "where": self._where,
            "codes": lambda source: self._each(source, self._word),
        }

    def entry(self, kind: type[T], source: Source) -> T | None:
        """A Struct from a mapping; nothing at all stands for all defaults."""
        if source.value is None or isinstance(source.value, dict):
            return self.struct(kind, source.entries(), source)
        self.faults.add(source, f"expected a mapping, not {quoted(source.value)}")
        return None

    def struct(
        self, kind: type[T], entries: Mapping[str, Source], place: Source | Place, **given: Any
    ) -> T | None:
        """A Struct from the entries of a mapping; None, with faults, if it cannot be built."""
        values: dict[str, Any] = dict(given)
        taken: set[str] = set()
        for field in fields_of(kind):
            if field.name in given:
                continue
            key, mark = field.encode_name, mark_of(field.type)
            if mark == "concepts" and key == "concepts" and key not in entries:
                key = "concept"
            taken.add(key)
            if mark in SUPPLIED:
                taken.discard(key)
                values[field.name] = self._supplied(mark, entries)
            elif key in entries:
                values[field.name] = self.value(field.type, entries[key])
            elif mark == "codes":
                values[field.name] = self.names.codes.get(_text(entries.get("field")), ())
            elif field.required:
                self.faults.add(place, f"`{key}` is missing")
                values[field.name] = FAILED
        for key in entries.keys() - taken:
            hint = nearest(key, taken) or f"known: {', '.join(sorted(taken))}"
            self.faults.add(entries[key].at_key(), f"there is no option `{key}` here", hint)
            values[key] = FAILED
        if any(value is FAILED for value in values.values()):
            return None
        built = kind(**values)
        self._refer(kind, built, entries)
        return built

    def value(self, kind: Any, source: Source) -> Any:
        """One value as the type asks for, or FAILED."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self.value(next(part for part in arguments if part is not type(None)), source)
        if origin is Annotated:
            mark = mark_of(kind)
            if mark == "parameter":
                return self._parameter(source, whole=arguments[0] is int)
            return self._marks[mark](source)
        if origin is Literal:
            return self._choice(source, tuple(word for word in arguments if word != ""))
        if origin is tuple:
            return self._each(source, lambda item: self.value(arguments[0], item))
        if origin is frozenset:
            found = self._each(source, lambda item: self.value(arguments[0], item))
            return found if found is FAILED else frozenset(found)
        if origin is not None:
            return self._mapping(source, *arguments)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._inner(kind, source)
        return self._plain(kind, source)

    def parameter(self, name: str) -> Parameter | None:
        """A parameter by its fixed name, noted as read by the owner."""
        if name in self.names.parameters:
            self.used.setdefault(self.owner, set()).add(name)
        return self.names.parameters.get(name)

    def _fail(self, source: Source, message: str, hint: str = "") -> Any:
        self.faults.add(source, message, hint)
        return FAILED

    def _inner(self, kind: type[msgspec.Struct], source: Source) -> Any:
        """A mapping, or a single word for the first field."""
        if isinstance(source.value, dict):
            entries = source.entries()
        elif isinstance(source.value, str):
            entries = {fields_of(kind)[0].encode_name: source}
        else:
            return self._fail(source, f"expected a mapping, not {quoted(source.value)}")
        built = self.struct(kind, entries, source)
        return FAILED if built is None else built

    def _plain(self, kind: Any, source: Source) -> Any:
        value = source.value
        if kind is bool:
            if isinstance(value, bool):
                return value
            return self._fail(source, f"expected true or false, not {quoted(value)}")
        if kind in (int, float, Decimal):
            number = isinstance(value, int | Decimal) and not isinstance(value, bool)
            if not number or (kind is int and value != int(value)):
                return self._fail(source, f"expected a number, not {quoted(value)}")
            return kind(value)
        if not isinstance(value, str) or not value.strip():
            return self._fail(source, f"expected text, not {quoted(value)}", "quote a number that is meant as text")
        return value.strip()

    def _each(self, source: Source, read: Callable[[Source], Any]) -> Any:
        if source.value is None or source.value == []:
            return self._fail(source, "the list is empty")
        values = tuple(read(item) for item in source.items())
        return FAILED if FAILED in values else values

    def _mapping(self, source: Source, key_type: Any, value_type: Any) -> Any:
        if not isinstance(source.value, dict):
            return self._fail(source, f"expected a mapping, not {quoted(source.value)}")
        pairs = [
            (self.value(key_type, entry.at_key()), self.value(value_type, entry)) for entry in source.entries().values()
        ]
        return FAILED if any(FAILED in pair for pair in pairs) else dict(pairs)

    def _choice(self, source: Source, words: tuple[str, ...]) -> Any:
        value = source.value
        if isinstance(value, str) and value in words:
            return value
        hint = nearest(value, words) if isinstance(value, str) else ""
        return self._fail(source, f"{quoted(value)} is not allowed here", hint or f"one of: {', '.join(words)}")

    def _word(self, source: Source) -> Any:
        value = source.value
        if isinstance(value, str) and NAME.fullmatch(value):
            return value
        return self._fail(source, f"expected a word, not {quoted(value)}", "letters and digits joined by `-` or `.`")

    def _known(self, source: Source, what: str, known: Mapping[str, Any] | frozenset[str], where: str) -> Any:
        value = self._word(source)
        if value is FAILED or value in known:
            return value
        return self._fail(source, f"there is no {what} `{value}`", nearest(value, known) or f"see {where}")

    def _parameter(self, source: Source, *, whole: bool) -> Any:
        value = source.value
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return self._fail(source, f"`{value}` is a number", "name a parameter of parameters.yaml")
        name = self._known(source, "parameter", self.names.parameters, "parameters.yaml")
        if name is FAILED:
            return FAILED
        parameter = self.names.parameters[name]
        self.used.setdefault(self.owner, set()).add(name)
        if not whole:
            return Decimal(parameter.value)
        if parameter.unit not in ("", "days"):
            return self._fail(source, f"`{name}` is in {parameter.unit}, but a time span is needed", "in days")
        if parameter.value < 0 or parameter.value != int(parameter.value):
            return self._fail(source, f"`{name}` is {parameter.value}, but whole days are needed")
        return int(parameter.value)

    def _concept(self, source: Source) -> Any:
        if self.names.concepts is None:
            return self._word(source)
        return self._known(source, "concept", self.names.concepts, "concepts.yaml and the value sets")

    def _drugs(self, source: Source) -> Any:
        known = {**{name: frozenset({name}) for name in self.names.ingredients}, **self.names.drug_classes}
        read = (lambda item: self._known(item, "drug or drug class", known, "tables/classes.yaml")) if (
            self.names.closed
        ) else self._word
        names = self._each(source, read)
        if names is FAILED:
            return FAILED
        return frozenset().union(*(known.get(name, frozenset({name})) for name in names))

    def _fact(self, source: Source) -> Any:
        name = self._word(source)
        if name is not FAILED:
            self.references.append(Reference(self.owner, name, "", source.place))
        return name

    def _refer(self, kind: type[msgspec.Struct], built: msgspec.Struct, entries: Mapping[str, Source]) -> None:
        """A Struct that names a fact and a value of it: the value must be one of that fact's."""
        marks = {mark_of(field.type): field for field in fields_of(kind)}
        if "fact" in marks and "value" in marks and not kind.__struct_config__.tag:
            fact, value = (getattr(built, marks[mark].name) for mark in ("fact", "value"))
            source = entries.get(marks["value"].encode_name)
            if source is not None:
                self.references.append(Reference(self.owner, fact, value, source.place))

    def _table(self, source: Source) -> Any:
        name = self._known(source, "class", self.names.classes, "tables/classes.yaml")
        return FAILED if name is FAILED else self.names.classes[name]

    def _where(self, source: Source) -> Any:
        if not isinstance(source.value, dict) or not source.value:
            return self._fail(source, f"expected a mapping, not {quoted(source.value)}")
        found = {
            key: self._table(entry) if key == "muscle" else self._plain(bool, entry)
            for key, entry in source.entries().items()
        }
        return FAILED if FAILED in found.values() else found

    def _bands(self, source: Source) -> Any:
        bands = self._each(source, self._band)
        if bands is FAILED:
            return FAILED
        sides = {TESTS[band.test] for band in bands}
        limits = [band.limit for band in bands]
        if len(sides) > 1:
            return self._fail(source, "bands test either downwards (below, at_most) or upwards (above, at_least)")
        for before, after in pairwise(bands):
            wider = (before.test, after.test) in (("below", "at_most"), ("above", "at_least"))
            step = after.limit - before.limit if sides == {"lower"} else before.limit - after.limit
            if step < 0 or (step == 0 and not wider):
                message = f"`{after.value}` can never be reached after `{before.value}`"
                return self._fail(source, message, f"limits in this order: {', '.join(map(str, limits))}")
        return bands

    def _band(self, source: Source) -> Any:
        entries = list(source.entries().values())
        tests = list(entries[0].entries().values()) if len(entries) == 1 else []
        if len(tests) != 1:
            return self._fail(source, "a band is `value: {test: parameter}`, one test each")
        value = self._word(entries[0].at_key())
        test = self._choice(tests[0].at_key(), tuple(TESTS))
        limit = self._parameter(tests[0], whole=False)
        if FAILED in (value, test, limit):
            return FAILED
        return Band(value, test, limit, tests[0].value)

    def _supplied(self, mark: str, entries: Mapping[str, Source]) -> Any:
        if mark == "regions":
            return self.names.regions
        if mark == "ended-conflicts":
            return dict(self.names.ended_conflicts)
        return tuple(sorted(self.names.ingredients)) if _text(entries.get("field")) == "ingredient" else ()


def _text(source: Source | None) -> str:
    value = source.value if source is not None else None
    return value if isinstance(value, str) else ""
