"""Which issues are worth entering at all: one can fire only if one of its anchors holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.inference.port import Part
from engine.rules.program import Issue, Program, Rule


class Anchors:
    """The anchored issues of a program, by what lets them in. Issues without an anchor (data quality) make nobody
    relevant."""

    def __init__(self, program: Program) -> None:
        self._parts = {"patient": _Part(program.patient), "order": _Part(program.order)}

    def issues(self, part: Part = "patient") -> tuple[Issue, ...]:
        """Every issue of a part, in dependency order."""
        return self._parts[part].issues

    def free(self, part: Part = "patient") -> frozenset[str]:
        """The issues without an anchor."""
        return self._parts[part].free

    def may_fire(self, values: Mapping[str, str], part: Part = "patient") -> frozenset[str]:
        """Every issue that may fire, anchored or not."""
        return self.entered(values, part) | self._parts[part].free

    def entered(self, values: Mapping[str, str], part: Part = "patient") -> frozenset[str]:
        """The anchored issues that may fire."""
        lets_in = self._parts[part].lets_in
        return frozenset[str]().union(*[lets_in[known] for known in values.items() if known in lets_in])

    def hold(self, values: Mapping[str, str], part: Part = "patient") -> bool:
        """Whether any anchored issue of the part can fire. For `patient`: whether the patient is relevant."""
        return bool(self.first(values, part))

    def first(self, values: Mapping[str, str], part: Part = "patient") -> str:
        """The first fact, by name, that lets an issue in; "" if none does."""
        lets_in = self._parts[part].lets_in
        return min((known[0] for known in values.items() if known in lets_in), default="")


class _Part:
    __slots__ = ("free", "issues", "lets_in")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.issues = tuple(rule for rule in rules if isinstance(rule, Issue))
        self.free = frozenset(issue.name for issue in self.issues if not issue.anchors)
        self.lets_in: dict[tuple[str, str], set[str]] = {}       # (fact, value) -> issues
        for issue in self.issues:
            for anchor in issue.anchors:
                for value in anchor.values:
                    self.lets_in.setdefault((anchor.fact, value), set()).add(issue.name)
