"""Conclusions -> findings: severity, display, gates, reasons, identity, texts.

A finding is an issue that fires and that no gate mutes. Gates change no fact; what they mute is kept apart with the
reason. Adjustments apply in the order in which the case names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from engine.explanation.answers import Answering, Ways, narrow
from engine.explanation.memory import Memory
from engine.explanation.missing import Outcomes, WhatIf, listed
from engine.explanation.proof import Facts, Proof, union
from engine.explanation.state import State
from engine.identity import evidence_hash, identifier
from engine.model.fact import PRESENT, Fact
from engine.model.finding import SEVERITIES, Because, Finding, HeldBack
from engine.rules.info import RuleInfo
from engine.rules.program import Adjustment, Condition, Gate, Issue, IssueCase, Program, literals
from engine.texts import fill

DEFAULT_DISPLAY = {"high": "warning", "moderate": "warning", "low": "information"}


class Standing(msgspec.Struct, frozen=True):
    """How an issue stands: severity and display after adjustments, and what changed them."""

    severity: str
    display: str
    adjustments: tuple[str, ...]


class Source(msgspec.Struct, frozen=True):
    """What findings are made of, for one patient or one order of it."""

    program: Program
    info: Mapping[str, RuleInfo]
    state: State
    proof: Proof
    answering: Answering
    what_if: WhatIf
    memory: Memory
    values: Mapping[str, str]              # of the known base facts
    fact: Callable[[str], Fact]            # base fact, known or unknown
    ask_for: Callable[[str], str]
    patient: str
    tenant: str = ""
    order: str = ""                        # reference of the order
    ingredient: str = ""
    draft: bool = False                    # the order is a draft
    of_birth: frozenset[str] = frozenset()   # facts that the birth date alone decides


def stands(
    issue: Issue, case: IssueCase, program: Program, truth: Callable[[Condition], bool | None], *, draft: bool
) -> Standing:
    """Severity and display of a true case (rule language, "Policies")."""
    severity, display, applied = case.severity, "", []
    for name in case.adjust:
        adjustment = program.adjustments[name]
        if truth(adjustment.when) is True:
            severity = adjusted(severity, adjustment)
            display = adjustment.display or display
            applied.append(name)
    default = "interruptive" if issue.order and draft and severity == "high" else DEFAULT_DISPLAY[severity]
    return Standing(severity, display or case.display or default, tuple(applied))


def standing(issues: Iterable[Issue], state: State, *, program: Program, draft: bool) -> Outcomes:
    """Every issue that stands, with severity and display: a case is true, and neither `unless` nor a gate mutes it."""
    found = set()
    for issue in issues:
        if state.value(issue.name) != PRESENT:
            continue
        index = state.case(issue.name)
        if index is not None and not any(gates_against(issue, program, state)):
            how = stands(issue, issue.cases[index], program, state.truth, draft=draft)
            found.add((issue.name, how.severity, how.display))
    return frozenset(found)


def adjusted(severity: str, adjustment: Adjustment) -> str:
    """The severity after one adjustment: high -> moderate -> low -> low, or the one it names."""
    if adjustment.severity == "one-step-lower":
        return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]
    return adjustment.severity or severity


def gates_against(issue: Issue, program: Program, state: State) -> Iterator[Gate]:
    """The gates that mute an issue now."""
    return (gate for gate in program.gates if mutes(gate, issue.group) and state.truth(gate.when) is True)


def mutes(gate: Gate, group: str) -> bool:
    """Whether a gate that holds mutes findings of a group."""
    return group not in gate.keep if gate.keep is not None else group in (gate.mute or ())


def finding(issue: Issue, source: Source) -> Finding | None:
    """The finding of an issue with a true case; `held_back_by` says what silences it. None: no case is true."""
    state = source.state
    index = state.case(issue.name)
    if index is None:
        return None
    case = issue.cases[index]
    standing = stands(issue, case, source.program, state.truth, draft=source.draft)
    facts = reasons(issue, index, source)
    because = tuple(because_of(name, source) for name in facts)
    rule = source.info[issue.name]
    return Finding(
        issue=issue.name,
        severity=standing.severity,
        display=standing.display,
        group=issue.group,
        rule=issue.rule,
        version=rule.version,
        hash=rule.hash,
        summary=summary(issue, case, facts, source),
        case=index,
        advice=case.advice or rule.advice,
        suggest=case.suggest,
        because=because,
        adjusted_by=standing.adjustments,
        held_back_by=held_back(issue, source),
        order=source.order if issue.order else "",
        ingredient=source.ingredient if issue.order else "",
        identifier=identifier(source.patient, issue.name, source.order if issue.order else "", source.tenant),
        evidence_hash=evidence_hash(because),
    )


def reasons(issue: Issue, index: int, source: Source) -> Facts:
    """Base facts of the true case and of all that its summary lists, of what keeps higher cases, `unless` and gates
    from being true, of adjustments."""
    known, fragile = source.values, source.proof.fragile
    return source.memory.reasons(issue, known, fragile, lambda: _reasons(issue, index, source))


def _reasons(issue: Issue, index: int, source: Source) -> Facts:
    state, proof = source.state, source.proof
    case = issue.cases[index]
    parts = [proof.true(case.when)]
    if "{list}" in (case.summary or source.info[issue.name].summary):
        parts += [proof.true(shown) for _, shown in source.info[issue.name].listed if state.truth(shown) is True]
    parts += [proof.not_true(higher.when) for higher in issue.cases[:index]]
    if issue.unless is not None and state.truth(issue.unless) is not True:
        parts.append(proof.not_true(issue.unless))
    for condition in (source.program.adjustments[name].when for name in case.adjust):
        parts.append(proof.true(condition) if state.truth(condition) is True else proof.not_true(condition))
    for gate in source.program.gates:
        if mutes(gate, issue.group) and state.truth(gate.when) is not True:
            parts.append(proof.not_true(gate.when))
    return union(parts)


def held_back(issue: Issue, source: Source) -> tuple[HeldBack, ...]:
    """The `unless` and the gates that hold against an issue."""
    held = []
    if issue.unless is not None and source.state.truth(issue.unless) is True:
        held.append(_held("unless", issue.unless, source))
    held += [
        _held(f"gate: {gate.why}" if gate.why else "gate", gate.when, source)
        for gate in gates_against(issue, source.program, source.state)
    ]
    return tuple(held)


def _held(by: str, condition: Condition, source: Source) -> HeldBack:
    return HeldBack(by=by, because=tuple(because_of(name, source) for name in source.proof.true(condition)))


def because_of(name: str, source: Source) -> Because:
    """A base fact as a reason."""
    return because_from(source.fact(name))


def because_from(fact: Fact) -> Because:
    """A fact as a reason, in its own words or else by name and value."""
    return Because(
        fact=fact.name, value=fact.value, shown=fact.shown or f"{fact.name}: {fact.value}", evidence=fact.evidence
    )


def ways_to_change(issue: Issue, source: Source) -> Ways:
    """Answer sets that may change the outcome of an issue (candidates, narrowest first).

    A birth date that is not known belongs to them: the patient is treated as an adult, and the finding says so
    (clinical specification 1.2). Of other facts behind gates nobody is asked.
    """
    return source.memory.recall(issue, source.values, lambda: _ways_to_change(issue, source))


def _ways_to_change(issue: Issue, source: Source) -> Ways:
    index = source.state.case(issue.name)
    adjust = issue.cases[index].adjust if index is not None else ()
    policies = [source.program.adjustments[name].when for name in adjust]
    ways = source.answering.to_change(issue, index, policies)
    birth = [
        way
        for gate in source.program.gates
        if index is not None and mutes(gate, issue.group)
        for literal in literals(gate.when)
        if literal.fact in source.of_birth
        for way in source.answering.to_true(literal)
    ]
    return narrow([*ways, *birth]) if birth else ways


def summary(issue: Issue, case: IssueCase, facts: Facts, source: Source) -> str:
    """The summary with its placeholders filled."""
    rule = source.info[issue.name]
    template = case.summary or rule.summary
    lists: dict[str, Sequence[str]] = {}
    if "{list}" in template:
        lists["list"] = [
            source.fact(name).shown or source.ask_for(name)
            for name, condition in rule.listed
            if source.state.truth(condition) is True
        ]
    if "{missing}" in template:
        missing = listed(ways_to_change(issue, source), source.fact, source.ask_for)
        lists["missing"] = [m.ask_for or m.fact for m in missing]
    return fill(template, lambda name: shown(name, source), facts, lists)


def shown(name: str, source: Source) -> str:
    """The text of a fact in a summary: what the record says, else the value of a derived fact."""
    value = source.state.value(name)
    return source.fact(name).shown or value


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding per issue and order: over several ingredients the highest severity, then the most visible display."""
    best: dict[tuple[str, str], Finding] = {}
    for candidate in findings:
        key = (candidate.issue, candidate.order)
        if key not in best or candidate.rank < best[key].rank:
            best[key] = candidate
    return tuple(best.values())


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by severity, then by display; those of one rank stay in the order of the program."""
    return tuple(sorted(findings, key=lambda one: one.rank))
