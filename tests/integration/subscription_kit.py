"""Subscriptions as clients write them, and findings to tell them of."""

from __future__ import annotations

from typing import Any

from engine.integration.asking import asked
from engine.integration.topics import BACKPORT, Known
from engine.store.findings import Change
from engine.store.subscriptions import Subscription

Json = dict[str, Any]
BASE = "urn:endplate"
TOPIC = "urn:endplate:topic:detected-issue"
ENDPOINT = "https://engine.example.org/findings"
KNOWN = Known(
    base=BASE,
    origins=("https://engine.example.org", "http://127.0.0.1:9999"),
    rulesets=("als-mimics", "medication-safety"),
    issues=("mg-likely", "als-mimic"),
)
NOW = 1_790_000_000_000


def four(**changed: Any) -> Json:
    """A Subscription in the form of the R4 backport. `filters`: searches; `extension`: names and values."""
    filters, content = changed.pop("filters", []), changed.pop("content", "full-resource")
    numbers = changed.pop("extension", {})
    payload = {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]}
    channel: Json = {
        "type": "rest-hook", "endpoint": ENDPOINT, "payload": "application/fhir+json", "_payload": payload,
        **changed.pop("channel", {}),
    }  # fmt: skip
    if numbers:
        channel["extension"] = [
            {"url": f"{BACKPORT}/{name}", "valueUnsignedInt": value} for name, value in numbers.items()
        ]
    resource: Json = {
        "resourceType": "Subscription", "status": "requested", "reason": "findings", "criteria": TOPIC,
        "channel": {key: value for key, value in channel.items() if value is not None}, **changed,
    }  # fmt: skip
    if filters:
        said = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": one} for one in filters]
        resource["_criteria"] = {"extension": said}
    return {key: value for key, value in resource.items() if value is not None}


def five(**changed: Any) -> Json:
    """A Subscription of R5."""
    resource = {
        "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "channelType": {"code": "rest-hook"},
        "endpoint": ENDPOINT, "content": "full-resource", **changed,
    }  # fmt: skip
    return {key: value for key, value in resource.items() if value is not None}


def read(resource: Json, **options: Any) -> Subscription:
    """What is asked for. Raises AskedError."""
    given = {"identity": "s", "client": "engine", "now": NOW}
    return asked(resource, options.pop("known", KNOWN), **given | options)


def subscription(**fields: Any) -> Subscription:
    usual: Json = {
        "id": "s", "client": "engine", "form": "R4", "status": "active", "endpoint": ENDPOINT,
        "content": "full-resource", "timeout": 5,
    }  # fmt: skip
    return Subscription(**usual | fields)


def change(**fields: Any) -> Change:
    """A finding without content: it can be matched, not shown."""
    usual: Json = {
        "identifier": "f", "version": 1, "patient": "Patient/p", "kind": "new", "issue": "mg-likely",
        "ruleset": "als-mimics", "severity": "high", "display": "warning", "evidence": "e", "missing": "m",
        "status": "preliminary", "reason": "", "content": b"", "first_at": NOW, "at": NOW,
    }  # fmt: skip
    return Change(**usual | fields)
