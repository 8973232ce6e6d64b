"""Which issues are worth entering at all: one can fire only if one of its anchors holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.inference.port import Part
from engine.rules.program import Issue, Program, Rule


class Anchors:
    """The anchored issues of a program, by fact. Issues without an anchor (data quality) make nobody relevant."""

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
        by_fact = self._parts[part].by_fact
        return frozenset(
            name for fact, value in values.items() for wanted, name in by_fact.get(fact, ()) if value in wanted
        )

    def hold(self, values: Mapping[str, str], part: Part = "patient") -> bool:
        """Whether any anchored issue of the part can fire. For `patient`: whether the patient is relevant."""
        return bool(self.first(values, part))

    def first(self, values: Mapping[str, str], part: Part = "patient") -> str:
        """The first fact, by name, that lets an issue in; "" if none does."""
        by_fact = self._parts[part].by_fact
        held = (f for f, value in sorted(values.items()) if any(value in wanted for wanted, _ in by_fact.get(f, ())))
        return next(held, "")


class _Part:
    __slots__ = ("by_fact", "free", "issues")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.issues = tuple(rule for rule in rules if isinstance(rule, Issue))
        self.free = frozenset(issue.name for issue in self.issues if not issue.anchors)
        self.by_fact: dict[str, list[tuple[frozenset[str], str]]] = {}
        for issue in self.issues:
            for anchor in issue.anchors:
                self.by_fact.setdefault(anchor.fact, []).append((anchor.values, issue.name))
