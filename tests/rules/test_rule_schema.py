"""The JSON Schemas for editors: valid, current, true of every file, and strict where the language is."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import jsonschema_rs
import pytest

from engine.document import load_document, parse_document
from engine.rules.files import bundled
from engine.rules.schema import main, rendered, schemas

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "tests/rulesets/toy", bundled())
FILES = {
    "rule.json": "rules/**/*.yaml",
    "ruleset.json": "ruleset.yaml",
    "facts.json": "facts/*.yaml",
    "concepts.json": "concepts.yaml",
    "parameters.json": "parameters.yaml",
    "references.json": "references.yaml",
    "orders.json": "orders.yaml",
    "workbench.json": "workbench.yaml",
    "vignettes.json": "vignettes/*.yaml",
}


def plain(data):
    """YAML data as JSON knows it."""
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    return float(data) if isinstance(data, Decimal) else data


@pytest.mark.parametrize("name", sorted(schemas()))
def test_a_schema_is_valid_and_its_file_is_current(name):
    schema = schemas()[name]
    jsonschema_rs.meta.validate(schema)
    stored = (ROOT / "rulesets/schema" / name).read_text(encoding="utf-8")
    assert stored == rendered(schema), "run `python -m engine.rules.schema`"


def test_no_schema_is_left_over():
    assert {path.name for path in (ROOT / "rulesets/schema").glob("*.json")} == set(schemas())


def test_schemas_can_be_written_anywhere(tmp_path):
    main(tmp_path / "schema")
    assert json.loads((tmp_path / "schema/rule.json").read_text())["title"] == "A rule"


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_of_a_ruleset_fits_its_schema(folder, name):
    validator = jsonschema_rs.validator_for(schemas()[name])
    for path in sorted(folder.glob(FILES[name])):
        data = plain(load_document(path).data)
        errors = [f"{'/'.join(map(str, e.instance_path))}: {e.message[:200]}" for e in validator.iter_errors(data)]
        assert not errors, (path, errors)


RULE = (ROOT / "tests/rulesets/toy/rules/lantern/pulse-crisis.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("severity: high", "severity: severe"),
        ("group: crisis", "group: crises"),
        ("sources:", "source:"),
        ("version: 1.0.0", "version: one"),
        ("title:", "titel:"),
        ("{fever-risk: at-risk, pulse-fresh: critical}", "{}"),
        ("pulse-fresh: critical", "pulse-fresh: 140"),
        ("pulse-fresh: critical", "pulse-fresh: {never: critical}"),
        ("pulse-fresh: critical", "at_least: 2"),
        ("pulse-fresh: critical", "any: []"),
        ("issue: pulse-crisis", "conclude: pulse-crisis"),
    ],
)
def test_a_mistake_is_marked_while_it_is_written(old, new):
    assert old in RULE
    validator = jsonschema_rs.validator_for(schemas()["rule.json"])
    assert validator.is_valid(plain(parse_document(RULE, "rule.yaml").data))
    assert not validator.is_valid(plain(parse_document(RULE.replace(old, new), "rule.yaml").data))


FACTS = (ROOT / "tests/rulesets/toy/facts/signs.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: quantity", "kind: quantities"),
        ("within: fresh-days", "inside: fresh-days"),
        ("at_least: pulse-fast", "over: pulse-fast"),
        ("live_only: true", "live_only: always"),
        ("like: glow", "likes: glow"),
    ],
)
def test_a_mistake_in_a_fact_is_marked(old, new):
    assert old in FACTS
    validator = jsonschema_rs.validator_for(schemas()["facts.json"])
    assert validator.is_valid(plain(parse_document(FACTS, "facts.yaml").data))
    assert not validator.is_valid(plain(parse_document(FACTS.replace(old, new), "facts.yaml").data))
