"""What an explanation reads of a reasoning: the value of every fact and the truth of every condition."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, Self

from engine.rules.program import Condition, Program, Rule


class State(Protocol):
    """A reasoning over fixed base facts, asked lazily (the plain backend's session is one)."""

    def value(self, name: str) -> str:
        """The value of a base fact, derived fact or issue; `unknown` if undecided."""

    def case(self, name: str) -> int | None:
        """Index of the first true case of a derived fact or issue."""

    def truth(self, condition: Condition) -> bool | None:
        """True, False or None for unknown."""

    def answered(self, answers: Mapping[str, str]) -> Self:
        """The same with answers to unknown base facts."""

    @property
    def touched(self) -> Collection[str]:
        """After `answered`: at least the rules that come out otherwise, and the issues that may stand otherwise."""


def rules_by_name(program: Program) -> Mapping[str, Rule]:
    """Every derived fact and issue of both programs by its name."""
    return {rule.name: rule for rule in (*program.patient, *program.order)}
