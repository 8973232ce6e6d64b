"""Where one part of a batch goes: findings and problems to its results, rows to its spill file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from engine.batch.compare import Pair
from engine.batch.drift import Met
from engine.batch.pieces import Block, documents_of, numbered, stretches_of
from engine.batch.plan import Piece
from engine.batch.results import Found, Odd, ResultWriter, Silent, pack, tally
from engine.batch.routing import Router
from engine.batch.skim import Waiting
from engine.batch.spill import (
    TWICE,
    Named,
    Row,
    Spill,
    Stretch,
    Want,
)
from engine.batch.tables import rows_of
from engine.errors import EndplateError, InputError
from engine.fhir.decode import Document
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.problems import problem
from engine.fhir.record import read_records
from engine.model.finding import Evaluation, Finding, RulesetId
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.detected_issue import detected_issue, guidance_response
from engine.outputs.settings import BASE
from engine.outputs.validation import check_output

if TYPE_CHECKING:
    from engine.batch.work import Worker

_HEAD = 200                                # bytes in which a Bundle says that it is one



class Output:
    """Where one part goes: findings and problems to its results, rows to its spill file."""

    def __init__(self, worker: Worker, results: ResultWriter, spill: Spill, limit: int) -> None:
        self._worker = worker
        self._results = results
        self._spill = spill
        self._limit = limit
        self._names = frozenset(worker.names)
        self._met = Met(worker.alikes)
        self.router = Router(worker.meanings, worker.relevance, worker.setup.partitions, self, worker.names)
        self.waiting = Waiting(worker.skim, self.router, spill)

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
        if piece.lines:
            self.blocks(piece.source, self._worker.numbers.blocks_of(source, piece))
        else:
            self.documents(piece.source, documents_of(source))

    def blocks(self, file: int, held: Iterable[Block | Problem]) -> None:
        """Lines of a file, some at a time."""
        for found in held:
            self.lines(file, (found,) if isinstance(found, Problem) else self._now(file, found))

    def may_wait(self, file: int, block: Block) -> bool:
        """Whether lines of a block may wait until it is known whose are needed."""
        setup = self._worker.setup
        return not (setup.thorough or setup.sources[file].deleted or b'"Bundle"' in block.lines[0][:_HEAD])

    def _now(self, file: int, block: Block) -> Iterable[tuple[int, bytes]]:
        """The lines of a block that cannot wait."""
        if not self.may_wait(file, block):
            return numbered(block)
        now = tuple(self.waiting.add(file, block))
        self._results.counts.documents += len(block.lines) - len(now)
        if len(now) == len(block.lines):
            return numbered(block)
        return [one for index in now for one in numbered(block.line(index))]

    def fetch(self, held: Iterable[Stretch]) -> None:
        """Lines that waited and are needed after all."""
        for file, stretches in groupby(held, key=lambda stretch: stretch.file):
            source = self._worker.setup.sources[file]
            for number, line in stretches_of(source, stretches):
                self.router.line(line, file, number, f": line {number}")

    def lines(self, file: int, held: Iterable[tuple[int, bytes] | Problem]) -> None:
        """Lines of a file with their numbers."""
        source = self._worker.setup.sources[file]
        skims = not self._worker.setup.thorough and not self._worker.scope.at_bundle_time
        for found in held:
            if isinstance(found, Problem):
                self.odd(found, source.name)
                continue
            self._results.counts.documents += 1
            number, line = found
            suffix = f": line {number}"
            is_bundle = b'"Bundle"' in line[:_HEAD]
            if skims and is_bundle and self._unconcerned(line, source.name + suffix):
                continue
            read = self.router.content if is_bundle else self.router.line
            try:
                decoded = None if source.deleted else read(line, file, number, suffix)
            except InputError as error:
                self.odd(problem("not-json", source.name + suffix, str(error)), source.name)
                continue
            if decoded is not None:
                self._document(decoded, file, number, suffix)

    def documents(self, file: int, held: Iterable[tuple[int, Document] | Problem]) -> None:
        """Documents of a file with their numbers."""
        source = self._worker.setup.sources[file]
        for found in held:
            if isinstance(found, Problem):
                self.odd(found, source.name)
                continue
            self._results.counts.documents += 1
            number, document = found
            self._document(document.content, file, number, document.where[len(source.name) :])

    def _unconcerned(self, line: bytes, where: str) -> bool:
        """Whether a Bundle concerns no rule; then its patient is counted and that is all."""
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
        self._met_in(bundle)
        for record, other in self._pairs(Document(bundle, where), problems):
            if record is None:
                self.compare((None, other), where=where)
                continue
            patient = record.person.reference
            if patient.startswith("Patient/"):  # a name that is more than one within its Bundle
                self._spill.put(TWICE, self.router.partition(patient), Named(patient, where))
            self.evaluate(record, other, where)
        for found in problems:
            self.odd(found)

    def _pairs(self, document: Document, problems: list[Problem]) -> Iterable[Pair]:
        """The records of a Bundle for each version of the rules; the second one's problems are not told."""
        worker, second = self._worker, self._worker.second
        records = read_records([document], worker.terminology, worker.scope, problems)
        if second is None:
            return ((record, None) for record in records)
        if second.reads_alike:
            return ((record, record) for record in records)
        return second.pairs(records, read_records([document], second.terminology, worker.scope, []))

    # ------------------------------------------------------------ codes that nobody knows

    def met(self, own: Iterable[Row], shared: Iterable[Row]) -> None:
        """Counts the unknown codes that look relevant in the rows of one patient, and in what they share."""
        patient = ""
        for row in own:
            patient = row.patient
            if row.rare and row.raw:
                self._met.raw(row.raw, patient)
        for row in shared:
            self._met.raw(row.raw, patient)

    def _met_in(self, bundle: Json) -> None:
        resources = [obj(entry.get("resource")) for entry in objects(bundle.get("entry"))]
        patients = [text(one.get("id")) for one in resources if one.get("resourceType") == "Patient"]
        owner = f"Patient/{patients[0]}" if len(patients) == 1 else ""
        for resource in resources:
            subject = obj(resource.get("subject") or resource.get("patient"))
            self._met.resource(resource, owner or text(subject.get("reference")))

    def end(self) -> None:
        """The part is read: what it counted goes to its results."""
        self.waiting.end()
        for unknown in self._met.found():
            self._results.put(unknown)

    # ------------------------------------------------------------ evaluating

    def evaluate(self, record: Record, other: Record | None = None, where: str = "") -> None:
        """One patient. A defect of ours costs this patient, and is said. `other`: as the second version reads it."""
        counts = self._results.counts
        if self._full:
            return
        counts.patients += 1
        patient = record.person.reference
        try:
            full = self._worker.evaluator.evaluate(record, "listed")
            evaluation = self._shown(full)
            issues = tuple(self._issues(evaluation))
            rows = rows_of(evaluation, self._worker.evaluator.ruleset.info)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            counts.failed += 1
            counts.not_compared += self._worker.second is not None
            self._failed(patient, error)
            return
        for found in evaluation.problems:
            self.odd(found, patient=patient)
        self._count(evaluation)
        if evaluation.findings or evaluation.held_back or evaluation.disagreements:
            self._results.put(Found(patient, pack(evaluation), evaluation.worst, rows, issues))
        elif not self._results.enough_silent:
            self._results.put(Silent(patient, pack(evaluation)))
        if self._worker.second is not None:
            self.compare((record, other), full, where)

    def compare(self, pair: Pair, found: Evaluation | None = None, where: str = "") -> None:
        """What the second version says otherwise of one patient. `found`: what the first one said, if it was asked."""
        second = self._worker.second
        given = pair[0] or pair[1]
        if second is None or given is None or (found is None and self._full):
            return
        counts = self._results.counts
        try:
            compared = second.compare(pair, found, where)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            counts.not_compared += 1
            self._failed(given.person.reference, error, " for --compare")
            return
        counts.differing += bool(compared.differing)
        for key in compared.tallies():
            tally(counts.compared, key)
        for one in compared.differing:
            self._results.put(one)

    def _failed(self, patient: str, error: Exception, what: str = "") -> None:
        said = str(error) if isinstance(error, EndplateError) else f"a defect of Endplate ({type(error).__name__})"
        self.odd(problem("not-evaluated", patient, f"could not be evaluated{what}: {said}"), patient=patient)

    @property
    def _full(self) -> bool:
        return bool(self._limit) and self._results.counts.patients >= self._limit

    def unconcerned(self, patient: str, as_of: date, *, complete: bool) -> None:
        """One patient whom no rule can concern, and who was not read further."""
        if self._full:
            return
        self._results.counts.patients += 1
        if self._results.enough_silent:
            return
        ruleset = self._worker.evaluator.ruleset
        evaluation = Evaluation(
            patient=patient,
            as_of=as_of,
            ruleset=RulesetId(ruleset.id, ruleset.version, ruleset.hash),
            complete=complete,
            findings=(),
            backend=self._worker.evaluator.backend.name,
        )
        self._results.put(Silent(patient, pack(evaluation)))

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
            for resource in (guidance, issue):
                if self._worker.setup.validate:
                    check_output(resource)
                yield msgspec.json.encode(resource)

    def _count(self, evaluation: Evaluation) -> None:
        counts = self._results.counts
        counts.relevant += evaluation.relevant
        counts.with_findings += bool(evaluation.findings)
        counts.disagreements += bool(evaluation.disagreements)
        for found in evaluation.findings:
            tally(counts.findings, f"{found.issue} {found.severity}")
        for issue in {found.issue for found in evaluation.findings}:
            tally(counts.fired, issue)
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
