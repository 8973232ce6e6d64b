"""Pages that cards link to: a rule, and the explanation of one evaluation. Plain HTML without a script.

The page of a rule holds no patient data. That of an evaluation does: its address is a random name that only the card
holds, it can be opened for a limited time, and each opening is audited.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import Response

from engine.outputs.detected_issue import issue_bundle
from engine.outputs.markdown import plain
from engine.outputs.needs import fact_resources
from engine.outputs.wording import DISCLAIMER, evidence_line, missing_line, titles
from engine.rules.catalogue import card
from engine.service.admission import address_of
from engine.service.answer import Page, mitigated
from engine.service.audit import audit_event
from engine.service.openapi import FHIR, PAGE, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1b2430;margin:0 auto;padding:1rem;max-width:60rem;"
    "overflow-wrap:anywhere}h1{font-size:1.4rem}h2{font-size:1.1rem}h3{font-size:1rem;margin:.5rem 0 0}"
    "pre{white-space:pre-wrap;background:#f4f6f8;padding:.5rem}.note{color:#5b6775;font-size:.9rem}"
    "article{border:1px solid #d8dee6;border-left-width:5px;padding:.2rem .8rem;margin:.8rem 0}"
    "article.high{border-left-color:#a31515}article.moderate{border-left-color:#8a5a00}"
    "article.low{border-left-color:#1f5f8b}.badge{font-weight:600;text-transform:uppercase}"
    ".warning{border:1px solid #8a5a00;padding:.3rem .6rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;border-bottom:1px solid #d8dee6;padding:.2rem .4rem;font-weight:normal}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LONGEST_NAME = 200
_GONE = "there is no such page, or no longer: an evaluation can be looked at for a limited time"


def pages(service: Service) -> APIRouter:
    """The routes of the pages; they need no token, because a browser opens them."""
    router = APIRouter(tags=["Pages"], default_response_class=Response)
    environment = _environment()

    def admitted(request: Request) -> str:
        address = address_of(request)
        service.admit(f"page {address}")
        return address

    @router.get("/rules/{rule}", summary="One rule: purpose, logic, sources", responses=PAGE | errors(404, 429))
    async def rule_page(rule: str, request: Request) -> Response:
        admitted(request)
        with service.live.used() as content:
            ruleset = content.evaluator.ruleset
            if rule not in ruleset.info:
                raise RefusalError(404, "there is no such rule")
            shown = await to_thread.run_sync(lambda: card(ruleset, rule))
        return _html(environment.get_template("rule.html").render(card=shown))

    @router.get(
        "/evaluations/{name}", summary="Why an evaluation answered what it did", responses=PAGE | errors(404, 429, 500)
    )
    async def evaluation_page(name: str, request: Request) -> Response:
        address = admitted(request)
        return await to_thread.run_sync(_evaluation_page, service, environment, name, address)

    @router.get(
        "/evaluations/{name}/issues",
        summary="The findings of an evaluation as DetectedIssues, with what was done about them",
        responses=FHIR | errors(404, 429, 500),
    )
    async def issues(name: str, request: Request) -> Response:
        address = admitted(request)
        return await to_thread.run_sync(_issues, service, name, address)

    return router


def _evaluation_page(service: Service, environment: Environment, name: str, address: str) -> Response:
    page = _kept(service, name, address)
    with service.live.used() as content:
        ruleset = content.evaluator.ruleset
        title = titles(ruleset.info)
        text = environment.get_template("evaluation.html").render(
            page=page,
            evaluation=page.evaluation,
            acknowledged=_acknowledged(service, page),
            info=ruleset.info,
            hash=ruleset.hash,
            titles=title,
        )
    return _html(text)


def _issues(service: Service, name: str, address: str) -> Response:
    page = _kept(service, name, address)
    with service.live.used() as content:
        ruleset = content.evaluator.ruleset
        known = tuple(finding for finding in page.evaluation.findings if finding.issue in ruleset.info)
        bundle = issue_bundle(
            msgspec.structs.replace(page.evaluation, findings=known),
            ruleset.info,
            base=service.settings.base,
            types=fact_resources(ruleset),
            mitigations=_acknowledged(service, page),
        )
    return Response(msgspec.json.encode(bundle), 200, HEADERS, "application/fhir+json")


def _kept(service: Service, name: str, address: str) -> Page:
    """The evaluation of a page, whose opening is audited. Raises RefusalError 404."""
    content = service.backlog.kept(name, service.seconds()) if len(name) <= LONGEST_NAME else None
    if content is None:
        raise RefusalError(404, _GONE)
    page = msgspec.msgpack.decode(content, type=Page)
    service.audit.write(
        audit_event(
            base=service.settings.base, now=service.now(), action="R", what="evaluation-page", address=address,
            patient=page.evaluation.patient, evaluation=page.id,
        )
    )  # fmt: skip
    return page


def _acknowledged(service: Service, page: Page) -> dict[str, list[dict[str, Any]]]:
    names = [finding.identifier for finding in page.evaluation.findings]
    return mitigated(page.evaluation, service.store.acknowledged(names, page.client), service.settings.base)


def _environment() -> Environment:
    """Templates in which every value is escaped and free of control characters."""
    environment = Environment(
        loader=PackageLoader("engine.service"),
        autoescape=True,
        finalize=lambda shown: plain(shown) if type(shown) is str else shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"style": STYLE, "disclaimer": DISCLAIMER, "missing_line": missing_line}
    environment.filters |= {"evidence": evidence_line, "block": _block}
    return environment


def _block(lines: Sequence[str]) -> Markup:
    return escape("\n".join(lines))


def _html(text: str) -> Response:
    return Response(text, 200, HEADERS, "text/html")
