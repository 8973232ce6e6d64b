"""Silent before, found after: accepted entries count in every command, in the service, and in what a run says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from called import called
from survey_kit import CONTENT, DAY, FEED, LOINC, coded, observation, patient, ruleset, surveyed

from engine.fhir.decode import as_documents
from engine.fhir.record import Scope, read_records
from engine.model.problem import Problem
from engine.model.record import Result
from engine.service.serve import evaluator_of
from engine.settings import read_settings
from engine.survey.result import Proposal
from engine.survey.site_file import site_yaml
from engine.terminology.load import load_terminology


def endplate(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {key: value for key, value in os.environ.items() if key != "ENDPLATE_SITE"}
    return called(*words, environment=kept | environment)


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The proposals for the example feed, all of them accepted."""
    folder = tmp_path_factory.mktemp("site")
    done = endplate("site", "survey", FEED, "--out", folder, "--as-of", DAY)
    assert done.returncode == 0, done.stderr.decode()
    site = folder / "site.yaml"
    site.write_text(site.read_text("utf-8").replace("accept: no", "accept: yes"), "utf-8")
    assert {path.name for path in folder.iterdir()} == {"site.yaml", "survey.json", "survey.html"}
    return site


def found(out: Path) -> set[tuple[str, str]]:
    rows = (out / "findings.csv").read_text("utf-8").splitlines()[1:]
    return {(row.split(",")[0], row.split(",")[1]) for row in rows}


def screened(out: Path, *words: object, **environment: str) -> dict[str, object]:
    done = endplate("screen", FEED, "--as-of", DAY, "--backend", "plain", "--workers", 1, "--out", out, *words,
                    **environment)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, object] = json.loads((out / "summary.json").read_bytes())
    return said


def test_the_example_feed_is_silent_before_and_found_after(tmp_path: Path, accepted: Path) -> None:
    before = screened(tmp_path / "before")
    assert before["findings"]["total"] == 0  # type: ignore[index]
    assert "valuesets" not in before["run"]  # type: ignore[operator]
    after = screened(tmp_path / "after", "--site", accepted)
    assert set(after["findings"]["by_issue"]) >= {  # type: ignore[index]
        "mg-drug-avoid", "riluzole-hepatotoxicity", "overlap-als-mg-documented-unverified"
    }  # fmt: skip
    assert after["run"]["valuesets"] == [str(accepted)]  # type: ignore[index]
    assert after["ruleset"]["hash"] != before["ruleset"]["hash"]  # type: ignore[index]
    assert str(accepted) in (tmp_path / "after/report.html").read_text("utf-8")


def test_the_environment_names_the_site_as_well(tmp_path: Path, accepted: Path) -> None:
    by_option = screened(tmp_path / "option", "--site", accepted)
    by_variable = screened(tmp_path / "variable", ENDPLATE_SITE=str(accepted))
    assert by_option == by_variable
    assert found(tmp_path / "option") == found(tmp_path / "variable") != set()


def test_evaluate_and_explain_read_it(tmp_path: Path, accepted: Path) -> None:
    feed = tmp_path / "feed.ndjson"
    feed.write_bytes(b"".join(path.read_bytes() for path in sorted(FEED.glob("*.ndjson"))))
    common = ("--as-of", DAY, "--site", accepted)
    evaluated = endplate("evaluate", feed, "--backend", "plain", *common)
    assert b"mg-drug-avoid" in evaluated.stdout
    assert b"mg-drug-avoid" not in endplate("evaluate", feed, "--backend", "plain", "--as-of", DAY).stdout
    explained = endplate("explain", feed, "riluzole-hepatotoxicity", *common)
    assert b"verdict: fires" in explained.stdout


def test_the_service_reads_it(accepted: Path) -> None:
    settings = read_settings(site=accepted, backend="plain")
    evaluator = evaluator_of(settings)
    coding = ("https://hospital.example.org/diagnoses-icd10", "G1221")
    assert [m.concept for m in evaluator.ruleset.terminology.concepts("condition", [coding])] == ["als"]


def test_decisions_are_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("units: []\n", "utf-8")
    done = endplate("site", "survey", FEED, "--out", tmp_path, "--as-of", DAY)
    assert (tmp_path / "site.yaml").read_text("utf-8") == "units: []\n"
    assert "accept: no" in (tmp_path / "site.proposed.yaml").read_text("utf-8")
    assert b"was left as it is" in done.stderr


def test_a_faulty_site_is_refused_by_every_command_with_its_place(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("units:\n- {accept: yes, spelling: x, unit: parsecs}\n", "utf-8")
    for words in (("screen", FEED, "--out", tmp_path / "out"), ("site", "survey", FEED, "--out", tmp_path / "out"),
                  ("evaluate", FEED / "Patient.ndjson")):  # fmt: skip
        done = endplate(*words, "--site", site)
        assert done.returncode == 2
        assert f"{site}:2:36: `parsecs` is no unit of the ruleset".encode() in done.stderr
        assert b"Traceback" not in done.stderr


def test_a_source_without_fhir_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_text('{"level": "info"}\n{"level": "warn"}\n')
    done = endplate("site", "survey", tmp_path, "--out", tmp_path / "out")
    assert (done.returncode, b"no FHIR resource" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


# -- what is written is read ------------------------------------------------------------------------------------------

HOSTILE = ("yes", "no", "null", "0123", "1e3", "a: b", "- x", "#", "é ü 漢", '"quoted"', "back\\slash",
           "tab\tand\nline", "\x85\u2028\ufeff", "{x}", "[y]", "&a", "*a", "!t", "'", "%", "@", "|", ">", "~",
           "😀")  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_proposal_reads_back_as_it_was_written_whatever_it_holds(tmp_path: Path, text: str) -> None:
    one = Proposal(section="codes", values={"system": f"https://x.example.org/{text}", "code": text, "concept": "alt",
                                            "in": "observation", "display": text}, entries=1, why=text)  # fmt: skip
    survey = msgspec.structs.replace(surveyed(FEED), proposals=(one,))
    site = tmp_path / "site.yaml"
    site.write_text(site_yaml(survey).replace("accept: no", "accept: yes"), "utf-8")
    terminology = load_terminology(CONTENT / "valuesets", [site])
    coding = (f"https://x.example.org/{text}", text)
    assert [m.concept for m in terminology.concepts("observation", [coding])] == ["alt"]


# -- ranges -----------------------------------------------------------------------------------------------------------


def result(site: str, tmp_path: Path, **more: object) -> Result:
    """One ALT of 60 U/L, as the site reads it."""
    path = tmp_path / "site.yaml"
    path.write_text(site, "utf-8")
    quantity = {"value": 60, "unit": "U/L"}
    feed = [patient(1), observation(1, coded(LOINC, "1742-6"), valueQuantity=quantity, **more)]
    problems: list[Problem] = []
    terminology = ruleset(path).terminology
    (record,) = read_records(as_documents(feed), terminology, Scope(as_of=DAY), problems)
    (found,) = record.results["alt"]
    return found


RANGE = "ranges:\n- {accept: yes, concept: alt, unit: U/L, low: 5, high: 40}\n"


def test_a_range_of_the_site_stands_where_a_result_states_none(tmp_path: Path) -> None:
    found = result(RANGE, tmp_path)
    assert found.high is not None
    assert found.low is not None
    assert (found.low.value, found.high.value, found.high.unit) == (5, 40, "U/L")


def test_a_flag_or_an_own_range_of_the_result_goes_first(tmp_path: Path) -> None:
    own = [{"high": {"value": 70, "unit": "U/L"}}]
    found = result(RANGE, tmp_path, referenceRange=own)
    assert found.high is not None
    assert (found.low, found.high.value) == (None, 70)
    flagged = result(RANGE + "\n", tmp_path, interpretation=[{"coding": [{"code": "N"}]}])
    assert (flagged.low, flagged.high, flagged.flag) == (None, None, "N")


# -- a real export ----------------------------------------------------------------------------------------------------


def test_real_patients_with_als_and_ms_are_found_in_a_hospital_export(shared: Path, tmp_path: Path) -> None:
    """The open demo of MIMIC-IV on FHIR: every code system is the hospital's own."""
    feed = shared / "data/real/mimic-iv-demo-ndjson"
    if not feed.is_dir():
        pytest.skip("needs the MIMIC-IV demo export")
    before = surveyed(feed)
    assert [one.concept for one in before.concepts] == ["spo2"]
    site = tmp_path / "site.yaml"
    site.write_text(site_yaml(before).replace("accept: no", "accept: yes"), "utf-8")
    after = {one.concept: one.entries for one in surveyed(feed, added=(site,)).concepts}
    assert (after["als"], after["ms"]) == (4, 2)
    out = tmp_path / "out"
    words = ("screen", feed, "--as-of", "2201-12-31", "--complete", "--backend", "plain", "--workers", 1, "--out", out)
    assert endplate(*words).returncode == 0
    assert json.loads((out / "summary.json").read_bytes())["findings"]["total"] == 0
    assert endplate(*words, "--site", site).returncode == 0
    assert set(json.loads((out / "summary.json").read_bytes())["findings"]["by_issue"]) == {"als-workup-incomplete"}
