"""The plain backend: the meaning of the rule language, read off its page and nothing else.

A derived fact has the value of its first true case; without one it is `absent` if every case is false, else unknown. An
issue is `present` when a case is true and `unless` is not, `absent` when every case is false or `unless` is true, else
unknown. Rules stand in dependency order, so each is decided once.

Conditions are prepared once per program (`kleene.compiled`); deciding all rules of a patient then costs under 0.1 ms.
Anchors are not needed for that and not used: every rule always gets its value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from heapq import heappop, heappush

from engine.inference.downstream import Readers, readers
from engine.inference.kleene import Test, Truth, compiled, truth
from engine.inference.port import Begun, Inference, Part
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.program import (
    Conclusions,
    Condition,
    DerivedCase,
    Issue,
    IssueCase,
    Program,
    Rule,
    conditions,
    literals,
)

_NOBODY = Readers()


def infer(values: Mapping[str, str], rules: Sequence[Rule]) -> Conclusions:
    """Decide `rules` (in dependency order) from the known facts; a fact that is not in `values` is unknown.

    Prepares the rules each time: to evaluate many patients use `PlainBackend`.
    """
    return _Rules(rules).decide(values)


class PlainBackend:
    """A program made ready for many evaluations. It keeps nothing between them, so threads may share it."""

    name = "plain"

    def __init__(self, program: Program) -> None:
        self._program = program
        self._parts = {"patient": _Rules(program.patient), "order": _Rules(program.order)}
        self.deciders = {decider.name: decider for rules in self._parts.values() for decider in rules.deciders}

    def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference:
        """Decide every rule of a part (see `port.Backend`)."""
        return Inference(self._parts[part].decide(values))

    def begin(self, values: Mapping[str, str], part: Part = "patient") -> Begun:
        """It is held against nobody."""
        inference = self.infer(values, part)
        return Begun(inference.conclusions, lambda: inference)

    def close(self) -> None:
        """Nothing is held."""

    @cached_property
    def readers(self) -> Mapping[str, Readers]:
        """Fact -> who reads it."""
        return readers(self._program)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The rules of both parts, in dependency order."""
        return tuple(self.deciders)

    def session(self, values: Mapping[str, str], concluded: Conclusions | None = None) -> Session:
        """A what-if over the rules of both parts that decides only what is asked of it. `concluded` holds what was
        decided from these very values already."""
        session = Session(values, self)
        if concluded is not None:
            session.facts.update(concluded.values)
            session.facts.cases = {**dict.fromkeys(concluded.values), **concluded.cases}
        return session


class Session:
    """The facts of one patient (and one order); rules of both parts are decided on demand and remembered.

    Opening one is cheap: each changed answer gets a new session. A derived fact or issue that stands in `values` is
    taken as it is; leave it out where a fact below it was changed.
    """

    __slots__ = ("_backend", "facts", "touched")

    def __init__(self, values: Mapping[str, str], backend: PlainBackend) -> None:
        self._backend = backend
        self.touched: Collection[str] = ()       # by answers: what comes out otherwise, and who may stand otherwise
        self.facts = _Facts(values, backend.deciders)

    def answered(self, answers: Mapping[str, str]) -> Session:
        """The same with answers to unknown base facts. Only rules that read what has changed are decided again."""
        session = Session(self.facts, self._backend)
        session.facts.cases = dict(self.facts.cases)
        session.facts.update(answers)
        session.touched = session.facts.decide_again(answers, self._backend)
        return session

    def value(self, name: str) -> str:
        """The value of a fact, derived fact or issue; unknown if nothing says otherwise."""
        return self.facts[name]

    def case(self, name: str) -> int | None:
        """Which case of a rule is the first true one, held back by `unless` or not; None if no case is true."""
        self.value(name)
        if name not in self.facts.cases:         # its value was given, not decided
            self.facts.decide(name)
        return self.facts.cases[name]

    def truth(self, condition: Condition) -> Truth:
        """Whether a condition holds; None if unknown."""
        return truth(condition, self.facts)


class _Facts(dict[str, str]):
    """The memory of a session. What is not in it yet is decided when it is read."""

    __slots__ = ("cases", "deciders")

    def __init__(self, values: Mapping[str, str], deciders: Mapping[str, _Decider]) -> None:
        super().__init__(values)
        self.cases: dict[str, int | None] = {}
        self.deciders = deciders

    def __missing__(self, name: str) -> str:
        value = self[name] = self.decide(name)
        return value

    def decide(self, name: str) -> str:
        decider = self.deciders.get(name)
        value, self.cases[name] = decider.decide(self) if decider else (UNKNOWN, None)
        return value

    def decide_again(self, facts: Iterable[str], backend: PlainBackend) -> set[str]:
        """After changes of base facts: at least what comes out otherwise, and the issues that may stand otherwise.

        What others read is decided at once, as far as what it reads has changed; the rest when it is asked for.
        """
        touched: set[str] = set()
        left: set[str] = set()                   # to be decided when they are asked for
        due: list[int] = []                      # places of rules: what a rule reads stands before it
        seen: set[int] = set()
        changed = list(facts)
        while changed:
            for fact in changed:
                inner, last, showing = backend.readers.get(fact, _NOBODY)
                touched.update(showing)
                left.update(last)
                for place in inner:
                    if place not in seen:
                        seen.add(place)
                        heappush(due, place)
            changed = []
            while due and not changed:
                name = backend.names[heappop(due)]
                if self._comes_out_otherwise(name):
                    touched.add(name)
                    changed = [name]
        for name in left:
            self.pop(name, None)
            self.cases.pop(name, None)
        return touched | left

    def _comes_out_otherwise(self, name: str) -> bool:
        """Whether a rule does, or was not decided yet."""
        if name not in self:
            return True
        value, case = self.deciders[name].decide(self)
        if value == self[name] and case == self.cases.get(name, case):
            return False
        self[name], self.cases[name] = value, case
        return True


class _Decider:
    """One rule, prepared."""

    __slots__ = ("cases", "name", "unless")

    def __init__(self, rule: Rule) -> None:
        self.name = rule.name
        cases: Sequence[DerivedCase | IssueCase] = rule.cases
        self.cases: tuple[tuple[int, Test, str], ...] = tuple(
            (index, compiled(case.when), case.value if isinstance(case, DerivedCase) else PRESENT)
            for index, case in enumerate(cases)
        )
        self.unless = compiled(rule.unless) if isinstance(rule, Issue) and rule.unless is not None else None

    def decide(self, facts: Mapping[str, str]) -> tuple[str, int | None]:
        """The value, and the index of the first true case (None: no case is true)."""
        value, first = ABSENT, None
        for index, test, concluded in self.cases:
            truth = test(facts)
            if truth:
                value, first = concluded, index
                break
            if truth is None:
                value = UNKNOWN
        if self.unless is not None and value != ABSENT and self.unless(facts):
            value = ABSENT
        return value, first


class _Rules:
    """The rules of one part, prepared; every fact they read, with the places of its readers; and what they conclude
    where nothing is known, which most of them do of most patients."""

    __slots__ = ("_nothing", "_readers", "_unknown", "deciders")

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        self.deciders = tuple(_Decider(rule) for rule in rules)
        read = [{fact.fact for condition in conditions(rule) for fact in literals(condition)} for rule in rules]
        self._readers: dict[str, list[int]] = {}
        for place, facts in enumerate(read):
            for fact in facts:
                self._readers.setdefault(fact, []).append(place)
        self._unknown = dict.fromkeys(self._readers, UNKNOWN)
        self._nothing = Conclusions(values=dict.fromkeys((rule.name for rule in rules), UNKNOWN), cases={})
        self._nothing = self._decided({}, bytearray(b"\1" * len(rules)))
        self._unknown |= self._nothing.values

    def decide(self, values: Mapping[str, str]) -> Conclusions:
        due = bytearray(len(self.deciders))
        for fact, value in values.items():
            for place in self._readers.get(fact, ()) if value != UNKNOWN else ():
                due[place] = 1
        return self._decided(values, due)

    def _decided(self, values: Mapping[str, str], due: bytearray) -> Conclusions:
        """Decides the rules that are due, and those that read a conclusion which comes out otherwise: they stand later.
        All others conclude what they do where nothing is known."""
        concluded, cases = dict(self._nothing.values), dict(self._nothing.cases)
        facts = {**self._unknown, **values}
        if not concluded.keys().isdisjoint(values):
            facts.update(concluded)                # what is said of rules of this part is ignored
        place = due.find(1)
        while place >= 0:
            decider = self.deciders[place]
            name = decider.name
            value, first = decider.decide(facts)
            if first is None:
                cases.pop(name, None)
            else:
                cases[name] = first
            if value != concluded[name]:
                facts[name] = concluded[name] = value
                for reader in self._readers.get(name, ()):
                    due[reader] = 1
            place = due.find(1, place + 1)
        return Conclusions(values=concluded, cases=cases)
