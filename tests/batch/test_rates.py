"""Rates against an earlier run: the exact test, what is warned of and what is not, and codes that nobody mapped."""

from __future__ import annotations

import json
import random
import shutil
from fractions import Fraction
from math import comb
from pathlib import Path

import msgspec
import pytest
from batch_kit import Json, bulk, endplate, ndjson, population, without_rule, write_bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batch.rates import (
    ALPHA,
    LEAST,
    RELEVANT,
    Code,
    Content,
    Fired,
    Parameters,
    Patients,
    Rates,
    Run,
    Unknowns,
    fisher,
    held_against,
    read_run,
    smallest_p,
)
from engine.errors import InputError

SOME = st.integers(0, 40)


def run_with(fired: dict[str, int], *, evaluated: int = 10_000, relevant: int = 2_000, **more: object) -> Run:
    """A run in which issues stand in so many records."""
    return Run(
        ruleset=Content("r", "1", "h"),
        run=more.get("run", Parameters()),  # type: ignore[arg-type]
        patients=Patients(evaluated, relevant),
        firing={name: Fired(count, "same") for name, count in fired.items()},
        unknown_codes=more.get("unknown", Unknowns()),  # type: ignore[arg-type]
    )


def verdicts(rates: Rates) -> dict[str, str]:
    return {one.issue: one.verdict for one in rates.rates}


# -- the test


@settings(max_examples=150, deadline=None)
@given(SOME, SOME, SOME, SOME)
def test_p_is_twice_the_smaller_tail_of_the_hypergeometric_distribution(n: int, total: int, k: int, m: int) -> None:
    k, m = min(k, n), min(m, total)
    chances = [
        Fraction(comb(n, one) * comb(total, k + m - one), comb(n + total, k + m)) if one <= k + m else Fraction(0)
        for one in range(n + 1)
    ]
    exact = min(Fraction(1), 2 * min(sum(chances[: k + 1]), sum(chances[k:])))
    trivial = not (n and total and k + m) or k + m == n + total

    assert fisher(k, n, m, total) == pytest.approx(1.0 if trivial else float(exact), rel=1e-9)
    assert smallest_p(k, n, m, total) <= fisher(k, n, m, total) + 1e-12


def test_p_of_millions_takes_no_time_and_underflows_to_nothing_worse_than_zero() -> None:
    assert fisher(10_000, 10_000_000, 10_100, 10_000_000) == pytest.approx(0.484, abs=0.01)
    assert fisher(0, 10_000_000, 4_000_000, 10_000_000) == 0.0
    assert fisher(5, 10, 5, 10) == 1.0


@pytest.mark.parametrize("seed", range(200))
def test_rates_that_did_not_change_are_never_warned_of(seed: int) -> None:
    chance = random.Random(seed)
    rules = {f"rule-{number}": 10 ** chance.uniform(-5, -1.5) for number in range(80)}

    def a_run(evaluated: int) -> Run:
        relevant = sum(chance.random() < 0.2 for _ in range(evaluated))
        fired = {name: sum(chance.random() < rate for _ in range(0, evaluated, 20)) for name, rate in rules.items()}
        return run_with(fired, evaluated=evaluated // 20, relevant=relevant // 20)

    rates = held_against(a_run(20_000), a_run(chance.choice((8_000, 20_000, 40_000))))

    assert rates.warnings == ()
    assert not rates.has_drifted


# -- verdicts


def test_each_change_has_its_name() -> None:
    then = run_with({"gone": 40, "half": 200, "twice": 100, "same": 100, "rare": 3, "never": 0, "new": 0})
    now = run_with({"gone": 0, "half": 60, "twice": 260, "same": 110, "rare": 0, "never": 0, "new": 40})

    rates = held_against(now, then)

    assert verdicts(rates) == {
        RELEVANT: "steady", "gone": "silent", "half": "rarer", "twice": "noisy", "new": "noisy", "same": "steady",
        "rare": "unjudged", "never": "steady",
    }  # fmt: skip
    assert [one.issue for one in rates.warnings] == ["gone", "half", "new", "twice"]
    assert rates.threshold == pytest.approx(ALPHA / rates.tests, rel=1e-2)
    assert rates.tests < 7, "rules that cannot be judged count as no test"


def test_how_rare_a_rule_can_be_and_still_be_called_silent() -> None:
    many = {f"rule-{number}": 100 for number in range(79)}
    fewest = next(
        count for count in range(1, 50)
        if verdicts(held_against(run_with({**many, "x": 0}), run_with({**many, "x": count})))["x"] == "silent"
    )  # fmt: skip

    assert fewest == 14


def test_a_difference_of_less_than_half_as_much_again_is_not_told_however_certain_it_is() -> None:
    million = {"evaluated": 10**7, "relevant": 2 * 10**6}
    then = run_with(dict.fromkeys("ab", 100_000), **million)
    rates = held_against(run_with({"a": 140_000, "b": 150_001}, **million), then)

    assert LEAST == 1.5
    assert verdicts(rates) == {RELEVANT: "steady", "a": "steady", "b": "noisy"}
    assert {one.issue: one.p for one in rates.rates}["a"] == 0.0


def test_another_mix_of_patients_is_one_warning_and_not_one_for_each_rule() -> None:
    fired = {f"rule-{number}": 100 for number in range(20)}
    now = run_with(dict.fromkeys(fired, 300) | {"odd": 900, "lost": 0}, relevant=6_000)
    rates = held_against(now, run_with(fired | {"odd": 100, "lost": 30}))

    assert verdicts(rates) == dict.fromkeys(fired, "follows") | {RELEVANT: "noisy", "odd": "noisy", "lost": "silent"}


def test_rules_that_were_removed_are_told_and_those_that_were_not_asked_for_are_not() -> None:
    then = run_with({"a": 5, "b": 7, "idle": 0})

    rates = held_against(run_with({"a": 5, "c": 7}), then)
    only = held_against(run_with({"a": 5}, run=Parameters(only=("a",))), then)

    assert [(one.issue, one.verdict, one.note) for one in rates.warnings] == [
        ("b", "silent", "no longer among the rules")
    ]
    assert rates.notes == ("1 rule of this run not in the earlier one: c",)
    assert only.warnings == ()


def test_codes_are_new_if_the_earlier_run_did_not_meet_them() -> None:
    codes = [Code("condition", "urn:x", name, "why", 5) for name in ("a", "b")]
    then = run_with({}, unknown=Unknowns((codes[0],), more=3))

    rates = held_against(run_with({}, unknown=Unknowns(tuple(codes))), then)

    assert rates.new_codes == (codes[1],)
    assert rates.has_drifted
    assert "3 more may seem new now" in rates.notes[-1]


@settings(max_examples=60, deadline=None)
@given(data=st.one_of(
    st.binary(max_size=80),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner) |
                 st.dictionaries(st.sampled_from(("ruleset", "run", "patients", "firing", "unknown_codes")), inner))
    .map(msgspec.json.encode),
))  # fmt: skip
def test_what_is_no_summary_is_refused_in_words(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("x") / "summary.json"
    path.write_bytes(data)

    with pytest.raises(InputError, match="is no `summary"):
        read_run(path)


@pytest.mark.parametrize("fault", [{"relevant": 11}, {"evaluated": -1}])
def test_counts_that_cannot_be_are_refused(fault: dict[str, int], tmp_path: Path) -> None:
    said = msgspec.to_builtins(run_with({}, evaluated=10, relevant=10))
    said["patients"] |= fault
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(said))

    with pytest.raises(InputError):
        read_run(tmp_path / "s.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_run(tmp_path / "none.json")


# -- whole runs

LOCAL = "urn:example:hospital-codes"
COPIES = 15


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of half of the patients, a bulk export of the others."""
    return written(tmp_path_factory.mktemp("source"), list(population(COPIES)))


def written(folder: Path, patients: list[Json]) -> Path:
    half = len(patients) // 2
    (folder / "bundles.ndjson").write_bytes(ndjson(patients[:half]))
    write_bulk(folder / "bulk", bulk(patients[half:]))
    return folder


@pytest.fixture(scope="module")
def earlier(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("earlier")
    assert endplate(source, "--out", out).returncode == 0
    return out / "summary.json"


def test_the_same_data_again_warn_of_nothing(source: Path, earlier: Path, tmp_path: Path) -> None:
    done = endplate(source, "--out", tmp_path, "--rates", earlier, "--fail-on-drift")

    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "summary.json").read_bytes())["rates"]
    assert {one["verdict"] for one in said["rates"]} <= {"steady", "unjudged"}
    assert b"0 warnings, 0 new unknown codes" in done.stdout


def test_the_summary_says_what_a_later_run_needs(earlier: Path) -> None:
    said = json.loads(earlier.read_bytes())

    assert said["firing"]["mg-drug-avoid"]["records"] >= COPIES
    assert said["unknown_codes"] == {"codes": [], "rare": 0, "more": 0}
    assert read_run(earlier).patients.evaluated == 22 * COPIES


def test_a_rule_that_is_gone_is_told_and_fails_the_run_only_if_asked(
    source: Path, earlier: Path, tmp_path: Path
) -> None:
    lacking = without_rule(tmp_path, "mg-drug-avoid")
    words = (source, "--ruleset", lacking, "--rates", earlier)

    done = endplate(*words, "--out", tmp_path / "a")
    failed = endplate(*words, "--out", tmp_path / "b", "--fail-on-drift")

    assert (done.returncode, failed.returncode) == (0, 4), done.stderr
    assert b"mg-drug-avoid (no longer among the rules)" in done.stdout
    page = (tmp_path / "a/report.html").read_text("utf-8")
    assert "Rates against an earlier run" in page
    assert "no longer among the rules" in page


@pytest.mark.parametrize("system", [LOCAL, ""])
def test_a_code_that_was_renamed_silences_its_rules_and_is_listed(
    system: str, earlier: Path, tmp_path: Path
) -> None:
    """A site gives its diagnoses local codes; only their displays still say what they are."""
    patients = [renamed(bundle, system) for bundle in population(COPIES)]
    renamed_in = written(tmp_path, patients)

    done = endplate(renamed_in, "--out", tmp_path / "out", "--rates", earlier, "--fail-on-drift")

    assert done.returncode == 4, done.stderr
    said = json.loads((tmp_path / "out/summary.json").read_bytes())
    silent = {one["issue"] for one in said["rates"]["rates"] if one["verdict"] == "silent"}
    assert {"als-atypical-feature", "mimic-musk-mg-in-als"} <= silent
    codes = {(one["code"], one["system"]): one for one in said["rates"]["new_codes"]}
    assert "als" in codes["DX-ALS", system]["like"]
    assert codes["DX-ALS", system]["entries"] >= COPIES
    assert b"new unknown code `DX-ALS`" in done.stdout
    assert "DX-ALS" in (tmp_path / "out/report.html").read_text("utf-8")


def test_the_codes_do_not_depend_on_workers_and_one_patient_alone_shows_none(source: Path, tmp_path: Path) -> None:
    patients = [renamed(bundle, LOCAL) for bundle in population(2)]
    folder = written(tmp_path, patients)
    alone = tmp_path / "alone.ndjson"
    (one,) = [bundle for bundle in patients if "typical-als-0" in json.dumps(bundle)]
    alone.write_bytes(ndjson([one]))

    for workers in (1, 2):
        assert endplate(folder, "--out", tmp_path / str(workers), "--workers", workers).returncode == 0
    assert endplate(alone, "--out", tmp_path / "single").returncode == 0

    first, second = (json.loads((tmp_path / name / "summary.json").read_bytes())["unknown_codes"] for name in "12")
    assert first == second
    assert first["codes"]
    single = json.loads((tmp_path / "single/summary.json").read_bytes())["unknown_codes"]
    assert single["codes"] == []
    assert single["rare"] >= 1
    assert b"DX-ALS" not in (tmp_path / "single/summary.json").read_bytes()


def test_a_run_that_goes_on_is_held_against_the_same_earlier_one(source: Path, earlier: Path, tmp_path: Path) -> None:
    kept = Path(shutil.copy(earlier, tmp_path / "earlier.json"))
    refused = endplate(source, "--out", tmp_path, "--rates", tmp_path / "none.json")
    needed = endplate(source, "--out", tmp_path, "--fail-on-drift")

    assert (refused.returncode, needed.returncode) == (2, 2)
    assert b"cannot be read" in refused.stderr
    assert b"needs `--rates SUMMARY`" in needed.stderr
    assert kept.read_bytes() == earlier.read_bytes()


def renamed(bundle: Json, system: str) -> Json:
    """Amyotrophic lateral sclerosis under a code of the site's own."""
    for entry in bundle["entry"]:
        resource = entry["resource"]
        codes = {coding.get("code") for coding in resource.get("code", {}).get("coding", ())}
        if resource["resourceType"] == "Condition" and "86044005" in codes:
            coding = {"code": "DX-ALS", "display": "Amyotrophic lateral sclerosis"}
            resource["code"] = {"coding": [{"system": system, **coding} if system else coding]}
    return bundle
