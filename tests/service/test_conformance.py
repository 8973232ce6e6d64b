"""What CDS Hooks 2.0.1 demands of a service, looked for in many answers; `conformance.yaml` leaves nothing out."""

from __future__ import annotations

import ast
import csv
import json
import re
import uuid
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import ruamel.yaml
from requests_kit import HOOKS, Day, bundle, condition, empty_places, order, patient, prefetched, request
from starlette.testclient import TestClient

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.fhir.compose import compose_bundle
from engine.outputs.validation import check_output
from engine.rules.files import bundled
from engine.service.app import create_app
from engine.service.auth import Authenticator
from engine.settings import Settings, TrustedClient
from engine.vignettes import cases_in

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("conformance.yaml")
SCHEMAS = ROOT / "tests" / "schemas"
PAGES = "https://cds.example.org"
EHR = "https://ehr.example.org/fhir"
SMART = [{"name": "ehr", "fhir_url": EHR, "client_id": "endplate"}]
EACH = 12  # every twelfth vignette, and every third that has a draft order
ALS, MG = "86044005", "91637004"
ABSOLUTE = re.compile(r"https?://[^\s/]+(/\S*)?")


@pytest.fixture(scope="module")
def linked(evaluator: Evaluator, day: Day) -> Iterator[TestClient]:
    settings = Settings(pages_url=PAGES, smart_servers=SMART)
    with TestClient(create_app(evaluator, settings, dev=True, today=day)) as client:
        yield client


@pytest.fixture(scope="module")
def answers(linked: TestClient, evaluator: Evaluator, day: Day) -> list[Json]:
    """Responses of all services to records of all kinds."""
    found = []
    drafted = 0
    for number, (case, _) in enumerate(cases_in(bundled())):
        with_draft = any(fact.get("status") == "draft" for fact in case["facts"])
        drafted += with_draft
        if number % EACH and not (with_draft and drafted % 3 == 0):
            continue
        day.value = date.fromisoformat(str(case["now"]))
        composed = json.loads(json.dumps(compose_bundle(case, evaluator.ruleset.terminology), default=float))
        resources = [entry["resource"] for entry in composed["entry"]]
        drafts = [one for one in resources if one.get("status") == "draft"]
        [who] = [one["id"] for one in resources if one["resourceType"] == "Patient"]
        held = prefetched([one for one in resources if one not in drafts])
        services = ["endplate-patient-view", *(["endplate-order-select", "endplate-order-sign"] if drafts else [])]
        for service in services:
            context = {"patientId": who} | ({"draftOrders": bundle(*drafts)} if drafts else {})
            launches = {"fhirServer": EHR} if number % 2 else {}
            found.append((service, request(service, prefetch=held, context=context, **launches)))
    added = {"patient": patient(), "medications": bundle(order("q", "quinine", status="active"))}
    service = "endplate-problem-list-item-create"
    found.append((service, request(service, prefetch=added, context={"conditions": bundle(condition(MG, "new"))})))
    responses = [linked.post(f"/cds-services/{service}", json=body) for service, body in found]
    assert {response.status_code for response in responses} == {200}
    return [response.json() for response in responses]


@pytest.fixture(scope="module")
def cards(answers: list[Json]) -> list[Json]:
    found = [card for answer in answers for card in answer["cards"]]
    assert len(found) > 40
    return found


def suggestions_of(cards: list[Json]) -> list[Json]:
    return [one for card in cards for one in card.get("suggestions", ())]


def actions_of(cards: list[Json]) -> list[Json]:
    return [one for suggestion in suggestions_of(cards) for one in suggestion["actions"]]


def links_of(cards: list[Json]) -> list[Json]:
    return [one for card in cards for one in card["links"]]


def absolute_of(card: Json) -> list[Json]:
    return [one for one in card["links"] if one["type"] == "absolute"]


# -- JSON, discovery, addresses


def test_every_answer_is_json_that_fits_the_schema_and_holds_nothing_empty(answers: list[Json]) -> None:
    text = (SCHEMAS / "cds-hooks-2.0.1-response.schema.json").read_text("utf-8")
    schema = jsonschema_rs.Draft202012Validator(json.loads(text), validate_formats=True)
    for answer in answers:
        schema.validate(answer)
        assert empty_places(answer) == []
        assert answer.keys() <= {"cards", "extension"}


def test_each_service_of_the_discovery_is_called_at_its_id(linked: TestClient) -> None:
    services = linked.get("/cds-services").json()["services"]
    for service in services:
        about = {"draftOrders": bundle(order("a")), "conditions": bundle(condition(MG, "new"))}
        body = request(service["id"], context=about)
        assert body["hook"] == service["hook"]
        assert linked.post(f"/cds-services/{service['id']}", json=body).status_code == 200
    assert len({service["id"] for service in services}) == len(services)  # none says that it renews another's cards


def test_the_discovery_says_which_hook_the_safety_of_drugs_needs(linked: TestClient) -> None:
    services = linked.get("/cds-services").json()["services"]

    assert all("connect order-sign" in service["usageRequirements"] for service in services)


@pytest.mark.parametrize("field", ["draftOrders", "selections", "conditions"])
def test_no_template_names_a_field_of_the_context_that_is_no_token(linked: TestClient, field: str) -> None:
    assert f"context.{field}" not in linked.get("/cds-services").text


@pytest.mark.parametrize("address", ["http://cds.example.org", "http://10.0.0.5:8080"])
def test_clients_may_not_call_in_clear(address: str) -> None:
    trusted = TrustedClient(iss="https://ehr.example.org", jwks_file=Path("/nowhere/jwks.json"))

    with pytest.raises(SettingsError, match="`ENDPLATE_PUBLIC_URL` is not `https`"):
        Authenticator(Settings(trusted_clients=(trusted,), public_url=address))


# -- cards


def test_a_card_has_a_uuid_of_its_own(answers: list[Json]) -> None:
    for answer in answers:
        names = [card["uuid"] for card in answer["cards"]]
        assert len(names) == len(set(names))
        assert [str(uuid.UUID(name)) for name in names] == names


def test_a_summary_is_one_short_line(cards: list[Json]) -> None:
    assert all(0 < len(card["summary"]) < 140 and card["summary"].isprintable() for card in cards)


def test_the_indicator_is_one_of_three_and_all_three_are_used(cards: list[Json]) -> None:
    assert {card["indicator"] for card in cards} == {"info", "warning", "critical"}


def test_a_source_has_a_label_an_absolute_url_no_icon_and_a_topic(cards: list[Json]) -> None:
    for card in cards:
        source = card["source"]
        assert source.keys() == {"label", "url", "topic"}
        assert source["label"].startswith("Endplate: ")
        page = rf"{re.escape(PAGES)}/rules/{re.escape(source['topic']['code'])}\?evaluation=[0-9a-f]{{64}}"
        assert re.fullmatch(page, source["url"])
        assert all(isinstance(source["topic"][name], str) for name in ("system", "code", "display"))


def test_suggestions_come_with_a_behaviour_and_are_whole(cards: list[Json]) -> None:
    assert any("suggestions" in card for card in cards)
    for card in cards:
        assert ("suggestions" in card) == ("selectionBehavior" in card)
        assert card.get("selectionBehavior", "any") == "any"
    for suggestion in suggestions_of(cards):
        assert suggestion.keys() == {"label", "uuid", "actions"}  # none is recommended above the others
        assert suggestion["label"]
        assert str(uuid.UUID(suggestion["uuid"])) == suggestion["uuid"]


def test_a_suggestion_is_one_action_so_that_nothing_is_taken_that_was_not_meant(cards: list[Json]) -> None:
    assert {len(suggestion["actions"]) for suggestion in suggestions_of(cards)} == {1}


def test_an_action_creates_a_whole_resource_or_names_the_one_to_delete(cards: list[Json]) -> None:
    actions = actions_of(cards)
    assert {action["type"] for action in actions} == {"create", "delete"}
    for action in actions:
        assert action["description"]
        if action["type"] == "create":
            assert action.keys() == {"type", "description", "resource"}
            assert "id" not in action["resource"]  # it is new: the EHR gives the id
            check_output(action["resource"])
        else:
            assert action.keys() == {"type", "description", "resourceId"}
            assert re.fullmatch(r"[A-Za-z]+/[A-Za-z0-9.-]+", action["resourceId"])


def test_every_reason_to_override_is_a_coding_with_a_display(cards: list[Json]) -> None:
    for card in cards:
        for reason in card["overrideReasons"]:
            assert reason.keys() == {"code", "system", "display"}
            assert all(isinstance(text, str) and text for text in reason.values())


def test_links_have_a_label_an_address_and_a_type(cards: list[Json]) -> None:
    for link in links_of(cards):
        assert link["type"] in {"absolute", "smart"}
        assert link["label"]
        assert ABSOLUTE.fullmatch(link["url"])
    assert {link["type"] for link in links_of(cards)} == {"absolute", "smart"}


def test_only_the_link_to_the_app_has_a_context_which_is_a_string(cards: list[Json]) -> None:
    for link in links_of(cards):
        named = {"label", "url", "type"}
        assert link.keys() == (named | {"appContext"} if link["type"] == "smart" else named)
        if link["type"] == "smart":
            assert link["url"] == f"{PAGES}/smart/launch"
            assert isinstance(link["appContext"], str)
            assert json.loads(link["appContext"]).keys() == {"evaluation", "issue"}


def test_each_card_links_to_the_page_of_its_own_evaluation_and_to_its_rules(
    linked: TestClient, answers: list[Json]
) -> None:
    for answer in answers[::6]:
        for card in answer["cards"]:
            explained, *rules = [link["url"].removeprefix(PAGES) for link in absolute_of(card)]
            assert answer["extension"]["org.endplate.evaluation"]["id"] in linked.get(explained).text
            assert rules
            assert all(linked.get(rule).status_code == 200 for rule in rules)


def test_each_finding_of_a_card_can_be_created_as_a_detected_issue(cards: list[Json]) -> None:
    """HL7 PDDI-CDS: a DetectedIssue stands in the response as a suggested action of type create."""
    for card in cards:
        made = [action["resource"] for action in actions_of([card]) if action["type"] == "create"]
        issues = [one for one in made if one["resourceType"] == "DetectedIssue"]
        assert issues
        named = {issue["code"]["coding"][0]["code"] for issue in issues}
        assert card["source"]["topic"]["code"] in named
        assert named == {urlsplit(link["url"]).path.rpartition("/")[2] for link in absolute_of(card)[1:]}
        assert all(issue["implicated"] for issue in issues)


def test_the_extension_is_an_object_under_a_name_that_is_ours(answers: list[Json]) -> None:
    for answer in answers:
        assert answer["extension"].keys() == {"org.endplate.evaluation"}
        assert isinstance(answer["extension"]["org.endplate.evaluation"], dict)


# -- the list


@cache
def listed() -> dict[str, list[Json]]:
    return dict(ruamel.yaml.YAML(typ="safe").load(LIST))


@cache
def named_in(file: Path) -> frozenset[str]:
    """Names of the tests of a file, those of classes with their class."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {f"{prefix}{one.name}" for one in inside if isinstance(one, ast.FunctionDef)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def test_every_test_that_the_list_names_exists() -> None:
    wrong = []
    for entry in (entry for entries in listed().values() for entry in entries):
        for node in entry.get("tests", ()):
            file, _, name = node.partition("::")
            if not (ROOT / file).is_file() or name not in named_in(ROOT / file):
                wrong.append(node)
    assert wrong == []


def test_no_requirement_and_no_mistake_is_without_a_test() -> None:
    """What is open says why; no requirement is."""
    lists = listed()
    for entry in (entry for entries in lists.values() for entry in entries):
        assert entry["what"]
        assert bool(entry.get("tests")) != bool(entry.get("open")), entry
    assert [entry["id"] for entry in lists["requirements"] if "open" in entry] == []
    assert [entry["id"] for entry in lists["ballot"] if "open" in entry] == []
    assert [entry["id"] for entry in lists["mistakes"]] == list(range(1, 29))


def test_the_list_holds_every_requirement_of_services(shared: Path) -> None:
    published = shared / "standards/cds-hooks/cds-hooks-requirements-inferno.csv"
    with published.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["conformance"] in ("SHALL", "SHALL NOT")]
    specification = {int(row["id"]): row for row in rows if row["source"] == "cds-hooks_2.0"}
    demanded = {number for number, row in specification.items() if "Service" in row["actors"].split(", ")}
    ours = {entry["id"]: entry for entry in listed()["requirements"]}

    assert ours.keys() == demanded
    assert len([n for n in demanded if specification[n]["conformance"] == "SHALL"
                and specification[n]["actors"] == "Service"]) == 62  # fmt: skip
    for number, entry in ours.items():
        assert entry["section"] == specification[number]["url"].partition("#")[2].removesuffix("_1"), number


def test_the_hooks_that_are_offered_are_those_that_earn_their_place() -> None:
    """encounter-start and encounter-discharge would show a second time what the opened chart shows."""
    assert set(HOOKS.values()) == {"patient-view", "order-select", "order-sign", "problem-list-item-create"}
