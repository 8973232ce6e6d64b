"""`POST /fhir/QuestionnaireResponse/$extract`: answers to one of our forms become Observations. Source: SDC 4.0.

Takes the QuestionnaireResponse, alone or as the parameter `questionnaire-response`. Answers with the transaction; if
some of it could not be used, with a Parameters of `return` and `issues`. Nothing is stored.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine import __version__
from engine.fhir.answers import RESPONSE
from engine.fhir.elements import Json, obj, objects
from engine.fhir.extraction import Extraction, extract
from engine.service.body import read_body
from engine.service.call import decode_object
from engine.service.fhir_api_search import FHIR_JSON
from engine.service.lanes import Lanes
from engine.service.openapi import answer, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service

_ANSWERS = answer(FHIR_JSON, "the extracted resources", {"type": "object"})
_encode = msgspec.json.Encoder(decimal_format="number").encode


def extraction_routes(router: APIRouter, service: Service, lanes: Lanes, who: Any) -> None:
    """Adds the route."""

    @router.post(
        f"/{RESPONSE}/$extract",
        summary="Observations out of the answers to a form",
        responses=_ANSWERS | errors(400, 401, 408, 413, 415, 422, 429, 503),
    )
    async def extracted(request: Request, _: str = who) -> Response:
        body = await read_body(request, service.settings.max_body_bytes)
        found = await lanes.direct(partial(_extracted, service, body), len(body))
        return Response(_encode(found), media_type=FHIR_JSON)


def _extracted(service: Service, body: bytes) -> Json:
    response = _response(decode_object(body))
    recorded = service.now().isoformat(timespec="seconds")
    with service.live.used() as content:
        terminology = content.evaluator.ruleset.terminology
        found = extract(response, terminology, recorded=recorded, agent=f"Endplate {__version__}")
    if found.bundle is None:
        said = "; ".join(problem.message for problem in found.problems) or "it holds no answers"
        raise RefusalError(422, f"nothing could be extracted: {said}")
    return found.bundle if not found.problems else _with_issues(found)


def _response(body: Json) -> Json:
    """The response itself, or the one that a Parameters holds. Raises RefusalError 400."""
    if body.get("resourceType") == "Parameters":
        held = [one for one in objects(body.get("parameter")) if one.get("name") == "questionnaire-response"]
        body = obj(held[0].get("resource")) if len(held) == 1 else {}
    if body.get("resourceType") != RESPONSE:
        raise RefusalError(400, f"send a {RESPONSE}, alone or as the parameter `questionnaire-response`")
    return body


def _with_issues(found: Extraction) -> Json:
    issues = [
        {"severity": "warning", "code": "not-supported" if problem.code == "unknown-question" else "value",
         "diagnostics": problem.message}
        for problem in found.problems
    ]  # fmt: skip
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "return", "resource": found.bundle}, {"name": "issues", "resource": outcome}],
    }
