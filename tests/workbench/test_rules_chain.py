"""The picture of the forward chaining: whole, in order, the same each time."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation import Evaluator
from engine.rules.graph import Edge, Graph, Vertex, graph
from engine.rules.ruleset import Ruleset
from engine.workbench.chain import LONGEST, MARGIN, Box, around, depths, of_folder, picture

NUMBERS = re.compile(r"-?\d+\.?\d*")


@pytest.fixture(scope="module")
def ruleset(evaluator: Evaluator) -> Ruleset:
    return evaluator.ruleset


def drawings(ruleset: Ruleset) -> list[Graph]:
    whole = graph(ruleset.program)
    return [
        whole,
        graph(ruleset.program, base=False),
        of_folder(whole, ruleset, "als-mimics"),
        *(around(whole, [name], 2) for name in list(ruleset.info)[::12]),
    ]


def overlap(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not beside and abs(one.y - other.y) < one.height


def test_everything_is_drawn_once_and_nothing_hides_another(ruleset: Ruleset) -> None:
    for drawn in drawings(ruleset):
        shown = picture(drawn, ruleset)
        assert sorted(box.name for box in shown.boxes) == sorted(vertex.name for vertex in drawn.vertices)
        assert [(c.source, c.target, c.closed) for c in shown.curves] == [
            (edge.source, edge.target, edge.closed) for edge in drawn.edges
        ]
        assert not any(overlap(one, other) for one, other in combinations(shown.boxes, 2))
        for box in shown.boxes:
            assert box.x >= MARGIN and box.x + box.width <= shown.width - MARGIN + 0.2
            assert box.y >= 0 and box.y + box.height <= shown.height
            assert len(box.label) <= LONGEST


def test_what_is_read_stands_to_the_left_and_the_line_joins_both(ruleset: Ruleset) -> None:
    drawn = graph(ruleset.program)
    shown = picture(drawn, ruleset)
    boxes = {box.name: box for box in shown.boxes}
    for curve in shown.curves:
        source, target = boxes[curve.source], boxes[curve.target]
        assert source.x + source.width < target.x
        numbers = [float(one) for one in NUMBERS.findall(curve.path)]
        start, end = numbers[:2], numbers[-2:]
        assert start == pytest.approx([source.x + source.width, source.y + source.height / 2], abs=0.2)
        assert end == pytest.approx([target.x, target.y + target.height / 2], abs=0.2)


def test_the_same_graph_gives_the_same_picture_whatever_the_order_of_its_parts(ruleset: Ruleset) -> None:
    drawn = around(graph(ruleset.program), ["mimic-mmn"], 2)
    turned = Graph(tuple(reversed(drawn.vertices)), drawn.edges)
    assert picture(drawn, ruleset, "mimic-mmn") == picture(turned, ruleset, "mimic-mmn")


def test_the_chosen_rule_and_its_lines_are_marked(ruleset: Ruleset) -> None:
    shown = picture(around(graph(ruleset.program), ["mimic-mmn"], 2), ruleset, "mimic-mmn")
    assert [box.name for box in shown.boxes if box.chosen] == ["mimic-mmn"]
    assert all(curve.near == ("mimic-mmn" in (curve.source, curve.target)) for curve in shown.curves)


def test_each_step_reaches_further_along_what_is_read(ruleset: Ruleset) -> None:
    whole = graph(ruleset.program)
    one, two = (around(whole, ["mimic-mmn"], steps) for steps in (1, 2))
    direct = {edge.source for edge in whole.edges if edge.target == "mimic-mmn"}
    after = {edge.target for edge in whole.edges if edge.source == "mimic-mmn"}
    assert {vertex.name for vertex in one.vertices} == {"mimic-mmn"} | direct | after
    assert set(one.vertices) < set(two.vertices)


PAIRS = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1])


@settings(max_examples=60, deadline=None)
@given(pairs=st.sets(PAIRS, max_size=25))
def test_any_graph_without_cycles_can_be_drawn(ruleset: Ruleset, pairs: set[tuple[int, int]]) -> None:
    names = sorted({name for pair in pairs for name in pair} | {0})
    drawn = Graph(
        tuple(Vertex(f"n{name}", "base") for name in names),
        tuple(sorted(Edge(f"n{one}", f"n{other}") for one, other in pairs)),
    )
    column = depths({}, drawn)
    assert all(column[edge.source] < column[edge.target] for edge in drawn.edges)
    shown = picture(drawn, ruleset)
    assert len(shown.boxes) == len(names) and len(shown.curves) == len(pairs)
