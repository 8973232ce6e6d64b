"""What a run on Spark leaves: large results in parts that executors write, the summary and the page from the driver.

Everything is written beside its place first, by Spark's committer, and gets its name at the end, `summary.json` last: a
folder with a summary is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from engine.batch.drift import Book, Unknown
from engine.batch.merge import SUMMARY, problem_line
from engine.batch.results import Found, Odd, Silent, decode_frame
from engine.batch.setup import Setup
from engine.batch.shown import MOST_SHOWN, MOST_SILENT, Picked, Shown
from engine.batch.summary import finished
from engine.batch.tables import COLUMNS, LISTS
from engine.model.finding import SEVERITIES
from engine.rules.ruleset import Ruleset
from engine.spark import tasks
from engine.spark.files import SparkFiles
from engine.spark.run import Outcome

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

UNFINISHED = ".endplate-spark"
ISSUES, FINDINGS, PROBLEMS, REPORT = "detected-issues.ndjson", "findings.parquet", "problems.ndjson", "report.html"
_ROWS = 100_000                            # of a part
_Name = tuple[int, str]                    # (rank of the severity, patient)
_Pick = tuple[int, str, bytes]             # the same, and the frame


def write(
    spark: SparkSession, files: SparkFiles, out: str, outcome: Outcome, *, setup: Setup, ruleset: Ruleset
) -> Shown:
    """All outputs into the folder `out` of any file system."""
    aside = f"{out.rstrip('/')}/{UNFINISHED}"
    files.remove(aside)
    frames: RDD[tasks.Item] = outcome.frames
    counts = outcome.counts
    _lines(spark, _of(frames, "found").mapPartitions(_issues), f"{aside}/{ISSUES}", 2 * sum(counts.findings.values()))
    _lines(spark, _of(frames, "odd").mapPartitions(_problems), f"{aside}/{PROBLEMS}", sum(counts.problems.values()))
    rows = _of(frames, "found").mapPartitions(_findings)
    table = spark.createDataFrame(rows.coalesce(_parts(sum(counts.findings.values()))), _schema())
    table.write.mode("overwrite").option("compression", "zstd").parquet(f"{aside}/{FINDINGS}")
    shown, said, page = finished(_picked(frames).shown(counts), setup, ruleset, counts, book=_book(frames))
    files.write(f"{aside}/{REPORT}", page.encode())
    files.write(f"{aside}/{SUMMARY}", said)
    files.remove(f"{out.rstrip('/')}/{SUMMARY}")
    for name in (ISSUES, FINDINGS, PROBLEMS, REPORT, SUMMARY):
        files.remove(f"{out.rstrip('/')}/{name}")
        files.rename(f"{aside}/{name}", f"{out.rstrip('/')}/{name}")
    files.remove(aside)
    return shown


def _lines(spark: SparkSession, lines: RDD[tuple[str]], path: str, count: int) -> None:
    spark.createDataFrame(lines.coalesce(_parts(count)), "value string").write.mode("overwrite").text(path)


def _parts(count: int) -> int:
    return max(-(-count // _ROWS), 1)


def _of(frames: RDD[tasks.Item], tag: str) -> RDD[tasks.Item]:
    return frames.filter(partial(_is_of, tag))


def _is_of(tag: str, item: tasks.Item) -> bool:
    return item[0] == tag


def _issues(items: Iterable[tasks.Item]) -> Iterator[tuple[str]]:
    for _, _, raw in items:
        frame = decode_frame(raw)
        if isinstance(frame, Found):
            yield from ((line.decode(),) for line in frame.issues)


def _problems(items: Iterable[tasks.Item]) -> Iterator[tuple[str]]:
    for _, _, raw in items:
        frame = decode_frame(raw)
        if isinstance(frame, Odd):
            yield (problem_line(frame).decode(),)


def _findings(items: Iterable[tasks.Item]) -> Iterator[tuple[Any, ...]]:
    for _, _, raw in items:
        frame = decode_frame(raw)
        if isinstance(frame, Found):
            yield from map(msgspec.structs.astuple, frame.rows)


def _schema() -> str:
    kinds = {"as_of": "date", **dict.fromkeys(LISTS, "array<string>")}
    return ", ".join(f"`{name}` {kinds.get(name, 'string')}" for name in COLUMNS)


def _picked(frames: RDD[tasks.Item]) -> Picked:
    """The most severe patients and the first few of the others, by name."""
    patients: RDD[_Pick] = frames.mapPartitions(_ranked)
    first = frozenset(_least(patients.map(_name).mapPartitions(_least).collect()))
    picked = Picked()
    for _, _, raw in sorted(patients.filter(partial(_is_among, first)).collect(), key=_by_name):
        frame = decode_frame(raw)
        if isinstance(frame, Found | Silent):
            picked.add(frame)
    return picked


def _ranked(items: Iterable[tasks.Item]) -> Iterator[_Pick]:
    for tag, _, raw in items:
        if tag in ("found", "silent"):
            frame = decode_frame(raw)
            if isinstance(frame, Found | Silent):
                worst = frame.worst if isinstance(frame, Found) else ""
                yield SEVERITIES.index(worst) if worst else len(SEVERITIES), frame.patient, raw


def _least(names: Iterable[_Name]) -> list[_Name]:
    """Of all names those that a page can show."""
    last = len(SEVERITIES)
    ordered = sorted(names)
    some = [name for name in ordered if name[0] < last]
    return [*some[:MOST_SHOWN], *[name for name in ordered if name[0] == last][:MOST_SILENT]]


def _name(pick: _Pick) -> _Name:
    return pick[0], pick[1]


def _is_among(first: frozenset[_Name], pick: _Pick) -> bool:
    return (pick[0], pick[1]) in first


def _by_name(pick: _Pick) -> tuple[str, bytes]:
    return pick[1], pick[2]


def _book(frames: RDD[tasks.Item]) -> Book:
    book = Book()
    for _, _, raw in _of(frames, "unknown").coalesce(16).toLocalIterator():
        frame = decode_frame(raw)
        if isinstance(frame, Unknown):
            book.add(frame)
    return book
