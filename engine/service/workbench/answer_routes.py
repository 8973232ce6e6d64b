"""Answers to the questions of a case: tried, taken back, downloaded, and saved where the patient was read."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.model.form import Form
from engine.service.body import read_body
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.workbench.access import User, user_of
from engine.service.workbench.case_answers import NOTHING, Told, entered_in, questions_of, state_of
from engine.service.workbench.case_page import case_page
from engine.service.workbench.cases import audited, keep, opened
from engine.service.workbench.chart import may_save
from engine.service.workbench.web import HEADERS, paged, see_other
from engine.service.workbench.writing import MovedError, bundle_of, drafts_for, save_answers
from engine.workbench.answers import Entered, Fault, filled, link_of, links_of, merged
from engine.workbench.case import Case, with_answers

PLACE = "/workbench/cases/{name}"
LARGEST = 512 * 1024
MOST_FIELDS = 5_000
PART, LIVE = "x-part", "live"
_ELSEWHERE = "these answers were changed in another window meanwhile: look at them, then send yours again"
_MAY_NOT = (
    "you may not write to this FHIR server, or have signed in for another patient since: open this one from its chart "
    "again, or download the answers instead"
)
_MOVED = (
    "nothing was saved, because the record on the FHIR server is another one by now. This page shows it as it is, with "
    "your answers: look at it, then save again"
)
_BESIDE = "your answers are saved; somebody else wrote to this record at the same time: look at the findings again"
_encode = msgspec.json.Encoder(decimal_format="number").encode
_lock = threading.Lock()  # what is tried is read, changed and kept as one

Fields = Mapping[str, tuple[str, ...]]


def answer_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["Workbench"], default_response_class=Response, include_in_schema=False)
    page = paged(service)

    @router.post(f"{PLACE}/answers")
    @page
    async def answers(request: Request, name: str) -> Response:
        user = user_of(service, request)
        fields = await _fields(request)
        part = request.headers.get(PART, "") == LIVE
        return await to_thread.run_sync(partial(_answered, service, name, user, fields, part=part))

    @router.get(f"{PLACE}/answers.json")
    @page
    async def download(request: Request, name: str) -> Response:
        user = user_of(service, request)

        def made() -> Response:
            case = _case(service, name, user)
            found = drafts_for(service, user, case)
            if not found:
                raise RefusalError(404, "there are no answers to download")
            headers = HEADERS | {"Content-Disposition": 'attachment; filename="answers.json"'}
            return Response(_encode(bundle_of(service, found)), 200, headers, "application/fhir+json")

        return await to_thread.run_sync(made)

    @router.post(f"{PLACE}/save")
    @page
    async def save(request: Request, name: str) -> Response:
        user = user_of(service, request)
        fields = await _fields(request)
        case = await to_thread.run_sync(_case, service, name, user)
        if not may_save(service, user, case):
            raise RefusalError(403, _MAY_NOT)
        if not case.answers:
            return see_other(_place(name))
        if _first(fields, "seen") not in ("", state_of(case)):
            return await _page(service, name, case, user, Told(status=409, message=_ELSEWHERE, tone="bad"))
        try:
            saved = await save_answers(service, request, user, case)
        except MovedError as moved:
            await to_thread.run_sync(keep, service, name, moved.case)
            return await _page(service, name, moved.case, user, Told(status=409, message=_MOVED, tone="bad"))
        except RefusalError as refusal:
            told = Told(status=refusal.status, message=refusal.message, tone="bad")
            return await _page(service, name, case, user, told)
        await to_thread.run_sync(keep, service, name, saved.case)
        audited(service, request, user, saved.case, action="C", what="workbench-answers")
        if saved.beside:
            return await _page(service, name, saved.case, user, Told(message=_BESIDE, tone="doubt"))
        return see_other(_place(name, "saved"))

    return router


# -- trying ---------------------------------------------------------------------------------------------------------


def _answered(service: Service, name: str, user: User, fields: Fields, *, part: bool) -> Response:
    """Tries what was sent, and shows what it changes."""
    with service.live.used() as content:
        with _lock:
            case = _case(service, name, user)
            tried, told = _tried(case, fields, questions_of(content.evaluator).forms)
            if tried is not case:
                keep(service, name, tried)
        if part or told is not NOTHING:
            return case_page(service, content, name, tried, user, told=told, part=part)
    return see_other(_place(name, "changes" if tried.answers else "questions"))


def _tried(case: Case, fields: Fields, forms: Mapping[str, Form]) -> tuple[Case, Told]:
    """The case with the answers that were sent; the case as it was, with what is wrong, if anything is."""
    seen, back = _first(fields, "seen"), fields.get("take-back", ())
    if "*" in back:
        return msgspec.structs.replace(case, answers={}), NOTHING
    moved = seen not in ("", state_of(case))
    faults: list[Fault] = []
    typed: dict[str, Entered] = {}
    tried = case
    for form in forms.values():
        links = _links(form, fields.get("asks", ()), back)
        if not links:
            continue
        sent = {key: held for key, held in fields.items() if not _taken_back(form, key, back)}
        entered = typed[form.name] = merged(form, entered_in(case, form), sent, links)
        found = filled(form, entered, patient=case.patient, as_of=case.as_of, encounter=case.encounter)
        faults += found.faults
        tried = with_answers(tried, form.name, found.response)
    if moved:
        return case, Told(status=409, message=_ELSEWHERE, tone="bad", typed=typed)
    if faults:
        several = f"{len(faults)} entries cannot be used" if len(faults) > 1 else "an entry cannot be used"
        message = f"{several}, so nothing of what you sent was applied: see there"
        return case, Told(status=422, message=message, tone="bad", faults=tuple(faults), typed=typed)
    return tried, NOTHING


def _links(form: Form, asks: tuple[str, ...], back: tuple[str, ...]) -> set[str]:
    """The questions of a form that were sent, or are taken back."""
    named = [link for owner, _, link in (one.partition(":") for one in (*asks, *back)) if owner == form.name]
    known = set(links_of(form).values())
    return known if "*" in named else known.intersection(named)


def _taken_back(form: Form, control: str, back: tuple[str, ...]) -> bool:
    owner, _, _ = control.partition(":")
    return owner == form.name and f"{owner}:{links_of(form).get(link_of(control), '')}" in back


# -- what requests say ----------------------------------------------------------------------------------------------


async def _fields(request: Request) -> Fields:
    """The fields of a form, each with all its values. Raises RefusalError 400, 413, 415."""
    body = await read_body(request, LARGEST, form=True)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise RefusalError(400, "the form could not be read: go back and send it again") from None
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _first(fields: Fields, name: str) -> str:
    return fields.get(name, ("",))[0]


def _case(service: Service, name: str, user: User) -> Case:
    """A case of one patient. Raises RefusalError 404."""
    case = opened(service, name, user)
    if not case.patient:
        raise RefusalError(404, "choose one of the patients first")
    return case


async def _page(service: Service, name: str, case: Case, user: User, told: Told) -> Response:
    def made() -> Response:
        with service.live.used() as content:
            return case_page(service, content, name, case, user, told=told)

    return await to_thread.run_sync(made)


def _place(name: str, anchor: str = "") -> str:
    return PLACE.format(name=name) + (f"#{anchor}" if anchor else "")


