"""The catalogue of rules and the picture of their chaining, as plain data and as text."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from engine.errors import InputError
from engine.rules.catalogue import card, lines, rows
from engine.rules.graph import dot, graph, mermaid
from engine.rules.load import load_ruleset
from engine.rules.program import All, Any, AtLeast, Literal

TOY = Path(__file__).parents[1] / "rulesets/toy"


@pytest.fixture(scope="module")
def toy():
    return load_ruleset(TOY)


def test_every_rule_has_a_row_and_filters_leave_rows_out(toy):
    assert [row.id for row in rows(toy, folder="drugs")] == [
        "order.bright-hazard", "brightener-avoid", "dimol-with-brightener", "dimol-without-fever",
    ]  # fmt: skip
    assert {row.id for row in rows(toy, group="crisis")} == {"pulse-crisis"}
    assert len(rows(toy)) == len(rows(toy, kind="issue")) + len(rows(toy, kind="derived")) == 13


def test_a_row_tells_severities_version_and_place(toy):
    (row,) = rows(toy, group="crisis")
    assert (row.severities, row.version, row.status, row.ruleset) == (("high",), "1.0.0", "draft", "lantern")
    assert row.place.startswith("rules/lantern/pulse-crisis.yaml")


def test_a_card_tells_cases_reading_and_readers(toy):
    shown = card(toy, "lantern-fever")
    assert [case.gives for case in shown.cases] == ["refuted", "certain", "likely", "possible"]
    assert shown.cases[1].when == (
        "glow: not absent", "fever-diagnosis: confirmed",
        "at least 2 of", "  glow: present", "  hum: present", "  antibody: present",
    )  # fmt: skip
    assert shown.reads["scan"] == "Scan" and "fever-risk" in shown.read_by and not shown.order


def test_a_card_of_an_issue_tells_unless_display_and_anchors(toy):
    assert card(toy, "dark-scan-alone").unless == ("fever-diagnosis: confirmed",)
    crisis = card(toy, "pulse-crisis")
    assert crisis.cases[0].display == "interruptive" and crisis.cases[0].adjust == ("comfort",)
    assert "glow: present" in crisis.anchors
    assert card(toy, "brightener-avoid").order


def test_a_card_can_be_written_as_json(toy):
    for name in toy.info:
        assert msgspec.json.decode(msgspec.json.encode(card(toy, name)))["info"]["id"] == name


def test_an_unknown_rule_is_answered_with_the_nearest_name(toy):
    with pytest.raises(InputError, match="`puls-crisis` is no rule of `toy`; did you mean `pulse-crisis`"):
        card(toy, "puls-crisis")


def test_long_lists_of_values_are_cut_and_groups_are_indented():
    many = Literal("drug", frozenset(f"d{number:02}" for number in range(12)))
    nested = Any((All((many, Literal("b", frozenset({"x"}), positive=False, closed=True))), AtLeast(2, (many, many))))
    assert list(lines(nested))[:4] == [
        "any of", "  all of",
        "    drug: d00 or d01 or d02 or d03 or d04 or d05 or d06 or d07 or 4 more", "    b: not x",
    ]  # fmt: skip


# -- graph


def test_the_graph_holds_every_rule_and_every_reading(toy):
    drawn = graph(toy.program)
    rules = {rule.name for rule in (*toy.program.patient, *toy.program.order)}
    assert rules <= {vertex.name for vertex in drawn.vertices}
    reading = {(fact, name) for fact, names in toy.chain.items() for name in names}
    assert {(edge.source, edge.target) for edge in drawn.edges} == reading


def test_without_base_facts_only_rules_are_left(toy):
    assert {vertex.kind for vertex in graph(toy.program, base=False).vertices} == {"derived", "issue"}


def test_the_graph_of_one_fact_is_what_leads_to_it_and_follows_from_it(toy):
    names = {vertex.name for vertex in graph(toy.program, of="fever-risk", base=False).vertices}
    assert names == {
        "lantern-fever", "fever-risk", "pulse-crisis", "order.bright-hazard", "brightener-avoid", "dimol-without-fever",
    }  # fmt: skip


def test_an_unknown_fact_has_no_graph(toy):
    with pytest.raises(InputError, match="did you mean `fever-risk`"):
        graph(toy.program, of="fever-rsk")


def test_dot_is_well_formed_and_marks_tests_by_not(toy):
    text = dot(graph(toy.program))
    assert text.count("{") == text.count("}") and text.startswith("digraph rules {")
    assert '"fever-risk" -> "dimol-without-fever" [style=dashed];' in text
    assert '"fever-risk" -> "pulse-crisis";' in text
    assert 'label="each order"' in text


def test_mermaid_names_every_vertex_once_and_every_edge(toy):
    drawn = graph(toy.program)
    text = mermaid(drawn).splitlines()
    assert text[0] == "flowchart LR"
    ids = [match[1] for line in text if (match := re.match(r"  (n\d+)[\[(]", line))]
    assert len(ids) == len(set(ids)) == len(drawn.vertices)
    assert sum("-->" in line or "-.->" in line for line in text) == len(drawn.edges)
