"""A report of many evaluations: one self-contained HTML page for clinicians and informaticians."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.fhir.problems import CODES
from engine.model.finding import SEVERITIES, Evaluation
from engine.outputs.markdown import plain
from engine.outputs.wording import DISCLAIMER, because_line, evidence_line, missing_line, titles
from engine.rules.info import RuleInfo


def problem_counts(evaluations: Iterable[Evaluation]) -> list[tuple[str, int]]:
    """How often each kind of data problem was met, the most frequent first."""
    counts = Counter(problem.code for evaluation in evaluations for problem in evaluation.problems)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def report(evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo], *, source: str) -> str:
    """The page as text; everything that comes from a record is escaped by the template engine and free of
    control characters."""
    environment = Environment(
        loader=PackageLoader("engine.outputs"),
        autoescape=True,
        finalize=lambda shown: plain(shown) if isinstance(shown, str) else shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    title = titles(info)
    environment.filters |= {
        "because": because_line,
        "evidence": evidence_line,
        "missing": lambda missing, issue: missing_line(missing, title, issue),
    }
    counts = Counter((f.issue, f.severity) for e in evaluations for f in e.findings)
    return environment.get_template("report.html").render(
        evaluations=evaluations,
        info=info,
        source=source,
        disclaimer=DISCLAIMER,
        counts=sorted(counts.items(), key=lambda item: (SEVERITIES.index(item[0][1]), item[0][0])),
        problems=[(code, CODES.get(code, ""), count) for code, count in problem_counts(evaluations)],
    )
