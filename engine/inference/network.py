"""A program as positive rules over rails: what the durable backend gives to durable-rules. Pure, no engine here.

Every condition is a node with two rails, T (it holds) and F (it does not), each derived by positive rules only;
neither derived means unknown. An atom is one rail of one node. `all`: T from the T of all parts, F from the F of any
part; `any` the other way round; `at_least` is written out in `all` and `any`. Equal conditions are one node.

Who derives a literal's rails: the engine, where the fact is plain (its cases conclude one value, no `unless`) and the
literal is open, so that chains of plain facts are forward chaining; else the driver, as soon as the fact's value
stands: base facts at once, ranked facts and facts read by `not` or `unknown` when their stratum is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from engine.rules.program import All, AtLeast, Condition, DerivedCase, Issue, IssueCase, Literal, Rule

Node = int
Atom = int                                # 2 * node for the rail T, 2 * node + 1 for F
Premises = tuple[Atom, ...]

TRUE: Node = 0                            # holds always: an empty `all`
FALSE: Node = 1                           # holds never: an empty `any`
MAX_PREMISES = 8                          # of one engine rule; the engine refuses more than 16

_ABSENT, _PRESENT, _UNKNOWN, _OTHER = "absent", "present", "unknown", ""


def on(node: Node) -> Atom:
    """The atom "the node holds"."""
    return 2 * node


def off(node: Node) -> Atom:
    """The atom "the node does not hold"."""
    return 2 * node + 1


class Closing(NamedTuple):
    """How the driver reads a rule's value once its stratum is complete: the node of each case and what it concludes."""

    name: str
    cases: tuple[tuple[Node, str], ...]
    unless: Node | None

    def read(self, known: Sequence[int]) -> tuple[str, int | None]:
        """Value and index of the first true case, from the atoms that are known (indexed by atom, 0 = not known)."""
        value, first = _ABSENT, None
        for index, (node, concluded) in enumerate(self.cases):
            if known[2 * node]:
                value, first = concluded, index
                break
            if not known[2 * node + 1]:
                value = _UNKNOWN
        if self.unless is not None and known[2 * self.unless]:
            value = _ABSENT
        return value, first


class Decided(NamedTuple):
    """What the driver asserts when the value of a fact stands: by value, and for every value that no literal names."""

    by_value: Mapping[str, tuple[Atom, ...]]
    otherwise: tuple[Atom, ...]

    def of(self, value: str) -> tuple[Atom, ...]:
        return self.by_value.get(value, self.otherwise)


class Network(NamedTuple):
    """The compiled form of one part of a program."""

    rules: tuple[tuple[Premises, tuple[Atom, ...]], ...]             # premises -> conclusions
    strata: tuple[tuple[Closing, ...], ...]
    decided: Mapping[str, Decided]                                   # by fact; only atoms that are premises
    outer: tuple[str, ...]                                           # facts with atoms that no rule concludes
    always: tuple[Atom, ...]                                         # premises that hold for everybody
    labels: tuple[str, ...]                                          # of the nodes, for people


def build(rules: Iterable[Rule]) -> Network:
    """Compile rules that stand in dependency order."""
    return _Builder().build(tuple(rules))


def _open(literal: Literal) -> bool:
    return literal.positive and not literal.closed


def _reads(literal: Literal, value: str) -> bool | None:
    if _open(literal) and value == _UNKNOWN:
        return None
    return (value in literal.values) == literal.positive


def _decided(pairs: Sequence[tuple[Literal, Node]], used: Set[Atom]) -> Decided:
    def atoms(value: str) -> tuple[Atom, ...]:
        truths = ((node, _reads(literal, value)) for literal, node in pairs)
        found = (on(node) if truth else off(node) for node, truth in truths if truth is not None)
        return tuple(atom for atom in found if atom in used)

    named = {_UNKNOWN}.union(*(literal.values for literal, _ in pairs))
    return Decided({value: atoms(value) for value in sorted(named)}, atoms(_OTHER))


class _Builder:
    """Interns nodes while it walks the rules. Engine rules are kept by premises: one firing tells all it can."""

    def __init__(self) -> None:
        self.labels: list[str] = ["true", "false"]
        self.rules: dict[Premises, list[Atom]] = {}
        self.given: dict[str, list[tuple[Literal, Node]]] = {}
        self.nodes: dict[object, Node] = {}                                 # what it says -> node
        self.composed: dict[Node, tuple[bool, tuple[Node, ...]]] = {}       # node -> whether it is an `all`, its parts
        self.defined: set[Node] = set()
        self.plain: dict[str, tuple[Node, str]] = {}                        # plain fact -> node, value where it holds
        self.stratum: dict[str, int] = {}
        self.reached = 0                                                    # stratum of the rule being compiled

    def build(self, rules: Sequence[Rule]) -> Network:
        strata: dict[int, list[Closing]] = {}
        for rule in rules:
            closing = self.rule(rule)
            self.stratum[rule.name] = self.reached
            strata.setdefault(self.reached, []).append(closing)
        used = {atom for premises in self.rules for atom in premises}
        return Network(
            rules=tuple((premises, tuple(dict.fromkeys(found))) for premises, found in self.rules.items()),
            strata=tuple(tuple(strata[index]) for index in sorted(strata)),
            decided={fact: _decided(pairs, used) for fact, pairs in self.given.items()},
            outer=tuple(fact for fact in self.given if fact not in self.stratum),
            always=tuple(atom for atom in (on(TRUE), off(FALSE)) if atom in used),
            labels=tuple(self.labels),
        )

    def rule(self, rule: Rule) -> Closing:
        self.reached = 0
        written: Sequence[DerivedCase | IssueCase] = rule.cases
        cases = tuple(
            (self.root(f"{rule.name}#{index}", case.when), case.value if isinstance(case, DerivedCase) else _PRESENT)
            for index, case in enumerate(written)
        )
        held_back = rule.unless if isinstance(rule, Issue) else None
        unless = self.root(f"{rule.name}#unless", held_back) if held_back is not None else None
        values = {value for _, value in cases}
        if unless is None and len(values) == 1 and _UNKNOWN not in values:
            self.plain[rule.name] = self.combine(False, (node for node, _ in cases)), values.pop()
        return Closing(rule.name, cases, unless)

    def root(self, label: str, condition: Condition) -> Node:
        """A node of its own for a condition of a rule."""
        node = self.new(label)
        self.define(self.node(condition), node)
        return node

    # ---- nodes

    def new(self, label: str) -> Node:
        self.labels.append(label)
        return len(self.labels) - 1

    def node(self, condition: Condition) -> Node:
        if isinstance(condition, Literal):
            return self.literal(condition)
        parts = [self.node(part) for part in condition.parts]
        if isinstance(condition, AtLeast):
            return self.at_least(condition.count, parts)
        return self.combine(isinstance(condition, All), parts)

    def literal(self, literal: Literal) -> Node:
        plain = self.plain.get(literal.fact) if _open(literal) else None
        if literal.fact in self.stratum:
            self.reached = max(self.reached, self.stratum[literal.fact] + (plain is None))
        values = literal.values - {_UNKNOWN} if _open(literal) else literal.values
        if plain is not None and plain[1] != _ABSENT and values == {plain[1]}:
            return plain[0]
        key = literal.fact, values, literal.positive, _open(literal)
        if key not in self.nodes:
            sign = "" if literal.positive else "not "
            node = self.nodes[key] = self.new(f"{literal.fact}: {sign}{'|'.join(sorted(values))}")
            if plain is None:
                self.given.setdefault(literal.fact, []).append((literal, node))
            else:
                self.need(plain[0])
                self.add((on(plain[0]),), on(node) if plain[1] in values else off(node))
                self.add((off(plain[0]),), on(node) if _ABSENT in values else off(node))
        return self.nodes[key]

    def combine(self, is_all: bool, nodes: Iterable[Node]) -> Node:
        """The node "all of them" or "any of them"; constants and repetitions are dropped."""
        neutral, decisive = (TRUE, FALSE) if is_all else (FALSE, TRUE)
        parts = [node for node in dict.fromkeys(nodes) if node != neutral]
        if decisive in parts:
            return decisive
        if len(parts) < 2:
            return parts[0] if parts else neutral
        key = is_all, frozenset(parts)
        if key not in self.nodes:
            node = self.nodes[key] = self.new(f"{'all' if is_all else 'any'} {len(self.labels)}")
            self.composed[node] = is_all, tuple(parts)
        return self.nodes[key]

    def at_least(self, count: int, parts: Sequence[Node]) -> Node:
        """`at_least` in `all` and `any`: at least j of the parts so far if j of those before, or j - 1 and this one."""
        if count > len(parts):
            return FALSE
        reached = [TRUE] + [FALSE] * max(count, 0)
        for part in parts:
            for j in range(len(reached) - 1, 0, -1):
                reached[j] = self.combine(False, (reached[j], self.combine(True, (part, reached[j - 1]))))
        return reached[-1]

    # ---- rules

    def need(self, node: Node) -> None:
        """Let the engine derive a composed node, once."""
        if node in self.composed and node not in self.defined:
            self.defined.add(node)
            self.define(node, node)

    def define(self, node: Node, target: Node) -> None:
        """Let `target` hold, and not hold, as `node` does."""
        if node not in self.composed:
            self.add((on(node),), on(target))
            self.add((off(node),), off(target))
            return
        is_all, parts = self.composed[node]
        together, alone = (on, off) if is_all else (off, on)
        for part in parts:
            self.need(part)
            self.add((alone(part),), alone(target))
        self.add([together(part) for part in parts], together(target))

    def add(self, premises: Sequence[Atom], conclusion: Atom) -> None:
        """One engine rule; long ones go by way of their first premises."""
        ordered = tuple(sorted(set(premises), reverse=True))
        while len(ordered) > MAX_PREMISES:
            ordered = (self.join(ordered[:MAX_PREMISES]), *ordered[MAX_PREMISES:])
        self.rules.setdefault(ordered, []).append(conclusion)

    def join(self, premises: Premises) -> Atom:
        key = ("join", premises)
        if key not in self.nodes:
            self.nodes[key] = self.new(f"join {len(self.labels)}")
            self.rules.setdefault(premises, []).append(on(self.nodes[key]))
        return on(self.nodes[key])
