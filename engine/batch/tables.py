"""Findings as rows: CSV, and Parquet where pyarrow is installed (`endplate[parquet]`). One row for each finding."""

from __future__ import annotations

import csv
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engine.model.finding import Evaluation, Finding
from engine.outputs.markdown import plain
from engine.rules.info import RuleInfo

COLUMNS = (
    "patient", "as_of", "ruleset", "issue", "severity", "display", "rule", "summary", "order", "ingredient",
    "evidence", "missing", "identifier", "evidence_hash",
)  # fmt: skip
LISTS = frozenset({"evidence", "missing"})  # lists in Parquet; in CSV their members stand side by side
_ROWS = 5_000                              # of a row group
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def row(finding: Finding, evaluation: Evaluation, info: Mapping[str, RuleInfo]) -> dict[str, Any]:
    """`rule` is `id@version`; `evidence` and `missing` are lists of references and of facts."""
    return {
        "patient": evaluation.patient,
        "as_of": evaluation.as_of,
        "ruleset": info[finding.issue].ruleset,
        "issue": finding.issue,
        "severity": finding.severity,
        "display": finding.display,
        "rule": f"{finding.rule}@{finding.version}",
        "summary": plain(finding.summary),
        "order": finding.order,
        "ingredient": finding.ingredient,
        "evidence": list(finding.references),
        "missing": [missing.fact for missing in finding.missing],
        "identifier": finding.identifier,
        "evidence_hash": finding.evidence_hash,
    }


class Table(Protocol):
    """Somewhere rows go, one by one."""

    def add(self, values: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class CsvTable:
    """A CSV file in UTF-8. A cell that a spreadsheet would take for a formula gets an apostrophe before it."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)

    def add(self, values: Mapping[str, Any]) -> None:
        """One row."""
        self._writer.writerow(_cell(" ".join(values[name]) if name in LISTS else str(values[name])) for name in COLUMNS)

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
        self._rows: list[Mapping[str, Any]] = []

    def add(self, values: Mapping[str, Any]) -> None:
        """One row."""
        self._rows.append(values)
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        """The file is complete."""
        if self._rows:
            self._flush()
        self._writer.close()


def has_parquet() -> bool:
    """Whether Parquet can be written."""
    return importlib.util.find_spec("pyarrow") is not None


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
