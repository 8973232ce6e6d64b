"""Evaluations that are kept for a limited time: under a random name that only the card holds, each opening audited.

What is shown of them to people is engine/service/workbench/evaluation_routes.py; here are their findings as FHIR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.outputs.detected_issue import issue_bundle
from engine.outputs.needs import fact_resources
from engine.service.admission import address_of
from engine.service.answer import Page, mitigated
from engine.service.openapi import FHIR, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LONGEST_NAME = 200
_GONE = "there is no such page, or no longer: an evaluation can be looked at for a limited time"
_NOT_NOW = "the evaluation cannot be read now: try again"


def pages(service: Service) -> APIRouter:
    """The route of the Bundle; it needs no token, because who has the link has the name."""
    router = APIRouter(tags=["Pages"], default_response_class=Response)

    @router.get(
        "/evaluations/{name}/issues",
        summary="The findings of an evaluation as DetectedIssues, with what was done about them",
        responses=FHIR | errors(404, 429, 500, 503),
    )
    async def issues(name: str, request: Request) -> Response:
        address = address_of(request)
        service.admit(f"page {address}")
        return await to_thread.run_sync(_issues, service, name, address)

    return router


def _issues(service: Service, name: str, address: str) -> Response:
    page = kept_page(service, name, address)
    with service.live.used() as content:
        ruleset = content.evaluator.ruleset
        known = tuple(finding for finding in page.evaluation.findings if finding.issue in ruleset.info)
        bundle = issue_bundle(
            msgspec.structs.replace(page.evaluation, findings=known),
            ruleset.info,
            base=service.settings.base,
            types=fact_resources(ruleset),
            mitigations=acknowledged(service, page),
        )
    return Response(msgspec.json.encode(bundle), 200, HEADERS, "application/fhir+json")


def kept_page(service: Service, name: str, address: str, rules: Sequence[str] = ()) -> Page:
    """The evaluation of a page. Its opening is audited, with the rules that are looked at.

    Raises RefusalError 404, 503.
    """
    with service.storing(_NOT_NOW):
        content = service.backlog.kept(name, service.seconds()) if len(name) <= LONGEST_NAME else None
    if content is None:
        raise RefusalError(404, _GONE)
    page = Page.of(content)
    service.audit.write(
        service.event(
            "R", "evaluation-page", address=address, patient=page.evaluation.patient, evaluation=page.id, rules=rules
        )
    )
    return page


def acknowledged(service: Service, page: Page) -> dict[str, list[dict[str, Any]]]:
    """What users did about the findings of a page, by their identifiers. Raises RefusalError 503."""
    names = [finding.identifier for finding in page.evaluation.findings]
    with service.storing(_NOT_NOW):
        known = service.store.acknowledged(names, page.client)
    return mitigated(page.evaluation, known, service.settings.base)
