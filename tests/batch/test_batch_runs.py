"""How a batch behaves: the same bytes with any workers and order, stopped and resumed at any point, disk full."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from batch_kit import (
    OUTPUTS,
    bulk,
    command,
    endplate,
    ndjson,
    outputs,
    population,
    ready,
    screened,
    setup_for,
    write_bulk,
)

from engine.batch import run as running
from engine.batch.results import frames
from engine.batch.run import begin, end, keep, results, run
from engine.batch.spill import Spill
from engine.errors import RunError
from engine.evaluation import Evaluator
from engine.rules.files import bundled

SOAK = bool(os.environ.get("ENDPLATE_SOAK"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles and a bulk export of other patients, side by side, with a broken line."""
    folder = tmp_path_factory.mktemp("data")
    patients = list(population(4))
    (folder / "bundles.ndjson").write_bytes(ndjson(patients[:44]) + b"{broken\n")
    write_bulk(folder / "bulk", bulk(patients[44:]), files=2)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that nothing disturbs writes."""
    out = tmp_path_factory.mktemp("whole")
    assert endplate(data, "--out", out, "--workers", 1).returncode == 0
    return outputs(out)


# -- the same bytes


def test_two_workers_and_another_order_give_the_same_bytes(data: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    paths = [data / "bundles.ndjson", *sorted((data / "bulk").iterdir())]
    random.Random(5).shuffle(paths)

    one = endplate(*paths, "--out", tmp_path / "a", "--workers", 2)
    other = endplate(*reversed(paths), "--out", tmp_path / "b", "--workers", 1)

    assert (one.returncode, other.returncode) == (0, 0), one.stderr
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    for name in ("detected-issues.ndjson", "findings.csv", "problems.ndjson"):
        assert outputs(tmp_path / "a")[name] == whole[name]


def test_small_parts_on_two_workers_find_what_one_part_finds(data: Path, tmp_path: Path) -> None:
    setup = setup_for([data], size=30_000, into=4)
    begin(tmp_path / "two")
    keep(tmp_path / "two", setup)
    seen: list[running.Progress] = []

    counts = run(tmp_path / "two", setup, 2, ready(), seen.append)
    alone = screened(tmp_path / "one", data, size=30_000, into=4)

    assert counts == alone.counts
    assert len(setup.parts) > 20
    assert [frame for path in results(tmp_path / "two") for frame in frames(path)] == alone.frames
    assert [progress.share for progress in seen] == sorted(progress.share for progress in seen)


def test_the_number_of_partitions_changes_only_the_order(data: Path, tmp_path: Path) -> None:
    few, many = (screened(tmp_path / str(into), data, into=into) for into in (1, 13))

    assert few.findings == many.findings
    assert sorted(few.odd) == sorted(many.odd)


# -- stopped and resumed


class _Stopped(BaseException):
    """Stands for a kill: no handler of ours may hold it up."""


@pytest.mark.soak
def test_a_run_that_stops_after_any_part_goes_on_to_the_same_result(data: Path, tmp_path: Path) -> None:
    setup = setup_for([data], size=60_000, into=3)
    alone = screened(tmp_path / "alone", data, size=60_000, into=3)
    total = len(results(tmp_path / "alone" / "run"))
    points = range(total) if SOAK else [*range(0, total, max(total // 6, 1))]

    for point in points:
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
        finished = {path: path.stat().st_mtime_ns for path in results(folder)}
        (folder / "scan-000001.result.99.tmp").write_bytes(b"half")

        counts = run(folder, setup, 1, ready(), lambda _: None)

        assert counts == alone.counts
        assert [frame for path in results(folder) for frame in frames(path)] == alone.frames
        assert {path: path.stat().st_mtime_ns for path in finished} == finished, "a finished part was done again"
        shutil.rmtree(folder)


def test_the_folder_of_a_finished_run_is_gone_at_once_and_what_a_kill_leaves_of_it_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".endplate-run"
    begin(folder)
    (folder / "scan-000000.result").write_bytes(b"x")
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *_, **__: None)
        end(folder)
    assert not folder.exists()
    assert list(tmp_path.iterdir())

    begin(folder)
    assert list(tmp_path.iterdir()) == [folder]
    end(folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_result(tmp_path: Path) -> None:
    """kill -9 of the whole run after ever longer times, until it gets through."""
    copies = 400 if SOAK else 24
    patients = list(population(copies))
    half = len(patients) // 2
    source = tmp_path / "in"
    source.mkdir()
    for number in range(6):
        (source / f"bundles-{number}.ndjson").write_bytes(ndjson(patients[number:half:6]))
    write_bulk(source / "bulk", bulk(patients[half:]))
    rules = shutil.copytree(bundled(), tmp_path / "rules")  # a copy: nobody edits it while the test runs
    begun = time.monotonic()
    subprocess.run(command(source, "--out", tmp_path / "alone", "--ruleset", rules), capture_output=True, check=True)
    undisturbed = time.monotonic() - begun
    out = tmp_path / "out"
    kills = 0
    pause = undisturbed * 0.3
    while True:
        resume = ["--resume"] if (out / ".endplate-run/setup.msgpack").exists() else []
        words = command(source, "--out", out, "--ruleset", rules, *resume)
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, said = process.communicate(timeout=pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            pause += undisturbed * (0.02 if SOAK else 0.2)
            if (out / "summary.json").exists():  # then all is there, also if the kill came before the tidying
                assert outputs(out) == outputs(tmp_path / "alone")
            continue
        assert process.returncode == 0, said
        break

    assert kills
    assert json.loads((out / "summary.json").read_bytes()) == json.loads((tmp_path / "alone/summary.json").read_bytes())
    assert outputs(out) == outputs(tmp_path / "alone")
    assert not (out / ".endplate-run").exists()


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    source = tmp_path / "many.ndjson"
    source.write_bytes(ndjson(population(40)))
    out = tmp_path / "out"
    process = subprocess.Popen(command(source, "--out", out, "--workers", 2), stderr=subprocess.PIPE)
    wait_for(out / ".endplate-run/setup.msgpack")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"--resume" in said
    assert b"Traceback" not in said
    assert not any((out / name).exists() for name in OUTPUTS)
    assert endplate(source, "--out", out, "--resume").returncode == 0
    assert json.loads((out / "summary.json").read_bytes())["patients"]["evaluated"] == 40 * 22


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def test_a_killed_worker_stops_the_run_which_can_go_on(data: Path, tmp_path: Path) -> None:
    setup = setup_for([data], size=30_000, into=2)
    begin(tmp_path / "run")
    keep(tmp_path / "run", setup)

    def kill(_: running.Progress) -> None:
        for child in running.multiprocessing.active_children():
            assert child.pid
            os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(RunError, match="a worker was killed"):
        run(tmp_path / "run", setup, 2, ready(), kill)

    counts = run(tmp_path / "run", setup, 1, ready(), lambda _: None)
    assert counts == screened(tmp_path, data, size=30_000, into=2).counts


def test_resume_refuses_what_changed_and_what_is_not_there(data: Path, tmp_path: Path) -> None:
    nothing = endplate(data, "--out", tmp_path / "a", "--resume")
    folder = tmp_path / "b/.endplate-run"
    begin(folder)
    keep(folder, msgspec.structs.replace(setup_for([data]), content="other rules", engine="0.0"))
    changed = endplate(data / "bundles.ndjson", "--out", tmp_path / "b", "--resume", "--limit", 3)

    assert nothing.returncode == changed.returncode == 2
    assert b"no unfinished run" in nothing.stderr
    for what in (b"the files", b"the rules", b"the version of endplate", b"--limit"):
        assert what in changed.stderr
    assert b"--as-of" not in changed.stderr


# -- the disk


def test_a_full_disk_stops_the_run_and_what_is_done_is_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = setup_for([data], size=60_000)
    begin(tmp_path / "run")
    keep(tmp_path / "run", setup)
    count = 0
    flush = Spill._flush

    def full(self: Spill) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(self)

    with monkeypatch.context() as patched:
        patched.setattr(Spill, "_flush", full)
        with pytest.raises(RunError, match="No space left on device"):
            run(tmp_path / "run", setup, 1, ready(), lambda _: None)
    assert len(results(tmp_path / "run")) == 2

    counts = run(tmp_path / "run", setup, 1, ready(), lambda _: None)
    assert counts == screened(tmp_path / "x", data, size=60_000).counts


def test_an_output_folder_that_cannot_be_made_is_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    refused = endplate(data, "--out", tmp_path / "file/out")

    assert refused.returncode == 3
    assert b"cannot be written: Not a directory" in refused.stderr
    assert b"Traceback" not in refused.stderr


def test_a_defect_costs_one_patient_and_is_said(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate

    def failing(self: Evaluator, record: object, missing: object = "listed") -> object:
        if "typical-als-0" in record.person.reference:  # type: ignore[attr-defined]
            raise KeyError("patient text")
        return evaluate(self, record, missing)  # type: ignore[arg-type]

    monkeypatch.setattr(Evaluator, "evaluate", failing)
    found = screened(tmp_path, data)

    assert found.counts.failed == 1
    assert found.counts.patients == 88
    assert [code for code, _, _ in found.odd].count("not-evaluated") == 1


# -- options


def test_a_limit_is_exact_and_counts_in_the_order_of_the_output(data: Path, tmp_path: Path) -> None:
    every = screened(tmp_path / "all", data, size=30_000, into=3)
    order = list(every.findings)
    for limit in (1, 30, 50):
        some = screened(tmp_path / str(limit), data, size=30_000, into=3, limit=limit)
        assert some.counts.patients == limit
        assert list(some.findings) == order[:limit]


def test_only_keeps_what_was_asked_for(data: Path, tmp_path: Path) -> None:
    asked = endplate(data, "--out", tmp_path, "--only", "mg-drug-avoid", "--only", "als-mimics")
    said = json.loads((tmp_path / "summary.json").read_bytes())
    wrong = endplate(data, "--out", tmp_path / "w", "--only", "mg-drug-avid")

    info = ready().ruleset.info
    assert asked.returncode == 0, asked.stderr
    assert said["findings"]["by_issue"]
    assert all(i == "mg-drug-avoid" or info[i].ruleset == "als-mimics" for i in said["findings"]["by_issue"])
    assert said["run"]["only"] == ["als-mimics", "mg-drug-avoid"]
    assert wrong.returncode == 2
    assert b"did you mean `mg-drug-avoid`?" in wrong.stderr


def test_standard_input_is_a_source_and_can_be_resumed(data: Path, tmp_path: Path) -> None:
    text = (data / "bundles.ndjson").read_bytes()

    asked = endplate("-", "--out", tmp_path, stdin=text)

    assert asked.returncode == 0, asked.stderr
    assert b"44 patients" in asked.stdout
    assert json.loads((tmp_path / "problems.ndjson").read_bytes().splitlines()[-1])["file"] == "stdin"


def test_nothing_to_evaluate_is_an_error_with_its_problems_listed(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("{broken")

    refused = endplate(tmp_path / "in.json", "--out", tmp_path / "out")

    assert refused.returncode == 2
    assert b"nothing to evaluate" in refused.stderr
    assert json.loads((tmp_path / "out/problems.ndjson").read_bytes())["reason"] == "not-json"
