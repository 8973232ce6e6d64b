"""The service: CDS Hooks discovery, services and feedback, pages, and what operators ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import Response

from engine import __version__
from engine.errors import SettingsError
from engine.evaluation import DEFECT, Evaluator
from engine.outputs.cards import INDICATOR, OVERRIDE_REASONS
from engine.outputs.wording import DISCLAIMER
from engine.service.admission import address_of, admission
from engine.service.answer import Answer, Responder
from engine.service.audit import Audit, of_evaluation
from engine.service.auth import Authenticator
from engine.service.body import read_body
from engine.service.call import Call, decode_object, read_call
from engine.service.feedback import Feedback, read_feedback
from engine.service.fetch import http_client
from engine.service.fhir_api import fhir_routes, subscribers_of
from engine.service.hooks import HOOKS, Hook
from engine.service.lanes import Lanes
from engine.service.live import Content
from engine.service.metrics import Metrics
from engine.service.openapi import CALL_BODY, CARDS, DISCOVERY, FEEDBACK_BODY, errors
from engine.service.operations import operations
from engine.service.outcome import RefusalError
from engine.service.pages import pages
from engine.service.protocol import Requests, refused, unrouted
from engine.service.receive import Receiving, receiving_routes
from engine.service.state import Named, Service
from engine.service.workbench.routes import workbench_routes
from engine.settings import Settings
from engine.store import Given, Store

LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"

log = structlog.get_logger("endplate.service")


def create_app(
    evaluator: Evaluator,
    settings: Settings,
    *,
    dev: bool = False,
    today: Callable[[], date] | None = None,
    now: Callable[[], datetime] | None = None,
    keep: Callable[[list[Feedback]], None] | None = None,
    store: Store | None = None,
    audit: Audit | None = None,
    load: Callable[[], Evaluator] | None = None,
) -> FastAPI:
    """The application. `dev`: no authentication; `today` and `now`: its clocks; `keep` also receives feedback.

    Without a `store` it remembers in memory, without an `audit` it writes no trail; `load` reads the rules again. The
    parts are under `app.state.service`. Raises SettingsError if it is not `dev` and nobody is trusted, or a setting
    contradicts another.
    """
    store, metrics = store or Store(), Metrics()
    shared = store.first_time if settings.workers > 1 or settings.database else None
    service = Service(
        evaluator,
        settings,
        authenticator=None if dev else Authenticator(settings, first_time=shared),
        store=store,
        audit=audit or Audit(None),
        metrics=metrics,
        today=today or _clock(settings.timezone),
        now=now or (lambda: datetime.now(UTC)),
        load=load,
    )
    app = FastAPI(
        title="Endplate",
        version=__version__,
        description=f"CDS Hooks 2.0.1. {evaluator.ruleset.title}. {DISCLAIMER}",
        exception_handlers={RefusalError: refused, 404: unrouted, 405: unrouted},
        lifespan=_lifespan,
    )
    app.state.service = service
    app.include_router(_hooks(service, keep))
    service.subscribers = subscribers_of(service)
    app.include_router(pages(service))
    app.include_router(workbench_routes(service))
    app.include_router(operations(service))
    app.include_router(fhir_routes(service))
    app.state.receiving = (
        Receiving(service, lambda: service.wake()) if settings.sources else None  # noqa: PLW0108 - it is set later
    )
    if app.state.receiving is not None:
        app.include_router(receiving_routes(service, app.state.receiving))
    app.add_middleware(Requests, metrics=metrics)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_origin_regex=LOOPBACK_ORIGINS if dev else None,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=3600,
    )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """The client for FHIR servers belongs to the event loop that serves; at the end what waits is written."""
    receiving: Receiving | None = app.state.receiving
    if receiving is not None:
        receiving.receiver.start()
    async with http_client() as http:
        yield {"http": http}
    if receiving is not None:
        await to_thread.run_sync(receiving.close)
    await to_thread.run_sync(app.state.service.flush)


def _hooks(service: Service, keep: Callable[[list[Feedback]], None] | None) -> APIRouter:
    settings = service.settings
    lanes = Lanes(settings.threads, alone=service.alone)
    responder = Responder(service)

    router = APIRouter(prefix="/cds-services", tags=["CDS Hooks"], default_response_class=Response)
    who = Depends(admission(service, lanes))

    @router.get("", summary="The services that are offered", responses=DISCOVERY | errors(401, 429, 503))
    async def services(_: str = who) -> Response:
        return _json(service.live.content.discovery)

    @router.post(
        "/{name}",
        summary="Cards for one call",
        responses=CARDS | errors(400, 401, 404, 408, 412, 413, 415, 429, 500, 503),
        openapi_extra=CALL_BODY,
    )
    async def call(name: str, request: Request, client: str = who) -> Response:
        hook = _hook(name)
        body = await read_body(request, settings.max_body_bytes)
        with service.live.used() as content:

            def started() -> Call | Callable[[], bytes]:
                """An answer that is begun, or the call if something is to be fetched first."""
                asked = read_call(decode_object(body), hook)
                return asked if content.fetcher.wants(asked) else begun(asked)

            def begun(asked: Call) -> Callable[[], bytes]:
                return partial(finished, asked, responder.begin(content, asked, hook, client))

            def finished(asked: Call, finish: Callable[[], Answer]) -> bytes:
                found = finish()
                address = address_of(request)
                _note(service, found, asked, hook=hook, client=client, address=address, content=content)
                return msgspec.json.encode(found.response)

            result = await lanes.direct(started, len(body))
            if isinstance(result, Call):
                fetched = await content.fetcher.complete(request.state.http, result)
                _count_fetched(service, result, fetched)
                result = await lanes.beside(partial(begun, fetched))
            answer = await lanes.direct(result, len(body))  # others have their turn meanwhile
        return _json(answer)

    @router.post(
        "/{name}/feedback",
        summary="What users did with cards",
        responses=errors(400, 401, 404, 408, 413, 415, 429, 503),
        openapi_extra=FEEDBACK_BODY,
    )
    async def feedback(name: str, request: Request, client: str = who) -> Response:
        hook = _hook(name)
        given = read_feedback(decode_object(await read_body(request, settings.max_body_bytes)))
        if keep is not None:
            await lanes.beside(partial(keep, given))
        await lanes.beside(partial(_take, service, given, hook, client, address_of(request)))
        return Response(status_code=200)

    return router


def _take(service: Service, given: list[Feedback], hook: Hook, client: str, address: str) -> None:
    """Remembers feedback, counts it by rule, and audits it. Raises RefusalError 503: the client may send it again."""
    at = service.seconds()
    rows = [
        Given(
            card=one.card, client=client, outcome=one.outcome, stamped=one.timestamp, system=one.reason[0],
            code=one.reason[1], comment=one.comment, suggestions=one.suggestions, at=at,
        )
        for one in given
    ]  # fmt: skip
    with service.storing("the feedback cannot be kept now: send it again"):
        service.backlog.flush()
        service.store.give(rows)
        shown = [service.store.shown(one.card, client) for one in given]
    for one, findings in zip(given, shown, strict=True):
        reason = _known_reason(one)
        for finding in findings:
            service.metrics.feedback.labels(finding.issue, one.outcome, reason).inc()
        log.info("feedback", service=hook.id, outcome=one.outcome, reason=reason, known=bool(findings))
        service.audit.write(
            service.event(
                "C", f"{hook.id}/feedback", client=client, user=findings[0].user if findings else "", address=address,
                evaluation=findings[0].evaluation if findings else "", rules=[f.issue for f in findings],
            )
        )  # fmt: skip


def _note(
    service: Service, found: Answer, call: Call, *, hook: Hook, client: str, address: str, content: Content
) -> None:
    """What stays of an answer: a log line and figures without anything of the patient, and the audit trail with it."""
    evaluation, metrics = found.evaluation, service.metrics
    counted = Counter[Named]({("evaluation", hook.id, "cards" if found.response["cards"] else "no-cards"): 1})
    for finding in evaluation.findings:
        if finding.display in INDICATOR:
            metrics.cards.labels(finding.issue, INDICATOR[finding.display]).inc()
            counted["card", finding.issue, INDICATOR[finding.display]] += 1
    for finding in found.silenced:
        metrics.silenced.labels(finding.issue).inc()
        counted["silenced", finding.issue] += 1
    counted.update(("problem", client, problem.code) for problem in evaluation.problems)
    counted.update(("differs", rule) for rule in evaluation.disagreements)
    service.count(counted)
    for key in content.needs.templates:
        if key not in call.prefetch or key in call.failures:
            metrics.missing.labels(key).inc()
    log.info(
        "answered",
        service=hook.id,
        cards=len(found.response["cards"]),
        rules=sorted({finding.issue for finding in evaluation.findings}),
        silenced=len(found.silenced),
        problems=len(evaluation.problems),
        evaluation=found.id,
    )
    if evaluation.notes:
        metrics.failures.labels("backend").inc()
        log.error("answered by plain alone", ruleset=evaluation.ruleset.hash, reasons=list(evaluation.notes))
    if defects := [problem for problem in evaluation.problems if problem.code == DEFECT]:
        metrics.failures.labels("evaluation").inc()
        log.error("a part could not be worked out", evaluation=found.id, reasons=sorted({p.message for p in defects}))
    if evaluation.disagreements:
        metrics.disagreements.inc()
        log.error("backends disagree", ruleset=evaluation.ruleset.hash, rules=list(evaluation.disagreements))
    service.audit.write(
        service.event(
            "E", hook.id, client=client, user=call.user, address=address, evaluation=found.id,
            **of_evaluation(evaluation),
        )
    )  # fmt: skip


def _count_fetched(service: Service, before: Call, after: Call) -> None:
    for key in after.prefetch.keys() - before.prefetch.keys() | after.failures.keys():
        service.metrics.fetched.labels(key, "failed" if key in after.failures else "done").inc()


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
