"""What those who run the service ask it: is it up, is it ready, what does it do. No patient data in any answer."""

from __future__ import annotations

import msgspec
from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from engine import __version__
from engine.service.openapi import answer, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service

_STATE = answer("application/json", "how it is", {"type": "object", "required": ["status"]})
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def operations(service: Service) -> APIRouter:
    """The routes; a proxy keeps `/metrics` and `/readyz` inside the house."""
    router = APIRouter(tags=["Operations"], default_response_class=Response)

    @router.get("/healthz", summary="Whether the service is up, and with which content", responses=_STATE)
    async def health() -> Response:
        evaluator = service.live.content.evaluator
        ruleset = evaluator.ruleset
        content = {"ruleset": f"{ruleset.id}|{ruleset.version}", "hash": ruleset.hash}
        state = {"status": "ok", "engine": __version__, **content, "backend": evaluator.backend.name}
        return Response(msgspec.json.encode(state), media_type="application/json")

    @router.get("/readyz", summary="Whether it can answer and remember", responses=_STATE | errors(503))
    async def ready() -> Response:
        with service.storing("the store cannot be written; the log says why"):
            await to_thread.run_sync(service.store.check)
        if service.backlog.failing:
            raise RefusalError(503, "what was shown cannot be written; the log says why")
        if service.audit.failing:
            raise RefusalError(503, "the audit trail cannot be written; the log says why")
        return Response(msgspec.json.encode({"status": "ready"}), media_type="application/json")

    @router.get("/metrics", summary="Figures for Prometheus", responses=answer("text/plain"))
    async def figures() -> Response:
        return Response(service.metrics.exposed(), media_type=METRICS_TYPE)

    return router
