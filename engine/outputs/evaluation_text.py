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
    for held in evaluation.held_back:
        by = "; ".join(f"{h.by}: {', '.join(b.shown for b in h.because)}" for h in held.held_back_by)
        yield f"  held back  {held.issue}: {plain(by)}"
    for problem in evaluation.problems[:MOST_PROBLEMS]:
        yield f"  problem  {plain(f'{problem.where}: {problem.message}')} [{problem.code}]"
    if len(evaluation.problems) > MOST_PROBLEMS:
        yield f"  and {len(evaluation.problems) - MOST_PROBLEMS} more problems of the data"
    yield f"  {ruleset.id} {ruleset.version} ({ruleset.hash[:12]}), backend {evaluation.backend}. {DISCLAIMER}"


def _finding(finding: Finding, title: Titles) -> Iterator[str]:
    yield f"  {finding.severity.upper()}  {finding.issue} {finding.version} ({finding.display})"
    yield f"    {plain(finding.summary)}"
    for because in finding.because:
        yield f"    because  {plain(because.shown)}"
        for evidence in because.evidence:
            yield f"               {plain(evidence_line(evidence))}"
    for missing in finding.missing:
        yield f"    missing  {plain(missing_line(missing, title, finding.issue))}"
    for advice in finding.advice:
        yield f"    consider  {plain(advice)}"
