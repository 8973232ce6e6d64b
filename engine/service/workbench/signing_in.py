"""Signing in by SMART App Launch: what happens before the browser goes to the EHR, and when it returns.

What a sign-in needs in between is sealed in a cookie of its own, so nothing is kept for strangers; it is good for one
return, of the same browser, within ten minutes. Whatever goes wrong, nobody is signed in.
"""

from __future__ import annotations

import hashlib
import re
from typing import NoReturn

import msgspec
import structlog
from fastapi import Request
from starlette.responses import RedirectResponse, Response

from engine.client.http import Http
from engine.client.launch import LONGEST_CODE, Begun, begun, returned, wanted
from engine.client.smart import RefusedError, discover
from engine.errors import RemoteError, SettingsError
from engine.service.admission import address_of
from engine.service.outcome import RefusalError
from engine.service.servers import allowed, is_loopback
from engine.service.state import Service
from engine.service.workbench.sealing import sealed, unsealed
from engine.service.workbench.session import (
    PATIENCE,
    WRITES,
    Session,
    address_of_pages,
    app_of,
    begin,
    cookie_name,
    drop_cookie,
    forget,
    set_cookie,
)
from engine.service.workbench.web import see_other
from engine.settings import Settings, SmartServer

LAUNCHED = "/workbench/launched"
MINUTES = 10
LONGEST_COOKIE = 3900  # that browsers keep
MOST_BEGUN = 5  # sign-ins of one browser that have begun
_COOKIE = "endplate-launch-"
_PURPOSE = "launch"
_STATE = re.compile(r"[A-Za-z0-9_-]{20,100}")
_LAUNCH = re.compile(r"[\x21-\x7e]{1,2048}")
_ERROR = re.compile(r"[a-z_]{1,40}")
_AGAIN = "open the workbench from the patient's chart again"
_LOST = (
    f"this sign-in did not begin in this browser, is finished already, or took longer than {MINUTES} minutes: nothing "
    f"has been opened; {_AGAIN}"
)

log = structlog.get_logger("endplate.service")


class _Waiting(msgspec.Struct, frozen=True):
    """What the cookie of a sign-in holds."""

    server: str
    kept: Begun
    until: int


class SignIns:
    """The sign-ins of a service. Its methods wait for EHRs. Raises SettingsError where it would not be safe."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings
        _check(self._settings)
        self._secret = service.store.secret(_PURPOSE)

    def server_at(self, iss: str) -> SmartServer:
        """The server of the settings at an address. Raises RefusalError 403: no other is ever asked anything."""
        base = allowed(iss, [one.base for one in self._settings.smart_servers])
        for one in self._settings.smart_servers:
            if base is not None and one.base == str(base):
                return one
        raise RefusalError(
            403, "this EHR is none of those from which the workbench may be opened: whoever runs the workbench can add "
            "it to `ENDPLATE_SMART_SERVERS`"
        )  # fmt: skip

    def server_called(self, name: str) -> SmartServer:
        """Raises RefusalError 404."""
        for one in self._settings.smart_servers:
            if one.name == name:
                return one
        raise RefusalError(404, "there is no such EHR: choose one of those on the page for signing in")

    def leave(self, request: Request, server: SmartServer, launch: str | None = None, audience: str = "") -> Response:
        """Sends the browser to the EHR; `launch`: what that sent along, None = nothing was opened there.

        Raises RefusalError 400, 502, 503.
        """
        if request.headers.get("sec-fetch-dest", "document") != "document":
            raise RefusalError(400, "the workbench opens in a window of its own: ask for a link instead of a frame")
        if launch is not None and not _LAUNCH.fullmatch(launch):
            raise RefusalError(400, f"the EHR did not say what is to be opened (`launch`): {_AGAIN}")
        where, kept = self._begun(server, launch or "", audience)
        content = msgspec.json.encode(_Waiting(server.name, kept, self._service.seconds() + MINUTES * 60))
        cookie = sealed(self._secret, _PURPOSE, content)
        if len(cookie) > LONGEST_COOKIE:
            raise RefusalError(502, "the EHR's addresses are too long for signing in there")
        response = RedirectResponse(where, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        older = [name for name in request.cookies if name.startswith(cookie_name(self._settings, _COOKIE))]
        for name in older if len(older) >= MOST_BEGUN else ():
            drop_cookie(self._settings, response, _COOKIE + name.partition(_COOKIE)[2])
        set_cookie(self._settings, response, _named(kept.state), cookie, MINUTES * 60)
        return response

    def come_back(self, request: Request) -> Response:
        """Signs in whom the EHR sends back, and leads to their patient. Raises RefusalError 400, 403, 502, 503."""
        waiting = self._opened(request)
        server = self.server_called(waiting.server)
        try:
            response = self._finished(request, server, waiting.kept)
        except RefusalError as refusal:
            log.warning("not signed in", server=server.name, status=refusal.status, reason=str(refusal.__cause__ or ""))
            note(self._service, request, "smart-sign-in", outcome="4")
            raise
        drop_cookie(self._settings, response, _named(waiting.kept.state))
        return response

    def _begun(self, server: SmartServer, launch: str, audience: str) -> tuple[str, Begun]:
        app = app_of(self._settings, server)
        try:
            with Http([app.base], patience=PATIENCE) as http:
                said = discover(app.base, http)
            writes = WRITES if server.write_back else ()
            scope = server.scope or wanted(self._types(), said, launched=bool(launch), writes=writes)
            return begun(app, said, scope, launch=launch, audience=audience)
        except (RemoteError, SettingsError) as error:
            _refuse(error)

    def _types(self) -> list[str]:
        """The types of resources that the rules need."""
        return [re.split(r"[?/]", query)[0] for query in self._service.live.content.needs.templates.values()]

    def _opened(self, request: Request) -> _Waiting:
        """What was sealed when the browser left, once. Raises RefusalError 400, 503."""
        state, now = request.query_params.get("state", ""), self._service.seconds()
        name = cookie_name(self._settings, _named(state)) if _STATE.fullmatch(state) else ""
        content = unsealed(self._secret, _PURPOSE, request.cookies.get(name, ""))
        waiting = msgspec.json.decode(content, type=_Waiting) if content is not None else None
        if waiting is None or waiting.kept.state != state or now >= waiting.until:
            raise RefusalError(400, _LOST)
        with self._service.storing("nobody can sign in now: try again"):
            if not self._service.store.first_time(f"launch {state}", waiting.until, now):
                raise RefusalError(400, _LOST)
        return waiting

    def _finished(self, request: Request, server: SmartServer, kept: Begun) -> Response:
        given, service = request.query_params, self._service
        if denied := given.get("error", ""):
            _denied(denied)
        issuer = kept.server.issuer
        if issuer and given.get("iss", issuer) != issuer:  # RFC 9207
            raise RefusalError(400, f"another server answered than the one that was asked: {_AGAIN}")
        code = given.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise RefusalError(400, f"the EHR sent no code: {_AGAIN}")
        app, now = app_of(self._settings, server), service.now().timestamp()
        try:
            found = returned(app, kept, code, now=now, patience=PATIENCE)
        except (RemoteError, SettingsError) as error:
            _refuse(error)
        response = see_other(LAUNCHED)
        forget(request)
        session = begin(service, response, server, found, kept.server)
        note(service, request, "smart-sign-in", session)
        log.info("signed in", server=server.name, patient=bool(session.patient), card=bool(session.evaluation))
        return response


def note(
    service: Service, request: Request, what: str, session: Session | None = None, *, outcome: str = "0"
) -> None:
    """Audits that somebody signed in or out; `outcome` "4": it failed."""
    patient = f"Patient/{session.patient}" if session is not None and session.patient else ""
    service.audit.write(
        service.event(
            "E", what, user=session.user if session else "", client=session.server if session else "",
            address=address_of(request), patient=patient, outcome=outcome,
        )
    )  # fmt: skip


def _check(settings: Settings) -> None:
    pages = settings.pages_url or settings.public_url
    if settings.smart_servers and pages is None:
        raise SettingsError(
            "browsers return from signing in to the pages: set `ENDPLATE_PAGES_URL`, such as `https://cds.example.org`"
        )
    if settings.smart_servers and pages is not None and pages.scheme != "https" and not is_loopback(pages.host or ""):
        raise SettingsError(f"`{address_of_pages(settings)}` is not `https`: it could be overheard who signs in")


def _denied(error: str) -> NoReturn:
    if error == "access_denied":
        raise RefusalError(403, f"the sign-in was refused, by you or by the EHR: nothing has been opened; {_AGAIN}")
    code = f" (`{error}`)" if _ERROR.fullmatch(error) else ""
    raise RefusalError(502, f"the EHR lets nobody sign in from the workbench{code}: whoever runs it can say why")


def _refuse(error: RemoteError | SettingsError) -> NoReturn:
    if isinstance(error, RefusedError) and error.code == "invalid_grant":
        raise RefusalError(400, f"the EHR does not take its own code: it is used or too old; {_AGAIN}") from error
    if isinstance(error, SettingsError):
        raise RefusalError(
            503, "the workbench is not set up for this EHR: whoever runs it finds the reason in its log"
        ) from error
    raise RefusalError(502, f"{error}: nothing has been opened; try again in a minute, and then {_AGAIN}") from error


def _named(state: str) -> str:
    """The cookie of a sign-in: each has its own, so that two windows do not disturb each other."""
    return _COOKIE + hashlib.sha256(state.encode()).hexdigest()[:12]
