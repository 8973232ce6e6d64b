"""Deciding on the patients of whom something has changed: claim, read, evaluate, compare, and write all of it at once.

A claim is a lease: whoever loses it (it took too long, the patient was purged) writes nothing. What changes while a
patient is being decided on keeps them due. Findings, letters and the end of the claim are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date

import msgspec
import structlog
from sqlalchemy import Connection

from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.elements import Json, obj, text
from engine.fhir.fates import fate
from engine.fhir.record import Scope, read_records
from engine.integration.backoff import Backoff
from engine.integration.decide import GONE, changes
from engine.integration.meter import Meter
from engine.model.finding import Evaluation, RulesetId
from engine.model.problem import Problem
from engine.store import Database, StoreError, findings, outbox, resources, work
from engine.store.findings import Change
from engine.store.outbox import Letter
from engine.store.work import Claim
from engine.views import seen

AT_ONCE = 16  # patients of one claim and one transaction
LEASE_MS = 120_000
SWEEP = "daily"
SWEPT_AT_ONCE = 25
Evaluating = Callable[[], AbstractContextManager[Evaluator]]
Matching = Callable[[Connection, Change], list[tuple[str, int]]]
"""The subscriptions that are to be told of a change, each with the next number of its events."""

log = structlog.get_logger("endplate.integration")


class Decided(msgspec.Struct, frozen=True):
    """What one patient's decision comes to."""

    claim: Claim
    evaluation: Evaluation
    changes: tuple[Change, ...]


class Decider:
    """One of those who share the work. `name` is unlike that of any other; `today` and `now` (ms) are its clocks.

    `told` is told of evaluations before what they change is written; if it raises StoreError, nothing is. It may be
    told again.
    """

    def __init__(
        self,
        database: Database,
        evaluating: Evaluating,
        *,
        name: str,
        today: Callable[[], date],
        now: Callable[[], int],
        sinks: Sequence[str] = (),
        matching: Matching = lambda connection, change: [],
        told: Callable[[Sequence[Evaluation]], None] = lambda _: None,
        meter: Meter | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._database = database
        self._told = told
        self._evaluating = evaluating
        self._name = name
        self._today = today
        self._now = now
        self._sinks = tuple(sinks)
        self._matching = matching
        self._meter = meter or Meter()
        self._backoff = backoff or Backoff()
        self._claims = 0
        self._begun: set[str] = set()

    def step(self) -> tuple[int, int]:
        """Decides on some patients who are due: (how many, letters that were written). Raises StoreError."""
        now = self._now()
        self._claims += 1
        holder = f"{self._name}.{self._claims}"
        taken = self._database.run(
            lambda connection: work.claim(connection, holder=holder, now=now, until=now + LEASE_MS, most=AT_ONCE),
            durable=False,
        )
        decided = [one for one in map(self._decided, taken) if one is not None]
        return len(taken), self._write(decided) if decided else 0

    def sweep(self) -> int:
        """Marks some of all patients, whose windows have moved because the date or the rules have changed; how many.

        Whoever comes first begins, all go on, and nobody begins twice for the same cause. Raises StoreError.
        """
        with self._evaluating() as evaluator:
            cause = f"{self._today()} {evaluator.ruleset.hash}"

        def once(connection: Connection) -> int:
            so_far = work.swept(connection, SWEEP)
            if so_far is None or (so_far.cause != cause and cause not in self._begun):
                work.begin_sweep(connection, SWEEP, cause, self._now())
            self._begun.add(cause)
            return work.sweep(connection, SWEEP, self._now(), SWEPT_AT_ONCE)

        with self._database.read() as connection:
            so_far = work.swept(connection, SWEEP)
        if so_far is not None and so_far.done and (so_far.cause == cause or cause in self._begun):
            return 0
        return self._database.run(once, durable=False)

    # -- one patient

    def _decided(self, claim: Claim) -> Decided | None:
        """None: it failed, and the patient is tried again later. A defect of ours costs this patient alone."""
        try:
            with self._database.read() as connection:
                documents = resources.documents(connection, claim.patient)
                before = findings.of_patient(connection, claim.patient)
            with self._evaluating() as evaluator:
                return self._decision(evaluator, claim, documents, before)
        except StoreError:
            raise
        except Exception as error:
            self._park(claim, error)
            return None

    def _decision(
        self, evaluator: Evaluator, claim: Claim, documents: list[Document], before: list[Change]
    ) -> Decided:
        ruleset, day, patient = evaluator.ruleset, self._today(), claim.patient
        problems: list[Problem] = []
        records = read_records(documents, ruleset.terminology, Scope(as_of=day), problems)
        record = next((record for record in records if record.person.reference == patient), None)
        if record is None:  # nothing is known
            name = RulesetId(ruleset.id, ruleset.version, ruleset.hash)
            evaluation = Evaluation(patient=patient, as_of=day, ruleset=name, complete=False, findings=())
        else:
            evaluation = seen(evaluator.evaluate(record, "listed"), "subscription")
        self._meter.evaluated((*problems, *evaluation.problems), evaluation.disagreements)
        if evaluation.disagreements:
            log.error("backends disagree", ruleset=ruleset.hash, rules=list(evaluation.disagreements))
        held = {f"{one.get('resourceType')}/{text(one.get('id'))}": one for one in _contents(documents)}
        found = changes(
            before,
            evaluation,
            lambda issue: evaluator.explain(record, issue) if record is not None and issue in evaluator.rules else (),
            fate=lambda reference: fate(held[reference]) if reference in held else GONE,
            info=ruleset.info,
            at=self._now(),
        )
        return Decided(claim, evaluation, found)

    def _park(self, claim: Claim, error: Exception) -> None:
        again = self._now() + self._backoff.pause(claim.attempts)
        self._database.run(lambda connection: work.park(connection, claim, again), durable=False)
        self._meter.failed("decide")
        log.error("a patient could not be decided on", reason=type(error).__name__, attempts=claim.attempts + 1)

    # -- writing

    def _write(self, decided: Sequence[Decided]) -> int:
        """All together; if that cannot be written, one by one, so that one of them costs only itself."""
        try:
            self._told([one.evaluation for one in decided])
            written, letters = self._database.run(lambda connection: self._written(connection, decided))
        except StoreError as error:
            if len(decided) > 1:
                return sum(self._write([one]) for one in decided)
            self._park(decided[0].claim, error)
            return 0
        for change in written:
            self._meter.changed(change.kind)
        self._meter.decided(len(decided))
        return letters

    def _written(self, connection: Connection, decided: Sequence[Decided]) -> tuple[list[Change], int]:
        written: list[Change] = []
        for one in sorted(decided, key=lambda one: one.claim.patient):
            if work.done(connection, one.claim):
                written += one.changes
        findings.put(connection, written)
        letters = [letter for change in written for letter in self._letters(connection, change)]
        outbox.put(connection, letters, self._now())
        return written, len(letters)

    def _letters(self, connection: Connection, change: Change) -> Iterator[Letter]:
        told = Letter(
            target="", kind=change.kind, patient=change.patient, identifier=change.identifier, version=change.version
        )
        for name in self._sinks:
            yield msgspec.structs.replace(told, target=f"sink/{name}")
        for name, number in self._matching(connection, change):
            yield msgspec.structs.replace(told, target=f"subscription/{name}", number=number)


def _contents(documents: Sequence[Document]) -> Iterator[Json]:
    for document in documents:
        yield obj(document.content)
