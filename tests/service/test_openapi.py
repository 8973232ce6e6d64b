"""Whatever a client makes of the OpenAPI page is answered as the page says (schemathesis)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.evaluation import Evaluator
from engine.rules.load import load_ruleset
from engine.service.app import create_app
from engine.settings import Settings

schemathesis = pytest.importorskip("schemathesis")

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXAMPLES = 40


@cache
def application() -> FastAPI:
    loose = Settings(requests_per_second=0, max_body_bytes=200_000)
    return create_app(Evaluator(load_ruleset()), loose, dev=True, today=lambda: date(2026, 3, 1), now=lambda: NOW)


@cache
def operations() -> Mapping[str, Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", application())
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}


CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


@pytest.mark.parametrize(
    "label",
    [
        "GET /cds-services", "POST /cds-services/{name}", "POST /cds-services/{name}/feedback", "GET /rules/{rule}",
        "GET /evaluations/{name}", "GET /evaluations/{name}/issues", "GET /healthz", "GET /readyz", "GET /metrics",
        "GET /fhir/metadata", "GET /fhir/PlanDefinition", "GET /fhir/PlanDefinition/{identity}", "GET /fhir/Library",
        "GET /fhir/Library/{identity}",
    ],
)  # fmt: skip
def test_every_address_answers_as_the_page_says(label: str) -> None:
    operation = operations()[label]
    chosen = [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in CHECKS]
    assert len(chosen) == len(CHECKS)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        data.draw(operation.as_strategy()).call_and_validate(checks=chosen)

    check()


@pytest.mark.parametrize("name", ["endplate-patient-view", "endplate-order-sign", "endplate-problem-list-item-create"])
def test_bodies_that_fit_the_page_are_answered_or_refused_with_a_reason(name: str) -> None:
    operation = operations()["POST /cds-services/{name}"]
    statuses = set()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy())
        case.path_parameters = {"name": name}
        response = case.call()
        statuses.add(response.status_code)
        assert response.status_code in (200, 400, 412, 413, 415)
        assert response.status_code == 200 or response.json()["issue"][0]["diagnostics"]

    check()
    assert statuses


def test_the_page_leaves_no_address_out() -> None:
    assert {f"{method} {path}" for path, methods in application().openapi()["paths"].items()
            for method in map(str.upper, methods)} == set(operations())  # fmt: skip
