"""What the tests of this room share: the made-up ruleset, run; and small programs."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from engine.evaluation import Evaluator
from engine.quality.examples import Example, examples
from engine.rules.load import load_ruleset
from engine.rules.program import All, Any, AtLeast, Derived, DerivedCase, Issue, IssueCase, Literal, Program
from engine.rules.ruleset import Ruleset
from engine.vignettes import cases_in

TOY = Path(__file__).parents[1] / "rulesets/toy"
THREE = ("present", "absent", "unknown")


@cache
def toy() -> Ruleset:
    return load_ruleset(TOY)


@cache
def toy_examples() -> tuple[Example, ...]:
    return tuple(examples(Evaluator(toy()), cases_in(TOY)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOY, tmp_path / "toy"))


def rewritten(folder: Path, file: str, old: str, new: str) -> Path:
    path = folder / file
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))
    return folder


def is_(fact: str, *values: str) -> Literal:
    return Literal(fact, frozenset(values))


def is_not(fact: str, *values: str) -> Literal:
    return Literal(fact, frozenset(values), positive=False, closed=True)


def all_(*parts: object) -> All:
    return All(parts)  # type: ignore[arg-type]


def any_(*parts: object) -> Any:
    return Any(parts)  # type: ignore[arg-type]


def at_least(count: int, *parts: object) -> AtLeast:
    return AtLeast(count, parts)  # type: ignore[arg-type]


def derived(name: str, *cases: tuple[str, object]) -> Derived:
    values = tuple(dict.fromkeys([*(value for value, _ in cases), "absent", "unknown"]))
    return Derived(name=name, rule=name, cases=tuple(DerivedCase(v, when) for v, when in cases), values=values)  # type: ignore[arg-type]


def issue(name: str, *cases: tuple[str, object], unless: object = None, **options: object) -> Issue:
    return Issue(
        name=name, rule=name, unless=unless,  # type: ignore[arg-type]
        cases=tuple(IssueCase(severity=severity, when=when) for severity, when in cases),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def program(*rules: Derived | Issue, base: str = "a b c", **options: object) -> Program:
    return Program(patient=rules, order=(), base=dict.fromkeys(base.split(), THREE), **options)  # type: ignore[arg-type]
