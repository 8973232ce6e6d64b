"""Who may call, and how often: asked before anything else of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import Request

from engine.service.auth import WaitsError
from engine.service.lanes import Lanes
from engine.service.state import Service


def admission(service: Service, lanes: Lanes, base: str = "") -> Callable[[Request], Awaitable[str]]:
    """A dependency: the issuer of the request's token; "" in development. Raises RefusalError 401, 429, and 503.

    `base`: a path whose address a token may be made out to instead, for all that is below it.
    """

    async def admitted(request: Request) -> str:
        client = ""
        if service.authenticator is not None:
            authorization = request.headers.get("authorization", "")
            check = partial(service.authenticator.check, authorization, request.url.path, base=base)
            try:
                client = await lanes.direct(partial(check, wait=False))
            except WaitsError:
                with service.storing("tokens cannot be checked now: ask again"):
                    client = await lanes.beside(check)
        service.admit(client or address_of(request))
        return client

    return admitted


def address_of(request: Request) -> str:
    """The peer; "" if there is none."""
    return request.client.host if request.client else ""
