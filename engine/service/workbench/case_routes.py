"""Opening a patient: an example, a file that is dropped, or one of a FHIR server; and the page of a case."""

from __future__ import annotations

from datetime import date
from functools import partial

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from engine.outputs.markdown import plain
from engine.service.live import Content
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.workbench.access import User, user_of
from engine.service.workbench.case_page import case_page
from engine.service.workbench.cases import audited, keep, new_name, opened
from engine.service.workbench.chart import read_chart
from engine.service.workbench.examples import examples
from engine.service.workbench.web import html, paged, see_other
from engine.workbench.case import Case, Choice, Origin, choices, hook_case, hook_of, part_of

MOST_CHOICES = 500
HOME = "/workbench"


def case_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["Workbench"], default_response_class=Response, include_in_schema=False)
    page = paged(service)

    @router.get(HOME)
    @page
    async def start(request: Request) -> Response:
        user = user_of(service, request)
        return html("start.html", examples=_offered(service), servers=_servers(service, user), user=user)

    @router.post(f"{HOME}/examples/{{name}}")
    @page
    async def example(request: Request, name: str) -> Response:
        user_of(service, request)
        if name not in _offered(service):
            raise RefusalError(404, "there is no such example")
        file = examples()[name]
        return await to_thread.run_sync(partial(_open, service, file.read_bytes(), name, None, "", example=True))

    @router.post(f"{HOME}/files")
    @page
    async def dropped(request: Request) -> Response:
        user = user_of(service, request)
        content, name, as_of = await _upload(service, request)
        return await to_thread.run_sync(partial(_open, service, content, name, as_of, user.name))

    @router.post(f"{HOME}/servers")
    @page
    async def from_server(request: Request) -> Response:
        user = user_of(service, request)
        async with request.form(max_files=0, max_fields=10) as form:
            server, patient = str(form.get("server", "")), str(form.get("patient", "")).strip()
        if server not in _servers(service, user):
            raise RefusalError(404, "this FHIR server is none of those that are set")
        return await _fetch(service, request, user, server, patient)

    @router.get(f"{HOME}/launched")
    @page
    async def launched(request: Request) -> Response:
        user = user_of(service, request)
        if not user.patient:
            return see_other(HOME)
        response = await _fetch(service, request, user, user.server, user.patient)
        if user.card:
            response.headers["location"] += "#questions"
        return response

    @router.post(f"{HOME}/cases/{{name}}/choice")
    @page
    async def choose(request: Request, name: str) -> Response:
        case = await to_thread.run_sync(opened, service, name, user_of(service, request))
        async with request.form(max_files=0, max_fields=10) as form:
            number = str(form.get("choice", ""))
        return await to_thread.run_sync(_choose, service, case, number)

    @router.get(f"{HOME}/cases/{{name}}")
    @page
    async def show(request: Request, name: str) -> Response:
        user = user_of(service, request)

        def made() -> Response:
            case = opened(service, name, user)
            audited(service, request, user, case, action="R", what="workbench-case")
            with service.live.used() as content:
                if not case.patient:
                    return _chooser(service, content, name, case)
                return case_page(service, content, name, case, user)

        return await to_thread.run_sync(made)

    return router


def _offered(service: Service) -> list[str]:
    """The examples: in development alone, where no real patient may be."""
    return list(examples()) if service.authenticator is None else []


def _servers(service: Service, user: User) -> list[str]:
    """The FHIR servers that this user may read from."""
    if service.authenticator is None:
        return [str(server).rstrip("/") for server in service.settings.fhir_servers]
    return [user.server] if user.server else []


async def _upload(service: Service, request: Request) -> tuple[bytes, str, date | None]:
    """The file of a form, its name, and the date that was asked for. Raises RefusalError 400, 413."""
    most = service.settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    if not declared.isdecimal():
        raise RefusalError(400, "send a file")
    if int(declared) > most:
        raise RefusalError(413, f"the file is larger than {most // 1024 // 1024} MB: screen it with `endplate screen`")
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            file, given = form.get("file"), str(form.get("as_of", "")).strip()
            if not isinstance(file, UploadFile):
                raise RefusalError(400, "choose a file first: a Bundle, NDJSON, resources, or a request of CDS Hooks")
            content = await file.read()
    except MultiPartException:
        raise RefusalError(400, "the form could not be read: choose the file again") from None
    try:
        as_of = date.fromisoformat(given) if given else None
    except ValueError:
        raise RefusalError(400, "the date is none: write YYYY-MM-DD") from None
    return content, plain(file.filename or "file")[:100], as_of


def _open(
    service: Service, content: bytes, name: str, as_of: date | None, owner: str, *, example: bool = False
) -> Response:
    """Opens what a file holds: its patient, or the choice between its patients. Raises RefusalError 400."""
    origin: Origin = "example" if example else "file"
    if hook_of(content):
        return _kept(service, hook_case(content, name, as_of or service.today(), origin, owner))
    found = _choices(service, content, name, as_of)
    case = Case(title=name, origin=origin, content=content, patient="", as_of=as_of or date.min, owner=owner)
    return _narrowed(service, case, found[0]) if len(found) == 1 else _kept(service, case)


def _choices(service: Service, content: bytes, name: str, as_of: date | None) -> list[Choice]:
    with service.live.used() as live:
        found, problems = choices(content, name, live.evaluator.ruleset.terminology, as_of, service.today())
    if not found:
        said = f"{problems[0].where}: {problems[0].message}" if problems else "it holds no patient's data"
        raise RefusalError(400, f"there is no patient in this file: {said}")
    return found


def _choose(service: Service, case: Case, number: str) -> Response:
    found = _choices(service, case.content, case.title, None if case.as_of == date.min else case.as_of)
    if not number.isdecimal() or int(number) >= len(found):
        raise RefusalError(400, "choose one of the patients")
    return _narrowed(service, case, found[int(number)])


def _narrowed(service: Service, case: Case, choice: Choice) -> Response:
    """The case of one patient, with the data of their part of the file alone."""
    content, unread = part_of(case.content, choice.part, case.title)
    one = msgspec.structs.replace(
        case, content=content, unread=unread, patient=choice.patient, as_of=choice.as_of, complete=choice.complete
    )
    return _kept(service, one)


def _kept(service: Service, case: Case) -> Response:
    name = new_name()
    keep(service, name, case)
    return see_other(f"{HOME}/cases/{name}")


def _chooser(service: Service, content: Content, name: str, case: Case) -> Response:
    as_of = None if case.as_of == date.min else case.as_of
    found, problems = choices(case.content, case.title, content.evaluator.ruleset.terminology, as_of, service.today())
    return html("choose.html", name=name, case=case, choices=found[:MOST_CHOICES], more=len(found) - MOST_CHOICES,
                problems=problems)  # fmt: skip


async def _fetch(service: Service, request: Request, user: User, server: str, patient: str) -> Response:
    """Opens a patient of a FHIR server. Raises RefusalError 400, 404, 502."""
    return await to_thread.run_sync(_kept, service, await read_chart(service, request, user, server, patient))


