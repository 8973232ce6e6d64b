"""A report of many evaluations: one self-contained HTML page for clinicians and informaticians.

It loads nothing and runs only its own search: the page carries a content security policy with the hash of that script.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from engine.fhir.problems import CODES
from engine.model.finding import SEVERITIES, Evaluation
from engine.outputs.pages import page_templates
from engine.outputs.wording import DISCLAIMER, because_line, evidence_line, missing_line, titles
from engine.rules.info import RuleInfo

SECTIONS = ("comparison", "differing", "rates", "unknown_codes")


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of the whole batch. `more` and `silent`: patients with and without findings that are not shown."""

    patients: int
    relevant: int
    with_findings: int
    counts: Mapping[tuple[str, str], int]  # (issue, severity) -> findings
    problems: Mapping[str, int]
    parameters: tuple[tuple[str, str], ...] = ()
    not_evaluated: int = 0
    more: int = 0
    silent: int = 0


class Bar(msgspec.Struct, frozen=True):
    """One line of a chart: findings by severity."""

    name: str
    title: str
    counts: tuple[int, ...]                # in the order of SEVERITIES
    note: str = ""

    @property
    def total(self) -> int:
        return sum(self.counts)


def problem_counts(evaluations: Iterable[Evaluation]) -> list[tuple[str, int]]:
    """How often each kind of data problem was met, the most frequent first."""
    return _most_first(Counter(problem.code for evaluation in evaluations for problem in evaluation.problems))


def report(
    evaluations: Sequence[Evaluation],
    info: Mapping[str, RuleInfo],
    *,
    source: str,
    totals: Totals | None = None,
    sections: Mapping[str, object] | None = None,
) -> str:
    """The page as text; everything that comes from a record is escaped by the template engine.

    `totals`: of the whole batch, where `evaluations` are only a part of it. `sections`: what a batch says beside its
    findings (comparison.html, rates.html, unknown_codes.html).
    """
    environment = page_templates("engine.outputs")
    title = titles(info)
    environment.filters |= {
        "because": because_line,
        "evidence": evidence_line,
        "missing": lambda missing, issue: missing_line(missing, title, issue),
    }
    totals = totals or _totals(evaluations)
    script = environment.get_template("report.js").render()
    issues = _bars(totals.counts, lambda issue: (issue, title(issue), f"{info[issue].ruleset} {info[issue].version}"))
    return environment.get_template("report.html").render(
        evaluations=evaluations,
        info=info,
        source=source,
        disclaimer=DISCLAIMER,
        totals=totals,
        severities=SEVERITIES,
        by_ruleset=_bars(totals.counts, lambda issue: (info[issue].ruleset, "", "")),
        by_issue=issues,
        problems=[(code, CODES.get(code, ""), count) for code, count in _most_first(totals.problems)],
        **dict.fromkeys(SECTIONS) | dict(sections or {}),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _totals(evaluations: Sequence[Evaluation]) -> Totals:
    return Totals(
        patients=len(evaluations),
        relevant=sum(evaluation.relevant for evaluation in evaluations),
        with_findings=sum(bool(evaluation.findings) for evaluation in evaluations),
        counts=Counter((f.issue, f.severity) for evaluation in evaluations for f in evaluation.findings),
        problems=dict(problem_counts(evaluations)),
    )


def _bars(counts: Mapping[tuple[str, str], int], named: Callable[[str], tuple[str, str, str]]) -> list[Bar]:
    """Lines of a chart, the one with the most severe findings first."""
    lines: dict[tuple[str, str, str], list[int]] = {}
    for (issue, severity), count in counts.items():
        lines.setdefault(named(issue), [0] * len(SEVERITIES))[SEVERITIES.index(severity)] += count
    bars = [Bar(name, title, tuple(held), note) for (name, title, note), held in lines.items()]
    return sorted(bars, key=lambda bar: ([-count for count in bar.counts], bar.name))


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
