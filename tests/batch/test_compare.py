"""Two versions of the rules in one pass: what it reports is what two runs, and `rules diff`, say apart."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from batch_kit import (
    ROOT,
    Json,
    bulk,
    command,
    endplate,
    ndjson,
    outputs,
    population,
    ready,
    setup_for,
    without_rule,
    write_bulk,
)
from msgspec.structs import replace

from engine.batch import run as running
from engine.batch.merge import merge
from engine.batch.results import frames
from engine.batch.run import begin, keep, results, run
from engine.batch.setup import Setup
from engine.cli.common import cache_dir, evaluator
from engine.evaluation import Evaluator
from engine.rules.files import bundled

MOVABLE = (                            # parameters that may be twice as large in a sound ruleset
    "rns-decrement", "ck-als-highest", "csf-cells-highest", "csf-protein-highest", "overlap-onset-months",
    "limb-muscles", "resp-fresh-days", "immunotherapy-lookback", "mimic-laboratory-days", "als-paco2",
    "achr-repeat-days", "mgfa-v-days",
)  # fmt: skip
Shown = tuple[str, str, str]           # severity, display, summary
Key = tuple[str, str]                  # patient, issue


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles, and a bulk export of other patients."""
    folder = tmp_path_factory.mktemp("data")
    patients = list(population(2))
    (folder / "bundles.ndjson").write_bytes(ndjson(patients[:22]) + b"{broken\n")
    write_bulk(folder / "bulk", bulk(patients[22:]), files=2)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version of the rules in which two limits are others, and one rule is gone."""
    folder = Path(shutil.copytree(bundled(), tmp_path_factory.mktemp("other") / "rules"))
    moved(folder, {"rns-decrement": "30", "ck-als-highest": "100"})
    return folder


def moved(folder: Path, values: Mapping[str, str]) -> None:
    """Other values of parameters; "" doubles one."""
    path = folder / "parameters.yaml"
    text = path.read_text("utf-8")
    for name, value in values.items():
        old = re.search(rf"^{name}: {{value: ([0-9.]+)", text, flags=re.MULTILINE)
        assert old, name
        new = f"{name}: {{value: {value or format(2 * float(old[1]), 'g')}"
        text = text.replace(old[0], new, 1)
    path.write_text(text, "utf-8")


def without_codes(folder: Path, chance: random.Random) -> None:
    """One in ten rows of the concepts of diagnoses and findings is gone: their codes mean nothing any more."""
    for path in sorted((folder / "valuesets").glob("*.csv")):
        head, *rows = path.read_text("utf-8").splitlines(keepends=True)
        if head.startswith("concept,"):
            path.write_text(head + "".join(row for row in rows if chance.random() > 0.1), "utf-8")


def run_of(tmp: Path, setup: Setup, ready: Evaluator, second: Evaluator | None = None) -> Path:
    """A whole run in this process; its outputs."""
    begin(tmp / "run")
    keep(tmp / "run", setup)
    counts = run(tmp / "run", setup, 1, ready, lambda _: None)
    merge(tmp / "run", tmp, setup, ready.ruleset, counts, second=second.ruleset if second else None)
    return tmp


def lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def found(out: Path) -> dict[Key, dict[str, Shown]]:
    """Patient and issue -> order -> how it stands."""
    by_key: dict[Key, dict[str, Shown]] = {}
    with (out / "findings.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            order = f"{row['order']} {row['ingredient']}".strip()
            shown = row["severity"], row["display"], row["summary"]
            by_key.setdefault((row["patient"], row["issue"]), {})[order] = shown
    return by_key


def difference(first: Path, second: Path) -> dict[Key, tuple[str, dict[str, tuple[Shown | None, Shown | None]]]]:
    """What two runs say otherwise, by their tables alone."""
    old, new = found(first), found(second)
    differing = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key, {}), new.get(key, {})
        both = {order: (before.get(order), after.get(order)) for order in before.keys() | after.keys()}
        orders = {order: (one, other) for order, (one, other) in both.items() if one != other}
        if orders:
            differing[key] = ("gained" if not before else "changed" if after else "lost", orders)
    return differing


def reported(out: Path) -> dict[Key, tuple[str, dict[str, tuple[Shown | None, Shown | None]]]]:
    """What comparison.ndjson says, in the same form."""

    def shown(said: Json | None) -> Shown | None:
        return (said["severity"], said["display"], " ".join(said["summary"].split())) if said else None

    return {
        (line["patient"], line["issue"]): (
            line["how"], {one["order"]: (shown(one["old"]), shown(one["new"])) for one in line["findings"]}
        )
        for line in lines(out / "comparison.ndjson")
    }  # fmt: skip


# -- the same as two runs, and as `rules diff`


@pytest.mark.parametrize("seed", range(6))
def test_it_reports_what_two_runs_apart_differ_in(seed: int, data: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    folder = Path(shutil.copytree(bundled(), tmp_path / "rules"))
    moved(folder, dict.fromkeys(chance.sample(MOVABLE, 6), ""))
    if seed % 3 == 0:
        without_codes(folder, chance)
    mutated = evaluator(folder, (), "plain")
    versions = [(ready(), bundled()), (mutated, folder)]
    (first, first_folder), (second, second_folder) = versions if seed % 2 else versions[::-1]
    setup = replace(setup_for([data], size=60_000, into=3), ruleset=str(first_folder), cache=str(cache_dir()))

    both = run_of(tmp_path / "both", replace(setup, compare=str(second_folder)), first, second)
    one = run_of(tmp_path / "one", setup, first)
    two = run_of(tmp_path / "two", replace(setup, ruleset=str(second_folder)), second)

    assert reported(both) == difference(one, two)
    for name in ("detected-issues.ndjson", "findings.csv"):
        assert (both / name).read_bytes() == (one / name).read_bytes()
    said = json.loads((both / "summary.json").read_bytes())
    for issue, held in said["comparison"]["by_issue"].items():
        assert held["first"] == len([key for key in found(one) if key[1] == issue])
        assert held["second"] == len([key for key in found(two) if key[1] == issue])
        assert held["second"] - held["first"] == held["gained"] - held["lost"]
    assert said["patients"] == json.loads((one / "summary.json").read_bytes())["patients"]


def test_rules_diff_says_the_same_of_the_same_patients(other: Path, tmp_path: Path) -> None:
    patients = ROOT / "fhir_examples/patients"
    done = subprocess.run(
        [sys.executable, "-c", "from engine.cli import main; main()", "rules", "diff", str(bundled()), str(other),
         "--on", str(patients), "--as-of", "2026-04-20", "--format", "json"], capture_output=True, check=True,
    )  # fmt: skip
    _, *told = [json.loads(line) for line in done.stdout.splitlines()]

    assert endplate(patients, "--out", tmp_path, "--compare", other, "--workers", 1).returncode == 0

    changes = {(one["patient"], change["issue"], change["order"]): change for one in told for change in one["changes"]}
    ours = {
        (line["patient"], line["issue"], change["order"]): change
        for line in lines(tmp_path / "comparison.ndjson")
        for change in line["findings"]
    }
    assert ours == changes
    assert len(ours) > 10


# -- reasons


@pytest.fixture(scope="module")
def compared(data: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared")
    done = endplate(data, "--out", out, "--compare", other, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert b"compared with neuromuscular" in done.stdout
    assert b"gained" in done.stdout
    return out


def test_a_line_says_what_moved_and_why_the_other_version_is_silent(compared: Path) -> None:
    by_key = {(line["patient"], line["issue"]): line for line in lines(compared / "comparison.ndjson")}
    lost = by_key["Patient/als-then-mg-0", "overlap-als-mg-definite"]
    ((change,), (reason,)) = lost["findings"], lost["reasons"]

    assert lost["how"] == "lost"
    assert change["old"]["severity"] == "high"
    assert change["new"] is None
    assert ("rns-facial", "abnormal") in {(fact["fact"], fact["old"]) for fact in change["facts"]} | {
        ("rns-facial", fact["old"]) for fact in change["facts"] if fact["fact"].startswith("rns-")
    }
    assert {"rns-facial", "rns-other"} <= set(change["definitions"])
    assert reason["verdict"] in ("does not fire", "undetermined")
    assert any("als-mg-outcome" in line for line in reason["tree"])
    gained = [line for line in by_key.values() if (line["issue"], line["how"]) == ("als-atypical-feature", "gained")]
    assert gained
    assert all(line["reasons"] and not line["what"] for line in gained)


def test_a_rule_that_one_version_lacks_is_named_as_the_reason(data: Path, tmp_path: Path) -> None:
    lacking = without_rule(tmp_path, "mg-drug-avoid")

    assert endplate(data / "bulk", "--out", tmp_path / "out", "--compare", lacking, "--workers", 1).returncode == 0

    told = lines(tmp_path / "out/comparison.ndjson")
    assert {(line["issue"], line["how"]) for line in told} == {("mg-drug-avoid", "lost")}
    assert {reason["verdict"] for line in told for reason in line["reasons"]} == {"no such rule"}
    assert all(one["order"] for line in told for one in line["findings"])


def test_the_summary_and_the_page_count_patients_by_issue(compared: Path) -> None:
    said = json.loads((compared / "summary.json").read_bytes())["comparison"]
    told = lines(compared / "comparison.ndjson")
    page = (compared / "report.html").read_text("utf-8")

    for issue, held in said["by_issue"].items():
        own = [line for line in told if line["issue"] == issue]
        assert {how: held[how] for how in ("gained", "lost", "changed")} == {
            how: sum(line["how"] == how for line in own) for how in ("gained", "lost", "changed")
        }
        assert held["severity"] == sum("severity" in line["what"] for line in own)
    assert said["patients"] == {"differing": len({line["patient"] for line in told}), "not_compared": 0}
    assert said["content"]["parameters"] == {
        "ck-als-highest": ["1000 U/L", "100 U/L"], "rns-decrement": ["10 %", "30 %"]
    }  # fmt: skip
    assert f"Compared with neuromuscular {said['ruleset']['version']}" in page
    assert "facts computed otherwise" in page


def test_only_the_issues_that_were_asked_for_are_compared(data: Path, other: Path, tmp_path: Path) -> None:
    done = endplate(data, "--out", tmp_path, "--compare", other, "--only", "als-atypical-feature", "--workers", 1)

    assert done.returncode == 0, done.stderr
    assert {line["issue"] for line in lines(tmp_path / "comparison.ndjson")} == {"als-atypical-feature"}
    said = json.loads((tmp_path / "summary.json").read_bytes())["comparison"]
    assert set(said["by_issue"]) == {"als-atypical-feature"}


def test_the_same_rules_differ_in_nothing_and_a_later_run_without_leaves_no_comparison(
    data: Path, tmp_path: Path
) -> None:
    assert endplate(data / "bulk", "--out", tmp_path, "--compare", bundled(), "--workers", 1).returncode == 0
    assert (tmp_path / "comparison.ndjson").read_bytes() == b""
    assert json.loads((tmp_path / "summary.json").read_bytes())["comparison"]["patients"]["differing"] == 0
    assert endplate(data / "bulk", "--out", tmp_path, "--workers", 1).returncode == 0
    assert not (tmp_path / "comparison.ndjson").exists()


def test_a_limit_bounds_what_is_compared(data: Path, other: Path, tmp_path: Path) -> None:
    assert endplate(data, "--out", tmp_path, "--compare", other, "--limit", 3).returncode == 0

    said = json.loads((tmp_path / "summary.json").read_bytes())
    assert said["patients"]["evaluated"] == 3
    assert said["comparison"]["patients"]["differing"] <= 3


def test_a_patient_whom_one_version_fails_on_is_told_and_is_no_difference(
    data: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = evaluator(other, (), "plain")
    setup = replace(setup_for([data / "bundles.ndjson"]), compare=str(other))
    original = Evaluator.evaluate

    def failing(self: Evaluator, record: Any, missing: Any = "listed") -> Any:
        if self.ruleset.hash == second.ruleset.hash and record.person.reference == "Patient/als-then-mg-0":
            raise ZeroDivisionError
        return original(self, record, missing)

    monkeypatch.setattr(Evaluator, "evaluate", failing)
    out = run_of(tmp_path, setup, ready(), second)

    said = json.loads((out / "summary.json").read_bytes())
    assert said["comparison"]["patients"]["not_compared"] == 1
    assert said["patients"]["not_evaluated"] == 0
    assert not [line for line in lines(out / "comparison.ndjson") if line["patient"] == "Patient/als-then-mg-0"]
    (odd,) = [line for line in lines(out / "problems.ndjson") if line["reason"] == "not-evaluated"]
    assert odd["message"] == "could not be evaluated for --compare: a defect of Endplate (ZeroDivisionError)"


# -- the same bytes, stopped and resumed


def test_two_workers_give_the_same_bytes(data: Path, other: Path, compared: Path, tmp_path: Path) -> None:
    done = endplate(data, "--out", tmp_path, "--compare", other, "--workers", 2)

    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path) == outputs(compared)
    assert (tmp_path / "comparison.ndjson").read_bytes() == (compared / "comparison.ndjson").read_bytes()


class _Stopped(BaseException):
    """Stands for a kill: no handler of ours may hold it up."""


@pytest.mark.soak
def test_a_run_that_stops_after_any_part_goes_on_to_the_same_result(data: Path, other: Path, tmp_path: Path) -> None:
    setup = replace(setup_for([data], size=60_000, into=3), compare=str(other))
    begin(tmp_path / "alone")
    keep(tmp_path / "alone", setup)
    alone = run(tmp_path / "alone", setup, 1, ready(), lambda _: None)
    total = len(results(tmp_path / "alone"))
    assert alone.differing > 10

    for point in range(0, total, max(total // 5, 1)):
        folder = tmp_path / f"stop-{point}"
        begin(folder)
        keep(folder, setup)
        left = point

        def stop(_: running.Progress) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Stopped

        with pytest.raises(_Stopped):
            run(folder, setup, 1, ready(), stop)

        assert run(folder, setup, 1, ready(), lambda _: None) == alone
        assert [frame for path in results(folder) for frame in frames(path)] == [
            frame for path in results(tmp_path / "alone") for frame in frames(path)
        ]


def test_a_run_that_is_killed_goes_on_only_beside_the_same_second_version(
    data: Path, other: Path, compared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = (data, "--out", out, "--compare", other, "--workers", 1)
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob(".endplate-run/*.result")):
        pass
    process.kill()
    process.wait()
    if (out / "summary.json").exists():
        pytest.skip("the run was done before it could be killed")
    changed = Path(shutil.copytree(other, tmp_path / "changed"))
    moved(changed, {"rns-decrement": "31"})

    refused = endplate(data, "--out", out, "--compare", changed, "--resume")
    alone = endplate(data, "--out", out, "--resume")
    done = endplate(*arguments, "--resume")

    assert (refused.returncode, alone.returncode, done.returncode) == (2, 2, 0)
    assert b"the rules of --compare changed" in refused.stderr
    assert b"the rules of --compare changed" in alone.stderr
    assert (out / "comparison.ndjson").read_bytes() == (compared / "comparison.ndjson").read_bytes()
    assert outputs(out) == outputs(compared)


def test_a_folder_that_is_no_ruleset_is_refused_before_anything_is_read(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = endplate(data, "--out", tmp_path / "out", "--compare", tmp_path / "empty")

    assert done.returncode == 2
    assert not (tmp_path / "out/summary.json").exists()
