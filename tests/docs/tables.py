"""What the pages take over from elsewhere: problem codes, settings, layers of imports, what CDS Hooks demands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ruamel.yaml

from engine.fhir.problems import CODES
from engine.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def problems() -> str:
    rows = [f"| `{code}` | {means} |" for code, means in CODES.items()]
    return "\n".join(["| code | means |", "|---|---|", *rows])


def settings() -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {field.description} | {_default(field.get_default(call_default_factory=True))} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | meaning | default |", "|---|---|---|", *rows])


def _default(value: object) -> str:
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def layers() -> str:
    found = re.search(r"layers =\n((?:    .*\n)+)", (ROOT / ".importlinter").read_text("utf-8"))
    return found[1].rstrip("\n") if found else ""


def _conformance(part: str, heads: str) -> str:
    listed = ruamel.yaml.YAML(typ="safe").load(ROOT / "tests/service/conformance.yaml")[part]
    columns = heads.strip("|").count("|") + 1
    return "\n".join([heads, "|" + "---|" * columns, *map(_row, listed)])


def _row(entry: dict[str, Any]) -> str:
    section = entry.get("section")
    where = f" [{section}](https://cds-hooks.hl7.org/2.0/#{section}) |" if section else ""
    shown = "<br>".join(f"`{test}`" for test in entry.get("tests", ())) or "open"
    return f"| {entry['id']} |{where} {entry['what']} | {entry.get('does') or entry['open']} | {shown} |"


def requirements() -> str:
    return _conformance("requirements", "| | section | demanded | Endplate | shown by |")


def mistakes() -> str:
    return _conformance("mistakes", "| | mistake | Endplate | shown by |")


def ballot() -> str:
    return _conformance("ballot", "| | what changes | Endplate | shown by |")


TABLES: Mapping[str, Callable[[], str]] = {
    "problems": problems, "settings": settings, "layers": layers,
    "requirements": requirements, "mistakes": mistakes, "ballot": ballot,
}  # fmt: skip


def with_tables(text: str) -> str:
    """The page with its generated tables as the code has them today."""
    return _TABLE.sub(lambda mark: f"{mark[1]}\n{TABLES[mark[2]]()}\n\n{mark[3]}", text)
