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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import msgspec

from engine.batch.compare import Pair, second_of
from engine.batch.drift import Alikes
from engine.batch.names import Names
from engine.batch.output import Output
from engine.batch.pieces import Numbers
from engine.batch.relevance import Relevance
from engine.batch.results import Counts, ResultWriter
from engine.batch.routing import Meanings, is_sentinel, references, with_a_patient
from engine.batch.setup import Setup, load
from engine.batch.skim import Skim
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
from engine.errors import InputError
from engine.evaluation import Evaluator
from engine.fhir.decode import decode
from engine.fhir.elements import EMPTY, Json, obj, text
from engine.fhir.grouping import CARRIERS, Group
from engine.fhir.lookup import Lookup, lookup_for
from engine.fhir.problems import problem
from engine.fhir.record import Scope, records_of
from engine.fhir.references import searched
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.needs import fact_resources

_T = TypeVar("_T", Row, Want, Named, Stretch, Patient)
_BEGUN = ("scan", "match", "fetch")       # the stages that say what of the shared resources is wanted first


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
        self.second = second_of(self.evaluator, setup.compare, setup.valuesets, setup.cache, setup.only)
        self.kept = self.second.lookup_of_both() if self.second else self.lookup     # by whose meanings rows are kept
        self.alikes = Alikes(self.evaluator.ruleset)
        self.relevance = Relevance(self.evaluator.ruleset, self.lookup, self.alikes)
        if self.second:
            self.relevance = self.second.relevance_of_both(self.relevance)
        self.meanings = Meanings(self.kept, self.relevance)
        self.skim = Skim(self.meanings, self.relevance)
        self.types = fact_resources(self.evaluator.ruleset)
        self.names = [source.name for source in setup.sources]
        self.numbers = Numbers()
        self._paths: dict[str | tuple[str, ...], list[Path]] = {}
        self._picked: Names | None = None

    # ------------------------------------------------------------ stages

    def scan(self, number: int, limit: int) -> Counts:
        """Reads a part of the input."""
        name = f"scan-{number:06}"
        with self._results(name) as results, self._spill(name) as spill:
            out = Output(self, results, spill, limit)
            if number == 0:
                for found in self.setup.problems:
                    out.odd(found, found.where)
            for piece in self.setup.parts[number]:
                out.read(piece)
            out.end()
            counts = results.counts
            counts.given, counts.wants = out.router.given, out.router.wants
            counts.parked, counts.kept = out.router.parked, out.router.kept
            counts.waiting = out.waiting.count
        return counts

    def match(self, number: int) -> Counts:
        """Brings resources that name their patient by an identifier to the one who has it."""
        name = f"match-{number:04}"
        parked = list(self._rows("scan", PARKED, number, Row))
        with self._results(name) as results, self._spill(name) as spill:
            out = Output(self, results, spill, 0)
            owners = self._owners(number, {row.version for row in parked})
            for row in parked:
                patient = owners.get(row.version) or row.patient or searched(row.version)
                partition = out.router.partition(patient)
                spill.put(PATIENT, partition, msgspec.structs.replace(row, patient=patient, version=""))
                out.router.want(row.raw, partition)
            results.counts.wants = out.router.wants
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
            out = Output(self, results, spill, 0)
            scanned = self.folder / f"scan-{number:06}.spill"
            waiting = rows([scanned] if scanned.exists() else (), self.setup.partitions, WAITING, 0, Stretch)
            out.fetch(stretch for stretch in waiting if stretch.patient in self._picked)
            counts = results.counts
            counts.wants, counts.kept = out.router.wants, out.router.kept
        return counts

    def join(self, step: int, number: int) -> Counts:
        """Brings what patients share to the partitions that refer to it."""
        name = f"join-{step}-{number:04}"
        before = _BEGUN if step == 1 else (f"join-{step - 1}",)
        wanted: dict[str, set[int]] = {}
        for want in self._rows(before, WANTED, number, Want):
            wanted.setdefault(want.key, set()).add(want.partition)
        with self._results(name) as results, self._spill(name) as spill:
            out = Output(self, results, spill, 0)
            versions = [row for row in self._rows("scan", SHARED, number, Row) if row.key in wanted]
            for row in self._living(versions, out):
                for partition in sorted(wanted[row.key]):
                    spill.put(PATIENT, partition, row)
                    if row.key.startswith("Medication/"):
                        out.router.want(row.raw, partition)
            counts = results.counts
            counts.wants = out.router.wants
        return counts

    def screen(self, number: int, limit: int, given: bool) -> Counts:
        """Evaluates the patients of a partition. `given`: Patient resources stand among the single resources."""
        held = sorted(self._rows("*", PATIENT, number, Row), key=lambda row: (row.patient, row.order))
        shared = {row.key: row for row in held if not row.patient}
        owned = {patient: tuple(own) for patient, own in groupby(held, key=lambda row: row.patient) if patient}
        there = self._met(number)
        gone = {row.key: row for row in sorted(self._rows("scan", GONE, 0, Row), key=lambda row: row.order)}
        name = f"screen-{number:04}"
        with self._results(name) as results, self._spill(name) as spill:
            out = Output(self, results, spill, limit)
            seen = self._twice(number, out)
            for patient in sorted({*owned, *there}):
                everything = owned.get(patient)
                if everything is None:         # nothing was kept, and what waited is not needed
                    if there[patient] or not given:
                        self._unconcerned(patient, out, seen)
                    continue
                resources, others = self._seen_by_each(everything)
                problems: list[Problem] = []
                pairs = self._pairs(resources, others, shared, gone, problems, given=given)
                if not self._concerned(resources) and (not given or there.get(patient) or _is_there(resources)):
                    self._unconcerned(patient, out, seen)
                    if others is not resources and self._concerned(others):
                        for pair in pairs:
                            out.compare(pair)
                    continue
                out.met(resources, _shared_by(resources, shared) if shared else ())
                for record, other in pairs:
                    if record is None:
                        out.compare((None, other))
                        continue
                    if record.person.reference in seen:
                        out.twice(record.person.reference, seen[record.person.reference])
                    out.evaluate(record, other)
                for found in problems:
                    out.odd(found, patient=patient)
            out.end()
        return results.counts

    # ------------------------------------------------------------ parts of them

    def _rows(self, stages: str | tuple[str, ...], kind: str, number: int, of: type[_T]) -> Iterator[_T]:
        """The rows of a compartment in all spill files of finished stages ("*" = of all)."""
        if stages not in self._paths:
            each = (stages,) if isinstance(stages, str) else stages
            found = (path for stage in each for path in sorted(self.folder.glob(f"{stage}-*.spill")))
            self._paths[stages] = [path for path in found if not path.name.startswith("screen")]
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

    def _unconcerned(self, patient: str, out: Output, seen: Mapping[str, str]) -> None:
        out.unconcerned(patient, self.scope.as_of, complete=bool(self.scope.complete))
        if patient in seen:
            out.twice(patient, seen[patient])

    def _concerned(self, own: Sequence[Row]) -> bool:
        return self.setup.thorough or any(row.rare and row.raw for row in own)

    def _seen_by_each(self, own: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
        """The rows of a patient as each version of the rules sees them; one sequence twice, if they see the same."""
        if self.second is None or self.second.reads_alike:
            return own, own
        return [_as_seen(row, self.lookup) for row in own], [_as_seen(row, self.second.lookup) for row in own]

    def _pairs(
        self,
        own: Sequence[Row],
        others: Sequence[Row],
        shared: Mapping[str, Row],
        gone: Mapping[str, Row],
        problems: list[Problem],
        *,
        given: bool,
    ) -> Iterator[Pair]:
        """The records of a patient for each version of the rules; the second one's problems are not told."""
        records = self._records(self.lookup, own, shared, gone, problems, given=given)
        if self.second is None:
            return ((record, None) for record in records)
        if self.second.reads_alike:
            return ((record, record) for record in records)
        return self.second.pairs(records, self._records(self.second.lookup, others, shared, gone, [], given=given))

    def _records(
        self,
        lookup: Lookup,
        own: Sequence[Row],
        shared: Mapping[str, Row],
        gone: Mapping[str, Row],
        problems: list[Problem],
        *,
        given: bool,
    ) -> Iterator[Record]:
        """The records of the rows of one patient, with what they share with others."""
        group = Group(lookup, problems) if _is_there(own) or not given else with_a_patient(lookup, problems)
        keys = {row.key for row in own if row.raw}
        for row in own:
            if row.raw or row.key in keys:
                self._add(group, row, problems)
        for key in sorted(keys & gone.keys()):
            self._add(group, gone[key], problems, deleted=True)
        for row in _shared_by(own, shared):
            self._add(group, row, problems)
        for record in records_of(group, lookup, self.scope):
            if not is_sentinel(record.person.reference):
                yield record


def _is_there(own: Iterable[Row]) -> bool:
    """Whether the Patient resource itself is among the rows."""
    return any(row.key.startswith("Patient/") or row.patient.startswith("Patient/_") for row in own if row.raw)


def _as_seen(row: Row, lookup: Lookup) -> Row:
    """A row by the meanings of one version of the rules: a mere version, if only the other one knows what it says."""
    if not row.raw or row.key.partition("/")[0] not in ("", *CARRIERS):
        return row
    try:
        resource = _resource(row)
    except InputError:
        return row
    group = Group(lookup, [])
    group.add(resource, "")
    if not group.entries or group.entries[0].resource is not EMPTY:
        return row
    meta = obj(resource.get("meta"))
    version, updated = text(meta.get("versionId")), text(meta.get("lastUpdated"))
    return msgspec.structs.replace(row, raw=b"", version=version, updated=updated, rare=False)


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
