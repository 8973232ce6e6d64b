"""JSON Schemas of the files of a ruleset, for editors: they complete keys and mark mistakes while a rule is written.

The checker decides; a schema knows no names of facts. `rulesets/schema/*.json` are written by `python -m
engine.rules.schema`, and a test holds them current. Facts and concepts follow the types of the kinds' options.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from engine.model.finding import DISPLAYS, SEVERITIES
from engine.rules.header import NAME, STATUSES, TEXTS, VERSION
from engine.rules.library import RESOURCES
from engine.rules.policies import STEP
from engine.rules.schema_facts import concepts_schema, facts_schema, parameters_schema
from engine.rules.source import GROUPS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
NAMED: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
CONDITION: Schema = {"$ref": "#/$defs/condition"}


def schemas() -> dict[str, Schema]:
    """Every schema by the name of its file."""
    found = {
        "rule": rule_schema(),
        "ruleset": ruleset_schema(),
        "facts": facts_schema(),
        "concepts": concepts_schema(),
        "parameters": parameters_schema(),
        "vignettes": vignettes_schema(),
        "references": references_schema(),
        "orders": orders_schema(),
        "workbench": workbench_schema(),
    }
    return {f"{name}.json": {"$schema": DIALECT, **schema} for name, schema in found.items()}


def rendered(schema: Mapping[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def mapping(properties: Schema, required: Collection[str] = (), **more: Any) -> Schema:
    """A mapping with these keys and no others."""
    needed: Schema = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **needed, **more}


def listed(items: Schema, least: int = 1) -> Schema:
    return {"type": "array", "items": items, "minItems": least}


def one_of(words: Collection[str]) -> Schema:
    return {"enum": list(words)}


def texts() -> Schema:
    """A text, or a list of texts."""
    return {"anyOf": [TEXT, listed(TEXT)]}


# -- rules ------------------------------------------------------------------------------------------------------------


def condition_schema() -> Schema:
    """A mapping of tests; every key that is no word of the language is the name of a fact."""
    values: Schema = {"anyOf": [TEXT, listed(TEXT)]}
    test: Schema = {
        "description": "one value, several, a named set, `unknown`, `not x`, or {not: [x, y]}",
        "anyOf": [TEXT, listed(TEXT), mapping({"not": values}, ["not"])],
    }
    conditions = listed(CONDITION)
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {
            "any": {"description": "one of these holds", **conditions},
            "all": {"description": "all of these hold", **conditions},
            "at_least": {"description": "how many of `of` hold", "type": "integer", "minimum": 1},
            "of": conditions,
            "not": False,
        },
        "dependentRequired": {"at_least": ["of"], "of": ["at_least"]},
        "additionalProperties": test,
    }


def header_properties() -> Schema:
    source = {"anyOf": [TEXT, mapping({"ref": TEXT, "says": TEXT}, ["ref"])]}
    return {
        "id": {"description": "the name of the file", **NAMED},
        "version": {"type": "string", "pattern": f"^{VERSION.pattern}$"},
        "status": one_of(STATUSES),
        **dict.fromkeys(TEXTS, TEXT),
        "sources": listed(source),
        "uncomputed": {"description": "exceptions that no data can show", **texts()},
    }


def case_properties() -> Schema:
    return {
        "severity": one_of(SEVERITIES),
        "when": CONDITION,
        "adjust": {"description": "adjustments of ruleset.yaml, in the order in which they apply",
                   "anyOf": [TEXT, listed(TEXT, 0)]},
        "display": one_of(DISPLAYS),
        "summary": {"description": "at most 139 characters once `{fact}` is filled in", **TEXT},
        "advice": texts(),
        "suggest": listed(mapping({"order": TEXT}, ["order"])),
    }  # fmt: skip


def rule_schema() -> Schema:
    """A rule: a derived fact or an issue, under a header."""
    header, case = header_properties(), case_properties()
    needed = ["id", "version", "status", *TEXTS, "sources"]
    sets: Schema = {"type": "object", "propertyNames": NAMED, "additionalProperties": listed(TEXT), "minProperties": 1}
    derived_case: Schema = {
        "type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": NAMED,
        "additionalProperties": CONDITION,
    }  # fmt: skip
    derived = mapping(
        {**header, "conclude": NAMED, "when": CONDITION, "cases": listed(derived_case), "sets": sets},
        [*needed, "conclude"],
        anyOf=[{"required": ["when"]}, {"required": ["cases"]}],
    )
    issue = mapping(
        {
            **header, "issue": NAMED, "group": one_of(GROUPS), "category": TEXT, **case,
            "cases": listed(mapping(case, ["severity", "when"])), "unless": CONDITION, "list": listed(CONDITION),
        },
        [*needed, "issue", "category"],
        oneOf=[{"required": ["severity", "when"]}, {"required": ["cases"]}],
    )  # fmt: skip
    return {
        "title": "A rule",
        "type": "object",
        "if": {"required": ["issue"]},
        "then": issue,
        "else": derived,
        "$defs": {"condition": condition_schema()},
    }


# -- what stands beside the rules -------------------------------------------------------------------------------------


def ruleset_schema() -> Schema:
    groups = {"type": "array", "items": one_of(GROUPS)}
    gate = mapping(
        {"when": CONDITION, "keep": groups, "mute": {**groups, "minItems": 1}, "why": TEXT},
        ["when"],
        oneOf=[{"required": ["keep"]}, {"required": ["mute"]}],
    )
    adjustment = mapping(
        {"when": CONDITION, "severity": one_of((*SEVERITIES, STEP)), "display": one_of(DISPLAYS)},
        ["when"],
        anyOf=[{"required": ["severity"]}, {"required": ["display"]}],
    )
    properties = {
        "id": NAMED,
        "version": {"type": "string", "pattern": f"^{VERSION.pattern}$"},
        "title": TEXT,
        "description": TEXT,
        "language": TEXT,
        "gates": listed(gate),
        "adjustments": {"type": "object", "additionalProperties": adjustment, "minProperties": 1},
    }
    schema = mapping(properties, ["id", "version", "title"])
    return {"title": "A ruleset and its policies", **schema, "$defs": {"condition": condition_schema()}}


def references_schema() -> Schema:
    entry = {"anyOf": [TEXT, mapping({"citation": TEXT, "url": TEXT}, ["citation"])]}
    return {"title": "The sources of rules", "type": "object", "additionalProperties": entry}


def orders_schema() -> Schema:
    properties = {
        "title": TEXT, "resource": one_of(RESOURCES), "system": TEXT, "code": TEXT, "display": TEXT,
        "replaces": {"type": "boolean"},
    }  # fmt: skip
    entry = mapping(properties, ["title"], dependentRequired={"system": ["code"], "code": ["system"]})
    return {"title": "Orders that a card may suggest", "type": "object", "additionalProperties": entry}


def workbench_schema() -> Schema:
    """Criteria side by side, and the map of the body."""

    def line(**more: Schema) -> Schema:
        one_way = [{"required": ["when"]}, {"required": ["case"]}]
        return mapping({"title": TEXT, "when": CONDITION, "case": TEXT, **more}, ["title"], oneOf=one_way)

    criteria = mapping(
        {"title": TEXT, "fact": TEXT, "note": TEXT, "lines": listed(line(lines=listed(line())))},
        ["title", "fact", "lines"],
    )
    sign = mapping({"short": TEXT, "title": TEXT, "facts": texts(), "sign": TEXT}, ["short", "title", "facts"])
    regions: Schema = {"type": "object", "additionalProperties": TEXT, "minProperties": 1}
    body = mapping({"regions": regions, "signs": listed(sign)}, ["regions", "signs"])
    schema = mapping({"criteria": listed(criteria), "body": body})
    return {"title": "What a page of a patient shows", **schema, "$defs": {"condition": condition_schema()}}


def vignettes_schema() -> Schema:
    """Small patients with what must and must not be found; their data are described where they are run."""
    by_issue = {"type": ["object", "null"], "additionalProperties": one_of(SEVERITIES)}
    vignette = {
        "type": "object",
        "properties": {
            "id": TEXT, "title": TEXT, "now": TEXT, "scope": TEXT, "patient": {"type": "object"},
            "facts": {"type": "array", "items": {"type": "object"}},
            "must": by_issue, "must_not": {"type": ["array", "null"], "items": TEXT},
            "display": {"type": "object", "additionalProperties": one_of(DISPLAYS)},
            "says": {"type": "object", "additionalProperties": TEXT},
            "derived": {"type": "object", "additionalProperties": {"type": ["string", "boolean", "null"]}}, "why": TEXT,
        },
        "required": ["id", "title", "now"],
    }  # fmt: skip
    return {"title": "Vignettes", "type": "array", "items": vignette}


def main(folder: Path) -> None:
    """Write every schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / name).write_text(rendered(schema), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("rulesets/schema"))
