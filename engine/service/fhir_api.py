"""Our own FHIR endpoint, under `/fhir`: what it can do, the rules, findings, and subscriptions to findings.

`metadata`, PlanDefinition and Library are always there. DetectedIssue is there where findings are kept (somebody sends
or subscribes), Subscription and its topic where somebody may subscribe (`ENDPLATE_SUBSCRIBERS`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from engine.integration.dispatch import Subscribers
from engine.integration.topics import BACKPORT, topic, topic_url
from engine.outputs.capability import Offer, capability_statement, subscription_operations
from engine.outputs.detected_issue import Resource
from engine.outputs.plan_definition import libraries, plan_definitions
from engine.service.admission import address_of, admission
from engine.service.extract import extraction_routes
from engine.service.fhir_api_issues import SEARCH as ISSUE_SEARCH
from engine.service.fhir_api_issues import issue_routes
from engine.service.fhir_api_search import (
    FHIR_JSON,
    answered,
    asked,
    fits_token,
    is_strict,
    paged,
    pairs_of,
    wanted,
)
from engine.service.fhir_api_subscriptions import SEARCH as SUBSCRIPTION_SEARCH
from engine.service.fhir_api_subscriptions import subscription_routes
from engine.service.lanes import Lanes
from engine.service.openapi import answer, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.working import is_needed
from engine.settings import Settings
from engine.store.subscriptions import Form

PATH = "/fhir"
CONTENT_SEARCH = {"_id": "token", "url": "uri", "version": "token", "name": "string", "title": "string",
                  "status": "token"}  # fmt: skip
_ANSWERS = answer(FHIR_JSON, "a FHIR resource", {"type": "object"}) | errors(400, 401, 404, 406, 429, 503)


def address(settings: Settings) -> str:
    """Of the endpoint, as others call it."""
    public = settings.public_url or settings.pages_url or "http://127.0.0.1:8080"
    return f"{str(public).rstrip('/')}{PATH}"


def subscribers_of(service: Service) -> Subscribers | None:
    """Those who are told of findings, if anybody may subscribe."""
    settings = service.settings
    if not settings.subscribers:
        return None
    return Subscribers(
        service.store.database,
        service.rules,
        origins=[str(one) for one in settings.subscribers],
        fhir=address(settings),
        now=service.milliseconds,
    )


def fhir_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PATH, tags=["FHIR"], default_response_class=Response)
    lanes = Lanes(service.settings.threads, alone=service.alone)
    who = Depends(admission(service, lanes, PATH))
    here = address(service.settings)
    since = service.now().date().isoformat()
    content = _Rules(service)

    @router.get("/metadata", summary="What this endpoint can do", responses=_ANSWERS)
    async def metadata(request: Request) -> Response:
        service.admit(address_of(request))
        form = wanted(request)
        statement = capability_statement(
            offers(service, form), form, address=here, date=since, secured=service.authenticator is not None
        )
        return answered(statement, form)

    def of_kind(kind: str, listed: Callable[[Form], list[Resource]]) -> None:
        @router.get(f"/{kind}", summary=f"Searches {kind}", responses=_ANSWERS, name=f"search {kind}")
        async def search(request: Request, _: str = who) -> Response:
            return await lanes.beside(lambda: _search(request, kind, listed, here))

        @router.get(f"/{kind}/{{identity}}", summary=f"One {kind}", responses=_ANSWERS, name=f"read {kind}")
        async def read(identity: str, request: Request, _: str = who) -> Response:
            form = wanted(request)
            found = await lanes.beside(lambda: [one for one in listed(form) if one["id"] == identity])
            if not found:
                raise RefusalError(404, f"there is no such {kind}")
            return answered(found[0], form)

    of_kind("PlanDefinition", content.plans)
    of_kind("Library", content.libraries)
    if is_needed(service.settings):
        issue_routes(router, service, lanes, who, here)
    if service.subscribers is not None:
        base = service.settings.base
        of_kind("SubscriptionTopic", lambda form: [topic(base, "R5" if form == "R5" else "R4B")])
        of_kind("Basic", lambda _: [topic(base, "R4")])
        subscription_routes(router, service, service.subscribers, lanes, who)
    extraction_routes(router, service, lanes, who)
    return router


def offers(service: Service, form: Form) -> list[Offer]:
    """What can be done with each type."""
    content = tuple(CONTENT_SEARCH.items())
    found = [Offer(type="PlanDefinition", search=content), Offer(type="Library", search=content)]
    if is_needed(service.settings):
        renamed = {"patient": "subject"} if form == "R5" else {}
        found.append(
            Offer(
                type="DetectedIssue",
                interactions=("read", "vread", "history-instance", "search-type"),
                search=[(renamed.get(name, name), kind) for name, kind in ISSUE_SEARCH.items() if name != "subject"],
            )
        )
    if service.subscribers is None:
        return found
    kind = "Basic" if form == "R4" else "SubscriptionTopic"
    return [
        *found,
        Offer(type=kind, search=(("_id", "token"), ("code", "token")) if form == "R4" else content),
        Offer(
            type="Subscription",
            interactions=("read", "search-type", "create", "update", "delete"),
            search=tuple(SUBSCRIPTION_SEARCH.items()),
            operations=subscription_operations(form),
            profiles=(f"{BACKPORT}/backport-subscription",),
            topics=(topic_url(service.settings.base),),
        ),
    ]


class _Rules:
    """The rules as resources, made once for each ruleset and version."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, bool], list[Resource]] = {}

    def plans(self, form: Form) -> list[Resource]:
        return self._of("plans", form)

    def libraries(self, form: Form) -> list[Resource]:
        return self._of("libraries", form)

    def _of(self, kind: str, form: Form) -> list[Resource]:
        base, newer = self._service.settings.base, form == "R5"
        with self._lock, self._service.live.used() as content:
            ruleset = content.evaluator.ruleset
            key = kind, ruleset.hash, newer
            if key not in self._made:
                make = plan_definitions if kind == "plans" else libraries
                kept = {one: made for one, made in self._made.items() if one[1] == ruleset.hash}
                self._made = kept | {key: make(ruleset, base, "R5" if newer else "R4")}
            return self._made[key]


def _search(request: Request, kind: str, listed: Callable[[Form], list[Resource]], here: str) -> Response:
    form = wanted(request)
    offered = {"_id": "token", "code": "token"} if kind == "Basic" else CONTENT_SEARCH
    search = asked(pairs_of(request), offered, strict=is_strict(request))
    found = [one for one in listed(form) if all(_fits(one, p.name, p.values) for p in search.params)]
    return answered(paged(found, search, address=here, kind=kind), form)


def _fits(resource: Resource, name: str, values: tuple[str, ...]) -> bool:
    if name == "code":
        return fits_token(values, [(one["system"], one["code"]) for one in resource["code"]["coding"]])
    held = str(resource.get("id" if name == "_id" else name, ""))
    if name in ("name", "title"):
        return any(held.lower().startswith(value.lower()) for value in values)
    return held in [value.rpartition("|")[2] if name in ("status", "version") else value for value in values]

