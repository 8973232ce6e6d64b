"""The topic that others subscribe to, which endpoints may be called, and a subscription as it is read.

Sources: FHIR R5 "Subscriptions Framework"; Subscriptions R5 Backport IG 1.1.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from engine.client.http import LONGEST, is_closed, origin
from engine.errors import EndplateError, RemoteError
from engine.fhir.elements import Json
from engine.integration.rendering import instant
from engine.outputs.settings import uri
from engine.store.subscriptions import Form, Subscription

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
CHANNEL_TYPE = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
NAME = "detected-issue"
HIDDEN = "(not shown)"  # stands for the value of a header; sent back, it means the same one
FILTERS = ("severity", "ruleset", "code", "patient")


class AskedError(EndplateError):
    """A Subscription that cannot be had. The message says what to change; it repeats no value that may be a secret."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a Subscription may name: addresses of endpoints, rulesets, issues; `base` is the start of our URIs."""

    base: str
    origins: Collection[str] = ()
    rulesets: Collection[str] = ()
    issues: Collection[str] = ()

    @property
    def topic(self) -> str:
        return topic_url(self.base)


def topic_url(base: str) -> str:
    """The canonical address of the topic."""
    return uri(base, "topic", NAME)


def check_endpoint(endpoint: str, origins: Collection[str]) -> None:
    """Raises AskedError for an address that may not be called: its origin must be listed, and nobody may listen."""
    try:
        listed = len(endpoint) <= LONGEST and origin(endpoint) in {origin(one) for one in origins}
        closed = is_closed(endpoint)
    except RemoteError:
        raise AskedError("the endpoint is no address: it must be `https://host/path`") from None
    if not closed:
        raise AskedError("the endpoint must be `https`: findings go there")
    if not listed:
        raise AskedError(
            "the endpoint is not among those that may be called: whoever runs the service lists its origin in "
            "`ENDPLATE_SUBSCRIBERS`"
        )


# -- the topic


def topic(base: str, form: Form) -> Json:
    """The topic: SubscriptionTopic in R4B and R5, in R4 a Basic with the extensions of the backport."""
    described = "A finding of Endplate is new, has changed, or was withdrawn."
    head = {"url": topic_url(base), "version": "1.0.0", "title": "Findings of Endplate", "status": "active"}
    kind = "DetectedIssue" if form != "R5" else "http://hl7.org/fhir/StructureDefinition/DetectedIssue"
    trigger = {"description": described, "resource": kind, "supportedInteraction": ["create", "update"]}
    filters = [(name, _filter_says(name), _system(base, name)) for name in FILTERS]
    if form != "R4":
        return {
            "resourceType": "SubscriptionTopic", "id": NAME, **head, "description": described,
            "resourceTrigger": [trigger],
            "canFilterBy": [
                {"description": says, "resource": kind, "filterParameter": name,
                 **({"filterDefinition": system} if system and form == "R5" else {})}
                for name, says, system in filters
            ],
            "notificationShape": [{"resource": kind}],
        }  # fmt: skip
    five = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic"
    four = "http://hl7.org/fhir/4.3/StructureDefinition/extension-SubscriptionTopic"
    return {
        "resourceType": "Basic",
        "id": NAME,
        "extension": [
            {"url": f"{five}.url", "valueUri": head["url"]},
            {"url": f"{five}.version", "valueString": head["version"]},
            {"url": f"{five}.title", "valueString": head["title"]},
            {"url": f"{five}.description", "valueMarkdown": described},
            {"url": f"{four}.resourceTrigger", "extension": [
                {"url": "description", "valueMarkdown": described},
                {"url": "resource", "valueUri": kind},
                *({"url": "supportedInteraction", "valueCode": one} for one in ("create", "update")),
            ]},
            *({"url": f"{four}.canFilterBy", "extension": [
                {"url": "description", "valueMarkdown": says},
                {"url": "resource", "valueUri": kind},
                {"url": "filterParameter", "valueString": name},
            ]} for name, says, _ in filters),
            {"url": f"{four}.notificationShape", "extension": [{"url": "resource", "valueUri": kind}]},
        ],
        "modifierExtension": [{"url": f"{five}.status", "valueCode": head["status"]}],
        "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
    }  # fmt: skip


def _filter_says(name: str) -> str:
    return {
        "severity": "Severities (high, moderate, low), with commas between them.",
        "ruleset": "Folders of rules, such as those in the address of a rule's page, with commas between them.",
        "code": "Issues, with commas between them.",
        "patient": "One patient, `Patient/x`.",
    }[name]


def _system(base: str, name: str) -> str:
    return {
        "code": "http://hl7.org/fhir/SearchParameter/clinical-code",
        "patient": "http://hl7.org/fhir/SearchParameter/clinical-patient",
    }.get(name, uri(base, "filter", name))


# -- as it is read


def shown(subscription: Subscription, base: str) -> Json:
    """The Subscription in its own form, without the values of headers."""
    head: Json = {
        "resourceType": "Subscription",
        "id": subscription.id,
        "meta": {"versionId": str(subscription.revision), "lastUpdated": instant(subscription.changed_at)},
        "status": subscription.status,
    }
    if subscription.ends_at:
        head["end"] = instant(subscription.ends_at)
    headers = [(name, HIDDEN) for name, _ in subscription.headers]
    filters = [
        (name, ",".join(values))
        for name, values in (
            ("severity", subscription.severities), ("ruleset", subscription.rulesets), ("code", subscription.issues),
            ("patient", (subscription.patient,) if subscription.patient else ()),
        )
        if values
    ]  # fmt: skip
    if subscription.form == "R5":
        numbers = {
            "heartbeatPeriod": subscription.heartbeat, "timeout": subscription.timeout, "maxCount": subscription.most,
        }  # fmt: skip
        optional = {
            "reason": subscription.reason,
            "filterBy": [{"resourceType": "http://hl7.org/fhir/StructureDefinition/DetectedIssue",
                          "filterParameter": name, "value": value} for name, value in filters],
            "parameter": [{"name": name, "value": value} for name, value in headers],
            **numbers,
        }  # fmt: skip
        return head | {
            "topic": topic_url(base),
            "channelType": {"system": CHANNEL_TYPE, "code": "rest-hook"},
            "endpoint": subscription.endpoint,
            "contentType": subscription.mime,
            "content": subscription.content,
            **{name: value for name, value in optional.items() if value},
        }
    return head | _shown_four(subscription, base, headers, filters)


def _shown_four(
    subscription: Subscription, base: str, headers: list[tuple[str, str]], filters: list[tuple[str, str]]
) -> Json:
    extension = [
        {"url": f"{BACKPORT}/{name}", kind: value}
        for name, kind, value in (
            ("backport-heartbeat-period", "valueUnsignedInt", subscription.heartbeat),
            ("backport-timeout", "valueUnsignedInt", subscription.timeout),
            ("backport-max-count", "valuePositiveInt", subscription.most),
        )
        if value
    ]
    content = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": subscription.content}
    found: Json = {
        "meta": {
            "versionId": str(subscription.revision),
            "lastUpdated": instant(subscription.changed_at),
            "profile": [f"{BACKPORT}/backport-subscription"],
        },
        "reason": subscription.reason,
        "criteria": topic_url(base),
        "channel": {
            "extension": extension,
            "type": "rest-hook",
            "endpoint": subscription.endpoint,
            "payload": subscription.mime,
            "_payload": {"extension": [content]},
            **({"header": [f"{name}: {value}" for name, value in headers]} if headers else {}),
        },
    }
    if filters:
        query = "&".join(f"{name}={value}" for name, value in filters)
        said = {"url": f"{BACKPORT}/backport-filter-criteria", "valueString": f"DetectedIssue?{query}"}
        found["_criteria"] = {"extension": [said]}
    if subscription.error:
        found["error"] = subscription.error
    return found
