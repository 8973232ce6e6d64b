"""Telling subscribers: one notification to one endpoint, and what becomes of a subscription by what comes of it.

`requested` -> `active` by a handshake that is answered with 2xx, else `error`. `active` -> `error` when nothing has
arrived for an hour although it was tried. In `error` events wait until the client asks again; after a week, or at its
`end`, a subscription is `off`, and what waited is forgotten. An endpoint may be called if its origin is listed, now as
when the subscription was made; a redirect is not followed, and of an answer only its status counts.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Literal

import httpx2
import msgspec
import structlog
from sqlalchemy import Connection

from engine.client.http import Http, Patience, retry_after
from engine.integration.deliver import Outcome, beginning, tried
from engine.integration.notify import Address, Kind, Noted, notification
from engine.integration.rendering import Rules, instant, issue_of
from engine.integration.topics import AskedError, check_endpoint
from engine.outputs.detected_issue import Resource
from engine.store import Database, findings, outbox, subscriptions
from engine.store.findings import Change
from engine.store.outbox import Delivery
from engine.store.subscriptions import Form, Subscription

HOPELESS = 3_600_000  # ms for which an endpoint may take nothing before its subscription is in error
PAUSE = 60.0  # seconds until it is looked whether a subscription in error is back
READ = 64 * 1024  # bytes of an answer that are taken off the line, so that it can be used again
_SETUP = frozenset({401, 403, 404, 405, 410})  # no fault of this notification: others would fare no better
_LATER = frozenset({408, 409, 423, 425, 429})

log = structlog.get_logger("endplate.subscriptions")


class Subscribers:
    """The dispatcher of the lane `subscription`; may be used by several threads. `now` gives milliseconds."""

    def __init__(
        self,
        database: Database,
        rules: Callable[[], Rules],
        *,
        origins: Collection[str],
        fhir: str,
        now: Callable[[], int],
        hopeless: int = HOPELESS,
    ) -> None:
        self.origins = tuple(origins)
        self.fhir = fhir
        self._database = database
        self._rules = rules
        self._now = now
        self._hopeless = hopeless
        self._lock = threading.Lock()
        self._https: dict[int, Http] = {}  # by seconds that are waited for

    def __call__(self, delivery: Delivery) -> Outcome:
        """One notification, by what the subscription is now."""
        with self._database.read() as connection:
            subscription = subscriptions.get(connection, subscriptions.identity_of(delivery.target))
            change = findings.at(connection, delivery.identifier, delivery.version)
            if change is None or outbox.later_done(connection, delivery):
                # what is told late must not bring back what was replaced, and a number is never left out
                change = findings.latest(connection, delivery.identifier)
        if subscription is None or subscription.status == "off":
            return Outcome("done", "the subscription is no more")
        if delivery.kind == "handshake":
            return self._shake(subscription)
        if delivery.kind == "heartbeat":
            return self._beat(subscription)
        if subscription.status == "requested":
            return Outcome("again", "the handshake is still to come", 1.0)
        if subscription.status == "error":
            return Outcome("again", "the subscription is in error", PAUSE, down=True)  # until a handshake succeeds
        if change is None:
            return Outcome("done", "the patient was purged")
        outcome = self._send(subscription, "event-notification", [self.noted(delivery, change, subscription.form)])
        self._learn(subscription, outcome)
        return outcome

    def noted(self, delivery: Delivery, change: Change | None, form: Form) -> Noted:
        """An event with its resource, as a notification holds it."""
        resource = issue(change, self._rules(), form) if change else None
        version = change.version if change else delivery.version
        return Noted(
            number=delivery.number, at=delivery.at, identifier=delivery.identifier, version=version, resource=resource
        )

    def address(self) -> Address:
        """Where we are."""
        return Address(self.fhir, self._rules().base)

    def step(self, now: int) -> int:
        """Puts heartbeats that are due, and ends subscriptions; how many of both. To be called each second or so."""

        def work(connection: Connection) -> int:
            return subscriptions.end(connection, now) + subscriptions.beat(connection, now)

        return self._database.run(work)

    def close(self) -> None:
        """Ends all connections."""
        with self._lock:
            for http in self._https.values():
                http.__exit__(None, None, None)
            self._https.clear()

    # -- states

    def _shake(self, subscription: Subscription) -> Outcome:
        if subscription.status != "requested":
            return Outcome("done", "no handshake is needed any more")
        outcome = self._send(subscription, "handshake")
        if outcome.state == "done":
            self._move(subscription, "active")
        else:
            self._move(subscription, "error", _code(outcome))
        return Outcome("done", outcome.error)

    def _beat(self, subscription: Subscription) -> Outcome:
        """A heartbeat that is lost is not sent again: the next one comes."""
        if subscription.status != "active":
            return Outcome("done", "the subscription is not active")
        outcome = self._send(subscription, "heartbeat")
        self._learn(subscription, outcome)
        return Outcome("done", outcome.error)

    def _learn(self, subscription: Subscription, outcome: Outcome) -> None:
        now = self._now()
        if outcome.state != "done":
            if not subscription.failing_at:
                self._database.run(lambda connection: subscriptions.failing(connection, subscription.id, now))
            elif now - subscription.failing_at >= self._hopeless:
                self._move(subscription, "error", _code(outcome))
        elif subscription.failing_at or 0 < subscription.heartbeat * 250 <= now - subscription.heard_at:
            self._database.run(lambda connection: subscriptions.heard(connection, subscription.id, now))

    def _move(self, subscription: Subscription, status: Literal["active", "error"], error: str = "") -> None:
        now = self._now()
        moved = self._database.run(
            lambda connection: subscriptions.move(connection, subscription, status, now=now, error=error)
        )
        if moved:
            say = log.warning if status == "error" else log.info
            say("subscription", subscription=subscription.id, status=status, error=error)

    # -- sending

    def _send(self, subscription: Subscription, kind: Kind, events: list[Noted] | None = None) -> Outcome:
        try:
            check_endpoint(subscription.endpoint, self.origins)
        except AskedError as error:
            return Outcome("again", str(error), down=True)
        bundle = notification(subscription, kind, self.address(), now=self._now(), events=events or ())
        headers = {**dict(subscription.headers), "Content-Type": subscription.mime, "Accept": "application/fhir+json"}
        http = self._http(subscription.timeout)
        content = msgspec.json.encode(bundle)

        def send() -> Outcome:
            with http.opened("POST", subscription.endpoint, headers=headers, content=content, token=False) as response:
                deque(beginning(response, READ, http.patience.answer), maxlen=0)
                return _outcome(response)

        return tried("the endpoint", send)

    def _http(self, seconds: int) -> Http:
        with self._lock:
            if seconds not in self._https:
                patience = Patience(attempts=1, connect=min(seconds, 10), read=seconds, answer=seconds)
                self._https[seconds] = Http(self.origins, patience=patience)
            return self._https[seconds]


def issue(change: Change, rules: Rules, form: Form) -> Resource:
    """The DetectedIssue of a version as it is read here: with its version and when it came to be."""
    resource = issue_of(change, rules, "R5" if form == "R5" else "R4")
    meta = {**resource["meta"], "versionId": str(change.version), "lastUpdated": instant(change.at)}
    return {**resource, "meta": meta}


def _outcome(response: httpx2.Response) -> Outcome:
    """By the status (RFC 9110, 15)."""
    status = response.status_code
    if 200 <= status < 300:
        return Outcome("done", status=status)
    error = f"the endpoint answers {status}"
    if status in _SETUP or status in _LATER or status >= 500 or status < 400:
        return Outcome("again", error, retry_after(response.headers.get("retry-after", "")), down=True, status=status)
    return Outcome("dead", error, status=status)


def _code(outcome: Outcome) -> str:
    """A code of HL7's code system `subscription-error`."""
    return "error-response" if outcome.status else "no-response"
