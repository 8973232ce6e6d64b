"""The words that every output shares: why, what is missing, what to do, which rule."""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.fact import Evidence
from engine.model.finding import Because, Finding, Missing, Outcome
from engine.rules.info import RuleInfo

DISCLAIMER = "Supports clinical judgement and does not replace it; the rules await clinical sign-off."


def because_line(because: Because) -> str:
    """`FVC 46 % on 2025-05-20 (Observation/fvc-1)`."""
    references = ", ".join(dict.fromkeys(e.reference for e in because.evidence))
    return f"{because.shown} ({references})" if references else because.shown


def evidence_line(evidence: Evidence) -> str:
    """`Observation/fvc-1: 46 %, 2025-05-20`."""
    return f"{evidence.reference}: {evidence.said}" + (f", {evidence.date}" if evidence.date else "")


def missing_line(missing: Missing) -> str:
    """`fatigability on examination (nothing recorded); present: gains overlap-als-mg-possible moderate`."""
    line = f"{missing.ask_for or missing.fact} ({missing.reason})" if missing.reason else missing.ask_for
    changes = [change_line(value, outcome, missing) for value, outcome in missing.would_change.items()]
    return f"{line}: {'; '.join(changes)}" if changes else line


def change_line(value: str, outcome: Outcome, missing: Missing) -> str:
    """`if present (with sfemg-other normal): + issue high, - other low`."""
    company = missing.with_answers.get(value, {})
    with_others = f" (with {', '.join(f'{k} {v}' for k, v in company.items())})" if company else ""
    changes = [*(f"+ {gained}" for gained in outcome.gained), *(f"- {lost}" for lost in outcome.lost)]
    return f"if {value}{with_others}: {', '.join(changes) or 'no change'}"


def detail_text(finding: Finding, rule: RuleInfo) -> str:
    """The finding in plain text (DetectedIssue.detail, reports)."""
    parts = [
        finding.summary,
        _sentence("Because", (because_line(b) for b in finding.because)),
        _sentence("Not known", (missing_line(m) for m in finding.missing)),
        _sentence("Consider", finding.advice),
        f"Rule {rule.id} {rule.version} ({rule.status}). {DISCLAIMER}",
    ]
    return "\n".join(part for part in parts if part)


def _sentence(label: str, items: Iterable[str]) -> str:
    text = "; ".join(item.rstrip(".") for item in items if item)
    return f"{label}: {text}." if text else ""
