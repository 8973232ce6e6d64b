"""Where one part of a batch goes: findings and problems to its results, rows to its spill file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from engine.batch.pieces import documents_of, lines_of
from engine.batch.plan import Piece
from engine.batch.results import Found, Odd, ResultWriter, Silent, tally
from engine.batch.routing import Router
from engine.batch.spill import (
    TWICE,
    Named,
    Row,
    Spill,
    Want,
)
from engine.errors import EndplateError, InputError
from engine.fhir.decode import Document
from engine.fhir.elements import Json
from engine.fhir.problems import problem
from engine.fhir.record import COMPLETE, read_records
from engine.model.finding import Evaluation, Finding, RulesetId
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.detected_issue import detected_issue, guidance_response
from engine.outputs.settings import BASE
from engine.outputs.validation import check_output

if TYPE_CHECKING:
    from engine.batch.work import Worker

_COMPLETE = COMPLETE.encode()              # a Bundle may say so of itself
_HEAD = 200                                # bytes in which a Bundle says that it is one



class Output:
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
        for found in lines_of(source, piece) if piece.lines else documents_of(source):
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
        if self._worker.setup.thorough or self._worker.scope.at_bundle_time:
            return False
        if b'"Bundle"' not in line[:_HEAD] or _COMPLETE in line:
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
