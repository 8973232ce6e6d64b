"""`endplate screen`: many patients, a table here, a report and DetectedIssues in a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console

from engine.batch.sources import files_in
from engine.cli.common import BackendName, evaluator, notice, records, scope
from engine.outputs.detected_issue import issue_bundle
from engine.outputs.report import problem_counts, report
from engine.outputs.settings import BASE
from engine.outputs.tables import findings_table

PLAIN_WIDTH = 150                      # of the table where there is no terminal to ask


def run(
    sources: list[Path],
    out: Path,
    *,
    as_of: str,
    complete: bool,
    backend: BackendName,
    folder: Path | None,
    valuesets: Iterable[Path],
) -> None:
    """Evaluate every patient, print the table, write `report.html` and `detected-issues.ndjson`."""
    ready = evaluator(folder, valuesets, backend)
    files = list(files_in(sources))
    evaluations = [
        ready.evaluate(record, "listed") for record in records(files, ready, scope(as_of, complete=complete))
    ]
    out.mkdir(parents=True, exist_ok=True)
    page = out / "report.html"
    page.write_text(report(evaluations, ready.ruleset.info, source=", ".join(str(s) for s in sources)), "utf-8")
    with (out / "detected-issues.ndjson").open("wb") as lines:
        for evaluation in evaluations:
            bundle = issue_bundle(evaluation, ready.ruleset.info, base=BASE)
            for entry in bundle.get("entry", ()):
                lines.write(msgspec.json.encode(entry["resource"]) + b"\n")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(findings_table(evaluations))
    found = sum(bool(evaluation.findings) for evaluation in evaluations)
    console.print(f"{len(evaluations)} patients, {found} with findings; backend {ready.backend.name}")
    if counts := problem_counts(evaluations):
        console.print(f"data problems: {', '.join(f'{count} {code}' for code, count in counts)}")
    console.print(f"report: {page}", soft_wrap=True)
    for evaluation in evaluations:
        if evaluation.disagreements:
            notice(f"the backends disagree on {evaluation.patient}: {'; '.join(evaluation.disagreements)}")
