"""The forward chaining as a picture: facts on the left, what rests on them to the right of them.

A layered drawing (after Sugiyama): a rule stands one column to the right of the last thing that it reads, an edge over
several columns keeps a lane of its own in each of them, and the rows are ordered by the mean place of their neighbours.
The same graph always gives the same picture. Lengths are in units of the drawing (CSS pixels at its natural size).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from engine.rules.graph import Edge, Graph, Kind
from engine.rules.program import Rule
from engine.rules.ruleset import Ruleset

ROW, HEIGHT = 34.0, 24.0
GAP = 72.0  # between columns: the edges bend there
CHARACTER, PADDING = 7.1, 18.0  # of a name, at the size of the sheet
LANE = 14.0  # of an edge that passes a column
MARGIN = 16.0
LONGEST = 34  # characters of a name that are drawn
SWEEPS = 6

Slot = tuple[int, str]  # of a column: (0, a vertex) or (number of an edge + 1, "")


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A fact or rule: its upper left corner and size; `label` as it fits."""

    name: str
    label: str
    title: str
    kind: Kind
    chosen: bool
    x: float
    y: float
    width: float
    height: float = HEIGHT


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """An edge as the data of an SVG path. `near`: it touches the chosen rule."""

    source: str
    target: str
    closed: bool
    near: bool
    path: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The whole drawing, in the order in which it is drawn and read: boxes by column and row."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]


def around(whole: Graph, names: Collection[str], steps: int) -> Graph:
    """What leads to some vertices and follows from them, up to a number of steps each way."""
    kept = set(names)
    for forward in (True, False):
        reached = set(names)
        for _ in range(steps):
            reached |= {
                edge.target if forward else edge.source
                for edge in whole.edges
                if (edge.source if forward else edge.target) in reached
            }
        kept |= reached
    return Graph(
        tuple(vertex for vertex in whole.vertices if vertex.name in kept),
        tuple(edge for edge in whole.edges if edge.source in kept and edge.target in kept),
    )


def of_folder(whole: Graph, ruleset: Ruleset, folder: str) -> Graph:
    """The rules of a folder with what they read and what reads them directly, and the edges at them."""
    own = {name for name, info in ruleset.info.items() if info.ruleset == folder}
    edges = tuple(edge for edge in whole.edges if edge.source in own or edge.target in own)
    kept = own.union(*((edge.source, edge.target) for edge in edges))
    return Graph(tuple(vertex for vertex in whole.vertices if vertex.name in kept), edges)


def depths(rules: Mapping[str, Rule], drawn: Graph) -> dict[str, int]:
    """The column of each vertex: 0 for what reads nothing of the drawing, else one more than what it reads."""
    reads: dict[str, list[str]] = {vertex.name: [] for vertex in drawn.vertices}
    for edge in drawn.edges:
        reads[edge.target].append(edge.source)
    found: dict[str, int] = {}
    waiting = sorted(reads, key=lambda name: (rules[name].order, rules[name].stratum) if name in rules else (False, 0))
    while waiting:
        left = []
        for name in waiting:
            if all(source in found for source in reads[name]):
                found[name] = max((found[source] + 1 for source in reads[name]), default=int(name in rules))
            else:
                left.append(name)
        waiting = left
    return found


def picture(drawn: Graph, ruleset: Ruleset, chosen: str = "") -> Picture:
    """The drawing of a graph without cycles."""
    rules = {rule.name: rule for rule in (*ruleset.program.patient, *ruleset.program.order)}
    column = depths(rules, drawn)
    first = min(column.values(), default=0)
    column = {name: place - first for name, place in column.items()}
    vertices = {vertex.name: vertex for vertex in drawn.vertices}
    columns, lanes = _columns(drawn.edges, column)
    _order(columns, lanes)
    widths = [max((_width(name) for number, name in slots if not number), default=40.0) for slots in columns]
    left = [MARGIN + sum(widths[:place]) + GAP * place for place in range(len(columns))]
    tall = max((sum(ROW if not number else LANE for number, _ in slots) for slots in columns), default=ROW)
    middle: dict[tuple[int, Slot], float] = {}
    for place, slots in enumerate(columns):
        y = MARGIN + (tall - sum(ROW if not number else LANE for number, _ in slots)) / 2
        for slot in slots:
            size = LANE if slot[0] else ROW
            middle[place, slot] = y + size / 2
            y += size
    boxes = tuple(
        Box(
            name=name, label=_label(name), title=ruleset.title_of(name), kind=vertices[name].kind,
            chosen=name == chosen, x=round(left[place], 1), y=round(middle[place, (0, name)] - HEIGHT / 2, 1),
            width=round(widths[place], 1),
        )
        for place, slots in enumerate(columns)
        for number, name in slots
        if not number
    )  # fmt: skip
    curves = tuple(
        Curve(
            source=edge.source, target=edge.target, closed=edge.closed, near=chosen in (edge.source, edge.target),
            path=_path(
                [(left[place], left[place] + widths[place], middle[place, slot]) for place, slot in lanes[number]]
            ),
        )
        for number, edge in enumerate(drawn.edges)
    )  # fmt: skip
    width = MARGIN * 2 + sum(widths) + GAP * max(len(widths) - 1, 0)
    return Picture(width=round(width, 1), height=round(tall + 2 * MARGIN, 1), boxes=boxes, curves=curves)


def _columns(edges: Sequence[Edge], column: Mapping[str, int]) -> tuple[list[list[Slot]], list[list[tuple[int, Slot]]]]:
    """The slots of each column, and for each edge those that it goes through, from its source to its target."""
    columns: list[list[Slot]] = [[] for _ in range(max(column.values(), default=0) + 1)]
    for name in sorted(column):
        columns[column[name]].append((0, name))
    lanes: list[list[tuple[int, Slot]]] = []
    for number, edge in enumerate(edges, 1):
        start, end = column[edge.source], column[edge.target]
        between: list[tuple[int, Slot]] = [(place, (number, "")) for place in range(start + 1, end)]
        for place, slot in between:
            columns[place].append(slot)
        lanes.append([(start, (0, edge.source)), *between, (end, (0, edge.target))])
    return columns, lanes


def _order(columns: list[list[Slot]], lanes: Iterable[Sequence[tuple[int, Slot]]]) -> None:
    """Sorts each column by the mean row of the neighbours in the column before it, then after it, several times."""
    before: dict[tuple[int, Slot], list[Slot]] = {}
    after: dict[tuple[int, Slot], list[Slot]] = {}
    for lane in lanes:
        for one, other in pairwise(lane):
            before.setdefault(other, []).append(one[1])
            after.setdefault(one, []).append(other[1])
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        places = range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1)
        neighbours = before if forward else after
        for place in places:
            beside = {slot: row for row, slot in enumerate(columns[place - 1 if forward else place + 1])}
            mean = {
                slot: sum(beside[one] for one in met) / len(met)
                for slot in columns[place]
                if (met := neighbours.get((place, slot)))
            }
            rows = {slot: float(row) for row, slot in enumerate(columns[place])}
            columns[place].sort(key=lambda slot: (mean.get(slot, rows[slot]), slot))


def _label(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _width(name: str) -> float:
    return PADDING + CHARACTER * len(_label(name))


def _path(stops: Sequence[tuple[float, float, float]]) -> str:
    """From the right side of the first stop (left, right, middle) to the left side of the last, level in between."""
    _, x, y = stops[0]
    path = f"M{x:.1f} {y:.1f}"
    for left, right, middle in stops[1:]:
        bend = (x + left) / 2
        path += f"C{bend:.1f} {y:.1f} {bend:.1f} {middle:.1f} {left:.1f} {middle:.1f}"
        x, y = right, middle
        if stops[-1] != (left, right, middle):
            path += f"H{right:.1f}"
    return path
