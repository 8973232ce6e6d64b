"""Findings as rows for a terminal: patient, issue, severity, why in one line, what is missing."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from engine.model.finding import Evaluation, Finding
from engine.outputs.markdown import plain

STYLE = {"high": "bold red", "moderate": "yellow", "low": "cyan"}


def findings_table(evaluations: Iterable[Evaluation]) -> Table:
    """A table of every finding; patients without one have a row that says so."""
    table = Table(box=SIMPLE, pad_edge=False, expand=True)
    table.add_column("patient", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("issue", overflow="fold", min_width=39)
    table.add_column("why", overflow="fold", ratio=6)
    table.add_column("missing", overflow="fold", ratio=5)
    for evaluation in evaluations:
        patient = Text(plain(evaluation.patient.removeprefix("Patient/")))
        if not evaluation.findings:
            table.add_row(patient, "", Text("no findings", style="dim"), "", "")
        for finding in evaluation.findings:
            severity = Text(finding.severity, style=STYLE[finding.severity])
            table.add_row(patient, severity, Text(finding.issue), Text(why(finding)), Text(lacking(finding)))
    return table


def why(finding: Finding) -> str:
    """The reasons in one line."""
    return plain("; ".join(because.shown for because in finding.because))


def lacking(finding: Finding, most: int = 3) -> str:
    """The first few facts to ask for."""
    names = [missing.ask_for or missing.fact for missing in finding.missing]
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
