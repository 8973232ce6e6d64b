"""Discovery: what is offered, and prefetch templates that bring what the rules read and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
from requests_kit import HOOKS, empty_places
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.outputs.needs import concept_resources
from engine.service.needs import needs_of

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
CATEGORIES = ("laboratory", "exam")


def schema(name: str) -> jsonschema_rs.Draft202012Validator:
    text = (SCHEMAS / f"cds-hooks-2.0.1-{name}.schema.json").read_text("utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(text), validate_formats=True)


def test_discovery_lists_the_services_validly(client: TestClient) -> None:
    response = client.get("/cds-services")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    schema("discovery").validate(response.json())
    assert empty_places(response.json()) == []
    assert {one["id"]: one["hook"] for one in response.json()["services"]} == HOOKS
    assert all(one["title"] and one["usageRequirements"] for one in response.json()["services"])


def test_templates_use_only_what_2_0_1_allows(client: TestClient) -> None:
    template = re.compile(
        r"Patient/\{\{context\.patientId\}\}"
        r"|[A-Z][A-Za-z]+\?patient=\{\{context\.patientId\}\}(&category=[a-z-]+(,[a-z-]+)*)?"
    )
    for service in client.get("/cds-services").json()["services"]:
        assert all(template.fullmatch(query) for query in service["prefetch"].values())
        assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"


def test_every_concept_that_is_read_comes_with_exactly_one_key(evaluator: Evaluator) -> None:
    needs = needs_of(evaluator.ruleset, CATEGORIES)
    served = [name for names in needs.asked.values() for name in names]

    assert len(served) == len(set(served))
    assert needs.asked.keys() | {"patient"} == needs.templates.keys()
    carriers = concept_resources(evaluator.ruleset)
    for key, names in needs.asked.items():
        kind = needs.templates[key].partition("?")[0]
        assert all(kind == carriers[name][0] for name in names if name in carriers)


def test_what_only_closed_world_issues_read_is_not_asked_for(evaluator: Evaluator) -> None:
    asked = {name for names in needs_of(evaluator.ruleset, CATEGORIES).asked.values() for name in names}

    assert {"achr-binding", "als", "umn-sign", "quinine"} <= asked
    assert not {"chest-imaging", "als-gene-panel", "fvc-l"} & asked


def test_observations_are_asked_for_by_category_unless_told_otherwise(evaluator: Evaluator) -> None:
    by_category = needs_of(evaluator.ruleset, CATEGORIES).templates["observations"]
    all_of_them = needs_of(evaluator.ruleset, ()).templates["observations"]

    assert by_category == "Observation?patient={{context.patientId}}&category=laboratory,exam"
    assert all_of_them == "Observation?patient={{context.patientId}}"


def test_the_openapi_page_names_every_address(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    hooks = {"/cds-services", "/cds-services/{name}", "/cds-services/{name}/feedback"}
    pages = {"/rules/{rule}", "/evaluations/{name}", "/evaluations/{name}/issues"}
    content = {f"/fhir/{kind}{rest}" for kind in ("Library", "PlanDefinition") for rest in ("", "/{identity}")}
    fhir = content | {"/fhir/metadata", "/fhir/QuestionnaireResponse/$extract"}
    assert set(paths) == hooks | pages | fhir | {"/healthz", "/readyz", "/metrics"}


def test_health_says_which_content_answers(client: TestClient, evaluator: Evaluator) -> None:
    state = client.get("/healthz").json()

    assert state["status"] == "ok"
    assert state["ruleset"] == f"{evaluator.ruleset.id}|{evaluator.ruleset.version}"
    assert state["hash"] == evaluator.ruleset.hash
