"""What a sender tells: one message, which is a list of events, each about one resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.client.smart import Client
from engine.fhir.elements import EMPTY, Json

Action = Literal["put", "delete", "fetch"]
Kind = Literal["handshake", "heartbeat", "notification", "status", "events", "resource", "message", "transaction"]
"""`events`: an answer to `$events`, which repeats what was told before; `status`: one to `$status`."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One resource was written or deleted, or something happened of which we are to fetch the rest.

    A `fetch` names a resource, or nothing: then all that has happened lately is meant, or the events of `number`.
    """

    action: Action
    type: str = ""
    id: str = ""
    resource: Json = EMPTY  # of a put, with that type and id
    raw: bytes = b""  # the same as JSON
    number: int = 0  # of the event in its subscription; 0 = it has none
    version: str = ""
    updated: int = 0  # microseconds since 1970, UTC; 0 = not said

    @property
    def key(self) -> str:
        """ "Type/id"."""
        return f"{self.type}/{self.id}"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What one request says. `reply`: the FHIR resource that answers it once it is remembered, as JSON."""

    kind: Kind
    events: tuple[Event, ...] = ()
    reply: bytes = b""
    subscription: str = ""  # id of the sender's Subscription
    since: int = -1  # how many events it has had since it began; -1 = not said
    status: str = ""  # active, error, off ...; "" = not said


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One who sends. `fhir_url` "" = nothing can be fetched from it; `heartbeats`: Subscription id -> seconds."""

    name: str
    fhir_url: str = ""
    client: Client | None = None
    heartbeats: Mapping[str, int] = {}
