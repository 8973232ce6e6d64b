"""Subscription at our FHIR endpoint: made, read, changed and removed by its client; `$status` and `$events`.

A client sees its own subscriptions alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from engine.fhir.elements import objects, text
from engine.integration.asking import asked as asked_subscription
from engine.integration.asking import form_of
from engine.integration.dispatch import Subscribers
from engine.integration.notify import notification, statuses
from engine.integration.topics import AskedError, Known, shown
from engine.outputs.detected_issue import Resource
from engine.service.admission import address_of
from engine.service.body import read_body
from engine.service.call import decode_object
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
from engine.service.lanes import Lanes
from engine.service.openapi import answer, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.store import findings, outbox, subscriptions
from engine.store.subscriptions import Payload, Subscription

SEARCH = {"_id": "token", "status": "token", "url": "uri"}
MOST_SUBSCRIPTIONS = 200  # of one client
MOST_EVENTS = 1000  # in one answer of `$events`
_BODY = {
    "requestBody": {
        "required": True,
        "content": {FHIR_JSON: {"schema": {"type": "object", "description": "a Subscription of R4, R4B or R5"}}},
    }
}
_PARAMETERS = {
    "requestBody": {"content": {FHIR_JSON: {"schema": {"type": "object", "description": "Parameters"}}}},
}
_READS = answer(FHIR_JSON, "a FHIR resource", {"type": "object"}) | errors(400, 401, 404, 406, 429, 503)
_WRITES = _READS | errors(408, 413, 415, 422)
_MADE = {status: said for status, said in _WRITES.items() if status != 200} | {
    201: {"description": "it is `requested`, and its endpoint will be asked", "content": {FHIR_JSON: {}}}
}
_GONE = {status: said for status, said in _READS.items() if status != 200} | {204: {"description": "it is gone"}}


def subscription_routes(router: APIRouter, service: Service, subscribers: Subscribers, lanes: Lanes, who: Any) -> None:
    """Adds the routes."""
    own = _Own(service, subscribers)

    async def beside(work: Callable[[], Response]) -> Response:
        with service.storing("subscriptions cannot be kept or read now: ask again"):
            return await lanes.beside(work)

    async def body_of(request: Request, *, optional: bool = False) -> Resource:
        body = await read_body(request, service.settings.max_body_bytes, may_be_empty=optional)
        return {} if optional and not body.strip() else decode_object(body)

    @router.post("/Subscription", summary="Subscribes to findings", responses=_MADE, status_code=201,
                 openapi_extra=_BODY)  # fmt: skip
    async def create(request: Request, client: str = who) -> Response:
        resource = await body_of(request)
        return await beside(partial(own.create, request, resource, client))

    @router.get("/Subscription", summary="Searches the client's subscriptions", responses=_READS)
    async def search(request: Request, client: str = who) -> Response:
        return await beside(partial(own.search, request, client))

    @router.get("/Subscription/$status", summary="How the client's subscriptions are", responses=_READS)
    async def all_status(request: Request, client: str = who) -> Response:
        return await beside(partial(own.status, request, pairs_of(request), client))

    @router.post("/Subscription/$status", summary="How the client's subscriptions are", responses=_WRITES,
                 openapi_extra=_PARAMETERS)  # fmt: skip
    async def post_all_status(request: Request, client: str = who) -> Response:
        pairs = parameters_of(await body_of(request, optional=True))
        return await beside(partial(own.status, request, pairs, client))

    @router.get("/Subscription/{identity}", summary="One subscription, without its secrets", responses=_READS)
    async def read(identity: str, request: Request, client: str = who) -> Response:
        return await beside(partial(own.read, request, identity, client))

    @router.put("/Subscription/{identity}", summary="Changes a subscription, or asks for it again", responses=_WRITES,
                openapi_extra=_BODY)  # fmt: skip
    async def update(identity: str, request: Request, client: str = who) -> Response:
        resource = await body_of(request)
        return await beside(partial(own.update, request, identity, resource, client))

    @router.delete("/Subscription/{identity}", summary="Ends a subscription", responses=_GONE, status_code=204)
    async def remove(identity: str, request: Request, client: str = who) -> Response:
        return await beside(partial(own.remove, request, identity, client))

    @router.get("/Subscription/{identity}/$status", summary="How a subscription is", responses=_READS)
    async def status(identity: str, request: Request, client: str = who) -> Response:
        return await beside(partial(own.status, request, [("id", identity)], client, one=True))

    @router.get("/Subscription/{identity}/$events", summary="Events by their numbers", responses=_READS)
    async def events(identity: str, request: Request, client: str = who) -> Response:
        return await beside(partial(own.events, request, identity, pairs_of(request), client))

    @router.post("/Subscription/{identity}/$status", summary="How a subscription is", responses=_WRITES,
                 openapi_extra=_PARAMETERS)  # fmt: skip
    async def post_status(identity: str, request: Request, client: str = who) -> Response:
        await body_of(request, optional=True)
        return await beside(partial(own.status, request, [("id", identity)], client, one=True))

    @router.post("/Subscription/{identity}/$events", summary="Events by their numbers", responses=_WRITES,
                 openapi_extra=_PARAMETERS)  # fmt: skip
    async def post_events(identity: str, request: Request, client: str = who) -> Response:
        pairs = parameters_of(await body_of(request, optional=True))
        return await beside(partial(own.events, request, identity, pairs, client))


class _Own:
    """What a client can do with its subscriptions. All methods raise RefusalError."""

    def __init__(self, service: Service, subscribers: Subscribers) -> None:
        self._service = service
        self._subscribers = subscribers
        self._database = service.store.database
        self._base = service.settings.base

    def create(self, request: Request, resource: Resource, client: str) -> Response:
        wanted(request)
        now = self._service.milliseconds()
        made = self._asked(request, resource, identity=str(uuid.uuid4()), client=client, now=now, before=None)

        def work(connection: Connection) -> None:
            if subscriptions.count(connection, client) >= MOST_SUBSCRIPTIONS:
                raise RefusalError(422, f"a client has at most {MOST_SUBSCRIPTIONS} subscriptions: remove some")
            subscriptions.add(connection, made, now)

        self._database.run(work)
        self._audit(request, "C", client, made)
        location = {"Location": f"{self._subscribers.fhir}/Subscription/{made.id}"}
        return answered(shown(made, self._base), made.form, 201, location)

    def read(self, request: Request, identity: str, client: str) -> Response:
        wanted(request)
        with self._database.read() as connection:
            found = self._own(connection, identity, client)
        return answered(shown(found, self._base), found.form)

    def search(self, request: Request, client: str) -> Response:
        form = wanted(request)
        search = asked(pairs_of(request), SEARCH, strict=is_strict(request))
        with self._database.read() as connection:
            mine = subscriptions.of_client(connection, client)
        found = [
            shown(one, self._base)
            for one in mine
            if all(_fits(one, param.name, param.values) for param in search.params)
        ]
        return answered(paged(found, search, address=self._subscribers.fhir, kind="Subscription"), form)

    def update(self, request: Request, identity: str, resource: Resource, client: str) -> Response:
        wanted(request)
        now = self._service.milliseconds()
        if text(resource.get("id")) not in ("", identity):
            raise RefusalError(400, "the `id` of the resource is not that of the address")

        def work(connection: Connection) -> Subscription:
            before = self._own(connection, identity, client)
            made = self._asked(request, resource, identity=identity, client=client, now=now, before=before)
            subscriptions.replace(connection, made, now)
            return made

        made = self._database.run(work)
        self._audit(request, "U", client, made)
        return answered(shown(made, self._base), made.form)

    def remove(self, request: Request, identity: str, client: str) -> Response:
        def work(connection: Connection) -> Subscription:
            found = self._own(connection, identity, client)
            subscriptions.remove(connection, identity)
            return found

        self._audit(request, "D", client, self._database.run(work))
        return Response(status_code=204)

    def status(self, request: Request, pairs: list[tuple[str, str]], client: str, *, one: bool = False) -> Response:
        """The statuses of those named by `id`, or with a `status`; all if none is named."""
        form = wanted(request)
        named = {part for name, value in pairs if name == "id" for part in value.split(",")}
        states = {part for name, value in pairs if name == "status" for part in value.split(",")}
        with self._database.read() as connection:
            mine = subscriptions.of_client(connection, client)
        found = [s for s in mine if (not named or s.id in named) and (not states or s.status in states)]
        if one and not found:
            raise _unknown()
        bundle = statuses(found, self._subscribers.address(), now=self._service.milliseconds())
        return answered(bundle, found[0].form if one else form)

    def events(self, request: Request, identity: str, pairs: list[tuple[str, str]], client: str) -> Response:
        """Those from `eventsSinceNumber` to `eventsUntilNumber`, both included, as long as they are remembered."""
        wanted(request)
        given = dict(pairs)
        first, last = _number(given, "eventsSinceNumber", 1), _number(given, "eventsUntilNumber", 2**62)
        with self._database.read() as connection:
            found = self._own(connection, identity, client)
            letters = outbox.events(connection, found.target, max(first, 1), last, MOST_EVENTS)
            changes = [
                findings.at(connection, one.identifier, one.version) or findings.latest(connection, one.identifier)
                for one in letters
            ]
        events = [
            self._subscribers.noted(letter, change, found.form) for letter, change in zip(letters, changes, strict=True)
        ]
        bundle = notification(
            found, "query-event", self._subscribers.address(), now=self._service.milliseconds(), events=events,
            content=_content(given.get("content", ""), found),
        )  # fmt: skip
        self._audit(request, "R", client, found)
        return answered(bundle, found.form)

    def _own(self, connection: Connection, identity: str, client: str) -> Subscription:
        found = subscriptions.get(connection, identity)
        if found is None or found.client != client:
            raise _unknown()
        return found

    def _asked(
        self, request: Request, resource: Resource, *, identity: str, client: str, now: int,
        before: Subscription | None,
    ) -> Subscription:  # fmt: skip
        with self._service.live.used() as content:
            info = content.evaluator.ruleset.info
        known = Known(
            base=self._base,
            origins=self._subscribers.origins,
            rulesets=sorted({one.ruleset for one in info.values()}),
            issues=sorted(name for name, one in info.items() if one.kind == "issue"),
        )
        try:
            form = form_of(request.headers.get("content-type", ""))
            return asked_subscription(
                resource, known, identity=identity, client=client, now=now, form=form, before=before
            )
        except AskedError as error:
            raise RefusalError(422, str(error)) from None

    def _audit(self, request: Request, action: str, client: str, subscription: Subscription) -> None:
        self._service.audit.write(
            self._service.event(
                action, "fhir/Subscription", client=client, address=address_of(request), patient=subscription.patient
            )
        )


def parameters_of(resource: Resource) -> list[tuple[str, str]]:
    """Names and values of Parameters."""
    found = []
    for one in objects(resource.get("parameter")):
        value = next((one[key] for key in one if key.startswith("value")), None)
        found.append((text(one.get("name")), text(value)))
    return found


def _fits(subscription: Subscription, name: str, values: tuple[str, ...]) -> bool:
    match name:
        case "_id":
            return subscription.id in values
        case "status":
            return fits_token(values, [("http://hl7.org/fhir/subscription-status", subscription.status)])
        case _:
            return subscription.endpoint in values


def _number(given: dict[str, str], name: str, usual: int) -> int:
    value = given.get(name, "")
    if not value:
        return usual
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):
        raise RefusalError(400, f"`{name}` is the number of an event")
    return int(value)


def _content(value: str, subscription: Subscription) -> Payload:
    """What is asked for, but never more than was subscribed to: that was decided when it was made."""
    order = list(get_args(Payload))
    return order[min(order.index(value), order.index(subscription.content))] if value in order else subscription.content


def _unknown() -> RefusalError:
    return RefusalError(404, "there is no such subscription of this client")

