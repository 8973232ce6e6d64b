"""What all pages share: templates in which every value is escaped, headers, files, and errors as pages.

Nothing is loaded from another host and no script or style stands inside a page: the policy in `HEADERS` forbids both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, wraps
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from jinja2 import Environment
from starlette.responses import RedirectResponse, Response

from engine.errors import EndplateError
from engine.outputs.markdown import plain
from engine.outputs.pages import page_templates
from engine.outputs.wording import DISCLAIMER, answer_lines, because_line, evidence_line, missing_line
from engine.service.admission import address_of
from engine.service.outcome import RefusalError
from engine.service.servers import is_loopback
from engine.service.state import Service
from engine.texts import shorten

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LONGEST = 240
FOREVER = f"public, max-age={365 * 24 * 3600}, immutable"
_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_TITLES = {400: "This cannot be read", 401: "Please sign in", 403: "This is not for you", 404: "There is no such page",
           409: "Somebody else was faster", 413: "This is too large", 415: "This cannot be read",
           429: "Too many requests", 502: "The FHIR server does not answer", 503: "Not now"}  # fmt: skip


@cache
def environment() -> Environment:
    """Templates in which every value is escaped and free of control characters."""
    made = page_templates("engine.service.workbench")
    made.globals |= {"disclaimer": DISCLAIMER, "static": static_path}
    made.globals |= {"answer_lines": answer_lines, "missing_line": missing_line}
    made.filters |= {"evidence": evidence_line, "because": because_line, "clip": clip}
    return made


def clip(text: object) -> str:
    """A text of the record at a length that a page can show."""
    return shorten(plain(str(text)), LONGEST)


def html(template: str, status: int = 200, **values: Any) -> Response:
    """A page out of a template."""
    return Response(environment().get_template(template).render(**values), status, HEADERS, "text/html")


def see_other(path: str) -> Response:
    """Where a form leads once it has been acted on."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


@cache
def _static() -> Mapping[str, bytes]:
    folder = files("engine.service.workbench") / "static"
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in _KINDS}


@cache
def static_path(name: str) -> str:
    """The address of a file of `static/`; it changes with the content, so that browsers may keep it."""
    return f"/static/{hashlib.sha256(_static()[name]).hexdigest()[:12]}/{name}"


def static_files() -> APIRouter:
    """The files that pages load."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{version}/{name}")
    async def file(version: str, name: str) -> Response:
        content = _static().get(name)
        if content is None or static_path(name) != f"/static/{version}/{name}":
            raise RefusalError(404, "there is no such file")
        return Response(content, 200, HEADERS | {"Cache-Control": FOREVER}, _KINDS[name.rpartition(".")[2]])

    return router


Handler = Callable[..., Awaitable[Response]]


def paged(service: Service, *, linked: bool = False) -> Callable[[Handler], Handler]:
    """A decorator of handlers (whose first argument is the request): what is refused is told on a page.

    It counts the request of the address, and refuses what another site sends, or (in development) what names this
    machine by the name of another. `linked`: pages that cards link to, by whatever name the service is known to them.
    """

    def around(handler: Handler) -> Handler:
        @wraps(handler)
        async def handled(request: Request, *args: Any, **kwargs: Any) -> Response:
            try:
                service.admit(f"page {address_of(request)}")
                if not linked:
                    own_site(service, request)
                return await handler(request, *args, **kwargs)
            except RefusalError as refusal:
                return refusal_page(refusal.status, refusal.message, refusal.headers)
            except EndplateError as error:
                return refusal_page(400, str(error))

        return handled

    return around


def refusal_page(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """What happened and what to do, as a page."""
    response = html("refusal.html", status, title=_TITLES.get(status, "This did not work"), message=message)
    response.headers.update(headers or {})
    return response


def own_site(service: Service, request: Request) -> None:
    """Raises RefusalError 403 for what another site makes a browser send."""
    host = request.headers.get("host", "")
    if service.authenticator is None and not is_loopback(urlsplit(f"//{host}").hostname or ""):
        raise RefusalError(403, "in development mode the service answers to the names of this machine alone")
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise RefusalError(403, "this was sent by a page of another site: open the workbench itself")
    if origin is None and request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RefusalError(403, "this was sent by a page of another site: open the workbench itself")
