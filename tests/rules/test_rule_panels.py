# ruff: noqa: E501
"""workbench.yaml: criteria and a map of the body out of the rules of a ruleset, or faults with their place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.document import parse_document
from engine.errors import Fault, RulesetError
from engine.rules import build, cache
from engine.rules.files import bundled
from engine.rules.load import load_ruleset
from engine.rules.panels import Panels
from engine.rules.panels_load import read_panels
from engine.rules.program import All, Any, Literal

TOY = Path(__file__).parents[1] / "rulesets/toy"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOY, tmp_path / "toy"))


def panels(folder: Path, text: str) -> Panels:
    (folder / "workbench.yaml").write_text(text, encoding="utf-8")
    return load_ruleset(folder).panels


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(RulesetError) as refused:
        panels(folder, text)
    return [str(fault).replace(f"{folder.as_posix()}/", "") for fault in refused.value.faults]


def test_a_ruleset_without_the_file_shows_nothing_beside_its_findings() -> None:
    assert load_ruleset(TOY).panels == Panels()


def test_the_file_of_the_product_names_five_sets_of_criteria_and_a_map() -> None:
    found = load_ruleset().panels
    assert [one.title for one in found.criteria] == ["Gold Coast", "Revised El Escorial", "Awaji", "ALS with MG", "McDonald 2017"]
    assert found.body is not None and list(found.body.regions) == ["bulbar", "cervical", "thoracic", "lumbosacral"]


def test_panels_are_part_of_the_compiled_ruleset(tmp_path: Path) -> None:
    read = load_ruleset(cache_dir=tmp_path)
    assert any(cache.MAGIC in path.read_bytes() for path in tmp_path.iterdir())
    assert load_ruleset(cache_dir=tmp_path).panels == read.panels != Panels()


def test_a_line_is_a_condition_or_a_case_of_the_rule(folder: Path) -> None:
    [one] = panels(folder, """\
criteria:
- title: Lantern fever
  fact: lantern-fever
  lines:
  - {title: a condition, when: {glow: present}}
  - {title: a case, case: likely, lines: [{title: a part, when: {glow: not absent}}]}
""").criteria
    condition, case = one.lines
    assert condition.when == Literal("glow", frozenset({"present"}))
    assert isinstance(case.when, All), "what is common to all cases is part of it"
    assert [part.title for part in case.lines] == ["a part"]
    assert case.lines[0].when == Literal("glow", frozenset({"absent"}), positive=False, closed=True)


def test_several_cases_of_one_value_are_one_line(tmp_path: Path) -> None:
    """McDonald and MG: `possible` is reached in two ways."""
    folder = Path(shutil.copytree(bundled(), tmp_path / "copy"))
    text = "criteria:\n- title: MG\n  fact: mg-criteria\n  lines: [{title: possible, case: possible}]\n"
    [one] = panels(folder, text).criteria
    assert isinstance(one.lines[0].when, Any) and len(one.lines[0].when.parts) == 2


BODY = "body:\n  regions: {bulbar: B, cervical: C, thoracic: T, lumbosacral: L}\n  signs:\n"

WRONG = {
    "no mapping": ("- a\n", "workbench.yaml:1:1: workbench.yaml must be a mapping"),
    "unknown key": ("columns: []\ncriteria: []\n", "workbench.yaml:1:1: `columns` is no key of workbench.yaml"),
    "no fact": ("criteria:\n- {title: A, lines: [{title: x, when: {als-diagnosis: confirmed}}]}\n", "workbench.yaml:2:3: `fact` is missing"),
    "fact that is none": ("criteria:\n- title: A\n  fact: gold-cost\n  lines: []\n", "workbench.yaml:3:9: `gold-cost` is no derived fact of the patient"),
    "base fact": ("criteria:\n- title: A\n  fact: progression\n  lines: []\n", "workbench.yaml:3:9: `progression` is no derived fact"),
    "of an order": ("criteria:\n- title: A\n  fact: order.mg-hazard\n  lines: []\n", "workbench.yaml:3:9: `order.mg-hazard` is no derived fact of the patient"),
    "no lines": ("criteria:\n- title: A\n  fact: gold-coast\n", "workbench.yaml:2:3: `lines` is missing"),
    "empty lines": ("criteria:\n- title: A\n  fact: gold-coast\n  lines: []\n", "workbench.yaml:4:10: `lines` must be a list of lines"),
    "fact in a condition": ("criteria:\n- title: A\n  fact: gold-coast\n  lines:\n  - {title: x, when: {progresion: present}}\n", "workbench.yaml:5:23: `progresion` is no fact"),
    "value in a condition": ("criteria:\n- title: A\n  fact: gold-coast\n  lines:\n  - {title: x, when: {progression: perhaps}}\n", "workbench.yaml:5:36: `perhaps` is no value"),
    "case that is none": ("criteria:\n- title: A\n  fact: awaji\n  lines: [{title: x, case: certain}]\n", "workbench.yaml:4:28: `certain` is no case of `awaji`"),
    "both": ("criteria:\n- title: A\n  fact: awaji\n  lines: [{title: x, case: definite, when: {progression: present}}]\n", "workbench.yaml:4:11: a line needs either `when` or `case`"),
    "neither": ("criteria:\n- title: A\n  fact: awaji\n  lines: [{title: x}]\n", "workbench.yaml:4:11: a line needs either `when` or `case`"),
    "too deep": ("criteria:\n- title: A\n  fact: awaji\n  lines: [{title: x, case: definite, lines: [{title: y, case: definite, lines: []}]}]\n", "workbench.yaml:4:73: `lines` is no key of a line"),
    "half a body": ("body: {regions: {bulbar: B}}\n", "workbench.yaml:1:7: `body` needs `regions` and `signs`"),
    "foreign region": (BODY.replace("{bulbar", "{head: H, bulbar") + "  - {short: U, title: U, facts: umn}\n", "workbench.yaml:2:13: `head` is no key of `regions`"),
    "missing region": (BODY.replace(", lumbosacral: L", "") + "  - {short: U, title: U, facts: umn}\n", "workbench.yaml:2:12: `lumbosacral` is missing"),
    "no signs": (BODY.replace("signs:", "signs: []"), "workbench.yaml:3:10: `signs` must be a list of signs"),
    "sign without facts": (BODY + "  - {short: U, title: U}\n", "workbench.yaml:4:5: a sign needs `facts`"),
    "fact of a sign": (BODY + "  - {short: U, title: U, facts: [umm]}\n", "workbench.yaml:4:34: `umm` is no fact"),
    "fact without regions": (BODY + "  - {short: U, title: U, facts: [progression]}\n", "workbench.yaml:4:34: `progression` does not speak of body regions"),
    "concept of a sign": (BODY + "  - {short: U, title: U, facts: [umn], sign: umn-sing}\n", "workbench.yaml:4:46: `umn-sing` is no concept"),
}  # fmt: skip


@pytest.fixture(scope="module")
def known() -> tuple[object, ...]:
    """The compiled rules of the product, its regions and concepts: as the loader hands them over."""
    held: list[tuple[object, ...]] = []

    def keep(document: object, *of: object) -> Panels:
        held.append(of[:-1])
        return Panels()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "read_panels", keep)
        load_ruleset()
    return held[0]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_is_told_with_its_place(known: tuple[object, ...], wrong: str) -> None:
    text, told = WRONG[wrong]
    found: list[Fault] = []
    read_panels(parse_document(text, "workbench.yaml"), *known, found)  # type: ignore[arg-type]
    assert any(str(fault).startswith(told) for fault in found), found


def test_the_checker_refuses_a_ruleset_whose_panels_are_wrong(folder: Path) -> None:
    text = "criteria:\n- title: A\n  fact: lantern-fevr\n  lines: [{title: x, when: {glow: present}}]\n"
    assert faults(folder, text) == [
        "workbench.yaml:3:9: `lantern-fevr` is no derived fact of the patient; did you mean `lantern-fever`?"
    ]
    assert faults(folder, "criteria: [")[0].startswith("workbench.yaml:1:")


def test_a_file_that_says_nothing_is_a_mistake(folder: Path) -> None:
    assert faults(folder, "") == ["workbench.yaml: workbench.yaml must be a mapping, not empty"]
