"""JSON Schemas of facts, concepts and parameters, made from the types that the loader reads them by."""

from __future__ import annotations

import types
from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from engine.facts.concept_load import ConceptEntry
from engine.facts.definition import Definition
from engine.facts.kinds import KINDS
from engine.facts.resolve import SUPPLIED, TESTS, fields_of, mark_of
from engine.facts.tables import ParameterEntry

Schema = dict[str, Any]
WORD: Schema = {"type": "string", "minLength": 1}
WORDS: Schema = {"anyOf": [WORD, {"type": "array", "items": WORD, "minItems": 1}]}


def facts_schema() -> Schema:
    """A file of facts: each entry is of a kind, or `like` another."""
    written = _Written()
    kinds = {name: written.kind(KINDS[name]) for name in sorted(KINDS)}
    every = {key for schema in kinds.values() for key in schema["properties"]} | {"like"}
    entry: Schema = {
        "type": "object",
        "properties": {"kind": {"enum": sorted(KINDS)}, "like": {"description": "takes over another fact", **WORD}},
        "anyOf": [{"required": ["kind"]}, {"required": ["like"]}],
        "propertyNames": {"enum": sorted(every)},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"], "not": {"required": ["like"]}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in kinds
        ],
    }
    return {"title": "Base facts", "type": "object", "additionalProperties": entry, "$defs": {**kinds, **written.defs}}


def concepts_schema() -> Schema:
    return _file("How one result of a concept is read", ConceptEntry)


def parameters_schema() -> Schema:
    return _file("Every number of the ruleset", ParameterEntry, {"type": "number"})


def _file(title: str, entry: type[msgspec.Struct], *others: Schema) -> Schema:
    """A file that holds entries of one form by name; a form that has no required key may be left empty."""
    written = _Written()
    known = written.struct(entry)
    forms = [known, *others] + ([] if "required" in known else [{"type": "null"}])
    return {
        "title": title,
        "type": "object",
        "additionalProperties": {"anyOf": forms} if len(forms) > 1 else known,
        "$defs": written.defs,
    }


class _Written:
    """What YAML may hold for a type (the table of engine/facts/options.py). `defs`: the Structs inside, each once."""

    def __init__(self) -> None:
        self.defs: dict[str, Schema] = {}

    def kind(self, kind: type[Definition]) -> Schema:
        """The options of a kind; `concept` and `concepts` are two forms of one option."""
        properties: Schema = {"kind": {"const": str(kind.__struct_config__.tag)}}
        required = {"kind"}
        either: Schema = {}
        for field in fields_of(kind):
            mark = mark_of(field.type)
            if field.name == "name" or mark in SUPPLIED:
                continue
            properties[field.encode_name] = self.of(field.type)
            if mark == "concepts":
                properties["concept"] = WORD
                if field.required:
                    either = {"oneOf": [{"required": ["concept"]}, {"required": ["concepts"]}]}
            elif field.required:
                required.add(field.encode_name)
        description = " ".join((kind.__doc__ or "").split())
        return {"description": description, **_mapping(properties, required), **either}

    def struct(self, kind: type[msgspec.Struct]) -> Schema:
        """A mapping with the fields of a Struct."""
        fields = fields_of(kind)
        properties = {field.encode_name: self.of(field.type) for field in fields}
        return _mapping(properties, {field.encode_name for field in fields if field.required})

    def of(self, kind: Any) -> Schema:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self.of(next(part for part in arguments if part is not type(None)))
        if origin is Annotated:
            return _marked(mark_of(kind))
        if origin is Literal:
            return {"enum": [word for word in arguments if word != ""]}
        if origin in (tuple, frozenset):
            item = self.of(arguments[0])
            return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}
        if origin is not None:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return {"anyOf": [self._reference(kind), WORD]}       # a single word stands for the first field
        return _plain(kind)

    def _reference(self, kind: type[msgspec.Struct]) -> Schema:
        name = kind.__name__
        if name not in self.defs:
            self.defs[name] = {}                                  # a Struct may hold itself
            self.defs[name] = self.struct(kind)
        return {"$ref": f"#/$defs/{name}"}


def _mapping(properties: Schema, required: Collection[str]) -> Schema:
    needed: Schema = {"required": sorted(required)} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **needed}


def _marked(mark: str) -> Schema:
    match mark:
        case "parameter":
            return {"description": "a parameter", **WORD}
        case "concepts" | "drugs" | "codes":
            return WORDS
        case "bands":
            one = {"type": "object", "minProperties": 1, "maxProperties": 1}
            test = {**one, "propertyNames": {"enum": list(TESTS)}, "additionalProperties": WORD}
            items = {**one, "additionalProperties": test}
            return {"description": "strongest first", "type": "array", "items": items, "minItems": 1}
        case "where":
            value: Schema = {"anyOf": [{"type": "boolean"}, WORD]}
            return {"type": "object", "minProperties": 1, "additionalProperties": value}
        case _:
            return WORD


def _plain(kind: Any) -> Schema:
    if kind is bool:
        return {"type": "boolean"}
    return {"type": "number"} if kind in (int, float, Decimal) else WORD
