"""The page of one evaluation, which cards link to: everything that was found, and why.

It needs no sign-in: its address is a random name that only the card holds. It can be opened for a limited time, and
each opening is audited.
"""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.outputs.wording import titles
from engine.service.admission import address_of
from engine.service.openapi import PAGE, errors, refused_pages
from engine.service.pages import acknowledged, kept_page
from engine.service.state import Service
from engine.service.workbench.rule_shelf import shelf_of
from engine.service.workbench.web import html, paged

SECRET = {"Referrer-Policy": "no-referrer"}
"""Its address is known to nobody else, and is told to nobody."""


def evaluation_routes(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["Pages"], default_response_class=Response)
    page = paged(service, linked=True)

    @router.get(
        "/evaluations/{name}",
        summary="Why an evaluation answered what it did",
        responses=PAGE | refused_pages(404, 429, 503) | errors(500),
    )
    @page
    async def evaluation(request: Request, name: str) -> Response:
        return await to_thread.run_sync(_shown, service, name, address_of(request))

    return router


def _shown(service: Service, name: str, address: str) -> Response:
    page = kept_page(service, name, address)
    with service.live.used() as content:
        ruleset = content.evaluator.ruleset
        shelf_of(content, service.settings).warm()  # the next click leads to a rule
        response = html(
            "evaluation.html",
            root="..",
            name=name,
            page=page,
            evaluation=page.evaluation,
            acknowledged=acknowledged(service, page),
            info=ruleset.info,
            known=ruleset.fact_info,
            title_of=ruleset.title_of,
            hash=ruleset.hash,
            titles=titles(ruleset.info),
        )
    response.headers.update(SECRET)
    return response
