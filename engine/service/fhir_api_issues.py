"""DetectedIssue at our FHIR endpoint: read, one version, history and search. Findings are rendered as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.fhir.references import patient_key, target_of
from engine.integration.dispatch import issue
from engine.integration.notify import history_entry
from engine.integration.rendering import Rules
from engine.outputs.detected_issue import Resource
from engine.outputs.settings import uri
from engine.service.admission import address_of
from engine.service.body import FORM, read_body
from engine.service.fhir_api_search import (
    FHIR_JSON,
    MOST,
    Asked,
    Param,
    answered,
    asked,
    fits_date,
    fits_token,
    is_strict,
    pairs_of,
    searchset,
    span,
    wanted,
)
from engine.service.lanes import Lanes
from engine.service.openapi import answer, errors
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.store import findings
from engine.store.findings import Change
from engine.store.subscriptions import Form

SEARCH = {
    "_id": "token", "_lastUpdated": "date", "code": "token", "identified": "date", "identifier": "token",
    "implicated": "reference", "patient": "reference", "severity": "token", "status": "token", "subject": "reference",
}  # fmt: skip
PIECE = 200  # findings that are read at a time
LOOKED_AT = 5_000  # findings after which a page ends, full or not
_ANSWERS = answer(FHIR_JSON, "a FHIR resource", {"type": "object"}) | errors(400, 401, 404, 406, 429, 503)
_FORM = {
    "requestBody": {
        "content": {FORM: {"schema": {"type": "object"}}},
    }
}


def issue_routes(router: APIRouter, service: Service, lanes: Lanes, who: Any, here: str) -> None:
    """Adds the routes."""
    findings_of = Issues(service, here)

    async def beside(work: Callable[[], Response]) -> Response:
        with service.storing("findings cannot be read now: ask again"):
            return await lanes.beside(work)

    @router.get("/DetectedIssue", summary="Searches findings", responses=_ANSWERS)
    async def search(request: Request, client: str = who) -> Response:
        return await beside(partial(findings_of.search, request, pairs_of(request), client))

    @router.post(
        "/DetectedIssue/_search", summary="Searches findings", responses=_ANSWERS | errors(408, 413, 415),
        openapi_extra=_FORM,
    )  # fmt: skip
    async def search_form(request: Request, client: str = who) -> Response:
        body = await read_body(request, service.settings.max_body_bytes, form=True)
        return await beside(partial(findings_of.search, request, pairs_of(request, body), client))

    @router.get("/DetectedIssue/{identity}", summary="One finding as it is now", responses=_ANSWERS)
    async def read(identity: str, request: Request, client: str = who) -> Response:
        return await beside(partial(findings_of.read, request, identity, 0, client))

    @router.get("/DetectedIssue/{identity}/_history", summary="All versions of a finding", responses=_ANSWERS)
    async def history(identity: str, request: Request, client: str = who) -> Response:
        return await beside(partial(findings_of.history, request, identity, client))

    @router.get(
        "/DetectedIssue/{identity}/_history/{version}", summary="One version of a finding", responses=_ANSWERS
    )
    async def version_read(identity: str, version: str, request: Request, client: str = who) -> Response:
        number = int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else -1
        return await beside(partial(findings_of.read, request, identity, number, client))


class Issues:
    """Findings of the store as DetectedIssues; each reading is audited."""

    def __init__(self, service: Service, here: str) -> None:
        self._service = service
        self._rules = service.rules
        self._here = here

    def read(self, request: Request, identity: str, version: int, client: str) -> Response:
        """One version; 0 = the latest. Raises RefusalError 404."""
        form = wanted(request)
        with self._service.store.database.read() as connection:
            change = (
                findings.latest(connection, identity) if not version else findings.at(connection, identity, version)
            )
        if change is None:
            raise RefusalError(404, "there is no such finding, or no longer")
        self._audit(request, "R", client, change.patient)
        return answered(issue(change, self._rules(), form), form)

    def history(self, request: Request, identity: str, client: str) -> Response:
        """All versions, the newest first. Raises RefusalError 404."""
        form, rules = wanted(request), self._rules()
        with self._service.store.database.read() as connection:
            found = findings.versions(connection, identity, MOST)
        if not found:
            raise RefusalError(404, "there is no such finding, or no longer")
        self._audit(request, "R", client, found[0].patient)
        entries = [
            history_entry(self._here, one.identifier, one.version, one.at, issue(one, rules, form)) for one in found
        ]
        bundle = {"resourceType": "Bundle", "type": "history", "total": found[0].version, "entry": entries}
        return answered(bundle, form)

    def search(self, request: Request, pairs: list[tuple[str, str]], client: str) -> Response:
        """A page of what fits, by identifier."""
        form = wanted(request)
        search = asked(pairs, SEARCH, strict=is_strict(request), references=("patient", "subject", "implicated"))
        check_dates(search)
        if not search.count:
            total = sum(1 for _ in self._found(search, form))
            found, after = list[Resource](), ""
        else:
            total, (found, after) = None, self._page(search, form)
        self._audit(request, "E", client, patient_key(search.one("patient", "subject")))
        bundle = searchset(found, search, address=self._here, kind="DetectedIssue", total=total, after=after)
        return answered(bundle, form)

    def _page(self, search: Asked, form: Form) -> tuple[list[Resource], str]:
        """A page, and where the next one begins, "" = there is none."""
        found, rules = list[Resource](), self._rules()
        seen, last = 0, ""
        for change in self._changes(search):
            if len(found) == search.count or seen >= LOOKED_AT:
                return found, last
            seen, last = seen + 1, change.identifier
            if (resource := fitting(change, search, rules, form)) is not None:
                found.append(resource)
        return found, ""

    def _found(self, search: Asked, form: Form) -> Iterator[Resource]:
        rules = self._rules()
        for change in self._changes(search):
            if (resource := fitting(change, search, rules, form)) is not None:
                yield resource

    def _changes(self, search: Asked) -> Iterator[Change]:
        """The latest versions that the store finds, in pieces: those that fit are among them."""
        after = search.after
        patient, name = patient_key(search.one("patient", "subject")), self._issue(search)
        while True:
            with self._service.store.database.read() as connection:
                piece = findings.search(connection, patient=patient, issue=name, after=after, limit=PIECE)
            yield from piece
            if len(piece) < PIECE:
                return
            after = piece[-1].identifier

    def _issue(self, search: Asked) -> str:
        system, _, code = search.one("code").rpartition("|")
        return code if system == uri(self._service.settings.base, "nm-issue") else ""

    def _audit(self, request: Request, action: str, client: str, patient: str) -> None:
        self._service.audit.write(
            self._service.event(
                action, "fhir/DetectedIssue", client=client, address=address_of(request), patient=patient
            )
        )


def fitting(change: Change, search: Asked, rules: Rules, form: Form) -> Resource | None:
    """The DetectedIssue, if everything that is asked for fits it."""
    quick = [param for param in search.params if param.name in ("patient", "subject", "_id", "severity")]
    if not all(_fits_change(change, param) for param in quick):
        return None
    resource = issue(change, rules, form)
    return resource if all(_fits(resource, change, param) for param in search.params if param not in quick) else None


def _fits_change(change: Change, param: Param) -> bool:
    match param.name:
        case "_id":
            return change.identifier in param.values
        case "severity":
            return change.severity in [value.rpartition("|")[2] for value in param.values]
        case _:
            return change.patient in [patient_key(value) for value in param.values]


def _fits(resource: Resource, change: Change, param: Param) -> bool:
    match param.name:
        case "_lastUpdated":
            return fits_date(param.values, change.at, change.at + 1)
        case "identified":
            _, first, end = span(resource["identifiedDateTime"])
            return fits_date(param.values, first, end)
        case "identifier":
            return fits_token(param.values, [(one["system"], one["value"]) for one in resource["identifier"]])
        case "status":
            return resource["status"] in [value.rpartition("|")[2] for value in param.values]
        case "code":
            return fits_token(param.values, [(one["system"], one["code"]) for one in resource["code"]["coding"]])
        case _:
            held = {one.get("reference") for one in resource.get("implicated", ())}
            return any(value in held or target_of(value).key in held for value in param.values)


def check_dates(search: Asked) -> None:
    """Raises RefusalError 400 for a date that is none, even if nothing is found."""
    for param in search.params:
        if SEARCH[param.name] == "date":
            for value in param.values:
                span(value)

