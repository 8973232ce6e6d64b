"""The list of the rule book: everything of the ruleset is in it, and is found by what is said of it."""

from __future__ import annotations

import pytest

from engine.evaluation import Evaluator
from engine.rules.ruleset import Ruleset
from engine.workbench.rule_index import FACTS, PARAMETERS, Group, groups_of, matching, words_of
from engine.workbench.rule_lines import Line, nested


@pytest.fixture(scope="module")
def ruleset(evaluator: Evaluator) -> Ruleset:
    return evaluator.ruleset


@pytest.fixture(scope="module")
def groups(ruleset: Ruleset) -> tuple[Group, ...]:
    return groups_of(ruleset)


def found(groups: tuple[Group, ...], query: str) -> dict[str, tuple[str, ...]]:
    return {hit.entry.name: hit.inside for _, hits in matching(groups, query) for hit in hits}


def test_every_rule_fact_and_parameter_stands_in_the_list_once(groups: tuple[Group, ...], ruleset: Ruleset) -> None:
    by_title = {group.title: [entry.name for entry in group.entries] for group in groups}
    facts, parameters = by_title.pop(FACTS), by_title.pop(PARAMETERS)

    assert {title: set(names) for title, names in by_title.items()} == {
        folder: {info.id for info in ruleset.info.values() if info.ruleset == folder} for folder in by_title
    }
    assert sum(map(len, by_title.values())) == len(ruleset.info)
    assert facts == sorted({info.definition for info in ruleset.fact_info.values()})
    assert parameters == sorted(ruleset.facts.parameters)


def test_issues_stand_before_derived_facts(groups: tuple[Group, ...]) -> None:
    for group in groups[:-2]:
        kinds = [entry.kind for entry in group.entries]
        assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize(
    ("query", "name", "inside"),
    [
        ("multifocal", "mimic-mmn", ()),
        ("MIMIC-mmn", "mimic-mmn", ()),
        ("immunoglobulin treats", "mimic-mmn", ("purpose",)),
        ("conduction-block: definite", "mimic-mmn", ("logic",)),
        ("efns/pns", "mimic-mmn", ("sources",)),
        ("achr-repeat-days", "achr", ("parameters",)),
        ("R9", "achr-default-positive", ("sources",)),
        ("binding antibody", "achr", ("value sets",)),
    ],
)
def test_all_that_is_said_is_searched(
    groups: tuple[Group, ...], query: str, name: str, inside: tuple[str, ...]
) -> None:
    hits = found(groups, query)
    assert name in hits
    assert set(inside) <= set(hits[name])


def test_every_word_must_be_found(groups: tuple[Group, ...]) -> None:
    assert found(groups, "multifocal") and not found(groups, "multifocal zebra")
    assert sum(len(hits) for _, hits in matching(groups, " ")) == sum(len(group.entries) for group in groups)
    assert words_of("  One two ONE ") == ("one", "two")


def test_an_outline_becomes_nested_lines() -> None:
    lines = [(0, "a: present"), (0, "any of"), (1, "b: not absent"), (1, "all of"), (2, "c: x"), (0, "d: y")]
    assert nested(lines) == (
        Line("a", "present"),
        Line("", "any of", (Line("b", "not absent"), Line("", "all of", (Line("c", "x"),)))),
        Line("d", "y"),
    )
