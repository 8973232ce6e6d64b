"""An evaluation as a section of plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.model.finding import Evaluation, Finding
from engine.outputs.markdown import plain
from engine.outputs.wording import DISCLAIMER, Titles, evidence_line, missing_line, titles
from engine.rules.info import RuleInfo

MOST_PROBLEMS = 10


def evaluation_text(evaluation: Evaluation, info: Mapping[str, RuleInfo]) -> str:
    """Patient, findings with their reasons down to the resources, what is missing, what was held back, problems.

    No control character of a record gets through to the terminal. It ends without a line break.
    """
    return "\n".join(_lines(evaluation, info))


def _lines(evaluation: Evaluation, info: Mapping[str, RuleInfo]) -> Iterator[str]:
    ruleset = evaluation.ruleset
    declared = ", record declared complete" if evaluation.complete else ""
    yield f"{plain(evaluation.patient)} as of {evaluation.as_of}{declared}"
    if not evaluation.findings:
        yield "  no findings"
    for finding in evaluation.findings:
        yield from _finding(finding, titles(info))
    for reason, issues in _held_back(evaluation).items():
        yield f"  held back by {reason}:  {', '.join(issues)}"
    for problem in evaluation.problems[:MOST_PROBLEMS]:
        yield f"  problem  {plain(f'{problem.where}: {problem.message}')} [{problem.code}]"
    if len(evaluation.problems) > MOST_PROBLEMS:
        yield f"  and {len(evaluation.problems) - MOST_PROBLEMS} more problems of the data"
    yield f"  {ruleset.id} {ruleset.version} ({ruleset.hash[:12]}), backend {evaluation.backend}. {DISCLAIMER}"


def _held_back(evaluation: Evaluation) -> dict[str, list[str]]:
    """What holds back -> the issues that it holds back."""
    held: dict[str, list[str]] = {}
    for finding in evaluation.held_back:
        for one in finding.held_back_by:
            shown = ", ".join(because.shown for because in one.because)
            held.setdefault(plain(f"{one.by} ({shown})" if shown else one.by), []).append(finding.issue)
    return held


def _finding(finding: Finding, title: Titles) -> Iterator[str]:
    yield f"  {finding.severity.upper()}  {finding.issue} {finding.version} ({finding.display})"
    yield f"    {plain(finding.summary)}"
    for because in finding.because:
        yield f"    because  {plain(because.shown)}"
        for evidence in because.evidence:
            yield f"               {evidence_line(evidence)}"
    for missing in finding.missing:
        yield f"    missing  {missing_line(missing, title, finding.issue)}"
    for advice in finding.advice:
        yield f"    consider  {plain(advice)}"
