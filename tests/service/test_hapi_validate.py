"""A real FHIR server accepts every DetectedIssue that we emit: HAPI's `$validate`, and HAPI keeps them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from peers.hapi import Hapi

from engine.evaluation import Evaluator
from engine.fhir.decode import read_documents
from engine.fhir.record import Scope, read_records
from engine.outputs.detected_issue import issue_bundle
from engine.outputs.needs import fact_resources

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "fhir_examples" / "patients"
VECTORS = ROOT / "tests" / "vectors" / "primary.ndjson.gz"
TOGETHER = 40  # resources that are validated in one call
EACH = 5  # every fifth vector in R5


def screened(source: Path, out: Path) -> list[Json]:
    """The resources that `endplate screen` writes."""
    command = [sys.executable, "-c", "from engine.cli import main; main()", "screen", str(source)]
    options = ["--as-of", "bundle", "--out", str(out), "--backend", "plain"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return [json.loads(line) for line in (out / "detected-issues.ndjson").read_text("utf-8").splitlines()]


def faults(hapi: Hapi, resources: list[Json]) -> list[str]:
    """What HAPI finds, in Bundles of many: a call costs as much as ten resources."""
    found = []
    for start in range(0, len(resources), TOGETHER):
        entries = [
            {"fullUrl": f"https://example.org/fhir/{one['resourceType']}/{one['id']}", "resource": one}
            for one in resources[start : start + TOGETHER]
        ]
        found += hapi.validate({"resourceType": "Bundle", "type": "collection", "entry": entries})
    return found


@pytest.fixture(scope="module")
def issues(tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """Of all examples and all vectors."""
    out = tmp_path_factory.mktemp("screened")
    return screened(EXAMPLES, out / "examples") + screened(VECTORS, out / "vectors")


def test_every_detected_issue_passes_validate(hapi: Hapi, issues: list[Json]) -> None:
    kinds = Counter(one["resourceType"] for one in issues)

    assert kinds["DetectedIssue"] > 250
    assert kinds["GuidanceResponse"] == kinds["DetectedIssue"]
    assert faults(hapi, issues) == []


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("DetectedIssue", {"status": None}, "minimum required = 1"),
        ("DetectedIssue", {"severity": "dire"}, "dire"),
        ("GuidanceResponse", {"status": "perhaps"}, "perhaps"),
        ("GuidanceResponse", {"colour": "red"}, "colour"),
    ],
)
def test_one_fault_among_many_would_be_found(
    kind: str, change: Json, said: str, hapi: Hapi, issues: list[Json]
) -> None:
    part = list(issues[:TOGETHER])
    place = next(number for number, one in enumerate(part) if one["resourceType"] == kind)
    part[place] = {key: value for key, value in (part[place] | change).items() if value is not None}

    found = faults(hapi, part)

    assert len(found) == 1
    assert said in found[0]


def test_a_server_keeps_what_is_screened(hapi: Hapi, issues: list[Json]) -> None:
    """Imported, they are found by patient and identifier, and come back as they were."""
    prefix = f"Patient/{uuid4().hex[:8]}-"  # patients of this test alone
    part: list[Json] = json.loads(json.dumps(issues[:60]).replace('"Patient/', f'"{prefix}'))
    whom = {one["patient"]["reference"] for one in part if one["resourceType"] == "DetectedIssue"}
    hapi.put({"resourceType": "Patient", "id": name.removeprefix("Patient/")} for name in sorted(whom))
    hapi.put(part)

    for one in (one for one in part if one["resourceType"] == "DetectedIssue"):
        name = one["identifier"][0]
        query = f"DetectedIssue?patient={one['patient']['reference']}&identifier={name['system']}|{name['value']}"
        (entry,) = hapi.get(query)["entry"]
        held = entry["resource"]
        assert {key: value for key, value in held.items() if key != "meta"} == {
            key: value for key, value in one.items() if key != "meta"
        }
        assert held["meta"]["tag"] == one["meta"]["tag"]


def evaluated(evaluator: Evaluator, *, each: int) -> Iterator[Json]:
    """R5 resources of examples and of some vectors."""
    types = fact_resources(evaluator.ruleset)
    scope = Scope(as_of=date(2026, 4, 20), at_bundle_time=True)
    for number, path in enumerate((*sorted(EXAMPLES.glob("*.json")), VECTORS)):
        records = read_records(read_documents(path), evaluator.ruleset.terminology, scope, [])
        for place, record in enumerate(records):
            if path == VECTORS and place % each:
                continue
            evaluation = evaluator.evaluate(record, "proved")
            whole = issue_bundle(evaluation, evaluator.ruleset.info, base="urn:endplate", version="R5", types=types)
            for entry in whole.get("entry", ()):
                yield entry["resource"] | {"id": entry["resource"].get("id", f"g{number}-{place}")}


def test_every_detected_issue_of_r5_passes_validate(hapi_r5: Hapi, evaluator: Evaluator) -> None:
    issues = list(evaluated(evaluator, each=EACH))

    assert Counter(one["resourceType"] for one in issues)["DetectedIssue"] > 50
    assert faults(hapi_r5, issues) == []
