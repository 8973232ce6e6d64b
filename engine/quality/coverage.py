"""What the vignettes reach: each case of each rule, and each value of each fact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.quality.examples import Example
from engine.rules.program import Issue, Rule
from engine.rules.ruleset import Ruleset


class RuleCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `cases`: of each case, in how many reasonings it is the true one; `held_back`: in how many of them the
    rule's `unless` silences it; `values`: of a derived fact each value that it takes."""

    rule: str
    kind: str
    cases: tuple[int, ...]
    held_back: int = 0
    has_unless: bool = False
    values: Mapping[str, int] = {}

    @property
    def unreached(self) -> tuple[int, ...]:
        """Cases, counted from 1, that nothing reaches."""
        return tuple(index + 1 for index, count in enumerate(self.cases) if not count)


class FactCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One base fact and how often it has each of its values; what is not known is `unknown`."""

    fact: str
    values: Mapping[str, int]

    @property
    def unreached(self) -> tuple[str, ...]:
        """Values that nothing reaches."""
        return tuple(value for value, count in self.values.items() if not count)


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a set of vignettes reaches."""

    vignettes: int
    reasonings: int                    # patients and orders
    rules: tuple[RuleCoverage, ...]
    facts: tuple[FactCoverage, ...]

    @property
    def cases(self) -> tuple[int, int]:
        """Cases reached, and all."""
        return sum(bool(n) for r in self.rules for n in r.cases), sum(len(r.cases) for r in self.rules)

    @property
    def values(self) -> tuple[int, int]:
        """Values of base facts reached, and all."""
        return sum(bool(n) for f in self.facts for n in f.values.values()), sum(len(f.values) for f in self.facts)


def coverage(ruleset: Ruleset, examples: Iterable[Example]) -> Coverage:
    """Count over all examples."""
    cases: Counter[tuple[str, int]] = Counter()
    held: Counter[str] = Counter()
    values: Counter[tuple[str, str]] = Counter()
    reasonings: Counter[str] = Counter()
    rules = {rule.name: rule for rule in (*ruleset.program.patient, *ruleset.program.order)}
    count = 0
    for example in examples:
        count += 1
        for state in example.states:
            reasonings[state.part] += 1
            cases.update(state.cases.items())
            held.update(name for name in state.cases if isinstance(rules[name], Issue) and state.value(name) == ABSENT)
            of_part = [fact for fact in state.base if fact.startswith("order.") == (state.part == "order")]
            values.update((fact, state.base[fact]) for fact in of_part)
            values.update(
                (name, state.value(name)) for name, rule in rules.items() if rule.order == (state.part == "order")
            )
    facts = [
        FactCoverage(fact=name, values=_with_unknown(name, all_values, values, reasonings))
        for name, all_values in sorted(ruleset.program.base.items())
    ]
    return Coverage(
        vignettes=count,
        reasonings=reasonings.total(),
        rules=tuple(_of_rule(rules[name], cases, held, values) for name in sorted(rules)),
        facts=tuple(facts),
    )


def _of_rule(
    rule: Rule, cases: Counter[tuple[str, int]], held: Counter[str], values: Counter[tuple[str, str]]
) -> RuleCoverage:
    issue = isinstance(rule, Issue)
    closed = (PRESENT, ABSENT, UNKNOWN) if isinstance(rule, Issue) else rule.values
    return RuleCoverage(
        rule=rule.name,
        kind="issue" if issue else "derived",
        cases=tuple(cases[rule.name, index] for index in range(len(rule.cases))),
        held_back=held[rule.name],
        has_unless=isinstance(rule, Issue) and rule.unless is not None,
        values={value: values[rule.name, value] for value in dict.fromkeys(closed)},
    )


def _with_unknown(
    fact: str, closed: Iterable[str], values: Counter[tuple[str, str]], reasonings: Counter[str]
) -> dict[str, int]:
    found = {value: values[fact, value] for value in closed if value != UNKNOWN}
    all_of_part = reasonings["order" if fact.startswith("order.") else "patient"]
    return {**found, UNKNOWN: all_of_part - sum(found.values())}
