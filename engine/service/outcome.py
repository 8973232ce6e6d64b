"""Errors over HTTP: an OperationOutcome with an id that is also in the log. No input is repeated in it."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from starlette.responses import Response

# status -> issue type (FHIR IssueType)
_TYPE = {
    400: "invalid", 401: "login", 404: "not-found", 405: "not-supported", 406: "not-supported", 408: "timeout",
    412: "required", 413: "too-long", 415: "not-supported", 422: "processing", 429: "throttled", 500: "exception",
    503: "transient",
}  # fmt: skip


class RefusalError(Exception):
    """A request that is not answered. `message`: what is wrong and what to do; never a value of the request."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.id = str(uuid.uuid4())


def operation_outcome(status: int, message: str, identity: str) -> dict[str, Any]:
    """The resource; `identity` is its id."""
    issue = {"severity": "error", "code": _TYPE.get(status, "processing"), "diagnostics": message}
    return {"resourceType": "OperationOutcome", "id": identity, "issue": [issue]}


def outcome_response(refusal: RefusalError) -> Response:
    """The HTTP response of a refusal."""
    content = msgspec.json.encode(operation_outcome(refusal.status, refusal.message, refusal.id))
    return Response(content, refusal.status, refusal.headers, "application/fhir+json")
