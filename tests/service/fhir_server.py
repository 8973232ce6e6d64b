"""A FHIR-like server over the network, whose every base path misbehaves in a way of its own, and notes who asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn
from requests_kit import bundle, condition, patient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]
FHIR = "application/fhir+json"
MG, ALS = "91637004", "86044005"
PAGES = 3


class Asked(msgspec.Struct, frozen=True):
    """One request that the server got."""

    path: str
    query: str
    authorization: str
    cookie: str


class FhirServer:
    """`base("good")` is an address; `asked` what came. `elsewhere` is another server, which a bad one points to."""

    def __init__(self, elsewhere: FhirServer | None = None) -> None:
        self.asked: list[Asked] = []
        self.elsewhere = elsewhere
        self.port = 0

    def base(self, manner: str) -> str:
        return f"http://127.0.0.1:{self.port}/{manner}/fhir"

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{manner}/fhir/{rest:path}", self._answer), Route("/{rest:path}", self._other)])

    async def _other(self, request: Request) -> Response:
        self._note(request)
        return _json(bundle(condition(MG, "stolen")))

    def _note(self, request: Request) -> None:
        headers = request.headers
        self.asked.append(
            Asked(request.url.path, request.url.query, headers.get("authorization", ""), headers.get("cookie", ""))
        )

    async def _answer(self, request: Request) -> Response:
        self._note(request)
        manner, rest = request.path_params["manner"], request.path_params["rest"]
        if rest.startswith("Patient/"):
            return self._patient(manner, rest)
        return await getattr(self, f"_{manner}", _plainly)(request, rest)

    def _patient(self, manner: str, rest: str) -> Response:
        if manner == "nobody":
            return Response(status_code=404)
        return _json(patient("another" if manner == "lying" else rest.removeprefix("Patient/")))

    async def _slow(self, request: Request, rest: str) -> Response:
        if rest == "Observation":
            await asyncio.sleep(30)
        return await _plainly(request, rest)

    async def _drip(self, request: Request, rest: str) -> Response:
        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.05)

        return StreamingResponse(drops(), media_type=FHIR) if rest == "Condition" else await _plainly(request, rest)

    async def _paged(self, request: Request, rest: str) -> Response:
        """Every page of conditions names the next: the last one holds what matters."""
        if rest != "Condition":
            return await _plainly(request, rest)
        number = int(request.query_params.get("page", "1"))
        found = bundle(condition(MG if number == PAGES else "38341003", f"c{number}"))
        if number < PAGES:
            found["link"] = [{"relation": "next", "url": f"{self.base('paged')}/Condition?page={number + 1}"}]
        return _json(found)

    async def _endless(self, request: Request, rest: str) -> Response:
        page = bundle(condition(MG, "c")) | {"link": [{"relation": "next", "url": "Condition?again"}]}
        return _json(page if rest == "Condition" else bundle())

    async def _pointing(self, request: Request, rest: str) -> Response:
        """The next page is said to be on another server."""
        assert self.elsewhere is not None
        page = bundle(condition(MG, "c")) | {"link": [{"relation": "next", "url": self.elsewhere.base("good")}]}
        return _json(page if rest == "Condition" else bundle())

    async def _climbing(self, request: Request, rest: str) -> Response:
        page = bundle(condition(MG, "c")) | {"link": [{"relation": "next", "url": "%2e%2e/%2e%2e/admin"}]}
        return _json(page if rest == "Condition" else bundle())

    async def _redirecting(self, request: Request, rest: str) -> Response:
        assert self.elsewhere is not None
        return RedirectResponse(f"{self.elsewhere.base('good')}/{rest}", 307)

    async def _denied(self, request: Request, rest: str) -> Response:
        return Response(status_code=401)

    async def _without(self, request: Request, rest: str) -> Response:
        """It does not have one of the types."""
        return Response(status_code=404) if rest == "MedicationDispense" else await _plainly(request, rest)

    async def _broken(self, request: Request, rest: str) -> Response:
        return Response(status_code=500)

    async def _html(self, request: Request, rest: str) -> Response:
        return Response("<html>Service unavailable</html>", 200, media_type="text/html")

    async def _text(self, request: Request, rest: str) -> Response:
        return _json("Bundle")

    async def _large(self, request: Request, rest: str) -> Response:
        async def much() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b" " * 100_000

        return StreamingResponse(much(), media_type=FHIR) if rest == "Condition" else await _plainly(request, rest)

    async def _packed(self, request: Request, rest: str) -> Response:
        return Response(b"\x1f\x8b", 200, {"Content-Encoding": "gzip"}, FHIR)

    async def _outcome(self, request: Request, rest: str) -> Response:
        return _json({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]})

    async def _lying(self, request: Request, rest: str) -> Response:
        """Data of another patient."""
        stranger = condition(MG, "c") | {"subject": {"reference": "Patient/another"}}
        return _json(bundle(stranger) if rest == "Condition" else bundle())

    async def _biscuit(self, request: Request, rest: str) -> Response:
        response = await _plainly(request, rest)
        response.set_cookie("session", "of-somebody-else")
        return response


async def _plainly(request: Request, rest: str) -> Response:
    return _json(bundle(condition(MG, "c")) if rest == "Condition" else bundle())


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type=FHIR)


@contextmanager
def running(server: FhirServer) -> Iterator[FhirServer]:
    """The server on a free port, in a thread of its own."""
    uvicorn_server = uvicorn.Server(uvicorn.Config(server.app(), port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=uvicorn_server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not uvicorn_server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    server.port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
    yield server
    uvicorn_server.should_exit = True
    uvicorn_server.force_exit = True
    thread.join(10)
