"""The slow check as a whole: on the made-up ruleset in full, on the bundled one its proofs and a sample of mutants.

With ENDPLATE_SOAK=1 (`make soak`) every mutant.
"""

from __future__ import annotations

import os
from functools import cache

import msgspec
import pytest
import typer
from quality_kit import TOY, folder, rewritten, toy, toy_examples  # noqa: F401 - a fixture
from test_files import GOOD
from typer.testing import CliRunner

from engine.cli.app import app
from engine.evaluation import Evaluator
from engine.fhir.compose import compose_bundle
from engine.outputs.quality_text import verdict_lines
from engine.quality.examples import Example, examples
from engine.quality.files import read_files
from engine.quality.thorough import check_thoroughly
from engine.rules.files import bundled
from engine.rules.load import load_ruleset
from engine.vignettes import cases_in

SOAK = bool(os.environ.get("ENDPLATE_SOAK"))


@cache
def bundled_examples() -> tuple[Example, ...]:
    return tuple(examples(Evaluator(load_ruleset()), cases_in(bundled())))


@pytest.mark.soak
def test_every_small_change_of_the_bundled_rules_is_noticed_and_every_property_is_proved() -> None:
    """Without the long form one mutant of 29."""
    ruleset = load_ruleset()
    files = read_files(bundled(), ruleset)

    verdict = check_thoroughly(bundled(), ruleset, bundled_examples(), files, every=1 if SOAK else 29)

    assert [str(fault) for fault in verdict.faults] == []
    assert verdict.proved == tuple(held.id for held in files.properties)
    assert len(files.properties) >= 16
    assert verdict.tally.killed > 0.9 * verdict.tally.mutants


def test_a_property_that_does_not_hold_is_a_fault_with_a_patient(folder) -> None:  # noqa: F811
    (folder / "properties.yaml").write_text(
        GOOD["properties.yaml"] + "- {id: wrong, says: Fever needs a scan., source: T1,"
        " when: {fever-risk: established}, then: {scan: dark}}\n"
        "- {id: both, says: Never both., source: T1,"
        " at_most_one: [{lantern-fever-found: present}, {odd-features: present}]}\n"
    )
    verdict = check_thoroughly(folder, toy(), toy_examples(), read_files(folder, toy()), every=10**6)
    told = [str(fault).rpartition("properties.yaml:")[2] for fault in verdict.faults if "does not hold" in str(fault)]

    assert verdict.proved == ("crisis-needs-risk", "one-finding")
    assert told[0].startswith("11:3: `wrong` does not hold with fever-diagnosis: ")
    assert told[0].endswith("; Fever needs a scan.")
    assert "`both` does not hold: lantern-fever-found: present and odd-features: present with " in told[1]


def test_a_case_that_is_never_the_answer_is_a_fault(folder) -> None:  # noqa: F811
    rewritten(folder, "rules/lantern/odd-features.yaml", "when: {lantern-fever: in-play,",
              "when: {lantern-fever: in-play, fever-risk: none,")
    ruleset = load_ruleset(folder)            # the fast check takes derived facts as free of each other
    verdict = check_thoroughly(folder, ruleset, (), read_files(folder, ruleset), every=10**6)

    told = "rules/lantern/odd-features.yaml:1:1: case 1 of `odd-features` is never the answer, whatever the facts"
    assert str(verdict.faults[0]).startswith(told)


def test_what_is_idle_and_what_always_comes_together_is_noted() -> None:
    verdict = check_thoroughly(TOY, toy(), toy_examples(), read_files(TOY, toy()))
    notes = [str(note) for note in verdict.notes]

    assert any("idle, proved: lantern-fever, case 4: without (glow: not absent)" in note for note in notes)
    lines = list(verdict_lines(verdict))
    assert lines[-1] == f"{len(verdict.faults)} faults, {len(verdict.notes)} notes"
    assert any(line.startswith("fault: ") and "no vignette notices: " in line for line in lines)


# -- the commands


def run(*arguments: object):
    return CliRunner().invoke(app, ["rules", *map(str, arguments)])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ENDPLATE_CACHE", str(tmp_path / "cache"))


def test_check_refuses_a_broken_file_about_the_ruleset(folder) -> None:  # noqa: F811
    (folder / "traceability.yaml").write_text("- {source: T1, says: x, rules: [no-such-rule]}")
    assert "`no-such-rule` is no rule" in str(run("check", "--ruleset", folder).exception)


def test_thorough_check_lists_survivors_and_ends_with_1(folder) -> None:  # noqa: F811
    done = run("check", "--thorough", "--ruleset", folder, "--format", "json")
    verdict = msgspec.json.decode(done.stdout_bytes)

    assert done.exit_code == 1
    assert verdict["tally"]["mutants"] > 200
    assert {"name", "matters", "seen", "example"} >= set(verdict["tally"]["survivors"][0])
    assert all(fault["place"]["file"] for fault in verdict["faults"])


def test_coverage_is_text_and_json(folder) -> None:  # noqa: F811
    found = msgspec.json.decode(run("coverage", "--ruleset", folder, "--format", "json").stdout_bytes)

    assert found["vignettes"] == 4
    assert {"rule", "cases", "held_back", "values"} <= set(found["rules"][0])
    assert "4 vignettes, 9 reasonings" in run("coverage", "--ruleset", folder).stdout


def test_diff_reads_patients_from_folders_and_never_fails(folder, tmp_path) -> None:  # noqa: F811
    patients = tmp_path / "patients"
    patients.mkdir()
    for case, _ in cases_in(TOY):
        bundle = msgspec.json.encode(compose_bundle(case, toy().terminology))
        (patients / f"{case['id']}.json").write_bytes(bundle)
    rewritten(folder, "parameters.yaml", "pulse-critical: {value: 140", "pulse-critical: {value: 160")

    done = run("diff", TOY, folder, "--on", patients, "--as-of", "bundle")
    assert done.exit_code == 0
    assert "parameter pulse-critical: 140 /min -> 160 /min" in done.stdout
    assert "- pulse-crisis: high, interruptive" in done.stdout
    assert "pulse-fresh: critical -> fast" in done.stdout
    assert done.stdout.rstrip().endswith("4 patients, 1 with other findings")

    lines = run("diff", TOY, folder, "--on", patients, "--as-of", "bundle", "--format", "json").stdout.splitlines()
    content, patient = (msgspec.json.decode(line) for line in lines)
    assert content["parameters"] == {"pulse-critical": ["140 /min", "160 /min"]}
    assert {change["issue"]: change["how"] for change in patient["changes"]}["pulse-crisis"] == "lost"

    same = run("diff", TOY, TOY, "--on", patients, "--as-of", "bundle")
    assert same.exit_code == 0
    assert same.stdout == "the rulesets say the same\n4 patients, 0 with other findings\n"


def test_diff_names_a_folder_that_is_none(tmp_path) -> None:
    done = run("diff", tmp_path / "no", tmp_path / "no", "--on", tmp_path)
    assert "is no folder of a ruleset" in str(done.exception)
    assert not isinstance(done.exception, typer.Exit)
