"""Answers of a case written to the FHIR server where the patient was read: all of them or none, and once.

What is there already is not written again. If the record says something else by now, somebody's other answers among it,
nothing is written and the record is read anew. What somebody else writes at the very same time is told afterwards.
"""

from __future__ import annotations

import msgspec
from anyio import to_thread
from fastapi import Request

from engine import __version__
from engine.fhir.elements import Json
from engine.outputs.detected_issue import Version
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.workbench.access import User
from engine.service.workbench.chart import Chart, read_chart
from engine.workbench.case import Case, record_of
from engine.workbench.saving import Draft, Outcome, basis_of, drafts, is_written, outcome_of, transaction

TRIES = 2
ALREADY = "they were there already"


class MovedError(Exception):
    """The record says something else than when the answers were given; `case` holds it with them."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case


class Saved(msgspec.Struct, frozen=True):
    """The case as the server holds it with the answers; `beside`: somebody else wrote at the same time."""

    case: Case
    beside: bool


async def save_answers(service: Service, request: Request, user: User, case: Case) -> Saved:
    """Writes what is tried. Raises RefusalError, MovedError; nothing is saved by halves."""
    async with Chart(service, request, user, case.server) as chart:
        found = await to_thread.run_sync(drafts_for, service, user, case)
        for attempt in range(1, TRIES + 1):
            now = await read_chart(service, request, user, case.server, case.patient)
            left = [draft for draft in found if not is_written(draft, now)]
            if not left:  # another window, or the try before, has written them
                return Saved(_anew(case, now, Outcome()), beside=False)
            if await to_thread.run_sync(_basis, service, now) != await to_thread.run_sync(_basis, service, case):
                raise MovedError(msgspec.structs.replace(case, content=now.content, as_of=now.as_of, saved=()))
            try:
                bundle = await to_thread.run_sync(bundle_of, service, left, await chart.version)
                done = outcome_of(await chart.send(bundle))
            except RefusalError as refusal:
                if refusal.status != 409 or attempt == TRIES:
                    raise
                continue  # somebody writes at the same time: what they wrote is seen now
            return await _read_again(service, request, user, case, done)
    raise AssertionError("unreachable")


async def _read_again(service: Service, request: Request, user: User, case: Case, done: Outcome) -> Saved:
    """The case read anew. Raises RefusalError 502."""
    try:
        now = await read_chart(service, request, user, case.server, case.patient)
    except RefusalError as refusal:
        said = f"the answers are saved, but the patient could not be read again: {refusal.message}"
        raise RefusalError(refusal.status, said) from None
    ours = frozenset((*done.written, *done.held))
    before = await to_thread.run_sync(_basis, service, case)
    after = await to_thread.run_sync(_basis, service, now, ours)
    return Saved(_anew(case, now, done), beside=before != after)


def _anew(case: Case, now: Case, done: Outcome) -> Case:
    saved = (*done.written, *done.held) or (ALREADY,)
    return msgspec.structs.replace(case, content=now.content, as_of=now.as_of, answers={}, saved=saved)


def _basis(service: Service, case: Case, without: frozenset[str] = frozenset()) -> str:
    """What the data of a case say, without what is tried."""
    terminology = service.live.content.evaluator.ruleset.terminology
    return basis_of(record_of(case, terminology, hypothetical=False), without)


def drafts_for(service: Service, user: User, case: Case) -> list[Draft]:
    """The responses that are to be written, as the user is named on the server."""
    author = user.name.removeprefix(f"{case.server}/") if case.server else user.name
    base = service.live.content.evaluator.ruleset.content.base
    return drafts(case, base, author=author, authored=service.now().isoformat(timespec="seconds"))


def bundle_of(service: Service, found: list[Draft], version: Version = "R4") -> Json:
    """The transaction that writes them to a server of this version of FHIR."""
    with service.live.used() as content:
        recorded = service.now().isoformat(timespec="seconds")
        terminology = content.evaluator.ruleset.terminology
        return transaction(found, terminology, recorded=recorded, agent=f"Endplate {__version__}", version=version)
