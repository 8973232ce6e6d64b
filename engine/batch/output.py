"""What one part of a batch finds: patients, evaluated or passed over, and problems, on their way to its results."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.batch.compare import Pair
from engine.batch.drift import Met
from engine.batch.results import Found, Odd, ResultWriter, Silent, pack, tally
from engine.batch.tables import rows_of
from engine.batch.tools import Tools
from engine.errors import EndplateError
from engine.fhir.problems import problem
from engine.model.finding import Evaluation, Finding, RulesetId
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.detected_issue import detected_issue, guidance_response
from engine.outputs.settings import BASE
from engine.outputs.validation import check_output


class Output:
    """The findings of one part. `limit`: patients after which nothing more is evaluated; 0 = none. `met` counts the
    codes that nobody knows."""

    def __init__(self, tools: Tools, results: ResultWriter, limit: int) -> None:
        self._tools = tools
        self._results = results
        self._limit = limit
        self._names = frozenset(tools.names)
        self.counts = results.counts
        self.met = Met(tools.alikes)

    def odd(self, found: Problem, file: str = "", patient: str = "") -> None:
        """A problem, its place taken apart."""
        place, line = self._place(found.where)
        self._results.put(Odd(found, place or file, line, patient))

    def twice(self, patient: str, where: str) -> None:
        """A patient of whom data stand in several places that are evaluated apart."""
        message = "has data in several Bundles (or in Bundles and single resources), which were evaluated apart"
        self.odd(problem("several-bundles", f"{where}: {patient}", message), patient=patient)

    def end(self) -> None:
        """The part is done: the unknown codes that it met go to its results."""
        for unknown in self.met.found():
            self._results.put(unknown)

    def evaluate(self, record: Record, other: Record | None = None, where: str = "") -> None:
        """One patient. A defect of ours costs this patient, and is said. `other`: as the second version reads it."""
        counts = self.counts
        if self._full:
            return
        counts.patients += 1
        patient = record.person.reference
        try:
            full = self._tools.evaluator.evaluate(record, "listed")
            evaluation = self._shown(full)
            issues = tuple(self._issues(evaluation))
            rows = rows_of(evaluation, self._tools.evaluator.ruleset.info)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            counts.failed += 1
            counts.not_compared += self._tools.second is not None
            self._failed(patient, error)
            return
        for found in evaluation.problems:
            self.odd(found, patient=patient)
        self._count(evaluation)
        if evaluation.findings or evaluation.held_back or evaluation.disagreements:
            self._results.put(Found(patient, pack(evaluation), evaluation.worst, rows, issues))
        elif not self._results.enough_silent:
            self._results.put(Silent(patient, pack(evaluation)))
        if self._tools.second is not None:
            self.compare((record, other), full, where)

    def compare(self, pair: Pair, found: Evaluation | None = None, where: str = "") -> None:
        """What the second version says otherwise of one patient. `found`: what the first one said, if it was asked."""
        second = self._tools.second
        given = pair[0] or pair[1]
        if second is None or given is None or (found is None and self._full):
            return
        counts = self.counts
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
        return bool(self._limit) and self.counts.patients >= self._limit

    def unconcerned(self, patient: str) -> None:
        """One patient whom no rule can concern, and who was not read further."""
        if self._full:
            return
        self.counts.patients += 1
        if self._results.enough_silent:
            return
        ruleset = self._tools.evaluator.ruleset
        evaluation = Evaluation(
            patient=patient,
            as_of=self._tools.scope.as_of,
            ruleset=RulesetId(ruleset.id, ruleset.version, ruleset.hash),
            complete=bool(self._tools.scope.complete),
            findings=(),
            backend=self._tools.evaluator.backend.name,
        )
        self._results.put(Silent(patient, pack(evaluation)))

    def _shown(self, evaluation: Evaluation) -> Evaluation:
        """Without facts, which no output of a batch needs, and without findings that were not asked for."""
        only = self._tools.setup.only

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
        info = self._tools.evaluator.ruleset.info
        for found in evaluation.findings:
            guidance = guidance_response(found, evaluation, info, base=BASE, types=self._tools.types)
            name = f"GuidanceResponse/{guidance['id']}"
            issue = detected_issue(found, evaluation, info, base=BASE, guidance=name)
            for resource in (guidance, issue):
                if self._tools.setup.validate:
                    check_output(resource)
                yield msgspec.json.encode(resource)

    def _count(self, evaluation: Evaluation) -> None:
        counts = self.counts
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
