"""The page of those who run the service: what it did and what waits, for operators alone. Nothing of a patient."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.integration.recovery import SILENT
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.workbench.access import user_of
from engine.service.workbench.web import html, paged
from engine.store import figures, work
from engine.workbench.figures import ANSWERED, OFTEN, PERIODS, Rows, overview

USUAL = 7  # days


def operations_routes(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["Workbench"], default_response_class=Response, include_in_schema=False)

    @router.get("/operations")
    @paged(service)
    async def page(request: Request) -> Response:
        if not user_of(service, request).operator:
            raise RefusalError(403, "these figures are for those who run the service: see `ENDPLATE_OPERATORS`")
        days = _days(request.query_params.get("days", str(USUAL)))
        return await to_thread.run_sync(partial(_page, service, days))

    return router


def _page(service: Service, days: int) -> Response:
    with service.storing("the figures cannot be read now: try again"):
        service.backlog.flush()
        rows = _rows(service, days)
    with service.live.used() as content:
        shown = overview(rows, content.evaluator.ruleset)
    failing = [name for name, one in (("store", service.backlog), ("audit trail", service.audit)) if one.failing]
    return html("operations.html", shown=shown, periods=PERIODS, often=OFTEN, answered=ANSWERED, failing=failing)


def _rows(service: Service, days: int) -> Rows:
    last, now = service.today(), service.milliseconds()
    first = last - timedelta(days=days - 1)
    settings = service.settings
    with service.store.database.read() as connection:
        due, oldest, parked = work.waiting(connection, now)
        return Rows(
            last=last,
            days=days,
            now=now,
            first=figures.first_day(connection),
            figures=figures.since(connection, first.isoformat()),
            answers=figures.answers(connection, _midnight(first, settings.timezone)),
            letters=figures.letters(connection),
            fetches=figures.fetches(connection),
            voices=figures.heard(connection),
            expected={
                (source.name, known.id): known.heartbeat_seconds
                for source in settings.sources
                for known in source.subscriptions
            },
            beats=SILENT,
            due=due,
            oldest=oldest,
            parked=parked,
        )


def _days(given: str) -> int:
    """Raises RefusalError 400."""
    if given not in map(str, PERIODS):
        raise RefusalError(400, f"the period is none: {', '.join(map(str, PERIODS))} days can be shown")
    return int(given)


def _midnight(day: date, timezone: str) -> int:
    """When a day began where the service is, in seconds since 1970."""
    began = datetime.combine(day, time.min)
    return int((began.replace(tzinfo=ZoneInfo(timezone)) if timezone else began.astimezone()).timestamp())
