"""The results of all parts, brought together into the files of a batch, one pass and in bounded memory.

They are written beside each other first and get their names together, `summary.json` last: a folder with a summary is
complete. Nothing in them depends on the time, the machine or the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from engine.batch.compare import Differs
from engine.batch.drift import Book, Unknown
from engine.batch.results import Counts, Found, Odd, Silent, frames
from engine.batch.run import cannot_write, results
from engine.batch.setup import Setup
from engine.batch.shown import Examples, Picked, Shown
from engine.batch.summary import finished
from engine.batch.tables import CsvTable, ParquetTable, Table, has_parquet
from engine.rules.ruleset import Ruleset

SUMMARY, COMPARISON = "summary.json", "comparison.ndjson"


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


def _written(
    written: Path, folder: Path, setup: Setup, ruleset: Ruleset, counts: Counts, *, second: Ruleset | None
) -> Shown:
    picked, book, examples = Picked(), Book(), Examples()
    tables: list[Table] = [CsvTable(written / "findings.csv")]
    if has_parquet():
        tables.append(ParquetTable(written / "findings.parquet"))
    with (
        (written / "detected-issues.ndjson").open("wb") as issues,
        (written / "problems.ndjson").open("wb") as odd,
        (written / COMPARISON).open("wb") if second is not None else nullcontext() as differing,
    ):
        for frame in _frames(folder):
            if isinstance(frame, Odd):
                odd.write(problem_line(frame) + b"\n")
                continue
            if isinstance(frame, Unknown):
                book.add(frame)
                continue
            if isinstance(frame, Differs):
                if differing is not None:
                    differing.write(msgspec.json.encode(frame) + b"\n")
                examples.add(frame)
                continue
            picked.add(frame)
            if isinstance(frame, Found):
                issues.writelines(line + b"\n" for line in frame.issues)
                for row in frame.rows:
                    for table in tables:
                        table.add(row)
    for table in tables:
        table.close()
    shown, said, page = finished(
        picked.shown(counts), setup, ruleset, counts, book=book, differing=examples.first, second=second
    )
    (written / SUMMARY).write_bytes(said)
    (written / "report.html").write_text(page, "utf-8")
    return shown


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
