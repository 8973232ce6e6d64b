"""The reference pages leave nothing out: kinds and options, value sets, problem codes, settings, layers, grammar."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from tables import with_tables

from engine.facts.definition import Definition
from engine.facts.kinds import KINDS
from engine.rules.source import GROUPS
from engine.views import VIEWS

ROOT = Path(__file__).resolve().parents[2]
VALUESETS = ROOT / "rulesets/neuromuscular/valuesets"
NOT_YAML = {"regions", "ingredients", "ended"}  # options that the loader fills in


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def section(text: str, heading: str) -> str:
    found = re.search(rf"^### `{re.escape(heading)}`\n(.*?)(?=^###? |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found, f"docs/facts.md has no section `{heading}`"
    return found[1]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_option_of_a_kind_is_documented(kind: str) -> None:
    text = section(page("docs/facts.md"), kind)
    shared = {field.encode_name for field in msgspec.structs.fields(Definition)}
    for field in msgspec.structs.fields(KINDS[kind]):
        name = field.encode_name
        if name not in shared | NOT_YAML:
            assert f"`{name}`" in text, f"`{name}` of the kind `{kind}` is not documented"


def test_no_kind_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^### `([a-z-]+)`$", page("docs/facts.md"), flags=re.MULTILINE)) == set(KINDS)


def test_what_every_fact_has_is_documented() -> None:
    text = page("docs/facts.md")
    for field in msgspec.structs.fields(Definition):
        if field.encode_name != "name":
            assert f"`{field.encode_name}`" in text


def test_every_value_set_file_is_documented() -> None:
    named = set(re.findall(r"^\| `([\w-]+\.csv)` \|", page("docs/terminology.md"), flags=re.MULTILINE))
    assert named == {path.name for path in VALUESETS.glob("*.csv")}


def test_the_generated_tables_are_current() -> None:
    """Problem codes, settings, layers, conformance: `python tools/refresh_docs.py` writes them."""
    for path in ("docs/outputs.md", "docs/settings.md", "docs/conformance.md", "ARCHITECTURE.md"):
        assert with_tables(page(path)) == page(path), path
    assert "| `not-json` |" in page("docs/outputs.md")
    assert "| `ENDPLATE_TRUSTED_CLIENTS` |" in page("docs/settings.md")
    assert "    engine.errors" in page("ARCHITECTURE.md")
    assert page("docs/conformance.md").count("| `tests/") > 90


def test_every_view_and_group_is_documented() -> None:
    assert all(f"| `{view}` |" in page("docs/outputs.md") for view in VIEWS)
    assert all(f"`{group}`" in page("docs/rule-language.md") for group in GROUPS)


def test_every_room_is_in_the_architecture() -> None:
    text = page("ARCHITECTURE.md")
    inside = (ROOT / "engine").iterdir()
    rooms = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert [room for room in sorted(rooms - {"__init__"}) if f"`{room}`" not in text] == []


def test_the_pages_say_that_the_content_is_not_signed_off() -> None:
    for name in ("README.md", "docs/limits.md"):
        assert "signed off by a clinician" in page(name)
    assert "does not replace it" in page("README.md")
