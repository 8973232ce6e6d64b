"""Criteria side by side: each set with its answer, and each of its lines true, false or unknown, with what decides."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.evaluation import Explaining
from engine.explanation.tree import Node
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.info import RuleInfo
from engine.rules.panels import Line

WORDS = {PRESENT: "met", ABSENT: "not met", UNKNOWN: "not decidable"}
TRUTH = {PRESENT: "true", ABSENT: "false", UNKNOWN: "unknown"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of criteria. `tree`: what makes it true, false or unknown."""

    title: str
    truth: str
    tree: tuple[Node, ...]
    rows: tuple[Row, ...] = ()


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One set of criteria. `answer`: met, not met, not decidable, or the category that holds; `truth`: of it."""

    title: str
    note: str
    rule: RuleInfo
    answer: str
    truth: str
    category: bool  # the answer is more than met or not met
    rows: tuple[Row, ...]


def criteria_of(reasoning: Explaining) -> Iterator[Column]:
    """The criteria of the ruleset (workbench.yaml), for one patient."""
    ruleset = reasoning.e.ruleset
    for one in ruleset.panels.criteria:
        value = reasoning.value(one.fact)
        yield Column(
            title=one.title,
            note=one.note,
            rule=ruleset.info[one.fact],
            answer=WORDS.get(value, value.replace("-", " ")),
            truth=TRUTH.get(value, "true"),
            category=value not in WORDS,
            rows=tuple(_row(reasoning, line) for line in one.lines),
        )


def _row(reasoning: Explaining, line: Line) -> Row:
    node = reasoning.judged(line.when)
    parts = node.children if not (node.fact or node.evidence) else (node,)
    return Row(title=line.title, truth=node.truth, tree=parts, rows=tuple(_row(reasoning, part) for part in line.lines))
