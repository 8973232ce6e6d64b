"""A finding in full: because, not known, consider, which rule. As Markdown and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.model.finding import Finding
from engine.outputs.markdown import bullets, escaped, heading, plain
from engine.outputs.wording import DISCLAIMER, Titles, because_line, missing_line
from engine.rules.info import RuleInfo

MOST_MISSING = 8


def sections(finding: Finding, title: Titles) -> Iterable[tuple[str, Sequence[str]]]:
    """Label and lines of each part that has something to say."""
    missing = [missing_line(one, title, finding.issue) for one in finding.missing[:MOST_MISSING]]
    if len(finding.missing) > MOST_MISSING:
        missing.append(f"and {len(finding.missing) - MOST_MISSING} more")
    parts = (
        ("Because", [because_line(because) for because in finding.because]),
        ("Not known", missing),
        ("Consider", finding.advice),
    )
    return [(label, lines) for label, lines in parts if lines]


def rule_line(rule: RuleInfo) -> str:
    """`Rule x 0.1.0 (draft). Supports ...`."""
    return f"Rule {rule.id} {rule.version} ({rule.status}). {DISCLAIMER}"


def detail_markdown(finding: Finding, rule: RuleInfo, title: Titles = str) -> str:
    """GitHub-flavoured Markdown in which no text of a record can become markup (cards; DetectedIssue.detail in R5)."""
    parts = [
        f"{heading(label)}\n\n{bullets(escaped(line) for line in lines)}" for label, lines in sections(finding, title)
    ]
    return "\n\n".join([*parts, escaped(rule_line(rule))])


def detail_text(finding: Finding, rule: RuleInfo, title: Titles = str) -> str:
    """Plain text (DetectedIssue.detail in R4)."""
    parts = [(label, "; ".join(plain(line).rstrip(".") for line in lines)) for label, lines in sections(finding, title)]
    said = [f"{label}: {text}." for label, text in parts]
    return "\n".join([plain(finding.summary), *said, rule_line(rule)])
