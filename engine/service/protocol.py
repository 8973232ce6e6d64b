"""What holds for every request: an id, a log line without patient data, and errors as OperationOutcome."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from traceback import extract_tb

import structlog
from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.service.metrics import Metrics
from engine.service.outcome import RefusalError, outcome_response

log = structlog.get_logger("endplate.service")
_UNROUTED = {
    404: "there is nothing at this address: `GET /cds-services` lists the services",
    405: "this method is not offered at this address",
}


class Requests:
    """ASGI middleware: gives each request an id that is in the log and in `X-Request-ID`, logs and counts how it ended.

    Of the path only the route is logged: what a client puts into an address may be patient data.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = str(uuid.uuid4())
        structlog.contextvars.bind_contextvars(request=identity)
        started = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identity.encode())]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            response = _failed(error)
            if not status:
                await response(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            took = time.perf_counter() - started
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(took)
            milliseconds = round(took * 1000, 1)
            log.info("request", method=scope["method"], route=route, status=status, milliseconds=milliseconds)
            structlog.contextvars.unbind_contextvars("request")


async def refused(_: Request, refusal: Exception) -> Response:
    """A request that was not answered, as an OperationOutcome."""
    assert isinstance(refusal, RefusalError)  # noqa: S101 - registered for it alone
    log.warning("refused", status=refusal.status, outcome=refusal.id, reason=refusal.message)
    return outcome_response(refusal)


async def unrouted(request: Request, error: Exception) -> Response:
    """An address or method that is not offered."""
    status = getattr(error, "status_code", 404)
    return await refused(request, RefusalError(status, _UNROUTED[status], getattr(error, "headers", None)))


def _failed(error: Exception) -> Response:
    """A fault of ours: where it happened goes to the log, what the data were does not."""
    refusal = RefusalError(500, "the service failed on this request; the log has this id")
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)[-6:]]
    log.error("failed", outcome=refusal.id, error=type(error).__name__, at=places)
    return outcome_response(refusal)
