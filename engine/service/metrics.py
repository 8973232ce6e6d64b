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
        self.received = Counter(
            "endplate_received", "Messages of sources by kind and outcome", ("source", "kind", "outcome"),
            registry=registry,
        )  # fmt: skip
        self.versions = Counter(
            "endplate_versions", "Versions of resources by what became of them; missing event numbers", ("outcome",),
            registry=registry,
        )  # fmt: skip
        self.recovery = Counter(
            "endplate_recovery", "What was fetched from sources, and could not be", ("source", "outcome"),
            registry=registry,
        )  # fmt: skip
        self.silent = Gauge(
            "endplate_heartbeats_missing", "Whether the heartbeats of a subscription are missing",
            ("source", "subscription"), registry=registry,
        )  # fmt: skip
        self.content = Gauge(
            "endplate_content", "The ruleset that answers", ("ruleset", "version", "hash"), registry=registry
        )
        self.decisions = Counter(
            "endplate_decisions", "Patients who were decided on because something was sent", registry=registry
        )
        self.changes = Counter("endplate_changes", "Findings by what became of them", ("kind",), registry=registry)
        self.due = Gauge("endplate_due", "Patients who are to be decided on", registry=registry)
        self.oldest_due = Gauge(
            "endplate_due_seconds", "For how long the first of them has been due", registry=registry
        )
        self.parked = Gauge("endplate_parked", "Patients on whom deciding has failed", registry=registry)
        self.deliveries = Counter(
            "endplate_deliveries", "Deliveries by sink (or subscriptions) and outcome", ("to", "outcome"),
            registry=registry,
        )  # fmt: skip
        self.letters = Gauge("endplate_letters", "What waits to be delivered", ("to",), registry=registry)
        self.oldest_letter = Gauge(
            "endplate_letters_seconds", "For how long the oldest of it has waited", ("to",), registry=registry
        )
        self.dead_letters = Gauge(
            "endplate_dead_letters", "Deliveries that were refused and are to be looked at", ("to",), registry=registry
        )

    def exposed(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self.registry)
