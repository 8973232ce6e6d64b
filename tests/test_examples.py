"""The example patients say what fhir_examples/README.md says of them, on both backends, and are current."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.fhir.decode import read_documents
from engine.fhir.record import Scope, read_records
from engine.inference.backends import make_backend
from engine.model.finding import Evaluation, Finding
from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset
from engine.service.app import create_app
from engine.settings import read_settings

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "fhir_examples"
sys.path.insert(0, str(ROOT / "tools"))

from examples.story import Expected, Story, load_stories  # noqa: E402

STORIES = list(load_stories(FOLDER / "stories"))
NEVER = date(1990, 1, 1)  # every Bundle states its own date
each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.id)


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return load_ruleset(ROOT / "rulesets/neuromuscular")


@pytest.fixture(scope="module", params=["plain", pytest.param("both", marks=pytest.mark.durable)])
def evaluator(request: pytest.FixtureRequest, ruleset: Ruleset) -> Evaluator:
    return Evaluator(ruleset, make_backend(request.param, ruleset.program))


@pytest.fixture(scope="module")
def evaluate(evaluator: Evaluator) -> Any:
    """Evaluates one story's file, once for each backend."""
    done: dict[str, Evaluation] = {}

    def run(name: str) -> Evaluation:
        if name not in done:
            (record,) = records(FOLDER / "patients" / f"{name}.json", evaluator.ruleset)
            done[name] = evaluator.evaluate(record, "listed")
        return done[name]

    return run


def records(file: Path, ruleset: Ruleset) -> Iterator[Any]:
    return read_records(read_documents(file), ruleset.terminology, Scope(as_of=NEVER, at_bundle_time=True), [])


def bundle(story: Story) -> Mapping[str, Any]:
    return json.loads((FOLDER / "patients" / f"{story.id}.json").read_text("utf-8"))


def resources(story: Story) -> list[Mapping[str, Any]]:
    return [entry["resource"] for entry in bundle(story)["entry"]]


def key(finding: Finding | Expected) -> tuple[str, str]:
    ingredient = finding.order if isinstance(finding, Expected) else finding.ingredient
    return finding.issue, ingredient


# -- what the examples say -------------------------------------------------------------------------------------------


@each_story
def test_an_example_gives_exactly_the_findings_of_its_story(story: Story, evaluate: Any) -> None:
    said = {key(f): (f.severity, f.display) for f in evaluate(story.id).findings}
    assert said == {key(one): (one.severity, one.display) for one in story.expect}


@each_story
def test_every_finding_has_the_reasons_and_the_gaps_of_its_story(story: Story, evaluate: Any) -> None:
    found = {key(f): f for f in evaluate(story.id).findings}
    for one in story.expect:
        finding = found[key(one)]
        because = {b.fact: b.value for b in finding.because}
        assert one.because.items() <= because.items()
        named = {reference.rpartition("/")[2].removeprefix(f"{story.id}-") for reference in finding.references}
        assert set(one.rests_on) <= named
        assert set(one.missing) <= {m.fact for m in finding.missing}


@each_story
def test_the_facts_behind_an_example_are_those_of_its_story(story: Story, evaluate: Any) -> None:
    evaluation = evaluate(story.id)
    known = {name: fact.value for name, fact in evaluation.facts.items()} | evaluation.conclusions
    assert story.derived.items() <= known.items()
    assert evaluation.disagreements == ()


@each_story
def test_every_reason_points_at_a_resource_of_the_bundle(story: Story, evaluate: Any) -> None:
    there = {f"{r['resourceType']}/{r['id']}" for r in resources(story)}
    for finding in evaluate(story.id).findings:
        assert set(finding.references) <= there


def test_the_ordinary_patient_is_not_even_relevant(evaluate: Any) -> None:
    assert not evaluate("ordinary-patient").relevant


def test_without_its_tag_a_complete_record_gives_no_closed_world_finding(evaluate: Any, ruleset: Ruleset) -> None:
    story = next(s for s in STORIES if s.id == "overlap-follow-up")
    (record,) = read_records(
        read_documents(FOLDER / "patients/overlap-follow-up.json"),
        ruleset.terminology,
        Scope(as_of=date.fromisoformat(story.now), complete=False),
        [],
    )
    evaluator = Evaluator(ruleset, make_backend("plain", ruleset.program))
    assert {f.issue for f in evaluator.evaluate(record).findings} == {"overlap-als-mg-probable"}


def test_the_missing_examination_is_what_definite_overlap_waits_for(ruleset: Ruleset) -> None:
    (record,) = records(FOLDER / "patients/signs-not-sent.json", ruleset)
    evaluator = Evaluator(ruleset, make_backend("plain", ruleset.program))
    (explanation,) = evaluator.explain(record, "gold-coast")
    assert explanation.verdict == "undetermined"


# -- the bulk export --------------------------------------------------------------------------------------------------


def test_the_bulk_export_gives_the_findings_of_its_patients(ruleset: Ruleset) -> None:
    evaluator = Evaluator(ruleset, make_backend("plain", ruleset.program))
    documents = [one for file in sorted((FOLDER / "bulk").glob("*.ndjson")) for one in read_documents(file)]
    found = {}
    for record in read_records(documents, ruleset.terminology, Scope(as_of=date(2026, 4, 20)), []):
        name = record.person.reference.removeprefix("Patient/")
        found[name] = {key(f): f.severity for f in evaluator.evaluate(record).findings}
    expected = {s.id: {key(one): one.severity for one in s.expect} for s in STORIES if s.id in found}
    assert len(found) == 4
    assert found == expected


# -- the hook requests -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(ruleset: Ruleset) -> TestClient:
    settings = read_settings(base="urn:endplate", backend="plain")
    evaluator = Evaluator(ruleset, make_backend("plain", ruleset.program))
    return TestClient(create_app(evaluator, settings, dev=True, today=lambda: date(2026, 4, 20)))


HOOKS = {
    "patient-view": {"overlap-als-mg-definite": "warning"},
    "order-sign": {"mg-drug-avoid": "critical"},
    "patient-view-ordinary-patient": {},
}


@pytest.mark.parametrize("name", HOOKS)
def test_the_service_answers_an_example_request_with_its_cards(name: str, service: TestClient) -> None:
    request = json.loads((FOLDER / f"hooks/{name}.json").read_text("utf-8"))
    answer = service.post(f"/cds-services/endplate-{request['hook']}", json=request)
    assert answer.status_code == 200
    cards = {card["source"]["topic"]["code"]: card["indicator"] for card in answer.json()["cards"]}
    assert cards == HOOKS[name]


def test_the_example_requests_hold_every_prefetch_that_the_service_asks_for(service: TestClient) -> None:
    services = {one["hook"]: one for one in service.get("/cds-services").json()["services"]}
    for file in sorted((FOLDER / "hooks").glob("*.json")):
        request = json.loads(file.read_text("utf-8"))
        assert request["prefetch"].keys() == services[request["hook"]]["prefetch"].keys(), file.name


# -- the files --------------------------------------------------------------------------------------------------------


def test_the_files_are_what_their_stories_make() -> None:
    command = [sys.executable, str(ROOT / "tools/build_examples.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@each_story
def test_an_example_is_a_whole_patient(story: Story) -> None:
    made = resources(story)
    kinds = {resource["resourceType"] for resource in made}
    assert {"Patient", "Organization", "Practitioner", "Encounter", "Observation", "Condition"} <= kinds
    assert 20 <= len(made) <= 70
    assert len({(r["resourceType"], r["id"]) for r in made}) == len(made)
    assert all(len(r["id"]) <= 64 for r in made)


@each_story
def test_every_reference_of_an_example_resolves(story: Story) -> None:
    there = {f"{r['resourceType']}/{r['id']}" for r in resources(story)}

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            for one in value.values():
                yield from references(one)
        elif isinstance(value, list):
            for one in value:
                yield from references(one)

    assert {r for one in resources(story) for r in references(one) if not r.startswith("#")} <= there


@each_story
def test_every_code_of_an_example_stands_in_a_value_set_or_is_the_sites_own(story: Story, ruleset: Ruleset) -> None:
    known = codes_of_value_sets()

    def codings(value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            if isinstance(value.get("system"), str) and isinstance(value.get("code"), str):
                yield value["system"], value["code"]
            for one in value.values():
                yield from codings(one)
        elif isinstance(value, list):
            for one in value:
                yield from codings(one)

    for system, code in codings(bundle(story)):
        if system.startswith(("https://example.org/", "http://terminology.hl7.org/", "http://unitsofmeasure.org")):
            continue
        assert (ruleset.terminology.system(system), code) in known, f"{system} {code}"


@cache
def codes_of_value_sets() -> frozenset[tuple[str, str]]:
    """Every (system, code) of the ruleset, the system as its first URI in systems.csv."""
    folder = ROOT / "rulesets/neuromuscular/valuesets"

    def rows(file: Path) -> csv.DictReader[str]:
        return csv.DictReader(file.read_text("utf-8").splitlines())

    uris: dict[str, str] = {}
    for row in rows(folder / "systems.csv"):
        uris.setdefault(row["system"], row["uri"].replace("{base}", "urn:endplate"))
    found = set()
    for file in folder.glob("*.csv"):
        found |= {(uris[row["system"]], row["code"]) for row in rows(file) if {"system", "code"} <= row.keys()}
    return frozenset(found)


@each_story
def test_an_example_is_valid_fhir(story: Story) -> None:
    if story.fhir == "R5":
        from fhir.resources import get_fhir_model_class  # noqa: PLC0415
    else:
        from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415
    get_fhir_model_class("Bundle").model_validate(bundle(story))


@pytest.mark.parametrize("version", ["R4", "R5"])
def test_the_examples_meet_the_schemas_of_hl7(shared: Path, version: str) -> None:
    text = (shared / f"standards/schemas/fhir-{version.lower()}.schema.json").read_text("utf-8")
    schema = json.loads(text.replace("{1,9}})?", "{1,9})?"))  # a surplus brace in a pattern of the R5 schema
    schema["definitions"]["ResourceList"] = {}  # resources are taken one by one, by their type
    del schema["oneOf"], schema["discriminator"]
    validators: dict[str, Any] = {}
    for story in STORIES:
        for resource in resources(story) if story.fhir == version else ():
            kind = resource["resourceType"]
            if kind not in validators:
                validators[kind] = jsonschema_rs.validator_for({**schema, "$ref": f"#/definitions/{kind}"})
            validators[kind].validate(resource)


def test_there_are_stories_in_both_versions_of_fhir() -> None:
    assert len(STORIES) >= 18
    assert sum(story.fhir == "R5" for story in STORIES) >= 2


def test_nobody_quotes_a_seed(shared: Path) -> None:
    """Seeds are cited by file and statement in own words: no run of seven of their words stands in a story."""
    runs: set[tuple[str, ...]] = set()
    for seed in (shared / "seeds").glob("*.txt"):
        words = seed.read_text("utf-8", errors="replace").lower().split()
        runs |= {tuple(words[i : i + 7]) for i in range(len(words))}
    for file in [*(FOLDER / "stories").glob("*.yaml"), FOLDER / "README.md"]:
        words = file.read_text("utf-8").lower().split()
        assert not [" ".join(words[i : i + 7]) for i in range(len(words)) if tuple(words[i : i + 7]) in runs], file


def test_the_environment_does_not_change_an_example() -> None:
    """The same bytes under another locale, time zone and hash seed."""
    command = [sys.executable, str(ROOT / "tools/build_examples.py"), "--check"]
    surroundings = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    assert subprocess.run(command, check=False, env=surroundings, capture_output=True).returncode == 0
