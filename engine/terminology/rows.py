"""Rows of value-set files: CSV with a header whose first column says what a row is.

    concept      concept,carriers,system,code                what a code means; optional columns: display, match, use,
                                                             study, only, answer, denied, region, sign, preferred,
                                                             confidence
    ingredient   ingredient,system,code                      a drug; route, strength, match, use, preferred, display
    name         name,ingredient                             a drug by name; use
    answer       answer,system,code                          display, preferred
    codeset      codeset,value,system,code                   display, preferred
    word         word,codeset,value                          a text; codeset `answer` for answers; anywhere
    unit         unit,spelling
    system       system,uri                                  the first row of a system is canonical, others are aliases;
                                                             traits, shape
    context      context,system,code                         known, and without a meaning for the rules
    family       family,system                               unknown members of this ICD family are reported
    overlap      overlap,with                                two concepts that may share a code; example
    range        range,unit                                  limits of a concept's results: low and high where a result
                                                             states none, plausible_low and plausible_high in place of
                                                             those of the ruleset

A site adds files of the same form in folders of its own; a system is a short name or a full URI.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from engine.errors import Fault, Place

FORMS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # first column -> (must stand, may stand)
    form: (frozenset(must.split()), frozenset(may.split()))
    for form, must, may in [
        ("concept", "concept carriers system code",
         "display match use study only answer denied region sign preferred confidence"),
        ("ingredient", "ingredient system code", "route strength match use preferred display"),
        ("name", "name ingredient", "use"),
        ("answer", "answer system code", "display preferred"),
        ("codeset", "codeset value system code", "display preferred"),
        ("word", "word codeset value", "anywhere"),
        ("unit", "unit spelling", ""),
        ("system", "system uri", "traits shape"),
        ("context", "context system code", ""),
        ("family", "family system", ""),
        ("overlap", "overlap with", "example"),
        ("range", "range unit", "low high plausible_low plausible_high"),
    ]
}  # fmt: skip

CARRIERS = ("observation", "report", "condition", "procedure", "allergy")
MAY_BE_EMPTY = frozenset({"ingredient"})  # of a silent drug code
CLOSED: Mapping[str, frozenset[str]] = {
    "match": frozenset({"", "exact", "prefix"}),
    "use": frozenset({"", "include", "suspected", "exclude", "minor", "silent"}),
    "study": frozenset({"", "y"}),
    "preferred": frozenset({"", "y", *CARRIERS}),
    "anywhere": frozenset({"", "y"}),
    "confidence": frozenset({"", "verified-2", "verified-1", "unverified", "local"}),
}


class Row(msgspec.Struct, frozen=True):
    """One row with its place; an optional column that the file lacks reads as ""."""

    form: str
    place: Place
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


def read_folder(folder: Path, faults: list[Fault]) -> list[Row]:
    """All rows of the CSV files of a folder, in order of the file names; what cannot be read is a fault."""
    if not folder.is_dir():
        faults.append(Fault(Place(str(folder)), "no such folder of value sets"))
        return []
    rows: list[Row] = []
    for path in sorted(folder.glob("*.csv")):
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            faults.append(Fault(Place(str(path)), "cannot be read as UTF-8 text"))
            continue
        rows += read_rows(text, str(path), faults)
    return rows


def read_rows(text: str, file: str, faults: list[Fault]) -> list[Row]:
    """The rows of one file; each bad row is one fault and costs itself."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    columns: Sequence[str] = ()
    form = ""
    try:
        for cells in reader:
            place = Place(file, reader.line_num, 1)
            if not columns:
                columns = [cell.strip() for cell in cells]
                form = columns[0] if columns else ""
                if message := _bad_header(form, columns):
                    faults.append(Fault(place, message, f"the first column is one of {', '.join(FORMS)}"))
                    return []
            elif any(cells):
                row = _row(form, columns, cells, place, faults)
                if row is not None:
                    rows.append(row)
    except csv.Error as error:
        faults.append(Fault(Place(file, reader.line_num, 1), f"is not CSV: {error}"))
    return rows


def _bad_header(form: str, columns: Sequence[str]) -> str:
    if form not in FORMS:
        return f"`{form}` names no kind of row"
    must, may = FORMS[form]
    if missing := must - set(columns):
        return f"column `{min(missing)}` is missing"
    if unknown := set(columns) - must - may:
        return f"column `{min(unknown)}` is not known"
    return "a column stands twice" if len(set(columns)) < len(columns) else ""


def _row(form: str, columns: Sequence[str], cells: Sequence[str], place: Place, faults: list[Fault]) -> Row | None:
    if len(cells) != len(columns):
        faults.append(Fault(place, f"has {len(cells)} cells under {len(columns)} columns"))
        return None
    values = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
    for column in sorted(FORMS[form][0] - MAY_BE_EMPTY):
        if not values[column]:
            faults.append(Fault(place, f"`{column}` is empty"))
            return None
    for column, value in values.items():
        if column in CLOSED and value not in CLOSED[column]:
            allowed = ", ".join(sorted(CLOSED[column] - {""}))
            faults.append(Fault(place, f"`{value}` is no {column}", f"use {allowed} or nothing"))
            return None
    return Row(form, place, values)
