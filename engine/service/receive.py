"""The routes for those who tell what has changed: remembered durably, and only then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.fhir.lookup import lookup_for
from engine.integration.event import Message, Source
from engine.integration.intake import Letter, Taken, prepare
from engine.integration.messages import MessageError, read
from engine.integration.receiver import RETRY_SECONDS, FullError, Receiver
from engine.integration.recovery import Recovery
from engine.service.admission import address_of
from engine.service.body import read_body
from engine.service.lanes import SMALL
from engine.service.openapi import answer, errors
from engine.service.outcome import RefusalError
from engine.service.sources import Sources
from engine.service.state import Service
from engine.service.trail import received
from engine.store import StoreError

DELETED = "x-medplum-deleted-resource"
MESSAGING = "$process-message"
_FHIR = "application/fhir+json"
_ANSWERS = answer(_FHIR, "it is remembered", {"type": "object"}) | errors(400, 401, 404, 408, 413, 415, 422, 429, 503)
_BODY = {
    "requestBody": {
        "content": {_FHIR: {"schema": {"type": "object", "description": "a resource, a Bundle, or nothing"}}},
    }
}

log = structlog.get_logger("endplate.receiver")


class Receiving:
    """What receives, and what fetches what was not told. `marked` is called when somebody is to be decided on."""

    def __init__(self, service: Service, marked: Callable[[], None] = lambda: None) -> None:
        self._service = service
        self.sources = Sources(service.settings, service.authenticator)
        self.receiver = Receiver(
            service.store.database, service.milliseconds, taken=self._count, marked=marked,
            told=lambda letters, taken: received(service, letters, taken),
            failed=lambda error: service.failed("receiver", error),
        )  # fmt: skip
        self.recovery = Recovery(
            service.store.database, self.sources.all(), self.remember, name=service.name, note=self._note
        )

    def step(self) -> int:
        """Fetches what is due, and shows who is silent; how much that was. Raises StoreError."""
        done = self.recovery.step(self._service.milliseconds())
        for source in self.sources.all():
            for subscription in source.heartbeats:
                silent = (source.name, subscription) in self.recovery.silent
                self._service.metrics.silent.labels(source.name, subscription).set(silent)
        return done

    def prepared(self, source: Source, message: Message, address: str | None = None) -> Letter:
        """A message, read with the rules of now. Raises RefusalError 422 if we would have to fetch and cannot."""
        with self._service.live.used() as content:
            letter = prepare(source, message, lookup_for(content.evaluator.ruleset.terminology), address)
        if letter.fetches and not source.fhir_url:
            raise RefusalError(422, "it names what has changed without its content, which cannot be fetched: send full "
                                    "resources, or set `fhir_url` of the source")  # fmt: skip
        return letter

    def remember(self, source: Source, message: Message) -> None:
        """Remembers a message that was fetched, and waits for it. Raises StoreError, FullError."""
        self.receiver.submit(self.prepared(source, message)).result()

    def close(self) -> None:
        """Writes what waits, and ends what fetches."""
        self.recovery.close()
        self.receiver.close()

    def _note(self, source: str, what: str) -> None:
        self._service.metrics.recovery.labels(source, what).inc()
        self._service.count({("fetch", source, what): 1})

    def _count(self, taken: Taken) -> None:
        counter = self._service.metrics.versions
        for what in ("new", "known", "older", "missing"):
            counter.labels(what).inc(getattr(taken, what))


def receiving_routes(service: Service, receiving: Receiving) -> APIRouter:
    """The routes, under `/fhir-hook`."""
    router = APIRouter(prefix="/fhir-hook", tags=["Receiving"], default_response_class=Response)
    settings, metrics = service.settings, service.metrics

    async def admitted(request: Request) -> tuple[Source, bytes]:
        """Who sends it, and the body."""
        who = partial(receiving.sources.who, request.headers, address_of(request))
        try:
            if receiving.sources.signed(request.headers):
                body = await read_body(request, settings.max_body_bytes, may_be_empty=True)
                return await to_thread.run_sync(partial(who, body)), body
            waits = request.headers.get("authorization", "")[:7].lower() == "bearer "
            source = await to_thread.run_sync(who) if waits else who()
        except RefusalError as refusal:
            if refusal.status == 401:
                service.admit(address_of(request))
            raise
        except StoreError as error:
            service.failed("store", error)
            raise _later("who sends it cannot be checked now: send it again") from None
        return source, await read_body(request, settings.max_body_bytes, may_be_empty=True)

    async def told(request: Request, path: str = "") -> Response:
        source, body = await admitted(request)
        path = "" if path == MESSAGING else path
        deleted = request.headers.get(DELETED, "")

        def reading() -> Letter:
            message = read(request.method, path, body, deleted=deleted, base=settings.base)
            return receiving.prepared(source, message, address_of(request))

        kind, outcome = "none", "refused"
        try:
            letter = reading() if len(body) <= SMALL else await to_thread.run_sync(reading)
            kind = letter.message.kind
            await asyncio.wrap_future(receiving.receiver.submit(letter))
            outcome = "taken"
        except MessageError as error:
            raise RefusalError(error.status, str(error)) from None
        except FullError:
            outcome = "full"
            raise _later("more is told than can be written: send it again") from None
        except StoreError:
            outcome = "failed"
            raise _later("it cannot be remembered now: send it again") from None
        finally:
            metrics.received.labels(source.name, kind, outcome).inc()
            service.count({("message", source.name, outcome, kind): 1})
        log.info("received", source=source.name, kind=kind, events=len(letter.message.events))
        return Response(letter.message.reply, media_type=_FHIR)

    for path in ("", "/{path:path}"):
        router.add_api_route(
            path, told, methods=["POST", "PUT", "DELETE"], responses=_ANSWERS, openapi_extra=_BODY,
            summary="What has changed, as servers and integration engines tell it", include_in_schema=not path,
        )  # fmt: skip
    return router


def _later(message: str) -> RefusalError:
    return RefusalError(503, message, {"Retry-After": str(RETRY_SECONDS)})
