"""Figures for Prometheus. Labels are ours alone (rules, keys, routes), so that their number is bounded."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "endplate_requests", "Requests by route and status", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "endplate_request_seconds", "Seconds to answer by route", ("route",), buckets=_SECONDS, registry=registry
        )
        self.cards = Counter(
            "endplate_cards", "Findings shown on cards by rule and indicator", ("rule", "indicator"), registry=registry
        )
        self.silenced = Counter(
            "endplate_silenced", "Findings kept back because a user has acknowledged them", ("rule",), registry=registry
        )
        self.feedback = Counter(
            "endplate_feedback", "Feedback by rule, outcome and reason", ("rule", "outcome", "reason"),
            registry=registry,
        )  # fmt: skip
        self.missing = Counter(
            "endplate_prefetch_missing", "Calls without a prefetch key, after fetching", ("key",), registry=registry
        )
        self.fetched = Counter(
            "endplate_fetched", "Prefetch keys that were fetched, by outcome", ("key", "outcome"), registry=registry
        )
        self.disagreements = Counter(
            "endplate_disagreements", "Evaluations on which the backends disagreed", registry=registry
        )
        self.failures = Counter("endplate_failures", "What failed beside the answer", ("part",), registry=registry)
        self.reloads = Counter("endplate_reloads", "Reloads of the rules by outcome", ("outcome",), registry=registry)
        self.content = Gauge(
            "endplate_content", "The ruleset that answers", ("ruleset", "version", "hash"), registry=registry
        )

    def exposed(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self.registry)
