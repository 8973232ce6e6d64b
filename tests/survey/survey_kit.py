"""Small feeds for the tests of surveys, and one survey of a folder or of resources."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from engine.batch.sources import listing
from engine.cli.common import cache_dir
from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset
from engine.survey.result import Survey
from engine.survey.survey import Scope, survey
from engine.terminology.rows import Row, read_folder

ROOT = Path(__file__).resolve().parents[2]
CONTENT = ROOT / "rulesets/neuromuscular"
FEED = ROOT / "fhir_examples/site"
DAY = date(2026, 4, 20)
LOINC = "http://loinc.org"
LAB = "https://lab.example.org/codes"
Json = dict[str, Any]


@cache
def ruleset(*added: Path) -> Ruleset:
    """The bundled rules, with a site's own value sets."""
    return load_ruleset(extra_valuesets=added, cache_dir=cache_dir())


@cache
def rows() -> tuple[Row, ...]:
    return tuple(read_folder(CONTENT / "valuesets", []))


def surveyed(*paths: Path, fewest: int = 2, added: tuple[Path, ...] = ()) -> Survey:
    """The survey of files and folders."""
    return survey(listing(paths), ruleset(*added), rows(), Scope(as_of=DAY, fewest=fewest))


def surveyed_of(tmp: Path, resources: Iterable[object], fewest: int = 2, added: tuple[Path, ...] = ()) -> Survey:
    """The survey of single resources, written to a file."""
    path = tmp / "feed.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in resources), "utf-8")
    return surveyed(path, fewest=fewest, added=added)


def coded(system: str, code: str, display: str = "") -> Json:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]}


def patient(number: int) -> Json:
    return {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Secretname{number}"}]}


def condition(number: int, code: Json, **more: Any) -> Json:
    return {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": f"Patient/p{number}"},
            "code": code} | more  # fmt: skip


def observation(number: int, code: Json, **more: Any) -> Json:
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final",
            "subject": {"reference": f"Patient/p{number}"}, "code": code} | more  # fmt: skip


def order(number: int, concept: Json, **more: Any) -> Json:
    return {"resourceType": "MedicationRequest", "id": f"m{number}", "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/p{number}"}, "medicationCodeableConcept": concept} | more  # fmt: skip
