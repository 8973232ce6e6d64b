"""What our FHIR endpoint can do, as a CapabilityStatement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from engine import __version__
from engine.outputs.detected_issue import Resource

Form = Literal["R4", "R4B", "R5"]
_NUMBERS: Mapping[Form, str] = {"R4": "4.0.1", "R4B": "4.3.0", "R5": "5.0.0"}
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
_TOPICS = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done with one type. `search`: (name, type) of each parameter."""

    type: str
    interactions: Sequence[str] = ("read", "search-type")
    search: Sequence[tuple[str, str]] = ()
    operations: Sequence[tuple[str, str]] = ()
    profiles: Sequence[str] = ()
    topics: Sequence[str] = ()


def capability_statement(offers: Sequence[Offer], form: Form, *, address: str, date: str, secured: bool) -> Resource:
    """The statement. `address`: of the endpoint; `date`: since when it says this; `secured`: a token is needed."""
    rest: Resource = {
        "mode": "server",
        "resource": [_resource(one, form) for one in offers],
    }
    if secured:
        rest["security"] = {
            "service": [{"coding": [{"system": _SECURITY, "code": "SMART-on-FHIR"}], "text": "Bearer tokens (JWT)"}],
            "description": "A token of a trusted client for each request, made out to the address or to its base.",
        }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Endplate", "version": __version__},
        "implementation": {"description": "Findings of Endplate and the rules behind them", "url": address},
        "fhirVersion": _NUMBERS[form],
        "format": ["application/fhir+json", "json"],
        "rest": [rest],
    }


def _resource(offer: Offer, form: Form) -> Resource:
    resource: Resource = {
        "type": offer.type,
        "interaction": [{"code": code} for code in offer.interactions],
        "versioning": "versioned" if "vread" in offer.interactions else "no-version",
        "searchParam": [{"name": name, "type": kind} for name, kind in offer.search],
        "operation": [{"name": name, "definition": definition} for name, definition in offer.operations],
    }
    if form != "R5" and offer.profiles:
        resource["supportedProfile"] = list(offer.profiles)
    if form != "R5" and offer.topics:
        resource["extension"] = [{"url": _TOPICS, "valueCanonical": topic} for topic in offer.topics]
    return {key: value for key, value in resource.items() if value}


def subscription_operations(form: Form) -> tuple[tuple[str, str], ...]:
    """`$status` and `$events`."""
    if form == "R5":
        home = "http://hl7.org/fhir/OperationDefinition"
        return ("status", f"{home}/Subscription-status"), ("events", f"{home}/Subscription-events")
    home = f"{_BACKPORT}/OperationDefinition"
    return ("status", f"{home}/backport-subscription-status"), ("events", f"{home}/backport-subscription-events")
