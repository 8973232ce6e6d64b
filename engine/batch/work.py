"""The three stages of a batch, each a function from files to files:

    scan        a part of the input -> results of its Bundles, rows of its single resources
    join        a partition of what patients share -> rows for the partitions of patients that refer to it
    screen      a partition of the patients -> results

A Bundle is a record of its own. Single resources are brought together by patient, over all files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.batch.output import Output
from engine.batch.plan import Part
from engine.batch.relevance import Relevance
from engine.batch.results import Counts, ResultWriter
from engine.batch.routing import is_sentinel, references, with_a_patient
from engine.batch.sources import Source
from engine.batch.spill import (
    GONE,
    IDENTIFIERS,
    PARKED,
    PATIENT,
    SHARED,
    TWICE,
    WANTED,
    Named,
    Row,
    Spill,
    Want,
    rows,
)
from engine.errors import InputError
from engine.evaluation import Evaluator
from engine.fhir.decode import decode
from engine.fhir.elements import Json
from engine.fhir.grouping import Group
from engine.fhir.lookup import lookup_for
from engine.fhir.problems import problem
from engine.fhir.record import Scope, records_of
from engine.inference.backends import make_backend
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.needs import fact_resources
from engine.rules.load import load_ruleset

_T = TypeVar("_T", Row, Want, Named)


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to know; it stands in the folder of the run, so that a later run can go on."""

    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    partitions: int
    as_of: date
    at_bundle_time: bool = False
    complete: bool = False
    backend: str = "plain"
    ruleset: str = ""                      # folder; "" = the one that comes with the package
    valuesets: tuple[str, ...] = ()
    cache: str = ""
    content: str = ""                      # hash of the ruleset
    engine: str = ""                       # version
    only: tuple[str, ...] = ()             # issues that are kept; () = all
    asked: tuple[str, ...] = ()            # as the caller wrote what is kept
    paths: tuple[str, ...] = ()            # as the caller wrote them
    limit: int = 0                         # 0 = none
    thorough: bool = False                 # read also the patients whom no rule can concern
    validate: bool = False                 # hold every output against the FHIR classes
    problems: tuple[Problem, ...] = ()     # of the listing


def load(setup: Setup) -> Evaluator:
    """The ruleset of a setup, made ready."""
    loaded = load_ruleset(
        Path(setup.ruleset) if setup.ruleset else None,
        extra_valuesets=tuple(Path(one) for one in setup.valuesets),
        cache_dir=Path(setup.cache) if setup.cache else None,
    )
    return Evaluator(loaded, make_backend(setup.backend, loaded.program))  # type: ignore[arg-type]


class Worker:
    """Works on parts, one after another, with one ruleset; everything goes through the folder of the run."""

    def __init__(self, folder: Path, setup: Setup, evaluator: Evaluator | None = None) -> None:
        self.folder = folder
        self.setup = setup
        self.evaluator = evaluator or load(setup)
        self.terminology = self.evaluator.ruleset.terminology
        self.lookup = lookup_for(self.terminology)
        self.scope = Scope(
            as_of=setup.as_of, at_bundle_time=setup.at_bundle_time, complete=True if setup.complete else None
        )
        self.relevance = Relevance(self.evaluator.ruleset, self.lookup)
        self.types = fact_resources(self.evaluator.ruleset)
        self.names = [source.name for source in setup.sources]
        self._paths: dict[str, list[Path]] = {}

    # ------------------------------------------------------------ stages

    def scan(self, number: int, limit: int) -> Counts:
        """Reads a part of the input."""
        name = f"scan-{number:06}"
        with ResultWriter(self.folder / f"{name}.result") as results, self._spill(name) as spill:
            out = Output(self, results, spill, limit)
            if number == 0:
                for found in self.setup.problems:
                    out.odd(found, found.where)
            for piece in self.setup.parts[number]:
                out.read(piece)
            counts = results.counts
            counts.given, counts.wants = out.router.given, out.router.wants
            counts.parked, counts.kept = out.router.parked, out.router.kept
        return counts

    def join(self, step: int, number: int) -> Counts:
        """Brings what patients share to the partitions that refer to it, and parked resources to their patients."""
        name = f"join-{step}-{number:04}"
        before = "scan" if step == 1 else f"join-{step - 1}"
        wanted: dict[str, set[int]] = {}
        for want in self._rows(before, WANTED, number, Want):
            wanted.setdefault(want.key, set()).add(want.partition)
        parked = list(self._rows(before, PARKED, number, Row)) if step == 1 else []
        with ResultWriter(self.folder / f"{name}.result") as results, self._spill(name) as spill:
            out = Output(self, results, spill, 0)
            versions = [row for row in self._rows("scan", SHARED, number, Row) if row.key in wanted]
            for row in self._living(versions, out):
                for partition in sorted(wanted[row.key]):
                    spill.put(PATIENT, partition, row)
                    if row.key.startswith("Medication/"):
                        out.router.want(row.raw, partition)
            owners = self._owners(number, {row.version for row in parked})
            for row in parked:
                patient = owners.get(row.version) or row.patient or f"Patient?identifier={row.version}"
                partition = out.router.partition(patient)
                spill.put(PATIENT, partition, msgspec.structs.replace(row, patient=patient, version=""))
                out.router.want(row.raw, partition)
            counts = results.counts
            counts.wants = out.router.wants
        return counts

    def screen(self, number: int, limit: int, given: bool) -> Counts:
        """Evaluates the patients of a partition. `given`: Patient resources stand among the single resources."""
        held = sorted(self._rows("*", PATIENT, number, Row), key=lambda row: (row.patient, row.order))
        shared = {row.key: row for row in held if not row.patient}
        gone = {row.key: row for row in sorted(self._rows("scan", GONE, 0, Row), key=lambda row: row.order)}
        name = f"screen-{number:04}"
        with ResultWriter(self.folder / f"{name}.result") as results, self._spill(name) as spill:
            out = Output(self, results, spill, limit)
            seen = self._twice(number, out)
            for patient, own in groupby((row for row in held if row.patient), key=lambda row: row.patient):
                resources = list(own)
                concerned = self.setup.thorough or any(row.rare for row in resources)
                if not concerned and (_is_there(resources) or not given):
                    out.unconcerned(patient, self.scope.as_of, complete=bool(self.scope.complete))
                    if patient in seen:
                        out.twice(patient, seen[patient])
                    continue
                problems: list[Problem] = []
                for record in self._records(resources, shared, gone, problems, given=given):
                    if record.person.reference in seen:
                        out.twice(record.person.reference, seen[record.person.reference])
                    out.evaluate(record)
                for found in problems:
                    out.odd(found, patient=patient)
        return results.counts

    # ------------------------------------------------------------ parts of them

    def _rows(self, stage: str, kind: str, number: int, of: type[_T]) -> Iterator[_T]:
        """The rows of a compartment in all spill files of a finished stage ("*" = of all)."""
        if stage not in self._paths:
            self._paths[stage] = sorted(
                path for path in self.folder.glob(f"{stage}-*.spill") if not path.name.startswith("screen")
            )
        return rows(self._paths[stage], self.setup.partitions, kind, number, of)

    def _spill(self, name: str) -> Spill:
        return Spill(self.folder / f"{name}.spill", self.setup.partitions)

    def _where(self, row: Row) -> str:
        return self.names[row.file] + row.suffix

    def _living(self, held: Sequence[Row], out: Output) -> Iterator[Row]:
        """Of several versions of a shared resource the newest one."""
        by_key = sorted(held, key=lambda row: (row.key, row.order))
        for _, versions in groupby(by_key, key=lambda row: row.key):
            problems: list[Problem] = []
            group = Group(self.lookup, problems)
            by_place = {self._where(row): row for row in versions if self._add(group, row, problems)}
            for entry in group.entries:
                if not entry.dead:
                    yield by_place[entry.place]
            for found in problems:
                out.odd(found)

    def _add(self, group: Group, row: Row, problems: list[Problem], *, deleted: bool = False) -> bool:
        """Adds the resource of a row to a group; False if it is no JSON after all."""
        try:
            resource = _resource(row)
        except InputError as error:
            problems.append(problem("not-json", self._where(row), str(error)))
            return False
        group.add(resource, self._where(row), deleted=deleted)
        return True

    def _owners(self, number: int, wanted: set[str]) -> Mapping[str, str]:
        """Identifier -> the one patient whose it is; "" = two have it."""
        owners: dict[str, str] = {}
        for named in self._rows("scan", IDENTIFIERS, number, Named) if wanted else ():
            if named.identifier in wanted and owners.setdefault(named.identifier, named.patient) != named.patient:
                owners[named.identifier] = ""
        return owners

    def _twice(self, number: int, out: Output) -> Mapping[str, str]:
        """Patients of Bundles -> where; one in several Bundles is noted."""
        seen: dict[str, str] = {}
        for named in sorted(
            self._rows("scan", TWICE, number, Named), key=lambda named: (named.identifier, named.patient)
        ):
            if named.identifier in seen:
                out.twice(named.identifier, named.patient)
            else:
                seen[named.identifier] = named.patient
        return seen

    def _records(
        self,
        own: Sequence[Row],
        shared: Mapping[str, Row],
        gone: Mapping[str, Row],
        problems: list[Problem],
        *,
        given: bool,
    ) -> Iterator[Record]:
        """The records of the rows of one patient, with what they share with others."""
        group = Group(self.lookup, problems) if _is_there(own) or not given else with_a_patient(self.lookup, problems)
        keys = {row.key for row in own if row.raw}
        for row in own:
            if row.raw or row.key in keys:
                self._add(group, row, problems)
        for key in sorted(keys & gone.keys()):
            self._add(group, gone[key], problems, deleted=True)
        for row in _shared_by(own, shared):
            self._add(group, row, problems)
        for record in records_of(group, self.lookup, self.scope):
            if not is_sentinel(record.person.reference):
                yield record


def _is_there(own: Iterable[Row]) -> bool:
    """Whether the Patient resource itself is among the rows."""
    return any(row.key.startswith("Patient/") or row.patient.startswith("Patient/_") for row in own if row.raw)


def _resource(row: Row) -> Json:
    """The resource of a row; of a mere version what names it."""
    if row.raw:
        found = decode(row.raw)
        return found if isinstance(found, dict) else {}
    kind, _, identity = row.key.partition("/")
    meta = {"versionId": row.version, "lastUpdated": row.updated}
    return {"resourceType": kind, "id": identity, "meta": {key: value for key, value in meta.items() if value}}


def _shared_by(own: Iterable[Row], shared: Mapping[str, Row]) -> Iterator[Row]:
    """The shared resources that rows refer to, and those that these refer to."""
    seen: set[str] = set()
    stack = [row.raw for row in own]
    while stack:
        for key in references(stack.pop()):
            if key in shared and key not in seen:
                seen.add(key)
                stack.append(shared[key].raw)
    return (shared[key] for key in sorted(seen))
