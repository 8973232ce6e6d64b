"""Which part of a program is worth running at all: an issue can fire only if one of its anchors holds."""

from __future__ import annotations

from collections.abc import Mapping

from engine.inference.port import Part
from engine.rules.program import Issue, Program, Rule


class Anchors:
    """The anchors of a program, by fact. Issues without any (on the quality of data) make nobody relevant."""

    def __init__(self, program: Program) -> None:
        self._parts = {"patient": _index(program.patient), "order": _index(program.order)}

    def hold(self, values: Mapping[str, str], part: Part = "patient") -> bool:
        """Whether any anchored issue of the part can fire. For `patient`: whether the patient is relevant."""
        anchors = self._parts[part]
        return any(value in anchors.get(fact, ()) for fact, value in values.items())


def _index(rules: tuple[Rule, ...]) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for rule in rules:
        for anchor in rule.anchors if isinstance(rule, Issue) else ():
            found[anchor.fact] = found.get(anchor.fact, frozenset()) | anchor.values
    return found
