"""Every coding of the representation is understood in the form in which it is stated (needs the shared folder)."""

from __future__ import annotations

import filecmp
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from engine.terminology import Terminology

ROOT = Path(__file__).resolve().parents[2]
CARRIERS = {"condition": "condition", "procedure": "procedure", "allergy": "allergy", "report": "report"}
TRUTH = dict.fromkeys(("present", "positive", "detected"), True) | dict.fromkeys(
    ("absent", "negative", "not-detected"), False
)


@pytest.fixture(scope="module")
def representation(shared: Path) -> dict[str, Any]:
    text = (shared / "vectors/representation.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = YAML(typ="safe").load(text)
    return loaded


def pair(coding: dict[str, str]) -> list[tuple[str, str]]:
    return [(coding["system"], coding["code"])]


def forms(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    yield entry.get("form", ""), entry["primary"], {}
    for alternative in entry["alternatives"]:
        yield alternative["form"], alternative["coding"], alternative


def test_every_observation_code_states_its_concept(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for concept, entry in representation["observations"].items():
        for form, coding, more in forms(entry):
            meanings = neuromuscular.concepts(CARRIERS.get(form, "observation"), pair(coding))
            assert [m.concept for m in meanings] == [concept], (concept, form, coding)
            assert not meanings[0].suspected
            if form == "condition":
                assert meanings[0].finding, (concept, coding)
            if form == "procedure":
                assert meanings[0].only == more.get("only", ""), (concept, coding)
                assert meanings[0].study == (entry["kind"] in ("done", "coded")), (concept, coding)
            if form == "fixed":
                assert (meanings[0].region, meanings[0].sign) == (more["region"], more["sign"])
            if form == "boolean":
                assert (meanings[0].answer, meanings[0].denied) == (more.get("true", ""), more.get("false", ""))


def test_every_answer_is_read(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for answer, codings in representation["answers"].items():
        for coding in codings:
            read = neuromuscular.answer(pair(coding))
            assert TRUTH.get(read, read) == TRUTH.get(answer, answer), (answer, coding)
    for entry in representation["observations"].values():
        for answer, codings in entry.get("answers", {}).items():
            for coding in codings:
                assert neuromuscular.answer(pair(coding)) == answer


def test_every_condition_code_states_its_diagnosis(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for concept, entry in representation["conditions"].items():
        for coding in [entry["primary"], *entry["alternatives"]]:
            (meaning,) = neuromuscular.concepts("condition", pair(coding))
            assert (meaning.concept, meaning.suspected, meaning.finding) == (concept, False, False), coding


def test_exclusions_win_beside_the_primary_code(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for coding in representation["exclusions"]:
        assert neuromuscular.concepts("observation", pair(coding)) == ()
    for concept, codings in representation["condition_exclusions"].items():
        entry = representation["conditions"].get(concept) or representation["observations"][concept]
        for coding in codings:
            meanings = neuromuscular.concepts("condition", pair(entry["primary"]) + pair(coding))
            assert concept not in {m.concept for m in meanings}, coding


def test_code_sets_and_components_are_read(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for name, codes in representation["codesets"].items():
        system = "nmd-observation" if name == "order-reason" else name
        for code in codes:
            assert neuromuscular.code(name, [(f"urn:endplate:{system}", code)]) == code
    for name, entry in representation["components"].items():
        for coding in [entry["coding"], *entry["alternatives"]]:
            assert neuromuscular.code("component", pair(coding)) == name


def test_every_medication_code_names_its_drug(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    same = {"oral-mineral": "oral", "unknown": ""}
    for name, entry in representation["medications"].items():
        codings = [(entry[key], None) for key in ("ingredient", "substance", "local") if entry.get(key)]
        codings += [(coding, None) for coding in entry.get("cvx") or []]
        codings += [(coding, route) for key in ("scd", "atc") for route, coding in (entry.get(key) or {}).items()]
        for coding, route in codings:
            (drug,) = neuromuscular.drugs(pair(coding))
            assert (drug.ingredient, drug.minor) == (name, False), coding
            assert route is None or drug.route == same.get(route, route), coding
        assert name in [drug.ingredient for drug in neuromuscular.drugs_named(entry["text"])] or name == "sertraline"


def test_magnesium_as_minor_ingredient_and_plasma_exchange(
    representation: dict[str, Any], neuromuscular: Terminology
) -> None:
    minor = representation["magnesium_minor"]
    for coding in minor["scd"] + minor["atc"]:
        assert all(d.minor for d in neuromuscular.drugs(pair(coding)) + neuromuscular.drugs_named(coding["display"]))
    for coding in representation["plasma_exchange"]:
        assert [d.ingredient for d in neuromuscular.drugs(pair(coding))] == ["plasma-exchange"]


def test_every_system_and_oid_is_known(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for uri, oid in representation["oids"].items():
        assert neuromuscular.system(oid) == neuromuscular.system(uri) == uri


def test_every_preferred_coding_is_the_primary_one(representation: dict[str, Any], neuromuscular: Terminology) -> None:
    for section, kind in (("observations", "observation"), ("conditions", "condition")):
        for concept, entry in representation[section].items():
            form = CARRIERS.get(entry.get("form", ""), kind)
            coding = neuromuscular.preferred(concept, form)
            assert coding is not None
            assert (coding.system, coding.code) == (entry["primary"]["system"], entry["primary"]["code"])


def test_the_generated_files_are_those_of_the_tables(shared: Path, tmp_path: Path) -> None:
    ruleset = ROOT / "rulesets/neuromuscular"
    tool = [sys.executable, str(ROOT / "tools/build_valuesets.py"), str(shared / "terminology")]
    subprocess.run([*tool, str(shared / "vectors/representation.yaml"), str(tmp_path)], check=True, capture_output=True)
    for folder in ("valuesets", "tables"):
        for file in sorted((tmp_path / folder).iterdir()):
            assert filecmp.cmp(file, ruleset / folder / file.name, shallow=False), file.name
