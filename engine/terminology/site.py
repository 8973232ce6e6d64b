"""site.yaml: what a person accepted of the proposals for one site, as rows like those of value-set files.

    systems:                      # another name of a code system
    - uri: https://hospital.example.org/diagnoses
      system: icd10               # short name of a known code system
      accept: yes
    codes:                        # a local code stands for a concept or a drug
    - system: https://hospital.example.org/lab
      code: "4711"
      concept: ...                # or `drug:`, with `route` and `strength` if the code says so
      in: observation             # the kinds of resource that carry it (of a concept alone)
      accept: yes
    units:                        # a spelling of a unit
    - spelling: units/L
      unit: U/L
      accept: no
    ranges:                       # limits of a result that states none itself, and what is taken for a mistake
    - concept: ...
      unit: U/L
      low: 30
      high: 200
      plausible: [0, 100000]
      accept: no

`accept` is `yes` or `no`; without it nothing is accepted. An entry that is not accepted may be incomplete. `seen`,
`example`, `display` and `why` are for people. Further keys of a code are the optional columns of a value set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from pathlib import Path

import msgspec

from engine.document import Data, Document, Path_, load_document
from engine.errors import Fault, RulesetError, nearest
from engine.terminology.rows import CARRIERS, CLOSED, Row

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "systems": ("uri", "system"),
    "codes": ("system", "code", "concept", "drug", "in", "use", "match", "study", "only", "answer", "denied", "region",
              "sign", "route", "strength"),
    "units": ("spelling", "unit"),
    "ranges": ("concept", "unit", "low", "high", "plausible"),
}  # fmt: skip
REMARKS = ("seen", "example", "display", "why")
ACCEPT: Mapping[object, bool] = {"yes": True, "no": False, True: True, False: False, None: False}
TOKENS = frozenset({*CARRIERS, "finding", "any"})
_OF_A_CONCEPT = ("in", "study", "only", "answer", "denied", "region", "sign")
_OF_A_DRUG = ("route", "strength")
_LONGEST = 500


class Known(msgspec.Struct, frozen=True):
    """What the value sets of the ruleset name; a site can only add names for it."""

    systems: Set[str]
    concepts: Set[str]
    ingredients: Set[str]
    units: Set[str]


def known_of(rows: Sequence[Row]) -> Known:
    """The names in rows of value sets."""

    def column(form: str) -> frozenset[str]:
        return frozenset(row[form] for row in rows if row.form == form) - {""}

    named = frozenset(row["ingredient"] for row in rows if row.form == "name")
    return Known(column("system"), column("concept"), column("ingredient") | named, column("unit"))


def read_site(path: Path, known: Known, faults: list[Fault]) -> list[Row]:
    """The rows of all accepted entries; everything that is wrong in the file is a fault."""
    try:
        document = load_document(path)
    except RulesetError as error:
        faults += error.faults
        return []
    return list(_Site(document, known, faults).rows())


class _Site:
    def __init__(self, document: Document, known: Known, faults: list[Fault]) -> None:
        self._document = document
        self._known = known
        self._faults = faults

    def rows(self) -> Iterator[Row]:
        data = self._document.data
        if data is None:
            return
        if not isinstance(data, dict):
            self._fault((), "the file must be a mapping", f"of {', '.join(SECTIONS)}")
            return
        for section, entries in data.items():
            if section not in SECTIONS:
                self._fault((section,), f"`{section[:60]}` is no section", nearest(section, SECTIONS), key=True)
            elif entries is not None and not isinstance(entries, list):
                self._fault((section,), f"`{section}` must be a list")
            else:
                for number, entry in enumerate(entries or ()):
                    yield from self._entry(section, (section, number), entry)

    def _fault(self, path: Path_, message: str, hint: str = "", *, key: bool = False) -> None:
        place = self._document.key_place(path) if key else self._document.place(path)
        self._faults.append(Fault(place, message, hint))

    def _entry(self, section: str, path: Path_, entry: Data) -> Iterator[Row]:
        if not isinstance(entry, dict):
            self._fault(path, "an entry must be a mapping")
            return
        before = len(self._faults)
        keys = (*SECTIONS[section], *REMARKS, "accept")
        for key in entry:
            if key not in keys:
                self._fault((*path, key), f"`{key[:60]}` is not known in `{section}`", nearest(key, keys), key=True)
        said = entry.get("accept")
        if isinstance(said, list | dict) or said not in ACCEPT:
            self._fault((*path, "accept"), "`accept` is yes or no")
            return
        cells = self._cells(section, path, entry)
        if not ACCEPT[said] or len(self._faults) > before:
            return
        match section:
            case "systems":
                yield from self._system(path, cells)
            case "codes":
                yield from self._code(path, cells)
            case "units":
                yield from self._unit(path, cells)
            case "ranges":
                yield from self._range(path, cells)

    # ------------------------------------------------------------ cells

    def _cells(self, section: str, path: Path_, entry: Mapping[str, Data]) -> dict[str, str]:
        """The values of an entry as text; a wrong type is a fault."""
        cells: dict[str, str] = {}
        for key in (*SECTIONS[section], "display"):
            value = entry.get(key)
            here = (*path, key)
            if value is None:
                continue
            if key == "in" and isinstance(value, list) and all(isinstance(one, str) for one in value):
                value = " ".join(str(one) for one in value)
            if key == "plausible":
                cells |= self._plausible(here, value)
            elif section == "ranges" and key in ("low", "high"):
                if isinstance(value, int | Decimal) and not isinstance(value, bool):
                    cells[key] = str(value)
                else:
                    self._fault(here, f"`{key}` must be a number")
            elif not isinstance(value, str):
                odd = isinstance(value, int | Decimal)
                self._fault(here, f"`{key}` must be text", "quote it" if odd else "")
            elif len(value) > _LONGEST:
                self._fault(here, f"`{key}` is longer than {_LONGEST} characters")
            elif key in CLOSED and value not in CLOSED[key]:
                self._fault(here, f"`{value[:60]}` is no {key}", f"use {', '.join(sorted(CLOSED[key] - {''}))}")
            else:
                cells[key] = value.strip()
        return cells

    def _plausible(self, path: Path_, value: Data) -> dict[str, str]:
        numbers = value if isinstance(value, list) else []
        if len(numbers) != 2 or not all(isinstance(n, int | Decimal) and not isinstance(n, bool) for n in numbers):
            self._fault(path, "`plausible` is a lower and an upper limit", "write [0, 1000]")
            return {}
        return {"plausible_low": str(numbers[0]), "plausible_high": str(numbers[1])}

    def _given(self, path: Path_, cells: Mapping[str, str], *keys: str) -> bool:
        missing = [key for key in keys if not cells.get(key)]
        for key in missing:
            self._fault((*path, key), f"`{key}` is missing in an entry that is accepted", "fill it in, or accept: no")
        return not missing

    def _among(self, path: Path_, value: str, names: Set[str], what: str) -> bool:
        if value in names:
            return True
        self._fault(path, f"`{value[:60]}` is no {what} of the ruleset", nearest(value, names))
        return False

    def _row(self, form: str, path: Path_, cells: Mapping[str, str]) -> Row:
        return Row(form, self._document.place(path), cells)

    # ------------------------------------------------------------ sections

    def _system(self, path: Path_, cells: Mapping[str, str]) -> Iterator[Row]:
        if self._given(path, cells, "uri", "system") and self._among(
            (*path, "system"), cells["system"], self._known.systems, "code system"
        ):
            yield self._row("system", (*path, "uri"), cells)

    def _code(self, path: Path_, cells: dict[str, str]) -> Iterator[Row]:
        concept, drug = cells.get("concept", ""), cells.get("drug", "")
        if not self._given(path, cells, "system", "code"):
            return
        if bool(concept) == bool(drug):
            self._fault(path, "a code stands for a `concept` or for a `drug`", "name one of them, or accept: no")
            return
        for key in _OF_A_DRUG if concept else _OF_A_CONCEPT:
            if cells.get(key):
                self._fault((*path, key), f"`{key}` says nothing of a {'concept' if concept else 'drug'}", "remove it")
                return
        system = cells["system"]
        if ":" not in system and system not in self._known.systems:     # a name of the site's own
            yield self._row("system", (*path, "system"), {"system": system, "uri": system})
        if drug:
            if self._among((*path, "drug"), drug, self._known.ingredients, "drug"):
                yield self._row("ingredient", (*path, "code"), cells | {"ingredient": drug})
            return
        tokens = cells.get("in", "").replace(",", " ").split()
        if not tokens or set(tokens) - TOKENS:
            self._fault((*path, "in"), "`in` names the kinds of resource", f"of {', '.join(sorted(TOKENS))}")
        elif self._among((*path, "concept"), concept, self._known.concepts, "concept"):
            yield self._row("concept", (*path, "code"), cells | {"carriers": " ".join(tokens)})

    def _unit(self, path: Path_, cells: Mapping[str, str]) -> Iterator[Row]:
        if self._given(path, cells, "spelling", "unit") and self._among(
            (*path, "unit"), cells["unit"], self._known.units, "unit"
        ):
            yield self._row("unit", (*path, "spelling"), cells)

    def _range(self, path: Path_, cells: dict[str, str]) -> Iterator[Row]:
        if not self._given(path, cells, "concept", "unit"):
            return
        if not self._among((*path, "concept"), cells["concept"], self._known.concepts, "concept"):
            return
        if not {"low", "high", "plausible_low"} & cells.keys():
            self._fault(path, "a range states `low`, `high` or `plausible`", "fill it in, or accept: no")
            return
        yield self._row("range", (*path, "concept"), cells | {"range": cells["concept"]})
