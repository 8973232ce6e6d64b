"""The addresses of SMART App Launch: from a chart (`/smart/launch`), or from here (`/smart`, `/smart/start`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.service.state import Service
from engine.service.workbench.session import SIGN_IN, end, session_of
from engine.service.workbench.signing_in import SignIns, note
from engine.service.workbench.web import html, paged, see_other

AT_ONCE = 8  # threads that wait for EHRs


def smart_routes(service: Service) -> APIRouter:
    """The routes. Raises SettingsError where signing in would not be safe."""
    sign_ins, limiter = SignIns(service), CapacityLimiter(AT_ONCE)
    router = APIRouter(prefix=SIGN_IN, tags=["Workbench"], default_response_class=Response, include_in_schema=False)
    page = paged(service)

    async def beside(work: Callable[[], Response]) -> Response:
        return await to_thread.run_sync(work, limiter=limiter)

    @router.get("")
    @page
    async def sign_in(request: Request) -> Response:
        session = await to_thread.run_sync(session_of, request)
        minutes = (session.until - service.seconds()) // 60 if session is not None else 0
        servers = [one.name for one in service.settings.smart_servers]
        return html("sign_in.html", servers=servers, session=session, minutes=minutes)

    @router.get("/launch")
    @page
    async def launch(request: Request) -> Response:
        iss, handle = request.query_params.get("iss", ""), request.query_params.get("launch", "")
        return await beside(partial(sign_ins.leave, request, sign_ins.server_at(iss), handle, iss))

    @router.get("/start")
    @page
    async def start(request: Request) -> Response:
        server = sign_ins.server_called(request.query_params.get("server", ""))
        return await beside(partial(sign_ins.leave, request, server))

    @router.get("/callback")
    @page
    async def callback(request: Request) -> Response:
        return await beside(partial(sign_ins.come_back, request))

    @router.post("/end")
    @page
    async def ends(request: Request) -> Response:
        response = see_other(SIGN_IN)
        session = await to_thread.run_sync(end, request, response)
        if session is not None:
            note(service, request, "smart-sign-out", session)
        return response

    return router
