"""What an evaluation says: findings, each with its reasons and with what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec

from engine.model.fact import Evidence, Fact
from engine.model.problem import Problem

SEVERITIES = ("high", "moderate", "low")
DISPLAYS = ("interruptive", "warning", "information", "batch-only")


class Because(msgspec.Struct, frozen=True):
    """One fact that a finding rests on: its value, how a text says it, and the resources behind it."""

    fact: str
    value: str
    shown: str
    evidence: tuple[Evidence, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What an answer would lead to: issues of the same evaluation that would newly stand, and those that would go.

    Each entry reads `issue severity`; both empty means no change.
    """

    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Missing(msgspec.Struct, frozen=True):
    """An unknown base fact that stands between this finding and another outcome.

    `would_change`: value -> what it would change, alone or together with the answers in `with_answers`;
    empty when it was not proved (batch).
    """

    fact: str
    reason: str
    ask_for: str
    would_change: Mapping[str, Outcome] = {}
    with_answers: Mapping[str, Mapping[str, str]] = {}


class HeldBack(msgspec.Struct, frozen=True):
    """What mutes or silences: `unless` of the rule, or a gate of the ruleset; with the facts that make it true."""

    by: str
    because: tuple[Because, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One issue that stands for one patient (and, in the order program, for one order)."""

    issue: str
    severity: str
    display: str
    group: str
    rule: str
    version: str
    hash: str                              # content hash of the rule
    summary: str
    case: int                              # index of the true case
    advice: tuple[str, ...] = ()
    suggest: tuple[str, ...] = ()          # names of the orders that the true case suggests
    because: tuple[Because, ...] = ()
    adjusted_by: tuple[str, ...] = ()
    held_back_by: tuple[HeldBack, ...] = ()
    missing: tuple[Missing, ...] = ()
    order: str = ""                        # reference of the order, for findings of the order program
    ingredient: str = ""
    identifier: str = ""                   # stable over evidence, severity and versions
    evidence_hash: str = ""                # changes when what was read changes

    @property
    def rank(self) -> tuple[int, int]:
        """Smaller is graver: the severity, then the display."""
        return SEVERITIES.index(self.severity), DISPLAYS.index(self.display)

    @property
    def references(self) -> tuple[str, ...]:
        """Every resource behind the finding, each once, in the order of the reasons."""
        return tuple(dict.fromkeys(e.reference for b in self.because for e in b.evidence))


class RulesetId(msgspec.Struct, frozen=True):
    """Which content gave the answer."""

    id: str
    version: str
    hash: str


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer for one patient at one date.

    `held_back` are findings whose case is true and that a gate or an `unless` keeps silent; they are no findings.
    `facts` holds every known fact and every unknown one for which something was found or that is listed as missing.
    """

    patient: str
    as_of: date
    ruleset: RulesetId
    complete: bool
    findings: tuple[Finding, ...]
    held_back: tuple[Finding, ...] = ()
    facts: Mapping[str, Fact] = {}
    conclusions: Mapping[str, str] = {}    # derived fact or issue -> value
    orders: Mapping[str, Mapping[str, Fact]] = {}   # "reference ingredient" -> its order facts
    relevant: bool = False                 # some anchor holds
    problems: tuple[Problem, ...] = ()
    backend: str = "plain"
    disagreements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> str:
        """The highest severity among the findings; "" if there are none."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in SEVERITIES if severity in found), "")
