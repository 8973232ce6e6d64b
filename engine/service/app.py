"""The service: CDS Hooks discovery, services and feedback, and a health check."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import Response

from engine import __version__
from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.outputs.cards import OVERRIDE_REASONS
from engine.outputs.wording import DISCLAIMER
from engine.service.answer import EXTENSION, Answer, Responder
from engine.service.auth import Authenticator
from engine.service.body import read_body
from engine.service.call import decode_object, read_call
from engine.service.feedback import Feedback, read_feedback
from engine.service.hooks import HOOKS, Hook, discovery
from engine.service.needs import needs_of
from engine.service.openapi import CALL_BODY, FEEDBACK_BODY, errors
from engine.service.outcome import RefusalError
from engine.service.protocol import Requests, refused, unrouted
from engine.settings import Settings

LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"

log = structlog.get_logger("endplate.service")


def create_app(
    evaluator: Evaluator,
    settings: Settings,
    *,
    dev: bool = False,
    today: Callable[[], date] | None = None,
    keep: Callable[[list[Feedback]], None] | None = None,
) -> FastAPI:
    """The application. `dev`: no authentication; `today`: the date of evaluation; `keep` receives feedback.

    Raises SettingsError if it is not `dev` and nobody is trusted, or a setting contradicts another.
    """
    authenticator = None if dev else Authenticator(settings)
    limiter = CapacityLimiter(settings.threads)
    app = FastAPI(
        title="Endplate",
        version=__version__,
        description=f"CDS Hooks 2.0.1. {evaluator.ruleset.title}. {DISCLAIMER}",
        exception_handlers={RefusalError: refused, 404: unrouted, 405: unrouted},
    )

    async def authenticated(request: Request) -> None:
        if authenticator is not None:
            authorization = request.headers.get("authorization", "")
            await to_thread.run_sync(authenticator.check, authorization, request.url.path, limiter=limiter)

    needs = needs_of(evaluator.ruleset, settings.observation_categories)
    responder = Responder(evaluator, settings, needs, today or _clock(settings.timezone))
    offered = msgspec.json.encode(discovery(needs, evaluator.ruleset.title))
    hooks = APIRouter(prefix="/cds-services", tags=["CDS Hooks"], dependencies=[Depends(authenticated)])

    @hooks.get("", summary="The services that are offered", responses=errors(401))
    async def services() -> Response:
        return _json(offered)

    @hooks.post(
        "/{service}",
        summary="Cards for one call",
        responses=errors(400, 401, 404, 408, 412, 413, 415, 500),
        openapi_extra=CALL_BODY,
    )
    async def call(service: str, request: Request) -> Response:
        hook = _hook(service)
        body = await read_body(request, settings.max_body_bytes)

        def answered() -> bytes:
            found = responder.answer(read_call(decode_object(body), hook), hook)
            _note(found, hook)
            return msgspec.json.encode(found.response)

        return _json(await to_thread.run_sync(answered, limiter=limiter))

    @hooks.post(
        "/{service}/feedback",
        summary="What users did with cards",
        responses=errors(400, 401, 404, 408, 413, 415),
        openapi_extra=FEEDBACK_BODY,
    )
    async def feedback(service: str, request: Request) -> Response:
        hook = _hook(service)
        given = read_feedback(decode_object(await read_body(request, settings.max_body_bytes)))
        if keep is not None:
            await to_thread.run_sync(keep, given, limiter=limiter)
        for one in given:
            log.info("feedback", service=hook.id, outcome=one.outcome, reason=_known_reason(one))
        return Response(status_code=200)

    @app.get("/healthz", summary="Whether the service is up, and with which content", tags=["Operations"])
    async def health() -> Response:
        ruleset = evaluator.ruleset
        content = {"ruleset": f"{ruleset.id}|{ruleset.version}", "hash": ruleset.hash}
        state = {"status": "ok", "engine": __version__, **content, "backend": evaluator.backend.name}
        return _json(msgspec.json.encode(state))

    app.include_router(hooks)
    app.add_middleware(Requests)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_origin_regex=LOOPBACK_ORIGINS if dev else None,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=3600,
    )
    return app


def _note(found: Answer, hook: Hook) -> None:
    """The log line of an answer: which rules, nothing of the patient."""
    evaluation = found.evaluation
    log.info(
        "answered",
        service=hook.id,
        cards=len(found.response["cards"]),
        rules=sorted({finding.issue for finding in evaluation.findings}),
        problems=len(evaluation.problems),
        evaluation=found.response["extension"][EXTENSION]["id"],
    )
    if evaluation.disagreements:
        log.error("backends disagree", ruleset=evaluation.ruleset.hash, rules=list(evaluation.disagreements))


def _known_reason(feedback: Feedback) -> str:
    """The code of a reason of ours; another one may be anything, and is not logged."""
    return feedback.reason[1] if feedback.reason[1] in dict(OVERRIDE_REASONS) else ""


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _hook(service: str) -> Hook:
    if service not in HOOKS:
        raise RefusalError(404, "there is no such service: `GET /cds-services` lists those that are offered")
    return HOOKS[service]


def _clock(timezone: str) -> Callable[[], date]:
    """Today's date in a time zone ("" = this machine's): the only clock behind an evaluation."""
    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(
            f"`ENDPLATE_TIMEZONE`: `{timezone}` is no time zone; write one such as `Europe/Berlin`"
        ) from None
    return lambda: datetime.now(zone).astimezone(zone).date()
