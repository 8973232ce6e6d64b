"""Which answers to unknown facts would change an outcome: candidates found by reasoning backwards over the rules.

An answer set assigns values to at most `WIDTH` unknown base facts ("alone or with two others", rule language, "Why, and
what is missing"). What known facts say stays as it is: only unknown ones can be answered. The sets are candidates; who
needs proof re-evaluates with them (missing.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from engine.explanation.state import State
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Issue, IssueCase, Literal, Rule

Answers = frozenset[tuple[str, str]]
Ways = tuple[Answers, ...]

WIDTH = 3
MOST = 240                 # bound on the sets kept per condition; the narrowest are kept
ALREADY: Ways = (frozenset(),)
NEVER: Ways = ()


def narrow(ways: Iterable[Answers]) -> Ways:
    """Minimal, consistent sets, narrowest first, else in the order given (values as their definition lists them)."""
    kept: list[Answers] = []
    singles: set[tuple[str, str]] = set()
    wider: set[Answers] = set()
    for way in sorted(dict.fromkeys(ways), key=len):
        size = len(way)
        if size == 0:
            return ALREADY                     # every other set holds the empty one
        if size == 1:
            singles |= way
        elif size > WIDTH or not singles.isdisjoint(way) or len(dict(way)) < size or _holds_one(way, wider):
            continue
        else:
            wider.add(way)
        kept.append(way)
        if len(kept) == MOST:
            break
    return tuple(kept)


def _holds_one(way: Answers, kept: Collection[Answers]) -> bool:
    """Whether one of the kept sets of at least two answers is a part of this one."""
    sizes = range(2, len(way) if kept else 0)
    return any(frozenset(part) in kept for size in sizes for part in combinations(way, size))


def together(parts: Iterable[Ways]) -> Ways:
    """One set for each way in which all parts come true at once. `parts` is read up to the first that never does."""
    needed: list[Ways] = []
    for part in parts:
        if not part:
            return NEVER
        if part != ALREADY:
            needed.append(part)
    if not needed:
        return ALREADY
    first, *others = sorted(needed, key=len)
    for part in others:
        first = narrow([left | right for left in first for right in part])
        if not first:
            return NEVER
    return first


class Answering:
    """Backward reasoning over one reasoning's state. `values` gives the closed set of every base fact."""

    def __init__(self, rules: Mapping[str, Rule], state: State, values: Mapping[str, Sequence[str]]) -> None:
        self._rules = rules
        self._state = state
        self._values = values
        self._memo: dict[tuple[str, str, frozenset[str]], Ways] = {}

    # -- conditions -----------------------------------------------------------------------------------------------

    def to_true(self, condition: Condition) -> Ways:
        """Answers that would make a condition true; the empty set if it is true already."""
        if self._state.truth(condition) is True:
            return ALREADY
        match condition:
            case Literal(fact=fact, values=values, positive=True):
                return self.into(fact, values)
            case Literal(fact=fact, values=values):
                return self.out_of(fact, values)
            case All(parts=parts):
                return together(self.to_true(part) for part in parts)
            case Any(parts=parts):
                return narrow(way for part in parts for way in self.to_true(part))
            case AtLeast(count=count, parts=parts):
                return self._some([self.to_true(part) for part in parts], count)

    def to_untrue(self, condition: Condition) -> Ways:
        """Answers that would make a true condition no longer true."""
        if self._state.truth(condition) is not True:
            return ALREADY
        match condition:
            case Literal(fact=fact, values=values, positive=True):
                if values == {UNKNOWN}:
                    return self.into(fact, frozenset(self._closed(fact)) - {UNKNOWN})
                return self.out_of(fact, values)
            case Literal(fact=fact, values=values):
                return self.into(fact, values)
            case All(parts=parts):
                return narrow(way for part in parts for way in self.to_untrue(part))
            case Any(parts=parts):
                return together(self.to_untrue(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return self._some([self.to_untrue(part) for part in parts], len(parts) - count + 1)

    def to_false(self, condition: Condition) -> Ways:
        """Answers that would make a condition false; unknown is not false."""
        if self._state.truth(condition) is False:
            return ALREADY
        match condition:
            case Literal(fact=fact, values=values, positive=True):
                return self.into(fact, frozenset(self._closed(fact)) - values - {UNKNOWN})
            case Literal(fact=fact, values=values):
                return self.into(fact, values)
            case All(parts=parts):
                return narrow(way for part in parts for way in self.to_false(part))
            case Any(parts=parts):
                return together(self.to_false(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return self._some([self.to_false(part) for part in parts], len(parts) - count + 1)

    def _some(self, ways: Sequence[Ways], count: int) -> Ways:
        done = sum(way == ALREADY for way in ways)
        open_ways = [way for way in ways if way not in (ALREADY, NEVER)]
        need = count - done
        if need <= 0:
            return ALREADY
        return narrow(way for chosen in combinations(open_ways, min(need, WIDTH + 1)) for way in together(chosen))

    # -- facts ----------------------------------------------------------------------------------------------------

    def into(self, name: str, values: frozenset[str]) -> Ways:
        """Answers that would give a fact one of `values`."""
        rule = self._rules.get(name)
        if rule is None:
            if self._state.value(name) != UNKNOWN:
                return NEVER
            closed = self._values.get(name, ())
            return tuple(frozenset({(name, value)}) for value in closed if value in values and value != UNKNOWN)
        key = ("into", name, values)
        if key not in self._memo:
            self._memo[key] = NEVER
            self._memo[key] = self._into(rule, values)
        return self._memo[key]

    def _into(self, rule: Rule, values: frozenset[str]) -> Ways:
        if isinstance(rule, Issue):
            ways = list(self._into_present(rule)) if PRESENT in values else []
            ways += self.to_untrue_issue(rule) if UNKNOWN in values else ()
            return narrow([*ways, *self._into_absent(rule)] if ABSENT in values else ways)
        now = self._state.case(rule.name)
        reach = len(rule.cases) if now is None else now
        ways = [way for case in rule.cases[:reach] if case.value in values for way in self.to_true(case.when)]
        if now is not None and UNKNOWN in values:
            ways += self.to_untrue(rule.cases[now].when)
        if now is not None and rule.cases[now].value not in values:
            # the true case falls, and a lower one takes over
            falls = self.to_untrue(rule.cases[now].when)
            for lower in rule.cases[now + 1 :]:
                if lower.value in values:
                    ways += together([falls, self.to_true(lower.when)])
        return narrow([*ways, *self._into_absent(rule)] if ABSENT in values else ways)

    def _into_present(self, rule: Issue) -> Ways:
        ways = narrow(way for case in rule.cases for way in self.to_true(case.when))
        return ways if rule.unless is None else together([ways, self.to_untrue(rule.unless)])

    def _into_absent(self, rule: Rule) -> Ways:
        """A rule none of whose cases can hold any more is absent; so is an issue whose `unless` is true."""
        ways = together(self.to_false(case.when) for case in rule.cases)
        if isinstance(rule, Issue) and rule.unless is not None:
            return narrow([*ways, *self.to_true(rule.unless)])
        return ways

    def out_of(self, name: str, values: frozenset[str]) -> Ways:
        """Answers that would take a fact out of `values`, in which it is now."""
        rule = self._rules.get(name)
        if rule is None:                       # what is known stays; what is unknown can become known
            is_open = UNKNOWN in values and self._state.value(name) == UNKNOWN
            return self.into(name, frozenset(self._closed(name)) - values) if is_open else NEVER
        key = ("out", name, values)
        if key not in self._memo:
            self._memo[key] = NEVER
            self._memo[key] = self._out_of(rule, values)
        return self._memo[key]

    def _out_of(self, rule: Rule, values: frozenset[str]) -> Ways:
        now = self._state.case(rule.name)
        if now is None or (isinstance(rule, Issue) and PRESENT not in values):
            return self._into(rule, frozenset((*self._closed(rule.name), UNKNOWN)) - values)
        if isinstance(rule, Issue):
            return self.to_untrue_issue(rule)
        ways = [way for case in rule.cases[:now] if case.value not in values for way in self.to_true(case.when)]
        return narrow([*ways, *self.to_untrue(rule.cases[now].when)])

    def to_untrue_issue(self, rule: Issue) -> Ways:
        """Answers that would silence a firing issue or change which of its cases holds."""
        now = self._state.case(rule.name)
        ways: list[Answers] = list(self.to_true(rule.unless)) if rule.unless is not None else []
        if now is not None:
            ways += self.to_untrue(rule.cases[now].when)
        return narrow(way for way in ways if way)

    # -- possibility ----------------------------------------------------------------------------------------------

    def can_be_true(self, condition: Condition) -> bool:
        """Whether answers, however many, may make a condition true (each part taken by itself)."""
        if self._state.truth(condition) is True:
            return True
        match condition:
            case Literal(fact=fact, values=values, positive=True):
                return self._can_enter(fact, values)
            case Literal(fact=fact, values=values):
                return self._can_enter(fact, frozenset((*self._closed(fact), UNKNOWN)) - values)
            case All(parts=parts):
                return all(self.can_be_true(part) for part in parts)
            case Any(parts=parts):
                return any(self.can_be_true(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return sum(self.can_be_true(part) for part in parts) >= count

    def can_fire(self, issue: Issue) -> bool:
        """Whether unknown facts alone hold an issue back."""
        unless = issue.unless
        released = unless is None or self._state.truth(unless) is not True or bool(self.to_untrue(unless))
        return released and any(self.can_be_true(case.when) for case in issue.cases)

    def _can_enter(self, name: str, values: frozenset[str]) -> bool:
        rule = self._rules.get(name)
        if rule is None:
            is_open = self._state.value(name) == UNKNOWN
            return is_open and any(value in values for value in self._values.get(name, ()))
        key = ("can", name, values)
        if key not in self._memo:
            self._memo[key] = NEVER
            self._memo[key] = ALREADY if self._can_conclude(rule, values) else NEVER
        return bool(self._memo[key])

    def _can_conclude(self, rule: Rule, values: frozenset[str]) -> bool:
        if isinstance(rule, Issue):
            return self.can_fire(rule) if PRESENT in values else bool(self.into(rule.name, values))
        now = self._state.case(rule.name)
        # a true case ranks before all below it; these come up only if it can fall
        reach = len(rule.cases) if now is None or self.to_untrue(rule.cases[now].when) else now
        wanted = any(case.value in values and self.can_be_true(case.when) for case in rule.cases[:reach])
        return wanted or (not values.isdisjoint({ABSENT, UNKNOWN}) and bool(self.into(rule.name, values)))

    # -- outcomes -------------------------------------------------------------------------------------------------

    def to_change(self, rule: Issue, now: int | None, policies: Iterable[Condition] = ()) -> Ways:
        """Answers that would change an issue's outcome: another case, silence, or a policy (adjustment) that flips."""
        higher: Sequence[IssueCase] = rule.cases if now is None else rule.cases[:now]
        ways = [way for case in higher for way in self.to_true(case.when)]
        if now is not None:
            ways += self.to_untrue(rule.cases[now].when)
        for condition in (*policies, *([rule.unless] if rule.unless is not None else [])):
            ways += self.to_untrue(condition) if self._state.truth(condition) is True else self.to_true(condition)
        return narrow(way for way in ways if way)

    def _closed(self, fact: str) -> Sequence[str]:
        rule = self._rules.get(fact)
        if rule is None:
            return self._values.get(fact, ())
        return (PRESENT, ABSENT) if isinstance(rule, Issue) else (*(case.value for case in rule.cases), ABSENT)
