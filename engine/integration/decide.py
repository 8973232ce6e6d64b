"""What an evaluation changes in what was told of a patient: the pure core of truth maintenance.

A finding is told again if its severity, its display, its evidence or what is missing has changed: these are what a
reader acts on. Another wording of its rule is no reason. One that no longer stands is withdrawn, with what became of
its reasons: `entered-in-error` if what it rested on was never true (entered in error, refuted, corrected), else
`resolved` (a later result, a window that has passed, a resource that is no more, a gate, other rules).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from engine.explanation.tree import Node
from engine.explanation.verdict import Explanation
from engine.fhir.fates import CORRECTED, ERRORS
from engine.integration.rendering import packed, unpacked
from engine.model.fact import UNKNOWN, Evidence, Fact, Reason
from engine.model.finding import Because, Evaluation, Finding
from engine.outputs.wording import because_line
from engine.rules.info import RuleInfo
from engine.store.findings import Change, Status

GONE = "no longer in the record"
MOST_REASONS = 4
Fate = Callable[[str], str]
"""Reference -> what became of the resource: a word of `engine.fhir.fates`, GONE, or ""."""
Explain = Callable[[str], Sequence[Explanation]]
"""Issue -> why it does not stand; empty if no rule has it."""


def changes(
    before: Iterable[Change],
    evaluation: Evaluation,
    explain: Explain,
    *,
    fate: Fate,
    info: Mapping[str, RuleInfo],
    at: int,
) -> tuple[Change, ...]:
    """New, changed, then withdrawn findings, each as the next version; empty if nothing has changed.

    `before`: the latest version of each finding of the patient; `evaluation`: as the view shows it.
    """
    known = {change.identifier: change for change in before}
    told = [_told(found, known.get(found.identifier), evaluation, info, at) for found in evaluation.findings]
    standing = {found.identifier for found in evaluation.findings}
    fallen = [change for change in known.values() if change.stands and change.identifier not in standing]
    withdrawn = [_withdrawn(change, evaluation, explain, fate, at) for change in fallen]
    return (*(change for change in told if change is not None), *withdrawn)


def digest(finding: Finding) -> str:
    """Of what is missing."""
    parts = sorted(f"{missing.fact}\x1f{missing.reason}" for missing in finding.missing)
    return hashlib.sha256("\x1e".join(parts).encode()).hexdigest()


def _told(
    found: Finding, last: Change | None, evaluation: Evaluation, info: Mapping[str, RuleInfo], at: int
) -> Change | None:
    missing = digest(found)
    now = (found.severity, found.display, found.evidence_hash, missing)
    comes = last is None or not last.stands
    if last is not None and not comes and (last.severity, last.display, last.evidence, last.missing) == now:
        return None
    return Change(
        identifier=found.identifier,
        version=last.version + 1 if last else 1,
        patient=evaluation.patient,
        kind="new" if comes else "changed",
        issue=found.issue,
        ruleset=info[found.issue].ruleset,
        severity=found.severity,
        display=found.display,
        evidence=found.evidence_hash,
        missing=missing,
        status="preliminary",
        reason="",
        content=packed(found, evaluation),
        first_at=last.first_at if last else at,
        at=at,
    )


def _withdrawn(last: Change, evaluation: Evaluation, explain: Explain, fate: Fate, at: int) -> Change:
    told = unpacked(last.content)
    status, reason = why(told.finding, evaluation, explain, fate)
    finding = msgspec.structs.replace(told.finding, missing=(), advice=(), suggest=())  # nothing is to be done any more
    gone = tuple(name for name in finding.references if fate(name) == GONE)
    return msgspec.structs.replace(
        last,
        version=last.version + 1,
        kind="withdrawn",
        status=status,
        reason=reason,
        content=packed(finding, told.evaluation, gone),
        at=at,
    )


def why(finding: Finding, evaluation: Evaluation, explain: Explain, fate: Fate) -> tuple[Status, str]:
    """Why a finding fell: the status that it gets, and the reason in words, which quote the record."""
    facts = _facts(finding, evaluation)
    said = {(e.reference, e.said) for fact in facts.values() for e in fact.evidence}
    reasons: list[str] = []
    error, named = False, set[tuple[str, str]]()
    for because in finding.because:
        fact = facts.get(because.fact)
        if fact is not None and fact.value == because.value:
            continue
        wrong = [(e, word) for e in because.evidence if (word := fate(e.reference)) and _counts(e, word, said)]
        error = error or any(word in ERRORS for _, word in wrong)
        fates = {(e.reference, word) for e, word in wrong}
        if not fates or not fates <= named or _known(fact):  # else it has been said of another fact
            reasons.append(_fell(because, fact, wrong))
        named |= fates
    if finding.order and not any(key.startswith(f"{finding.order} ") for key in evaluation.orders):
        word = fate(finding.order)
        error = error or word in ERRORS
        reasons.append(f"the order {finding.order} {f'is {word}' if word else 'no longer counts as current'}")
    for held in (h for f in evaluation.held_back if f.identifier == finding.identifier for h in f.held_back_by):
        lines = "; ".join(map(because_line, held.because))
        reasons.append(f"held back by {held.by}" + (f": {lines}" if lines else ""))
    if not reasons:
        reasons = [_explained(finding, explain(finding.issue))]
    reasons = list(dict.fromkeys(reasons))
    more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
    return "entered-in-error" if error else "resolved", "; ".join([*reasons[:MOST_REASONS], *more])


def _facts(finding: Finding, evaluation: Evaluation) -> Mapping[str, Fact]:
    of_order = evaluation.orders.get(f"{finding.order} {finding.ingredient}", {}) if finding.order else {}
    return {**evaluation.facts, **of_order}


def _counts(evidence: Evidence, word: str, said: set[tuple[str, str]]) -> bool:
    """Whether its fate explains something: a correction only if it says something else than before."""
    return word != CORRECTED or (evidence.reference, evidence.said) not in said


def _fell(because: Because, fact: Fact | None, wrong: Sequence[tuple[Evidence, str]]) -> str:
    """`AChR antibodies 0.6 nmol/L (Observation/a): corrected, now AChR antibodies 0.1 nmol/L`."""
    words = list(dict.fromkeys(word for _, word in wrong))
    if fact is not None and _known(fact):
        words.append(f"now {fact.shown or fact.value}")
    elif not words:
        words.append(str((fact.reason if fact else None) or Reason.NOTHING_RECORDED))
    return f"{because_line(because)}: {', '.join(words)}"


def _known(fact: Fact | None) -> bool:
    return fact is not None and fact.value != UNKNOWN


def _explained(finding: Finding, explanations: Sequence[Explanation]) -> str:
    """What the rule says now, where no reason of the finding has changed: the rules have."""
    if not explanations:
        return "the rules no longer contain it"
    found = explanations[0]
    open_ = [node for node in _leaves(found.tree) if node.truth != "true"]
    lines = [f"{node.text} ({node.shown or node.reason or node.value})" for node in open_[:MOST_REASONS]]
    changed = f"its rule has changed from {finding.version} to {found.version}"
    return "; ".join([changed if found.version != finding.version else "its rule has changed", *lines])


def _leaves(nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        if node.fact and not node.children:
            yield node
        yield from _leaves(node.children)
