"""The tree behind a verdict: from a rule down to facts, each with what the record says.

Only what decides is shown: of a true `all` everything, of a false one the first part that rules it out, of an unknown
one the parts that are open; of an `any` the other way round. A derived fact is opened where it is first met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from engine.explanation.state import State
from engine.model.fact import ABSENT, Evidence, Fact
from engine.rules.info import RuleInfo
from engine.rules.program import All, Any, AtLeast, Condition, Issue, Literal, Rule

TRUTH = {True: "true", False: "false", None: "unknown"}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an explanation. `truth` is true, false or unknown; a leaf holds a base fact and its evidence."""

    text: str
    truth: str
    fact: str = ""
    value: str = ""
    reason: str = ""
    shown: str = ""
    rule: str = ""                      # `id version` of the rule that concludes the fact
    evidence: tuple[Evidence, ...] = ()
    children: tuple[Node, ...] = ()


class Trees:
    """Builds trees over one reasoning; a fact that was opened once is not opened again."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        state: State,
        fact: Callable[[str], Fact],
        title: Callable[[str], str],
        info: Mapping[str, RuleInfo],
    ) -> None:
        self._rules = rules
        self._state = state
        self._fact = fact
        self._title = title
        self._info = info
        self._opened: set[tuple[str, frozenset[str]]] = set()

    def of_issue(self, issue: Issue) -> tuple[Node, ...]:
        """The case that holds, or every case with what keeps it from holding; and the `unless`."""
        index = self._state.case(issue.name)
        cases = [issue.cases[index]] if index is not None else list(issue.cases)
        nodes = [
            Node(
                text=f"{case.severity} case" if len(issue.cases) > 1 else "the condition",
                truth=TRUTH[self._state.truth(case.when)],
                children=self._parts(case.when),
            )
            for case in cases
        ]
        nodes = [node for i, node in enumerate(nodes) if not any(_same(node, other) for other in nodes[:i])]
        if issue.unless is not None and self._state.truth(issue.unless) is not False:
            truth = TRUTH[self._state.truth(issue.unless)]
            nodes.append(Node(text="unless", truth=truth, children=self._parts(issue.unless)))
        return tuple(nodes)

    def of(self, condition: Condition) -> Node:
        """One condition as one line with its deciding parts below."""
        truth = TRUTH[self._state.truth(condition)]
        match condition:
            case Literal():
                return self._literal(condition, truth)
            case All():
                return Node(text="all of", truth=truth, children=self._parts(condition))
            case Any():
                return Node(text="any of", truth=truth, children=self._parts(condition))
            case AtLeast(count=count):
                return Node(text=f"at least {count} of", truth=truth, children=self._parts(condition))

    def _parts(self, condition: Condition) -> tuple[Node, ...]:
        truth = self._state.truth(condition)
        match condition:
            case All(parts=parts):
                deciding = parts if truth is True else self._with(parts, truth)[: 1 if truth is False else None]
            case Any(parts=parts):
                deciding = parts if truth is False else self._with(parts, truth)[: 1 if truth is True else None]
            case AtLeast(parts=parts):
                deciding = parts
            case _:
                deciding = (condition,)
        return tuple(self.of(part) for part in deciding)

    def _with(self, parts: Sequence[Condition], truth: bool | None) -> Sequence[Condition]:
        return [part for part in parts if self._state.truth(part) is truth]

    def _literal(self, literal: Literal, truth: str) -> Node:
        value = self._state.value(literal.fact)
        wanted = " or ".join(sorted(literal.values))
        text = f"{self._title(literal.fact)}: {'' if literal.positive else 'not '}{wanted}"
        rule = self._rules.get(literal.fact)
        if rule is None:
            fact = self._fact(literal.fact)
            return Node(
                text=text, truth=truth, fact=literal.fact, value=value, reason=str(fact.reason or ""),
                shown=fact.shown, evidence=fact.evidence,
            )
        info = self._info[rule.name]
        node = Node(text=text, truth=truth, fact=rule.name, value=value, rule=f"{info.id} {info.version}")
        wanted_values = literal.values if literal.positive and truth != "true" else frozenset()
        if (rule.name, wanted_values) in self._opened:
            return node
        self._opened.add((rule.name, wanted_values))
        return msgspec.structs.replace(node, children=self._behind(rule, wanted_values))

    def _behind(self, rule: Rule, wanted_values: frozenset[str]) -> tuple[Node, ...]:
        """Why a fact has its value, or why it has none of the values that were wanted."""
        if isinstance(rule, Issue):
            return self.of_issue(rule)
        missed = [case for case in rule.cases if case.value in wanted_values]
        if missed:
            return tuple(
                Node(
                    text=f"case {case.value}", truth=TRUTH[self._state.truth(case.when)],
                    children=self._parts(case.when),
                )
                for case in missed
            )
        index = self._state.case(rule.name)
        if index is not None:
            case = rule.cases[index]
            return (Node(text=f"case {case.value}", truth="true", children=self._parts(case.when)),)
        wanted = False if self._state.value(rule.name) == ABSENT else None
        return tuple(
            Node(text=f"case {case.value}", truth=TRUTH[wanted], children=self._parts(case.when))
            for case in rule.cases
            if self._state.truth(case.when) is wanted
        )


def _same(node: Node, other: Node) -> bool:
    """Whether a case says what another one said already (cases that differ only below what decides)."""
    return [child.text for child in node.children] == [child.text for child in other.children]
