"""What the OpenAPI page says of bodies and errors; bodies are read by our own tolerant readers, not by a model."""

from __future__ import annotations

from typing import Any

Responses = dict[int | str, dict[str, Any]]
"""Status -> what OpenAPI says of it."""

_TEXT = {"type": "string", "minLength": 1}
_CALL = {
    "type": "object",
    "required": ["hook", "hookInstance", "context"],
    "properties": {
        "hook": _TEXT,
        "hookInstance": {"type": "string", "format": "uuid"},
        "fhirServer": {"type": "string", "format": "uri"},
        "fhirAuthorization": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "scope", "subject"],
            "properties": {
                "access_token": _TEXT,
                "token_type": {"const": "Bearer"},
                "expires_in": {"type": "integer"},
                "scope": _TEXT,
                "subject": _TEXT,
                "patient": _TEXT,
            },
        },
        "context": {
            "type": "object",
            "required": ["patientId"],
            "properties": {
                "userId": _TEXT,
                "patientId": _TEXT,
                "encounterId": _TEXT,
                "selections": {"type": "array", "items": _TEXT},
                "draftOrders": {"type": "object", "description": "a Bundle (order-select, order-sign)"},
                "conditions": {"type": "object", "description": "a Bundle (problem-list-item-create)"},
            },
        },
        "prefetch": {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "object"}, {"type": "null"}]},
            "description": "FHIR resources by the keys of discovery",
        },
        "extension": {"type": "object"},
    },
}
_FEEDBACK = {
    "type": "object",
    "required": ["feedback"],
    "properties": {
        "feedback": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["card", "outcome"],
                "properties": {
                    "card": _TEXT,
                    "outcome": {"enum": ["accepted", "overridden"]},
                    "acceptedSuggestions": {"type": "array", "items": {"type": "object", "properties": {"id": _TEXT}}},
                    "overrideReason": {"type": "object"},
                    "outcomeTimestamp": {"type": "string", "format": "date-time"},
                },
            },
        }
    },
}
_ERRORS = {
    400: "the body is no JSON object, or lacks what the hook must have",
    401: "no valid token of a trusted client",
    404: "no such service",
    406: "a form is asked for that is not spoken",
    408: "the body took too long",
    412: "the patient, or what the hook is about, cannot be had",
    413: "the body is too large",
    415: "the body is not JSON, or compressed",
    422: "it cannot be worked with, and why",
    429: "more requests than are allowed",
    500: "a fault of the service; the outcome has the id that is in the log",
    503: "the service is not ready",
}


def errors(*statuses: int) -> Responses:
    """Responses with an OperationOutcome."""
    content = {"application/fhir+json": {"schema": {"type": "object", "description": "OperationOutcome"}}}
    return {status: {"description": _ERRORS[status], "content": content} for status in statuses}


def refused_pages(*statuses: int) -> Responses:
    """Responses that tell people on a page why there is nothing."""
    content = {"text/html": {"schema": {"type": "string"}}}
    return {status: {"description": _ERRORS[status], "content": content} for status in statuses}


def answer(kind: str, description: str = "the answer", schema: dict[str, Any] | None = None) -> Responses:
    """The response 200 of one media type."""
    return {200: {"description": description, "content": {kind: {"schema": schema or {"type": "string"}}}}}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_CARD = {
    "type": "object",
    "required": ["summary", "indicator", "source", "uuid"],
    "properties": {
        "uuid": {"type": "string", "format": "uuid"},
        "summary": {"type": "string", "minLength": 1, "maxLength": 139},
        "detail": _TEXT,
        "indicator": {"enum": ["info", "warning", "critical"]},
        "source": {"type": "object", "required": ["label"]},
        "suggestions": {"type": "array", "items": {"type": "object", "required": ["label"]}},
        "selectionBehavior": {"enum": ["at-most-one", "any"]},
        "overrideReasons": {"type": "array", "items": {"type": "object", "required": ["code", "system", "display"]}},
        "links": {"type": "array", "items": {"type": "object", "required": ["label", "url", "type"]}},
    },
}
CARDS = answer(
    "application/json",
    "cards, high severity first; `extension` says which evaluation it is and what was missing",
    {"type": "object", "required": ["cards"], "properties": {"cards": {"type": "array", "items": _CARD}}},
)
DISCOVERY = answer(
    "application/json",
    "the services",
    {"type": "object", "required": ["services"], "properties": {"services": {"type": "array"}}},
)
FHIR = answer("application/fhir+json", "a FHIR R4 Bundle", {"type": "object"})
PAGE = answer("text/html", "a page")
CALL_BODY = _body(_CALL)
FEEDBACK_BODY = _body(_FEEDBACK)
