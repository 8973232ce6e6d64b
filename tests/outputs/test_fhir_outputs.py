"""DetectedIssue and GuidanceResponse: valid R4 and R5, stable, and linked to the rule and to what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import BASE, OFFER, because, evaluation, finding, missing, rule

from engine.errors import OutputError
from engine.evaluation import Evaluator
from engine.model.finding import Evaluation
from engine.outputs.detected_issue import Resource, Version, issue_bundle
from engine.outputs.needs import concept_resources, fact_resources
from engine.outputs.references import reference
from engine.outputs.suggestions import suggestions
from engine.outputs.validation import check_output
from engine.rules.info import RuleInfo

VERSIONS: tuple[Version, ...] = ("R4", "R5")


class Schema:
    """One FHIR JSON schema; each resource is checked by itself, those inside Bundles and `contained` too."""

    def __init__(self, path: Path) -> None:
        # the R5 schema holds a regular expression with a surplus brace
        self._schema = json.loads(path.read_text("utf-8").replace("{1,9}})?", "{1,9})?"))
        # a choice of 148 types would take minutes: they are taken one by one
        self._schema["definitions"]["ResourceList"] = {}
        del self._schema["oneOf"], self._schema["discriminator"]
        self._validators: dict[str, Any] = {}

    def faults(self, resource: Resource) -> list[str]:
        return [fault for inner in resources_in(resource) for fault in self._of(inner)]

    def _of(self, resource: Resource) -> list[str]:
        kind = resource["resourceType"]
        if kind not in self._validators:
            schema = {**self._schema, "$ref": f"#/definitions/{kind}"}
            self._validators[kind] = jsonschema_rs.validator_for(schema)
        return [f"{kind}: {error.message}" for error in self._validators[kind].iter_errors(resource)]


def resources_in(value: object) -> Iterator[Resource]:
    if isinstance(value, dict):
        if "resourceType" in value:
            yield value
        for inner in value.values():
            yield from resources_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from resources_in(inner)


@pytest.fixture(scope="module")
def types(evaluator: Evaluator) -> Mapping[str, str]:
    return fact_resources(evaluator.ruleset)


def bundle(*findings: Any, version: Version = "R4", **fields: Any) -> Resource:
    info = {one.issue: rule(one.issue) for one in findings}
    return issue_bundle(evaluation(*findings, **fields), info, base=BASE, version=version)


def only(kind: str, whole: Resource) -> Resource:
    [resource] = [entry["resource"] for entry in whole["entry"] if entry["resource"]["resourceType"] == kind]
    return resource


# -- all vignettes


@pytest.mark.parametrize("version", VERSIONS)
def test_every_vignette_passes_fhir_resources(
    version: Version, evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo], types: Mapping[str, str]
) -> None:
    for whole in evaluations:
        check_output(issue_bundle(whole, info, base=BASE, version=version, types=types), version)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_vignette_passes_the_json_schema(
    version: Version,
    evaluations: Sequence[Evaluation],
    info: Mapping[str, RuleInfo],
    types: Mapping[str, str],
    shared: Path,
) -> None:
    schema = Schema(shared / "standards" / "schemas" / f"fhir-{version.lower()}.schema.json")
    for whole in evaluations:
        assert schema.faults(issue_bundle(whole, info, base=BASE, version=version, types=types)) == [], whole.patient


def test_the_schema_check_finds_faults(shared: Path) -> None:
    schema = Schema(shared / "standards" / "schemas" / "fhir-r4.schema.json")
    broken = bundle(finding())
    only("DetectedIssue", broken)["contained"][0]["colour"] = "red"
    only("DetectedIssue", broken)["severity"] = "grave"

    assert len(schema.faults(broken)) == 2


def test_every_order_that_a_rule_may_suggest_is_valid(
    info: Mapping[str, RuleInfo], evaluations: Sequence[Evaluation], shared: Path
) -> None:
    schema = Schema(shared / "standards" / "schemas" / "fhir-r4.schema.json")
    for one in info.values():
        found = finding(one.id, suggest=tuple(offer.name for offer in one.suggestions))
        for offer in suggestions(found, evaluation(found), one):
            [action] = offer["actions"]
            check_output(action["resource"])
            assert schema.faults(action["resource"]) == []


# -- what stands in them


def test_an_issue_names_its_rule_its_patient_and_everything_behind_it() -> None:
    seen = finding(because=(because(), because("order", "MedicationRequest/m"), because("record", "Patient/p")))

    issue = only("DetectedIssue", bundle(seen))

    assert issue["status"] == "preliminary"
    assert issue["severity"] == "high"
    assert issue["patient"] == {"reference": "Patient/p"}
    assert issue["identifiedDateTime"] == "2026-03-01"
    assert issue["code"]["coding"] == [
        {"system": "urn:endplate:nm-issue", "code": "lantern", "display": "The lantern rule"},
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "COND"},
    ]
    assert issue["implicated"] == [{"reference": "Observation/glow"}, {"reference": "MedicationRequest/m"}]
    assert issue["reference"] == "urn:endplate:rule:lantern"
    assert issue["contained"][0]["id"] == issue["author"]["reference"].removeprefix("#")
    assert "Because: glow 4 lx on 2026-02-01 (Observation/glow)" in issue["detail"]


def test_the_evidence_leads_to_the_guidance_which_names_the_rule_and_what_is_missing() -> None:
    whole = bundle(finding(missing=(missing(),)))
    issue, guidance = only("DetectedIssue", whole), only("GuidanceResponse", whole)

    [evidence] = issue["evidence"]
    assert evidence["detail"] == [{"reference": "Observation/glow"}, {"reference": f"urn:uuid:{guidance['id']}"}]
    assert f"urn:uuid:{guidance['id']}" in [entry["fullUrl"] for entry in whole["entry"]]
    assert guidance["moduleCanonical"] == "urn:endplate:rule:lantern|0.2.0"
    assert guidance["status"] == "data-required"
    [required] = guidance["dataRequirement"]
    assert required["codeFilter"][0]["code"] == [{"system": "urn:endplate:fact", "code": "hum", "display": "the hum"}]


def test_nothing_missing_is_a_success() -> None:
    guidance = only("GuidanceResponse", bundle(finding()))

    assert guidance["status"] == "success"
    assert "dataRequirement" not in guidance


def test_r5_has_a_subject_and_markdown_where_r4_has_a_patient_and_text() -> None:
    seen = finding(because=(because("<b>4</b> lx"),))
    r4, r5 = (only("DetectedIssue", bundle(seen, version=version)) for version in VERSIONS)

    assert ("patient" in r4, "subject" in r4) == (True, False)
    assert ("patient" in r5, "subject" in r5) == (False, True)
    assert "<b>4</b> lx" in r4["detail"]
    assert "&lt;b&gt;4&lt;/b&gt; lx" in r5["detail"]


def test_the_same_evaluation_gives_the_same_bundle_and_each_url_once(
    evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo]
) -> None:
    for whole in evaluations:
        first, second = (issue_bundle(whole, info, base=BASE) for _ in range(2))
        assert first == second
        urls = [entry["fullUrl"] for entry in first.get("entry", ())]
        assert len(set(urls)) == len(urls)
        assert len(urls) == 2 * len(whole.findings)


def test_an_address_as_base_gives_addresses() -> None:
    info = {"lantern": rule()}
    issue = only("DetectedIssue", issue_bundle(evaluation(finding()), info, base="https://cds.example.org/endplate/"))

    assert issue["reference"] == "https://cds.example.org/endplate/rule/lantern"
    assert issue["identifier"][0]["system"] == "https://cds.example.org/endplate/detected-issue"


def test_a_resource_without_an_id_is_described_and_a_patient_known_by_number_is_identified() -> None:
    assert reference("Observation/_3") == {"type": "Observation", "display": "Observation without an id"}
    assert reference("Patient?identifier=urn:mrn|12") == {
        "type": "Patient",
        "identifier": {"system": "urn:mrn", "value": "12"},
    }
    assert reference("Patient?identifier=|12") == {"type": "Patient", "identifier": {"value": "12"}}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=5, max_size=5))
def test_whatever_the_record_says_the_issue_stays_valid(said: list[str]) -> None:
    reasons = because(said[0], f"Observation/{said[1]}", said=said[2], date=said[3])
    seen = finding(because=(reasons,), missing=(missing(ask_for=said[4]),), summary=f"It glows {said[0]}")
    for version in VERSIONS:
        check_output(bundle(seen, version=version, patient=f"Patient/{said[1]}"), version)


# -- the check itself


def test_a_fault_is_named_with_its_place() -> None:
    broken = bundle(finding())
    broken["entry"][0]["resource"]["status"] = 3

    with pytest.raises(OutputError, match=r"no valid FHIR R4: `Bundle\.entry\.0\.resource\..*status`"):
        check_output(broken)


def test_r4_is_not_valid_r5() -> None:
    with pytest.raises(OutputError, match="no valid FHIR R5: `DetectedIssue"):
        check_output(only("DetectedIssue", bundle(finding())), "R5")


@pytest.mark.parametrize("resource", [{}, {"resourceType": 3}, {"resourceType": "Lantern"}, {"resourceType": "../x"}])
def test_what_is_no_resource_is_refused(resource: dict[str, Any]) -> None:
    with pytest.raises(OutputError):
        check_output(resource)


# -- what facts are made of


def test_each_fact_has_a_type_of_resource_that_fhir_knows(evaluator: Evaluator) -> None:
    types = fact_resources(evaluator.ruleset)

    assert types.keys() == evaluator.ruleset.fact_info.keys()
    assert set(types.values()) <= {
        "Observation",
        "Condition",
        "MedicationRequest",
        "Patient",
        "AllergyIntolerance",
        "Procedure",
        "DiagnosticReport",
    }


def test_every_concept_that_a_fact_reads_has_a_carrier(evaluator: Evaluator) -> None:
    read = {concept for info in evaluator.ruleset.fact_info.values() for concept in info.concepts}

    assert read <= concept_resources(evaluator.ruleset).keys()


def test_an_offer_without_a_code_is_text_alone() -> None:
    offer = type(OFFER)(name="visit", title="A visit")
    found = finding(suggest=("visit",))
    [suggestion] = suggestions(found, evaluation(found), rule(suggestions=(offer,)))

    assert suggestion["actions"][0]["resource"]["code"] == {"text": "A visit"}
