"""The results of all parts, brought together into the files of a batch, one pass and in bounded memory.

They are written beside each other first and get their names together, `summary.json` last: a folder with a summary is
complete. Nothing in them depends on the time, the machine or the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine import __version__
from engine.batch.compare import Differs, comparison_summary
from engine.batch.drift import Book, Unknown
from engine.batch.rates import Rates, held_against, run_of
from engine.batch.results import Counts, Found, Odd, Silent, frames, unpack
from engine.batch.run import cannot_write, results
from engine.batch.setup import Setup
from engine.batch.tables import CsvTable, ParquetTable, Table, has_parquet
from engine.model.finding import SEVERITIES, Evaluation
from engine.outputs.report import Totals, report
from engine.rules.ruleset import Ruleset

MOST_SHOWN = 2_000                         # patients with findings in the report, the most severe first
MOST_SILENT = 200                          # patients without findings that are listed
SUMMARY, COMPARISON = "summary.json", "comparison.ndjson"
MOST_DIFFERING, MOST_EXAMPLES = 500, 20     # that the report shows of a comparison: in all, and of one issue


class Shown(msgspec.Struct, frozen=True):
    """The patients that a page or a table can show, in the order of the output."""

    evaluations: tuple[Evaluation, ...]
    more: int                              # with findings, not shown
    silent: int                            # without findings, not shown
    comparison: Mapping[str, Any] | None = None              # as summary.json has it
    differing: tuple[Differs, ...] = ()    # the first few of each issue
    rates: Rates | None = None


def merge(
    folder: Path, out: Path, setup: Setup, ruleset: Ruleset, counts: Counts, *, second: Ruleset | None = None
) -> Shown:
    """Writes every output of a finished run into `out`. `second`: the other version of the rules, if the run has one.

    Raises RunError: disk full, not writable.
    """
    written = folder / "out"
    try:
        written.mkdir(exist_ok=True)
        shown = _written(written, folder, setup, ruleset, counts, second=second)
        (out / SUMMARY).unlink(missing_ok=True)
        for path in sorted(written.iterdir(), key=lambda path: path.name == SUMMARY):
            path.replace(out / path.name)
        for name, is_written in (("findings.parquet", has_parquet()), (COMPARISON, second is not None)):
            if not is_written:
                (out / name).unlink(missing_ok=True)
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
            **({"valuesets": list(setup.valuesets)} if setup.valuesets else {}),
            **({"compare": setup.compare} if setup.compare else {}),
            **({"rates": setup.rates} if setup.rates else {}),
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
        "firing": {
            name: {"records": counts.fired.get(name, 0), "hash": rule.hash}
            for name, rule in sorted(ruleset.info.items())
            if rule.kind == "issue" and (not setup.only or name in setup.only)
        },
    }


def _written(
    written: Path, folder: Path, setup: Setup, ruleset: Ruleset, counts: Counts, *, second: Ruleset | None
) -> Shown:
    picked, book, differing = Picked(), Book(), _Differing(written / COMPARISON if second is not None else None)
    tables: list[Table] = [CsvTable(written / "findings.csv")]
    if has_parquet():
        tables.append(ParquetTable(written / "findings.parquet"))
    with (written / "detected-issues.ndjson").open("wb") as issues, (written / "problems.ndjson").open("wb") as odd:
        for frame in _frames(folder):
            if isinstance(frame, Odd):
                odd.write(problem_line(frame) + b"\n")
                continue
            if isinstance(frame, Unknown):
                book.add(frame)
                continue
            if isinstance(frame, Differs):
                differing.add(frame)
                continue
            picked.add(frame)
            if isinstance(frame, Found):
                issues.writelines(line + b"\n" for line in frame.issues)
                for row in frame.rows:
                    for table in tables:
                        table.add(row)
    differing.close()
    for table in tables:
        table.close()
    shown, said, page = finished(
        picked.shown(counts), setup, ruleset, counts, book=book, differing=differing.first, second=second
    )
    (written / SUMMARY).write_bytes(said)
    (written / "report.html").write_text(page, "utf-8")
    return shown


def finished(
    shown: Shown,
    setup: Setup,
    ruleset: Ruleset,
    counts: Counts,
    *,
    book: Book,
    differing: Sequence[Differs] = (),
    second: Ruleset | None = None,
) -> tuple[Shown, bytes, str]:
    """What a page or a table shows of a whole run, its summary as JSON, and the page."""
    said = {**summary(setup, ruleset, counts), "unknown_codes": book.summary()}
    if second is not None:
        said["comparison"] = comparison_summary(
            ruleset, second, counts.compared, counts.differing, counts.not_compared
        )
    rates = held_against(run_of(said), setup.earlier) if setup.earlier is not None else None
    if rates is not None:
        said["rates"] = msgspec.to_builtins(rates)
    shown = msgspec.structs.replace(
        shown, comparison=said.get("comparison"), differing=tuple(differing), rates=rates
    )
    page = report(
        shown.evaluations,
        ruleset.info,
        source=", ".join(setup.paths),
        totals=totals(said, shown),
        sections={
            "comparison": shown.comparison, "differing": shown.differing, "rates": rates,
            "unknown_codes": said["unknown_codes"]["codes"],
        },
    )  # fmt: skip
    return shown, msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n", page


def totals(said: dict[str, Any], shown: Shown) -> Totals:
    """What a report says of the whole batch, of which it shows a part."""
    run = said["run"]
    parameters = (
        ("Date of evaluation", "each Bundle's own" if run["as_of"] == "bundle" else run["as_of"]),
        ("Records complete", "declared by the caller" if run["complete"] else "as each Bundle says"),
        ("Backend", run["backend"]),
        *((("Only", ", ".join(run["only"])),) if run["only"] else ()),
        *((("Limit", f"{run['limit']} patients"),) if run["limit"] else ()),
        *((("Value sets of the site", ", ".join(run["valuesets"])),) if "valuesets" in run else ()),
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


def _frames(folder: Path) -> Iterator[Found | Silent | Odd | Differs | Unknown]:
    for path in results(folder):
        for frame in frames(path):
            if not isinstance(frame, Counts):
                yield frame


def problem_line(odd: Odd) -> bytes:
    """A line of problems.ndjson."""
    found = odd.problem
    rest = found.where.removeprefix(odd.file).removeprefix(f": line {odd.line}").removeprefix(": ")
    said: dict[str, Any] = {"file": odd.file, "line": odd.line or None, "reason": found.code, "message": found.message,
                            "entry": rest, "patient": odd.patient}  # fmt: skip
    return msgspec.json.encode({key: value for key, value in said.items() if value})


class _Differing:
    """comparison.ndjson, a line for each patient and issue; and the first few of each issue, for a page."""

    def __init__(self, path: Path | None) -> None:
        self._stream = path.open("wb") if path is not None else None
        self._held: dict[tuple[str, str], int] = {}
        self.first: list[Differs] = []

    def add(self, one: Differs) -> None:
        """One patient and issue."""
        if self._stream is not None:
            self._stream.write(msgspec.json.encode(one) + b"\n")
        key = (one.issue, one.how)
        if self._held.get(key, 0) < MOST_EXAMPLES and len(self.first) < MOST_DIFFERING:
            self._held[key] = self._held.get(key, 0) + 1
            self.first.append(one)

    def close(self) -> None:
        """The file is complete."""
        if self._stream is not None:
            self._stream.close()


class Picked:
    """The most severe patients, as many as a page can hold, and the first ones without findings. They are held packed,
    and only those that may still be shown, because unpacked they take a multiple of it."""

    def __init__(self) -> None:
        self._number = 0
        self._found: dict[str, list[tuple[int, bytes]]] = {severity: [] for severity in SEVERITIES}
        self._silent: list[tuple[int, bytes]] = []

    def add(self, frame: Found | Silent) -> None:
        """A patient, in the order of the output."""
        self._number += 1
        worst = frame.worst if isinstance(frame, Found) else ""
        if worst:
            as_severe = SEVERITIES[: SEVERITIES.index(worst) + 1]
            held, most = self._found[worst], MOST_SHOWN - sum(len(self._found[severity]) for severity in as_severe)
        else:
            held, most = self._silent, MOST_SILENT - len(self._silent)
        if most > 0:
            held.append((self._number, frame.packed))
            self._drop()

    def _drop(self) -> None:
        """Leaves out the last of the least severe patients that are too many."""
        left = MOST_SHOWN
        for held in self._found.values():
            del held[left:]
            left -= len(held)

    def shown(self, counts: Counts) -> Shown:
        """Those that were picked, and how many more there are."""
        found = [one for held in self._found.values() for one in held]
        return Shown(
            tuple(unpack(packed) for _, packed in sorted([*found, *self._silent])),
            counts.with_findings - len(found),
            counts.patients - counts.failed - counts.with_findings - len(self._silent),
        )
