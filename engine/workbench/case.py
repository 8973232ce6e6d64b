"""One patient's data as it was opened in the workbench, with the answers that are tried on it.

A file may hold several patients and Bundles: each pair is a choice, and a case holds the data of one. Its record is
read as everywhere else; answers are QuestionnaireResponses beside the data. Nothing of it is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import msgspec

from engine.errors import InputError
from engine.fhir import decode_json
from engine.fhir.decode import Document, as_documents, read_documents
from engine.fhir.drafts import Drafts, read_drafts
from engine.fhir.elements import EMPTY, Json, obj, text
from engine.fhir.prefetch import read_prefetch
from engine.fhir.record import Scope, read_records
from engine.model.problem import Problem
from engine.model.record import Record
from engine.terminology.terminology import Terminology

Origin = Literal["example", "file", "server"]

SINGLES = -1
"""The part of a file that all its resources outside of Bundles make together."""

MOST_UNREAD = 100  # that are told one by one
ANSWERS = "workbench-answers"
_ADDED = ("draftOrders", "conditions")  # what a hook says that the user is about to write
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One patient in one part of a file. `complete` and `as_of`: as the part says of itself, if it was asked."""

    patient: str  # "Patient/x"
    part: int  # number of the document, or SINGLES
    where: str
    as_of: date
    complete: bool
    entries: int  # results, diagnoses and drugs that were read


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. `hook`: the name of the hook if `content` is a request of one, else "" and it is documents.

    `owner`: who opened it ("" in development); `server`: the base address from which it was read, and to which saved
    answers go; `answers`: QuestionnaireResponses that are tried, by the name of their form; `unread`: what of the file
    could not be read, so that nobody knows whose it is.
    """

    title: str
    origin: Origin
    content: bytes
    patient: str
    as_of: date
    complete: bool = False
    hook: str = ""
    encounter: str = ""
    server: str = ""
    owner: str = ""
    unread: tuple[Problem, ...] = ()
    answers: dict[str, bytes] = {}
    saved: tuple[str, ...] = ()  # names of what was written to the server: answers that hypothetical no longer are


def choices(
    content: bytes, name: str, terminology: Terminology, as_of: date | None, today: date
) -> tuple[list[Choice], list[Problem]]:
    """Who is in a file, and what of it belongs to nobody or cannot be read. `as_of` None: when each Bundle was made."""
    problems: list[Problem] = []
    found: list[Choice] = []
    scope = Scope(as_of=as_of or today, at_bundle_time=as_of is None)
    for part, documents in _parts(content, name, problems):
        for record in read_records(documents, terminology, scope, problems):
            found.append(
                Choice(
                    patient=record.person.reference, part=part, where=documents[0].where, as_of=record.as_of,
                    complete=record.complete, entries=_entries(record),
                )
            )  # fmt: skip
    return found, problems


def part_of(content: bytes, part: int, name: str = "input") -> tuple[bytes, tuple[Problem, ...]]:
    """The bytes of one part of a file, and what of the file could not be read. Raises InputError if it has no such
    part."""
    unread: list[Problem] = []
    held = [one.content for number, found in _parts(content, name, unread) if number == part for one in found]
    if not held:
        raise InputError(f"`{name}` has no such part")
    if (more := len(unread) - MOST_UNREAD) > 0:
        unread = [Problem(unread[-1].code, name, f"{more} more could not be read"), *unread[:MOST_UNREAD]]
    return _encode(held[0] if part != SINGLES else held), tuple(unread)


def hook_of(content: bytes) -> str:
    """The hook that a file is a request of; "" if it is none."""
    try:
        held = decode_json(content)
    except InputError:
        return ""
    return text(held.get("hook")) if isinstance(held, dict) and isinstance(held.get("context"), dict) else ""


def hook_case(content: bytes, title: str, as_of: date, origin: Origin = "file", owner: str = "") -> Case:
    """The case of a hook request. Raises InputError if it names no patient."""
    request = obj(decode_json(content))
    context = obj(request.get("context"))
    patient = text(context.get("patientId"))
    if not patient:
        raise InputError("the request names no patient: `context.patientId` is missing")
    return Case(
        title=title, origin=origin, content=content, patient=patient if "/" in patient else f"Patient/{patient}",
        as_of=as_of, hook=text(request.get("hook")), encounter=text(context.get("encounterId")), owner=owner,
    )  # fmt: skip


def request_of(case: Case) -> Json:
    """The request of a hook; empty if the case is documents."""
    return obj(decode_json(case.content)) if case.hook else EMPTY


def drafts_of(case: Case, request: Json) -> Drafts:
    """What the user of a hook request is about to write."""
    context = obj(request.get("context"))
    added = next((obj(context[name]) for name in _ADDED if name in context), EMPTY)
    return read_drafts(added, case.patient) if added else Drafts()


def record_of(case: Case, terminology: Terminology, *, hypothetical: bool = True) -> Record:
    """The record of the case, with the answers that are tried unless it is to be as the data say.

    Raises InputError if the data do not hold the patient.
    """
    answers = [decode_json(one) for one in case.answers.values()] if hypothetical else []
    if case.hook:
        scope = Scope(as_of=case.as_of, complete=case.complete, current_encounter=case.encounter)
        request = request_of(case)
        prefetch: dict[str, Any] = dict(obj(request.get("prefetch")))
        prefetch |= {f"{ANSWERS}-{number}": one for number, one in enumerate(answers)}
        drafts = drafts_of(case, request)
        return read_prefetch(prefetch, case.patient, terminology, scope, drafts=[drafts.bundle] if drafts.names else [])
    scope = Scope(as_of=case.as_of, complete=case.complete, current_encounter=case.encounter, together=True)
    documents = [*read_documents(case.content, case.title), *as_documents(answers, "answers")]
    problems: list[Problem] = list(case.unread)
    for record in read_records(documents, terminology, scope, problems):
        if record.person.reference == case.patient:
            return msgspec.structs.replace(record, problems=(*problems, *record.problems))
    raise InputError("the data no longer hold this patient")


def with_answers(case: Case, form: str, response: Json | None) -> Case:
    """The case with other answers to one form; None: without any."""
    rest = {name: held for name, held in case.answers.items() if name != form}
    return msgspec.structs.replace(case, answers=rest | ({form: _encode(response)} if response else {}))


def _parts(content: bytes, name: str, problems: list[Problem]) -> Iterator[tuple[int, list[Document]]]:
    """Each Bundle of a file by its number, then all single resources together."""
    singles: list[Document] = []
    for number, document in enumerate(read_documents(content, name)):
        if isinstance(document, Problem):
            problems.append(document)
        elif isinstance(document.content, dict) and document.content.get("resourceType") in ("Bundle", "Parameters"):
            yield number, [document]
        else:
            singles.append(document)
    if singles:
        yield SINGLES, singles


def _entries(record: Record) -> int:
    held = (*record.results.values(), *record.diagnoses.values(), record.medications)
    return sum(len(found) for found in held)
