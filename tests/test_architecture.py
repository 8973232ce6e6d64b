"""What the rooms may know: the engine no disease, the core no web and no clock, the rules no number and no path."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "engine"
CONTENT = ROOT / "rulesets/neuromuscular"
MODULES = sorted(ENGINE.rglob("*.py"))
CORE = ("errors", "model", "document", "terminology", "fhir", "facts", "rules", "inference", "explanation", "texts",
        "identity", "findings", "evaluation", "views")  # fmt: skip
EDGE = ("fastapi", "starlette", "uvicorn", "pydantic", "fhir", "typer", "rich", "jinja2", "structlog", "durable",
        "durable_rules_engine", "sqlalchemy")  # fmt: skip
LARGEST = 350

# words that mean something in the content, and something else in code
MILLIGRAM_AND_METAL = {"mg", "lead"}
DISEASE = re.compile(
    r"(?i)\b(als|achr|musk|lrp4|vgcc|lems|sbma|mmn|myasthen\w*|amyotroph\w*|sclerosis|el[- ]escorial|awaji"
    r"|gold[- ]coast|riluzole|pyridostigmine|snomed|loinc|rxnorm|whocc|icd-?10|hpo)\b"
)
CODE = re.compile(r"(?<![\w.-])(\d{3,6}-\d|[1-9]\d{7,17}|[A-TV-Z]\d\d\.\d{1,2})(?![\w.-])")  # LOINC, SNOMED CT, ICD-10
PATH = re.compile(r"\b[A-Z][a-z]+[A-Za-z]*\.[a-z]\w+|\bvalue(Quantity|CodeableConcept|Boolean|String)\b")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """String literals of a module that are no documentation, with their lines."""
    tree = ast.parse(path.read_text("utf-8"))
    documentation = {
        id(node.value)
        for holder in ast.walk(tree)
        if isinstance(holder, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for node in holder.body
        if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def words_of_the_content() -> frozenset[str]:
    """Concepts and ingredients of the ruleset."""
    found = set()
    for file in (CONTENT / "valuesets").glob("*.csv"):
        for row in csv.DictReader(file.read_text("utf-8").splitlines()):
            found |= {row.get("concept") or "", row.get("ingredient") or ""}
    return frozenset(found - {""} - MILLIGRAM_AND_METAL)


# -- the engine knows no disease --------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_the_engine_names_no_disease_no_drug_and_no_code(module: Path) -> None:
    content = words_of_the_content()
    told = [
        f"{name(module)}:{line}: {text!r}"
        for line, text in texts(module)
        if text in content or DISEASE.search(text) or CODE.search(text)
    ]
    assert told == []


def test_no_name_in_the_engine_is_that_of_a_concept() -> None:
    content = {word.replace("-", "_") for word in words_of_the_content() if len(word) > 3}
    for module in MODULES:
        names = {node.id for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.Name)}
        assert not names & content, name(module)


# -- the core knows no web and no clock -------------------------------------------------------------------------------


LIGHT = ["engine", "engine.evaluation", "engine.rules.load", "engine.rules.ruleset", "engine.fhir.record"]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_the_core_imports_nothing_of_the_edge(module: str) -> None:
    code = f"import {module}, sys; print(sorted(set(sys.modules) & {set(EDGE)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def core_modules() -> list[Path]:
    return [path for path in MODULES if path.relative_to(ENGINE).parts[0].removesuffix(".py") in CORE]


@pytest.mark.parametrize("module", core_modules(), ids=name)
def test_the_core_never_reads_the_clock_the_environment_or_chance(module: Path) -> None:
    forbidden = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "getenv", "random", "uuid4"}
    allowed = {"engine/inference/guarded.py"}  # hands its own environment to the process that it starts
    sources = {"datetime", "date", "time", "os", "random", "uuid"}
    called = [
        f"{name(module)}:{node.lineno}: {node.func.attr}"
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in forbidden
        if isinstance(node.func.value, ast.Name) and node.func.value.id in sources
    ]
    assert called == []
    if name(module) not in allowed:
        assert "os.environ" not in module.read_text("utf-8")


def test_imports_point_down() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# -- a module is one noun ---------------------------------------------------------------------------------------------


def test_no_module_has_grown_large() -> None:
    lines = {name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {module: count for module, count in lines.items() if count > LARGEST} == {}
    assert sorted(lines.values())[len(lines) // 2] <= 150


# -- rules know no number and no path ---------------------------------------------------------------------------------

LOGIC = ("when", "unless", "cases", "list", "sets")
WORDS = ("summary", "advice", "severity", "display", "adjust")
RULES = sorted((CONTENT / "rules").rglob("*.yaml"))


def logic(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key and scalar of the part of a rule that decides."""
    if isinstance(value, dict):
        for inner, below in value.items():
            if inner not in WORDS:
                yield "key", inner
                yield from logic(below, inner)
    elif isinstance(value, list):
        for below in value:
            yield from logic(below, key)
    else:
        yield key, value


@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_a_rule_holds_no_number_no_code_and_no_path(file: Path) -> None:
    rule = ruamel.yaml.YAML(typ="safe").load(file)
    assert rule["id"] == file.stem
    for part in LOGIC:
        for key, value in logic(rule.get(part)):
            if value is None or (key == "at_least" and isinstance(value, int)):
                continue
            assert isinstance(value, str), f"{key}: {value}"
            assert not CODE.search(value), value
            assert not PATH.search(value), value
            assert not re.fullmatch(r"[\d.]+", value), value


def test_there_are_rules_to_look_at() -> None:
    assert len(RULES) > 150
