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

from engine.batch.packing import BROKEN, open_plain
from engine.batch.plan import Part, Piece
from engine.batch.relevance import Relevance
from engine.batch.results import Counts, Found, Odd, ResultWriter, Silent, tally
from engine.batch.routing import Router, is_sentinel, references, with_a_patient
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
from engine.errors import EndplateError, InputError
from engine.evaluation import Evaluator
from engine.fhir.decode import LARGEST, Document, decode, read_documents
from engine.fhir.elements import Json
from engine.fhir.grouping import Group
from engine.fhir.lookup import lookup_for
from engine.fhir.problems import problem
from engine.fhir.record import COMPLETE, Scope, read_records, records_of
from engine.inference.backends import make_backend
from engine.model.finding import Evaluation, Finding, RulesetId
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.detected_issue import detected_issue, guidance_response
from engine.outputs.needs import fact_resources
from engine.outputs.settings import BASE
from engine.rules.ruleset import load_ruleset

_T = TypeVar("_T", Row, Want, Named)
_COMPLETE = COMPLETE.encode()              # a Bundle may say so of itself
_HEAD = 200                                # bytes in which a Bundle says that it is one
_BOM = b"\xef\xbb\xbf"


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
            out = _Out(self, results, spill, limit)
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
            out = _Out(self, results, spill, 0)
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
            out = _Out(self, results, spill, limit)
            seen = self._twice(number, out)
            for patient, own in groupby((row for row in held if row.patient), key=lambda row: row.patient):
                resources = list(own)
                if not any(row.rare for row in resources) and (_is_there(resources) or not given):
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

    def _living(self, held: Sequence[Row], out: _Out) -> Iterator[Row]:
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

    def _twice(self, number: int, out: _Out) -> Mapping[str, str]:
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


class _Out:
    """Where one part goes: findings and problems to its results, rows to its spill file."""

    def __init__(self, worker: Worker, results: ResultWriter, spill: Spill, limit: int) -> None:
        self._worker = worker
        self._results = results
        self._spill = spill
        self._limit = limit
        self._names = frozenset(worker.names)
        self.router = Router(worker.lookup, worker.relevance, worker.setup.partitions, self, worker.names)

    def put(self, kind: str, number: int, row: Row | Want | Named) -> None:
        """A row for a later stage."""
        self._spill.put(kind, number, row)

    def odd(self, found: Problem, file: str = "", patient: str = "") -> None:
        """A problem, its place taken apart."""
        place, line = self._place(found.where)
        self._results.put(Odd(found, place or file, line, patient))

    def twice(self, patient: str, where: str) -> None:
        """A patient of whom data stand in several places that are evaluated apart."""
        message = "has data in several Bundles (or in Bundles and single resources), which were evaluated apart"
        self.odd(problem("several-bundles", f"{where}: {patient}", message), patient=patient)

    # ------------------------------------------------------------ reading

    def read(self, piece: Piece) -> None:
        """All of a piece."""
        source = self._worker.setup.sources[piece.source]
        self._results.counts.bytes += (piece.end if piece.end >= 0 else source.size) - piece.start
        for found in _lines(source, piece) if piece.lines else _documents(source):
            if isinstance(found, Problem):
                self.odd(found, source.name)
                continue
            self._results.counts.documents += 1
            number, content = found
            suffix = f": line {number}" if piece.lines else content.where[len(source.name) :]  # type: ignore[union-attr]
            if isinstance(content, bytes):
                if self._unconcerned(content, source.name + suffix):
                    continue
                try:
                    decoded = None if source.deleted else self.router.line(content, piece.source, number, suffix)
                except InputError as error:
                    self.odd(problem("not-json", source.name + suffix, str(error)), source.name)
                    continue
                if decoded is not None:
                    self._document(decoded, piece.source, number, suffix)
            else:
                self._document(content.content, piece.source, number, suffix)

    def _unconcerned(self, line: bytes, where: str) -> bool:
        """Whether a line is a Bundle that concerns no rule; then its patient is counted and that is all."""
        if b'"Bundle"' not in line[:_HEAD] or self._worker.scope.at_bundle_time or _COMPLETE in line:
            return False
        patient = self._worker.relevance.bundle(line)
        if patient:
            self._spill.put(TWICE, self.router.partition(patient), Named(patient, where))
            scope = self._worker.scope
            self.unconcerned(patient, scope.as_of, complete=bool(scope.complete))
        return bool(patient)

    def _document(self, content: object, file: int, seq: int, suffix: str) -> None:
        name = self._worker.names[file]
        for number, one in enumerate(content if isinstance(content, list) else [content], 1):
            place = f"{suffix}: {number}" if isinstance(content, list) else suffix
            if not isinstance(one, dict):
                self.odd(problem("not-an-object", name + place, "is no JSON object and was skipped"), name)
            elif one.get("resourceType") not in ("Bundle", "Parameters"):
                self.router.resource(one, b"", file, seq, place)
            elif self._worker.setup.sources[file].deleted:
                self.router.deletions(one, file, seq, place)
            else:
                self._bundle(one, name + place)

    def _bundle(self, bundle: Json, where: str) -> None:
        problems: list[Problem] = []
        worker = self._worker
        for record in read_records([Document(bundle, where)], worker.terminology, worker.scope, problems):
            patient = record.person.reference
            if patient.startswith("Patient/"):  # a name that is more than one within its Bundle
                self._spill.put(TWICE, self.router.partition(patient), Named(patient, where))
            self.evaluate(record)
        for found in problems:
            self.odd(found)

    # ------------------------------------------------------------ evaluating

    def evaluate(self, record: Record) -> None:
        """One patient. A defect of ours costs this patient, and is said."""
        counts = self._results.counts
        if self._limit and counts.patients >= self._limit:
            return
        counts.patients += 1
        patient = record.person.reference
        try:
            evaluation = self._shown(self._worker.evaluator.evaluate(record, "listed"))
            issues = tuple(self._issues(evaluation))
        except (MemoryError, OSError):
            raise
        except Exception as error:
            counts.failed += 1
            said = str(error) if isinstance(error, EndplateError) else f"a defect of Endplate ({type(error).__name__})"
            self.odd(problem("not-evaluated", patient, f"could not be evaluated: {said}"), patient=patient)
            return
        for found in evaluation.problems:
            self.odd(found, patient=patient)
        self._count(evaluation)
        if evaluation.findings or evaluation.held_back or evaluation.disagreements:
            self._results.put(Found(evaluation, issues))
        else:
            self._results.put(Silent(evaluation))

    def unconcerned(self, patient: str, as_of: date, *, complete: bool) -> None:
        """One patient whom no rule can concern, and who was not read further."""
        counts = self._results.counts
        if self._limit and counts.patients >= self._limit:
            return
        counts.patients += 1
        ruleset = self._worker.evaluator.ruleset
        self._results.put(
            Silent(
                Evaluation(
                    patient=patient,
                    as_of=as_of,
                    ruleset=RulesetId(ruleset.id, ruleset.version, ruleset.hash),
                    complete=complete,
                    findings=(),
                    backend=self._worker.evaluator.backend.name,
                )
            )
        )

    def _shown(self, evaluation: Evaluation) -> Evaluation:
        """Without facts, which no output of a batch needs, and without findings that were not asked for."""
        only = self._worker.setup.only

        def kept(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
            return tuple(f for f in findings if f.issue in only) if only else findings

        return msgspec.structs.replace(
            evaluation,
            findings=kept(evaluation.findings),
            held_back=kept(evaluation.held_back),
            facts={},
            conclusions={},
            orders={},
        )

    def _issues(self, evaluation: Evaluation) -> Iterator[bytes]:
        """Each DetectedIssue after its GuidanceResponse, to which it refers."""
        info = self._worker.evaluator.ruleset.info
        for found in evaluation.findings:
            guidance = guidance_response(found, evaluation, info, base=BASE, types=self._worker.types)
            name = f"GuidanceResponse/{guidance['id']}"
            issue = detected_issue(found, evaluation, info, base=BASE, guidance=name)
            yield msgspec.json.encode(guidance)
            yield msgspec.json.encode(issue)

    def _count(self, evaluation: Evaluation) -> None:
        counts = self._results.counts
        counts.relevant += evaluation.relevant
        counts.with_findings += bool(evaluation.findings)
        counts.disagreements += bool(evaluation.disagreements)
        for found in evaluation.findings:
            tally(counts.findings, f"{found.issue} {found.severity}")
        for found in evaluation.held_back:
            tally(counts.held_back, found.issue)

    def _place(self, where: str) -> tuple[str, int]:
        """The file and line of a place."""
        end = len(where)
        while end > 0:
            if where[:end] in self._names:
                rest = where[end:].removeprefix(": line ")
                number = rest.partition(":")[0]
                return where[:end], int(number) if rest != where[end:] and number.isdecimal() else 0
            end = where.rfind(": ", 0, end)
        return "", 0


def _documents(source: Source) -> Iterator[tuple[int, Document] | Problem]:
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        for number, found in enumerate(read_documents(stream, source.name), 1):
            yield found if isinstance(found, Problem) else (number, found)


def _lines(source: Source, piece: Piece) -> Iterator[tuple[int, bytes] | Problem]:
    """The lines of a piece with their numbers; what cannot be read is a problem in its place."""
    number, left = piece.line, piece.end - piece.start
    try:
        stream = open_plain(source.path)
    except BROKEN as error:
        yield _unreadable(source.name, error)
        return
    with stream:
        if piece.start:
            stream.seek(piece.start)
        while left > 0 or piece.end < 0:
            try:
                line = stream.readline(LARGEST + 1)
                length = len(line)
                whole = length <= LARGEST or line.endswith(b"\n")
                while not whole and (rest := stream.readline(LARGEST)):
                    length += len(rest)
                    whole = rest.endswith(b"\n")
            except BROKEN:
                message = "broke off: the file is cut short or damaged; what came before was read"
                yield problem("not-readable", source.name, message)
                return
            if not line:
                return
            left -= length
            number += 1
            if len(line) > LARGEST:
                message = f"is larger than {LARGEST // 2**20} MiB and was skipped: split it"
                yield problem("too-large", f"{source.name}: line {number}", message)
            elif line.strip():
                yield number, line.removeprefix(_BOM) if number == 1 else line


def _unreadable(name: str, error: BaseException) -> Problem:
    said = getattr(error, "strerror", None) or "its packing is damaged"
    return problem("not-readable", name, f"cannot be read: {said}")
