"""The results of all parts, brought together into the files of a batch, one pass and in bounded memory.

They are written beside each other first and get their names together, `summary.json` last: a folder with a summary is
complete. Nothing in them depends on the time, the machine or the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine import __version__
from engine.batch.results import Counts, Found, Odd, Silent, frames
from engine.batch.run import cannot_write, results
from engine.batch.tables import CsvTable, ParquetTable, Table, has_parquet, row
from engine.batch.work import Setup
from engine.model.finding import SEVERITIES, Evaluation
from engine.outputs.report import Totals, report
from engine.rules.ruleset import Ruleset

MOST_SHOWN = 2_000                         # patients with findings in the report, the most severe first
MOST_SILENT = 200                          # patients without findings that are listed
SUMMARY = "summary.json"


class Shown(msgspec.Struct, frozen=True):
    """The patients that a page or a table can show, in the order of the output."""

    evaluations: tuple[Evaluation, ...]
    more: int                              # with findings, not shown
    silent: int                            # without findings, not shown


def merge(folder: Path, out: Path, setup: Setup, ruleset: Ruleset, counts: Counts) -> Shown:
    """Writes every output of a finished run into `out`. Raises RunError: disk full, not writable."""
    written = folder / "out"
    try:
        written.mkdir(exist_ok=True)
        shown = _written(written, folder, setup, ruleset, counts)
        (out / SUMMARY).unlink(missing_ok=True)
        for path in sorted(written.iterdir(), key=lambda path: path.name == SUMMARY):
            path.replace(out / path.name)
        if not has_parquet():
            (out / "findings.parquet").unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    return shown


def summary(setup: Setup, ruleset: Ruleset, counts: Counts) -> dict[str, Any]:
    """Everything that was counted, and the parameters of the run."""
    issues: dict[str, dict[str, int]] = {}
    for key, count in sorted(counts.findings.items()):
        issue, _, severity = key.rpartition(" ")
        issues.setdefault(issue, {})[severity] = count
    by_ruleset: dict[str, dict[str, int]] = {}
    by_severity = dict.fromkeys(SEVERITIES, 0)
    for issue, severities in issues.items():
        held = by_ruleset.setdefault(ruleset.info[issue].ruleset, dict.fromkeys(SEVERITIES, 0))
        for severity, count in severities.items():
            held[severity] += count
            by_severity[severity] += count
    return {
        "endplate": __version__,
        "ruleset": {"id": ruleset.id, "version": ruleset.version, "hash": ruleset.hash},
        "run": {
            "sources": list(setup.paths),
            "as_of": "bundle" if setup.at_bundle_time else setup.as_of.isoformat(),
            "complete": setup.complete,
            "backend": setup.backend,
            "only": list(setup.asked),
            "limit": setup.limit or None,
        },
        "input": {"files": len(setup.sources), "bytes": counts.bytes, "documents": counts.documents},
        "patients": {
            "evaluated": counts.patients - counts.failed,
            "relevant": counts.relevant,
            "with_findings": counts.with_findings,
            "not_evaluated": counts.failed,
            "backends_disagree": counts.disagreements,
        },
        "findings": {
            "total": sum(by_severity.values()),
            "by_severity": by_severity,
            "by_ruleset": dict(sorted(by_ruleset.items())),
            "by_issue": {
                issue: {
                    "title": ruleset.info[issue].title,
                    "ruleset": ruleset.info[issue].ruleset,
                    "version": ruleset.info[issue].version,
                    "severities": issues.get(issue, {}),
                    "held_back": counts.held_back.get(issue, 0),
                }
                for issue in sorted({*issues, *counts.held_back})
            },
        },
        "problems": dict(sorted(counts.problems.items())),
    }


def _written(written: Path, folder: Path, setup: Setup, ruleset: Ruleset, counts: Counts) -> Shown:
    picked = _Picked()
    tables: list[Table] = [CsvTable(written / "findings.csv")]
    if has_parquet():
        tables.append(ParquetTable(written / "findings.parquet"))
    with (written / "detected-issues.ndjson").open("wb") as issues, (written / "problems.ndjson").open("wb") as odd:
        for frame in _frames(folder):
            if isinstance(frame, Odd):
                odd.write(_problem(frame) + b"\n")
                continue
            picked.add(frame)
            if isinstance(frame, Found):
                issues.writelines(line + b"\n" for line in frame.issues)
                for finding in frame.evaluation.findings:
                    for table in tables:
                        table.add(row(finding, frame.evaluation, ruleset.info))
    for table in tables:
        table.close()
    shown = picked.shown(counts)
    said = summary(setup, ruleset, counts)
    (written / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
    page = report(shown.evaluations, ruleset.info, source=", ".join(setup.paths), totals=totals(said, shown))
    (written / "report.html").write_text(page, "utf-8")
    return shown


def totals(said: dict[str, Any], shown: Shown) -> Totals:
    """What a report says of the whole batch, of which it shows a part."""
    run = said["run"]
    parameters = (
        ("Date of evaluation", "each Bundle's own" if run["as_of"] == "bundle" else run["as_of"]),
        ("Records complete", "declared by the caller" if run["complete"] else "as each Bundle says"),
        ("Backend", run["backend"]),
        *((("Only", ", ".join(run["only"])),) if run["only"] else ()),
        *((("Limit", f"{run['limit']} patients"),) if run["limit"] else ()),
        ("Input", ", ".join(f"{count} {name}" for name, count in said["input"].items())),
        ("Content", f"{said['ruleset']['id']} {said['ruleset']['version']}, {said['ruleset']['hash'][:12]}"),
        ("Endplate", said["endplate"]),
    )
    return Totals(
        patients=said["patients"]["evaluated"],
        relevant=said["patients"]["relevant"],
        with_findings=said["patients"]["with_findings"],
        not_evaluated=said["patients"]["not_evaluated"],
        counts={
            (issue, severity): count
            for issue, held in said["findings"]["by_issue"].items()
            for severity, count in held["severities"].items()
        },
        problems=said["problems"],
        parameters=parameters,
        more=shown.more,
        silent=shown.silent,
    )


def _frames(folder: Path) -> Iterator[Found | Silent | Odd]:
    for path in results(folder):
        for frame in frames(path):
            if not isinstance(frame, Counts):
                yield frame


def _problem(odd: Odd) -> bytes:
    found = odd.problem
    rest = found.where.removeprefix(odd.file).removeprefix(f": line {odd.line}").removeprefix(": ")
    said: dict[str, Any] = {"file": odd.file, "line": odd.line or None, "reason": found.code, "message": found.message,
                            "entry": rest, "patient": odd.patient}  # fmt: skip
    return msgspec.json.encode({key: value for key, value in said.items() if value})


class _Picked:
    """The most severe patients, as many as a page can hold, and the first ones without findings."""

    def __init__(self) -> None:
        self._number = 0
        self._found: dict[str, list[tuple[int, Evaluation]]] = {severity: [] for severity in (*SEVERITIES, "")}

    def add(self, frame: Found | Silent) -> None:
        self._number += 1
        severities = {finding.severity for finding in frame.evaluation.findings}
        worst = next((severity for severity in SEVERITIES if severity in severities), "")
        held = self._found[worst]
        if len(held) < (MOST_SHOWN if worst else MOST_SILENT):
            held.append((self._number, frame.evaluation))

    def shown(self, counts: Counts) -> Shown:
        found = [one for severity in SEVERITIES for one in self._found[severity]][:MOST_SHOWN]
        silent = self._found[""]
        return Shown(
            tuple(evaluation for _, evaluation in sorted([*found, *silent], key=lambda one: one[0])),
            counts.with_findings - len(found),
            counts.patients - counts.failed - counts.with_findings - len(silent),
        )
