"""The forward chaining of a ruleset as a picture: which fact feeds which rule, as Graphviz DOT or Mermaid text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from engine.errors import InputError, nearest
from engine.rules.program import Issue, Program, Rule
from engine.rules.shape import quoted
from engine.rules.strata import ORDER, reads

Kind = Literal["base", "derived", "issue"]
_DOT = {
    "base": "shape=plaintext",
    "derived": "shape=box",
    "issue": 'shape=box, style="rounded,filled", fillcolor="#f3d9d9"',
}
_MERMAID = {"base": ("[/", "/]"), "derived": ("[", "]"), "issue": ("([", "])")}


class Vertex(msgspec.Struct, frozen=True):
    """A fact or an issue."""

    name: str
    kind: Kind
    stratum: int = 0
    order: bool = False


class Edge(msgspec.Struct, frozen=True, order=True):
    """`source` is read by `target`; `closed`: by `not` or `unknown`."""

    source: str
    target: str
    closed: bool = False


class Graph(msgspec.Struct, frozen=True):
    """Vertices by stratum and name, edges by name."""

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]


def graph(program: Program, *, of: str = "", base: bool = True) -> Graph:
    """The whole program, or only what leads to and follows from one fact or issue; without base facts if so wished.

    Raises InputError if `of` names nothing in it.
    """
    rules = {rule.name: rule for rule in (*program.patient, *program.order)}
    edges = {
        Edge(fact, name, closed)
        for name, rule in rules.items()
        for fact, closed in reads(rule).items()
        if base or fact in rules
    }
    names = {edge.source for edge in edges} | set(rules)
    if of:
        if of not in names:
            hint = nearest(of, names)
            raise InputError(f"{quoted(of)} is no fact or issue of the graph" + (f"; {hint}" if hint else ""))
        kept = {of} | _reached(of, _next(edges, forward=True)) | _reached(of, _next(edges, forward=False))
        names &= kept
        edges = {edge for edge in edges if edge.source in kept and edge.target in kept}
    vertices = sorted((_vertex(name, rules) for name in names), key=lambda v: (v.order, v.stratum, v.kind, v.name))
    return Graph(tuple(vertices), tuple(sorted(edges)))


def _next(edges: Iterable[Edge], *, forward: bool) -> dict[str, list[str]]:
    following: dict[str, list[str]] = {}
    for edge in edges:
        here, there = (edge.source, edge.target) if forward else (edge.target, edge.source)
        following.setdefault(here, []).append(there)
    return following


def _reached(start: str, following: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in following.get(todo.pop(), ()):
            if name not in found:
                found.add(name)
                todo.append(name)
    return found


def _vertex(name: str, rules: Mapping[str, Rule]) -> Vertex:
    rule = rules.get(name)
    if rule is None:
        return Vertex(name, "base", 0, name.startswith(ORDER))
    return Vertex(name, "issue" if isinstance(rule, Issue) else "derived", rule.stratum, rule.order)


# -- text -------------------------------------------------------------------------------------------------------------


def dot(drawn: Graph) -> str:
    """Graphviz DOT; a dashed line is a test by `not` or `unknown`, one cluster per program."""
    out = ["digraph rules {", "  rankdir=LR;", '  node [fontname="sans-serif", fontsize=10];']
    for order, title in ((False, "patient"), (True, "each order")):
        inside = [vertex for vertex in drawn.vertices if vertex.order == order]
        if inside:
            out += [f"  subgraph cluster_{int(order)} {{", f'    label="{title}";']
            out += [f"    {_quote(vertex.name)} [{_DOT[vertex.kind]}];" for vertex in inside]
            out.append("  }")
    out += [
        f"  {_quote(edge.source)} -> {_quote(edge.target)}{' [style=dashed]' if edge.closed else ''};"
        for edge in drawn.edges
    ]
    return "\n".join([*out, "}"]) + "\n"


def mermaid(drawn: Graph) -> str:
    """A Mermaid flowchart; a dotted line is a test by `not` or `unknown`."""
    return "\n".join(["flowchart LR", *_mermaid_lines(drawn)]) + "\n"


def _mermaid_lines(drawn: Graph) -> Iterator[str]:
    ids = {vertex.name: f"n{index}" for index, vertex in enumerate(drawn.vertices)}
    for vertex in drawn.vertices:
        opening, closing = _MERMAID[vertex.kind]
        label = re.sub(r'["\n]', " ", vertex.name)
        yield f'  {ids[vertex.name]}{opening}"{label}"{closing}'
    for edge in drawn.edges:
        yield f"  {ids[edge.source]} {'-.->' if edge.closed else '-->'} {ids[edge.target]}"


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
