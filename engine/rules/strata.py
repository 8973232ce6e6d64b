"""The order in which rules are computed: dependencies, the two programs, strata.

A stratum is closed before the next begins. A fact must be closed before a rule that reads it if it is ranked (several
cases, or an `unless`) or if that rule reads it by `not` or `unknown`; chains of plain facts share a stratum.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.rules.program import Issue, Rule, conditions, literals

ORDER = "order."
DEPTH = 64                                    # longest chain of rules that read each other


def reads(rule: Rule) -> dict[str, bool]:
    """The facts that a rule reads directly, in order -> whether it reads them by `not` or `unknown`."""
    found: dict[str, bool] = {}
    for condition in conditions(rule):
        for literal in literals(condition):
            found[literal.fact] = found.get(literal.fact, False) or literal.closed
    return found


def ranked(rule: Rule) -> bool:
    """Whether the rule's value needs more than one case to be known false or true."""
    return len(rule.cases) > 1 or (isinstance(rule, Issue) and rule.unless is not None)


def cycles(rules: Mapping[str, Rule]) -> list[tuple[str, ...]]:
    """Every cycle among rules, each told once, from its first member by name."""
    graph = {name: {fact for fact in reads(rule) if fact in rules} for name, rule in rules.items()}
    found = []
    while graph := _knots(graph):
        path = [min(graph)]
        while (following := min(graph[path[-1]])) not in path:
            path.append(following)
        cycle = path[path.index(following) :]
        first = cycle.index(min(cycle))
        found.append((*cycle[first:], *cycle[:first]))
        graph = {name: facts - set(cycle) for name, facts in graph.items() if name not in cycle}
    return found


def _knots(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What is left when rules that read nothing of the graph, or that nothing of it reads, are taken away."""
    left = {name: set(facts) for name, facts in graph.items()}
    while loose := {name for name in left if not left[name]} | (left.keys() - set().union(*left.values())):
        left = {name: facts - loose for name, facts in left.items() if name not in loose}
    return left


def arranged(rules: Mapping[str, Rule]) -> list[Rule]:
    """Rules without cycles in dependency order, with their program and stratum, whatever the order of `rules`."""
    done: dict[str, Rule] = {}
    waiting = {name: reads(rules[name]) for name in sorted(rules)}
    while waiting:
        ready = [name for name, facts in waiting.items() if all(fact in done or fact not in rules for fact in facts)]
        for name in ready:
            done[name] = _placed(rules[name], waiting.pop(name), done)
    return sorted(done.values(), key=lambda rule: (rule.order, rule.stratum))      # stable: dependency order inside


def _placed(rule: Rule, facts: Mapping[str, bool], done: Mapping[str, Rule]) -> Rule:
    order = any(fact.startswith(ORDER) if fact not in done else done[fact].order for fact in facts)
    strata = [
        done[fact].stratum + (closed or ranked(done[fact]))
        for fact, closed in facts.items()
        if fact in done and done[fact].order == order          # the order program begins when the other is complete
    ]
    return msgspec.structs.replace(rule, order=order, stratum=max(strata, default=1))


def chain(rules: Mapping[str, Rule]) -> list[str]:
    """The longest chain of rules, each read by the next."""
    longest: dict[str, list[str]] = {}
    for rule in arranged(rules):
        below = max((longest[fact] for fact in reads(rule) if fact in longest), key=len, default=[])
        longest[rule.name] = [*below, rule.name]
    return max(longest.values(), key=len, default=[])
