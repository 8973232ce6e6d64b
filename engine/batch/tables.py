"""Findings as rows: CSV, and Parquet where pyarrow is installed (`endplate[parquet]`). One row for each finding."""

from __future__ import annotations

import csv
import importlib
import importlib.util
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import msgspec

from engine.model.finding import Evaluation
from engine.outputs.markdown import plain
from engine.rules.info import RuleInfo

_ROWS = 5_000                              # of a row group
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class TableRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A finding as a row. `rule` is `id@version`; `evidence` and `missing` are references and names of facts: lists in
    Parquet, in CSV they stand side by side."""

    patient: str
    as_of: date
    ruleset: str
    issue: str
    severity: str
    display: str
    rule: str
    summary: str
    order: str
    ingredient: str
    evidence: tuple[str, ...]
    missing: tuple[str, ...]
    identifier: str
    evidence_hash: str


COLUMNS = TableRow.__struct_fields__
LISTS = frozenset({"evidence", "missing"})


def rows_of(evaluation: Evaluation, info: Mapping[str, RuleInfo]) -> tuple[TableRow, ...]:
    """A row for each finding."""
    return tuple([
        TableRow(
            patient=evaluation.patient,
            as_of=evaluation.as_of,
            ruleset=info[finding.issue].ruleset,
            issue=finding.issue,
            severity=finding.severity,
            display=finding.display,
            rule=f"{finding.rule}@{finding.version}",
            summary=plain(finding.summary),
            order=finding.order,
            ingredient=finding.ingredient,
            evidence=finding.references,
            missing=tuple([missing.fact for missing in finding.missing]),
            identifier=finding.identifier,
            evidence_hash=finding.evidence_hash,
        )
        for finding in evaluation.findings
    ])  # fmt: skip


class Table(Protocol):
    """Somewhere rows go, one by one."""

    def add(self, row: TableRow) -> None: ...

    def close(self) -> None: ...


class CsvTable:
    """A CSV file in UTF-8. A cell that a spreadsheet would take for a formula gets an apostrophe before it."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)

    def add(self, row: TableRow) -> None:
        """One row."""
        self._writer.writerow([_cell(value) for value in msgspec.structs.astuple(row)])

    def close(self) -> None:
        """The file is complete."""
        self._stream.close()


class ParquetTable:
    """A Parquet file, written a row group at a time."""

    def __init__(self, path: Path) -> None:
        pyarrow: Any = importlib.import_module("pyarrow")  # an extra
        parquet: Any = importlib.import_module("pyarrow.parquet")
        text = pyarrow.string()
        kinds = {"as_of": pyarrow.date32(), **dict.fromkeys(LISTS, pyarrow.list_(text))}
        self._arrow = pyarrow
        self._schema = pyarrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(str(path), self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []

    def add(self, row: TableRow) -> None:
        """One row."""
        self._rows.append(msgspec.structs.astuple(row))
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        columns = [
            self._arrow.array(values, field.type)
            for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        """The file is complete."""
        if self._rows:
            self._flush()
        self._writer.close()


def has_parquet() -> bool:
    """Whether Parquet can be written."""
    return importlib.util.find_spec("pyarrow") is not None


def _cell(value: str | date | tuple[str, ...]) -> str:
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
