"""What the parts of the service share: settings, rules, store and what waits for it, audit trail, figures, clock."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime
from typing import Any

import structlog

from engine.errors import EndplateError
from engine.evaluation import Evaluator
from engine.integration.dispatch import Subscribers
from engine.integration.rendering import Rules
from engine.model.figure import Figure
from engine.service.audit import Audit, Json, audit_event
from engine.service.auth import Authenticator
from engine.service.backlog import Backlog
from engine.service.limits import RateLimit
from engine.service.live import Content, Live
from engine.service.metrics import Metrics
from engine.service.outcome import RefusalError
from engine.settings import Settings
from engine.store import Store, StoreError

Named = tuple[str, ...]  # what, name, outcome, detail: engine.model.figure

log = structlog.get_logger("endplate.service")


class Service:
    """One running service. `load` reads the rules again; `today` and `now` are its only clocks."""

    def __init__(
        self,
        evaluator: Evaluator,
        settings: Settings,
        *,
        authenticator: Authenticator | None,
        store: Store,
        audit: Audit,
        metrics: Metrics,
        today: Callable[[], date],
        now: Callable[[], datetime],
        load: Callable[[], Evaluator] | None = None,
    ) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"  # unlike that of any other process, now and ever
        self.settings = settings
        self.authenticator = authenticator
        self.store = store
        self.audit = audit
        self.metrics = metrics
        self.today = today
        self.now = now
        self.live = Live(Content(evaluator, settings))
        self.limit = RateLimit(settings.requests_per_second, lambda: now().timestamp())
        self.alone = settings.workers == 1 and settings.database is None
        self.backlog = Backlog(
            store, alone=self.alone, failed=lambda error: self.failed("store", error), written=self.upkeep
        )
        if self.alone:
            store.alone()
        self.page_key = store.secret("page")
        self.subscribers: Subscribers | None = None  # whom we tell of findings, if anybody may subscribe
        self.wake: Callable[[], None] = lambda: None  # somebody is to be decided on
        self._load = load
        self._show_content()

    def seconds(self) -> int:
        """Now, in whole seconds since 1970."""
        return int(self.now().timestamp())

    def milliseconds(self) -> int:
        """Now, in milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    def event(self, action: str, what: str, **more: Any) -> Json:
        """An AuditEvent of now; `more` as `audit_event` takes it."""
        return audit_event(base=self.settings.base, now=self.now(), action=action, what=what, **more)

    def admit(self, name: str) -> None:
        """Counts a request of a client or address. Raises RefusalError 429."""
        if wait := self.limit.wait(name):
            headers = {"Retry-After": str(int(wait) + 1)}
            raise RefusalError(429, "too many requests: send fewer, or ask for a higher limit", headers)

    def reload(self) -> bool:
        """Reads rules and keys again; whether the rules could be read. Calls go on being answered meanwhile."""
        if self.authenticator is not None:
            self.authenticator.refresh()
        if self._load is None:
            return False
        load = self._load
        try:
            self.live.swap(lambda: Content(load(), self.settings))
        except Exception as error:  # whatever it is, the rules that are in place go on answering
            self.metrics.reloads.labels("failed").inc()
            told = isinstance(error, EndplateError | OSError)
            log.critical("not reloaded", reason=str(error).partition("\n")[0] if told else type(error).__name__)
            return False
        self.metrics.reloads.labels("done").inc()
        self._show_content()
        log.warning("reloaded", hash=self.live.content.evaluator.ruleset.hash)
        return True

    def failed(self, part: str, error: Exception) -> None:
        """Something beside the answer failed: it is logged and counted, and the answer goes on."""
        self.metrics.failures.labels(part).inc()
        reason = str(error) if isinstance(error, StoreError) else type(error).__name__
        log.error("failed beside the answer", part=part, reason=reason)

    @contextmanager
    def storing(self, refusal: str) -> Iterator[None]:
        """What cannot be answered without the store. Raises RefusalError 503 with these words if the store fails."""
        try:
            yield
        except StoreError as error:
            self.failed("store", error)
            raise RefusalError(503, refusal) from None

    def count(self, figures: Mapping[Named, int]) -> None:
        """Adds to the figures of today that operators are shown: (what, name, outcome, detail) -> how many."""
        if not figures:
            return
        day = self.today().isoformat()
        self.backlog.count({Figure(day, *one): number for one, number in figures.items()})

    def rules(self) -> Rules:
        """The texts of the rules that answer now."""
        return self.live.content.rules

    def upkeep(self) -> None:
        """Forgets what the store need not hold, now and then."""
        if self.store.due():
            try:
                self.store.purge(self.seconds())
            except StoreError as error:
                self.failed("store", error)

    def flush(self) -> None:
        """Writes what is waiting, now: a process that is told to stop has no other time for it."""
        self.audit.flush()
        with suppress(StoreError):  # told already
            self.backlog.flush()

    def close(self) -> None:
        """Writes what is waiting, and ends all connections."""
        if self.subscribers is not None:
            self.subscribers.close()
        self.audit.close()
        self.backlog.close()
        self.store.close()

    def _show_content(self) -> None:
        ruleset = self.live.content.evaluator.ruleset
        self.metrics.content.clear()
        self.metrics.content.labels(ruleset.id, ruleset.version, ruleset.hash[:12]).set(1)
