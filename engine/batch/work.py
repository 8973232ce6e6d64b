"""The stages of a batch, each a function from files to files:

    scan        a part of the input -> results of its Bundles, rows of its single resources; most of these wait
    match       a partition of identifiers -> the resources that name their patient by one, to that patient
    pick        a partition of the patients -> those who need what waits
    fetch       a part of the input again -> rows of what waited and is needed
    join        a partition of what patients share -> rows for the partitions of patients that refer to it
    screen      a partition of the patients -> results

A Bundle is a record of its own. Single resources are brought together by patient, over all files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.batch.names import Names
from engine.batch.output import Output
from engine.batch.reader import Reader
from engine.batch.records import Beside
from engine.batch.results import Counts, ResultWriter
from engine.batch.screening import Screening
from engine.batch.setup import Setup
from engine.batch.spill import (
    GONE,
    IDENTIFIERS,
    MET,
    PARKED,
    PATIENT,
    PICKED,
    SHARED,
    TWICE,
    WAITING,
    WANTED,
    Named,
    Patient,
    Row,
    Spill,
    Stretch,
    Want,
    rows,
)
from engine.batch.tools import Tools
from engine.batch.wants import Wants
from engine.evaluation import Evaluator
from engine.fhir.references import searched
from engine.model.problem import Problem

_T = TypeVar("_T", Row, Want, Named, Stretch, Patient)
_BEGUN = ("scan", "match", "fetch")       # the stages that say what of the shared resources is wanted first


class Worker:
    """Works on parts, one after another, with one ruleset; everything goes through the folder of the run."""

    def __init__(self, folder: Path, setup: Setup, evaluator: Evaluator | None = None) -> None:
        self.folder = folder
        self.setup = setup
        self.tools = Tools(setup, evaluator)
        self._paths: dict[str | tuple[str, ...], list[Path]] = {}
        self._picked: Names | None = None

    # ------------------------------------------------------------ stages

    def scan(self, number: int, limit: int) -> Counts:
        """Reads a part of the input."""
        name = f"scan-{number:06}"
        with self._results(name) as results, self._spill(name) as spill:
            out = Output(self.tools, results, limit)
            if number == 0:
                for found in self.setup.problems:
                    out.odd(found, found.where)
            reader = Reader(self.tools, out, spill)
            for piece in self.setup.parts[number]:
                reader.read(piece)
            reader.end()
        return results.counts

    def match(self, number: int) -> Counts:
        """Brings resources that name their patient by an identifier to the one who has it."""
        name = f"match-{number:04}"
        parked = list(self._rows("scan", PARKED, number, Row))
        with self._results(name) as results, self._spill(name) as spill:
            wants = Wants(self.setup, spill)
            owners = self._owners(number, {row.version for row in parked})
            for row in parked:
                patient = owners.get(row.version) or row.patient or searched(row.version)
                partition = self.setup.partition(patient)
                spill.put(PATIENT, partition, msgspec.structs.replace(row, patient=patient, version=""))
                wants.note(row.raw, partition)
            results.counts.wants = wants.count
        return results.counts

    def pick(self, number: int, given: bool) -> Counts:
        """Names the patients of a partition whose waiting lines are needed: those whom a rule may concern, and those
        who are not there, because that is said of their data. `given`: as for `screen`."""
        name = f"pick-{number:04}"
        there = self._met(number)
        concerned = {row.patient for row in self._rows(_BEGUN, PATIENT, number, Row) if row.rare and row.raw}
        picked = [one for one in there if one in concerned or (given and not there[one])]
        with self._results(name) as results, self._spill(name) as spill:
            for patient in picked:
                spill.put(PICKED, 0, Patient(patient))
            results.counts.picked = len(picked)
        return results.counts

    def fetch(self, number: int) -> Counts:
        """Reads the lines of a part that waited and are needed."""
        name = f"fetch-{number:06}"
        if self._picked is None:
            self._picked = Names(one.patient for one in self._rows("pick", PICKED, 0, Patient))
        with self._results(name) as results, self._spill(name) as spill:
            scanned = self.folder / f"scan-{number:06}.spill"
            waiting = rows([scanned] if scanned.exists() else (), self.setup.partitions, WAITING, 0, Stretch)
            reader = Reader(self.tools, Output(self.tools, results, 0), spill)
            reader.fetch(stretch for stretch in waiting if stretch.patient in self._picked)
        return results.counts

    def join(self, step: int, number: int) -> Counts:
        """Brings what patients share to the partitions that refer to it."""
        name = f"join-{step}-{number:04}"
        before = _BEGUN if step == 1 else (f"join-{step - 1}",)
        wanted: dict[str, set[int]] = {}
        for want in self._rows(before, WANTED, number, Want):
            wanted.setdefault(want.key, set()).add(want.partition)
        with self._results(name) as results, self._spill(name) as spill:
            out, wants = Output(self.tools, results, 0), Wants(self.setup, spill)
            problems: list[Problem] = []
            versions = [row for row in self._rows("scan", SHARED, number, Row) if row.key in wanted]
            for row in self.tools.records.living(versions, problems):
                for partition in sorted(wanted[row.key]):
                    spill.put(PATIENT, partition, row)
                    if row.key.startswith("Medication/"):
                        wants.note(row.raw, partition)
            for found in problems:
                out.odd(found)
            results.counts.wants = wants.count
        return results.counts

    def screen(self, number: int, limit: int, given: bool) -> Counts:
        """Evaluates the patients of a partition. `given`: Patient resources stand among the single resources."""
        held = sorted(self._rows("*", PATIENT, number, Row), key=lambda row: (row.patient, row.order))
        shared = {row.key: row for row in held if not row.patient}
        owned = {patient: tuple(own) for patient, own in groupby(held, key=lambda row: row.patient) if patient}
        there = self._met(number)
        gone = {row.key: row for row in sorted(self._rows("scan", GONE, 0, Row), key=lambda row: row.order)}
        beside = Beside(shared, gone, given)
        with self._results(f"screen-{number:04}") as results:
            out = Output(self.tools, results, limit)
            screening = Screening(self.tools, out, beside, self._twice(number, out))
            for patient in sorted({*owned, *there}):
                known = not given or there.get(patient, False)
                if patient in owned:
                    screening.patient(patient, owned[patient], known=known)
                elif known:                    # nothing was kept, and what waited is not needed
                    screening.unconcerned(patient)
            out.end()
        return results.counts

    # ------------------------------------------------------------ parts of them

    def _rows(self, stages: str | tuple[str, ...], kind: str, number: int, of: type[_T]) -> Iterator[_T]:
        """The rows of a compartment in all spill files of finished stages ("*" = of all)."""
        if stages not in self._paths:
            each = (stages,) if isinstance(stages, str) else stages
            self._paths[stages] = [path for stage in each for path in sorted(self.folder.glob(f"{stage}-*.spill"))]
        return rows(self._paths[stages], self.setup.partitions, kind, number, of)

    def _met(self, number: int) -> dict[str, bool]:
        """The patients of whom something waits -> whether the Patient resource is among it."""
        there: dict[str, bool] = {}
        for one in self._rows("scan", MET, number, Patient):
            there[one.patient] = one.given or there.get(one.patient, False)
        return there

    def _results(self, name: str) -> ResultWriter:
        return ResultWriter(self.folder / f"{name}.result")

    def _spill(self, name: str) -> Spill:
        return Spill(self.folder / f"{name}.spill", self.setup.partitions)

    def _owners(self, number: int, wanted: set[str]) -> Mapping[str, str]:
        """Identifier -> the one patient whose it is; "" = two have it."""
        owners: dict[str, str] = {}
        for named in self._rows("scan", IDENTIFIERS, number, Named) if wanted else ():
            if named.identifier in wanted and owners.setdefault(named.identifier, named.patient) != named.patient:
                owners[named.identifier] = ""
        return owners

    def _twice(self, number: int, out: Output) -> Mapping[str, str]:
        """Patients of Bundles -> where; one in several Bundles is noted."""
        found = list(self._rows("scan", TWICE, number, Named))
        seen = {named.identifier: named.patient for named in found}
        if len(seen) == len(found):
            return seen
        seen.clear()
        for named in sorted(found, key=lambda named: (named.identifier, named.patient)):
            if named.identifier in seen:
                out.twice(named.identifier, named.patient)
            else:
                seen[named.identifier] = named.patient
        return seen
