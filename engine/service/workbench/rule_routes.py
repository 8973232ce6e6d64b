"""The rule book: the list, one rule (with an evaluation, if a card led to it), facts, parameters, and the graph.

Rules hold no patient data, so nobody needs to sign in for them. A rule with an evaluation is opened as the evaluation
itself is: by its name, for a limited time, and audited.
"""

from __future__ import annotations

from functools import partial

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.model.finding import SEVERITIES, Finding
from engine.outputs.markdown import plain
from engine.service.admission import address_of
from engine.service.answer import Page
from engine.service.openapi import PAGE, errors, refused_pages
from engine.service.outcome import RefusalError
from engine.service.pages import kept_page
from engine.service.state import Service
from engine.service.workbench.evaluation_routes import SECRET
from engine.service.workbench.rule_shelf import STEPS, Shelf, shelf_of
from engine.service.workbench.web import FOREVER, HEADERS, html, paged, see_other
from engine.workbench.kept import told
from engine.workbench.rule_lines import nested

LONGEST_QUERY = 200
MOST_VIGNETTES = 200  # of a rule that are named


def rule_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["Pages"], default_response_class=Response)
    page = paged(service, linked=True)

    def shelf() -> Shelf:
        return shelf_of(service.live.content, service.settings)

    @router.get("/rules", include_in_schema=False)
    @page
    async def listed(request: Request, q: str = "") -> Response:
        known, query = shelf(), plain(q[:LONGEST_QUERY])
        known.warm()
        return _page(await to_thread.run_sync(partial(known.list, query) if query else lambda: known.whole_list))

    @router.get("/rules/words/{version}.json", include_in_schema=False)
    @page
    async def words(request: Request, version: str) -> Response:
        known = shelf()
        if version != known.ruleset.hash:
            raise RefusalError(404, "the rules have changed: open the rule book again")
        content = await to_thread.run_sync(lambda: known.words)
        return Response(content, 200, HEADERS | {"Cache-Control": FOREVER}, "application/json")

    @router.get("/rules/graph", include_in_schema=False)
    @page
    async def graph(request: Request, rule: str = "", ruleset: str = "", steps: str = "1", facts: str = "") -> Response:
        known = shelf()
        name = known.names.get(rule) or (rule if rule in known.paths else "")
        if rule and not name:
            raise RefusalError(404, "there is no such rule or fact")
        if ruleset and all(info.ruleset != ruleset for info in known.ruleset.info.values()):
            raise RefusalError(404, "there is no such folder of rules")
        far = int(steps) if steps in map(str, STEPS) else 1
        return _page(await to_thread.run_sync(known.drawn, name, "" if name else ruleset, far, facts != "none"))

    @router.get("/rules/parameters", include_in_schema=False)
    @page
    async def parameters(request: Request) -> Response:
        return await to_thread.run_sync(_parameters, shelf())

    @router.get("/rules/facts", include_in_schema=False)
    @page
    async def facts(request: Request) -> Response:
        return see_other("../rules#Facts")

    @router.get("/rules/facts/{fact}", include_in_schema=False)
    @page
    async def fact_page(request: Request, fact: str) -> Response:
        return await to_thread.run_sync(_fact, shelf(), fact)

    @router.get(
        "/rules/{rule}",
        summary="One rule: purpose, logic, sources; with what it made of an evaluation",
        responses=PAGE | refused_pages(404, 429, 503) | errors(500),
    )
    @page
    async def rule_page(request: Request, rule: str, evaluation: str = "") -> Response:
        return await to_thread.run_sync(_rule, service, rule, evaluation, address_of(request))

    return router


def _page(content: bytes) -> Response:
    return Response(content, 200, HEADERS, "text/html")


def _rule(service: Service, rule: str, evaluation: str, address: str) -> Response:
    with service.live.used() as content:
        shelf = shelf_of(content, service.settings)
        name = shelf.names.get(rule, "")
        kept: Page | None = None
        gone = ""
        if evaluation:
            try:
                kept = kept_page(service, evaluation, address, [rule] if name else [])
            except RefusalError as refusal:
                gone = refusal.message
        if not name and kept is not None:
            return see_other(f"../evaluations/{evaluation}")  # the rule is gone, what it found is not
        if not name:
            raise RefusalError(404, "there is no such rule")
        book = shelf.book
        text = book.rule(name)
        same = kept is not None and kept.evaluation.ruleset.hash == shelf.ruleset.hash
        response = html(
            "rule.html",
            root="..",
            rule=text,
            info=text.info,
            reading=book.reading([text]),
            book=book,
            shelf=shelf,
            nested=nested,
            most=MOST_VIGNETTES,
            evaluation=evaluation,
            kept=kept,
            gone=gone,
            same=same,
            explained=told(content.evaluator, kept.evaluation, name) if kept and same and name in book.rules else (),
            findings=_found(kept, name),
            title_of=shelf.ruleset.title_of,
            graveness=SEVERITIES,
        )
    if evaluation:
        response.headers.update(SECRET)
    return response


def _found(kept: Page | None, name: str) -> list[Finding]:
    """The findings of a rule, also those that were held back."""
    held = (*kept.evaluation.findings, *kept.evaluation.held_back) if kept else ()
    return [finding for finding in held if finding.issue == name]


def _fact(shelf: Shelf, fact: str) -> Response:
    ruleset = shelf.ruleset
    definition = ruleset.fact_info[fact].definition if fact in ruleset.fact_info else fact
    book = shelf.book
    if definition not in book.facts:
        raise RefusalError(404, "there is no such fact")
    members = [ruleset.fact_info[name] for name in shelf.members[definition]]
    text = book.facts[definition]
    own = {one.name for one in members}
    return html(
        "rule_fact.html",
        root="../..",
        fact=text,
        name=fact,
        members=members,
        shelf=shelf,
        book=book,
        concepts=[(name, ruleset.facts.tables.concepts.get(name), book.value_sets.get(name)) for name in text.concepts],
        drugs=[(name, None, book.value_sets.get(name)) for name in text.drugs],
        limits=[book.parameters[one] for one in text.parameters if one in book.parameters],
        graphed=next((one.name for one in members if one.name in ruleset.chain), ""),
        readers=[(one.name, ruleset.chain.get(one.name, ())) for one in members],
        followers=sorted(info.name for info in ruleset.fact_info.values() if own & {*info.needs}),
        title_of=ruleset.title_of,
    )


def _parameters(shelf: Shelf) -> Response:
    return html(
        "rule_parameters.html",
        root="..",
        shelf=shelf,
        parameters=sorted(shelf.book.parameters.values(), key=lambda one: one.name),
    )
