"""The workers of a service, by its settings: who decides, to whom it is told, and what they count.

There are none unless somebody sends (`ENDPLATE_SOURCES`), is told (`ENDPLATE_SINKS`) or may subscribe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from anyio import to_thread
from fastapi import FastAPI

from engine.errors import EndplateError, SettingsError
from engine.evaluation import Evaluator
from engine.integration.deciding import Decider, Matching
from engine.integration.deliver import Dispatcher, Sink, Target
from engine.integration.delivering import Lane
from engine.integration.meter import Meter
from engine.integration.worker import Workers
from engine.model.figure import SENT
from engine.model.problem import Problem
from engine.service.metrics import Metrics
from engine.service.sources import client_of
from engine.service.state import Named, Service
from engine.service.trail import decided
from engine.settings import Settings, SinkSettings
from engine.store import subscriptions
from engine.store.outbox import Waiting


class Working:
    """Starts and stops with the application. `subscribed`: the dispatcher of subscriptions and who is to be told.

    Raises SettingsError if a sink cannot be used as it is set.
    """

    def __init__(
        self,
        service: Service,
        *,
        step: Callable[[], int] | None = None,
        subscribers: Dispatcher | None = None,
        matching: Matching = lambda connection, change: [],
    ) -> None:
        self._service = service
        settings, database = service.settings, service.store.database
        meter = Counted(service)
        name = service.name
        self.sinks = {f"sink/{one.name}": self._sink(one) for one in settings.sinks}
        dispatchers: dict[str, Dispatcher] = {**self.sinks}
        if subscribers is not None:
            dispatchers["subscription"] = subscribers
        decider = Decider(
            database,
            self._evaluating,
            name=name,
            today=service.today,
            now=service.milliseconds,
            sinks=[one.name for one in settings.sinks],
            meter=meter,
            matching=matching,
            told=lambda evaluations: decided(service, evaluations),
        )
        lanes = {
            lane: Lane(lane, database, dispatcher, name=name, now=service.milliseconds, meter=meter)
            for lane, dispatcher in dispatchers.items()
        }
        self.workers = Workers(
            database, decider, lanes, name=name, now=service.milliseconds, meter=meter, recover=step
        )
        service.wake = self.workers.wake

    def close(self) -> None:
        """Stops the threads, each after what it has begun."""
        self.workers.stop()
        for sink in self.sinks.values():
            sink.close()

    @asynccontextmanager
    async def around(self, app: FastAPI, lifespan: Callable[[FastAPI], Any]) -> AsyncIterator[Any]:
        """The life of an application, within which the threads run."""
        async with lifespan(app) as state:
            self.workers.start()
            try:
                yield state
            finally:
                await to_thread.run_sync(self.close)

    @contextmanager
    def _evaluating(self) -> Iterator[Evaluator]:
        with self._service.live.used() as content:
            yield content.evaluator

    def _sink(self, given: SinkSettings) -> Sink:
        target = Target(
            name=given.name, url=str(given.url), version=given.version, fallback=given.fallback,
            client=client_of(given),
        )  # fmt: skip
        try:
            return Sink(target, self._service.store.database, self._service.rules)
        except EndplateError as error:
            raise SettingsError(f"`ENDPLATE_SINKS`: `{given.name}`: {error}") from None


def is_needed(settings: Settings) -> bool:
    """Whether there is anything to be decided or delivered."""
    return bool(settings.sources or settings.sinks or settings.subscribers)


def attach(app: FastAPI) -> Working | None:
    """Lets the threads that an application needs, if any, live as long as it serves. Raises SettingsError."""
    service: Service = app.state.service
    if not is_needed(service.settings):
        return None
    subscribers, receiving = service.subscribers, app.state.receiving

    def step() -> int:
        done: int = receiving.step() if receiving is not None else 0
        return done + (subscribers.step(service.milliseconds()) if subscribers is not None else 0)

    working = Working(service, step=step, subscribers=subscribers, matching=subscriptions.matching)
    before = app.router.lifespan_context
    app.router.lifespan_context = lambda served: working.around(served, before)
    return working


class Counted(Meter):
    """Counts for Prometheus, and for the page of operators."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._metrics: Metrics = service.metrics
        self._lanes: set[str] = set()

    def changed(self, kind: str) -> None:
        self._metrics.changes.labels(kind).inc()
        self._service.count({("change", "findings", kind): 1})

    def decided(self, patients: int) -> None:
        self._metrics.decisions.inc(patients)
        self._service.count({("evaluation", SENT, "decided"): patients})

    def evaluated(self, problems: Sequence[Problem], disagreements: Sequence[str]) -> None:
        counted = Counter[Named](("problem", SENT, problem.code) for problem in problems)
        counted.update(("differs", rule) for rule in disagreements)
        self._service.count(counted)
        if disagreements:
            self._metrics.disagreements.inc()

    def delivered(self, lane: str, outcome: str) -> None:
        self._metrics.deliveries.labels(lane, outcome).inc()
        self._service.count({("delivery", lane, outcome): 1})

    def failed(self, part: str) -> None:
        self._metrics.failures.labels(part).inc()

    def waiting(self, due: int, oldest: int, parked: int, letters: Mapping[str, Waiting]) -> None:
        metrics = self._metrics
        metrics.due.set(due)
        metrics.oldest_due.set(oldest / 1000)
        metrics.parked.set(parked)
        self._lanes |= letters.keys()
        for lane in self._lanes:
            held = letters.get(lane, Waiting(0, 0, 0))
            metrics.letters.labels(lane).set(held.pending)
            metrics.oldest_letter.labels(lane).set(held.oldest / 1000)
            metrics.dead_letters.labels(lane).set(held.dead)
