"""`endplate screen --from-server`: what a server exports gives what the same resources give as files, byte for byte."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batch_kit import ROOT, bulk, command, endplate, outputs, ready, renamed, write_bulk

from engine.batch.server import types_for

sys.path.insert(0, str(ROOT / "tests/client"))

from bulk_server import BulkServer, answers, cut, late, serving
from peers.hapi import Hapi
from peers.token_endpoint import TokenEndpoint

EXAMPLES = ROOT / "fhir_examples/bulk"
QUICK = ("--poll-seconds", "0.05")
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""
SAME = ("detected-issues.ndjson", "findings.csv")


@pytest.fixture
def server() -> Iterator[BulkServer]:
    """A server that exports the example patients."""
    with serving() as bulk:
        for path in sorted(EXAMPLES.glob("*.ndjson")):
            lines = path.read_bytes().splitlines(keepends=True)
            half = len(lines) // 2
            bulk.files[f"{path.stem}.1"] = b"".join(lines[:half])
            bulk.files[f"{path.stem}.2"] = b"".join(lines[half:])
        yield bulk


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the same resources give as files."""
    out = tmp_path_factory.mktemp("whole")
    done = endplate(EXAMPLES, "--out", out)
    assert done.returncode == 0, done.stderr
    found = said(out)
    assert found["detected-issues.ndjson"]
    assert found["problems"]
    return found


def said(out: Path) -> dict[str, Any]:
    """The outputs without the names of sources."""
    found: dict[str, Any] = {name: outputs(out)[name] for name in SAME}
    summary = json.loads(outputs(out)["summary.json"])
    del summary["run"]["sources"], summary["input"]
    lines = [json.loads(line) for line in outputs(out)["problems.ndjson"].splitlines()]
    problems = sorted(str({**line, "file": "", "line": 0}) for line in lines)
    return found | {"summary": summary, "problems": problems}


def screen(server: BulkServer, out: Path, *more: object) -> subprocess.CompletedProcess[bytes]:
    return endplate("--from-server", server.base, "--out", out, *QUICK, *more)


def problems(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "problems.ndjson").read_bytes().splitlines()]


# -- the same as files


@pytest.mark.parametrize("packed", [False, True])
def test_an_export_gives_what_the_files_give(
    server: BulkServer, whole: dict[str, Any], tmp_path: Path, packed: bool
) -> None:
    server.packed = packed
    done = screen(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert said(tmp_path) == whole
    assert json.loads((tmp_path / "summary.json").read_bytes())["run"]["sources"] == [server.base]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert server.asked[-1].method == "DELETE"


def test_only_what_the_rules_read_is_asked_for(server: BulkServer, tmp_path: Path) -> None:
    server.types = ["Patient", "Observation", "Condition", "MedicationRequest", "Coverage"]
    done = screen(server, tmp_path)
    asked = next(one for one in server.asked if one.path.endswith("$export"))
    assert asked.query["_type"] == "Condition,MedicationRequest,Observation,Patient"
    assert b"the server has no AllergyIntolerance, no DiagnosticReport" in done.stderr


def test_the_types_are_those_that_hold_something_the_issues_read() -> None:
    ruleset = ready().ruleset
    every = types_for(ruleset, ())
    assert {
        "Condition",
        "Encounter",
        "Medication",
        "MedicationRequest",
        "Observation",
        "Organization",
        "Patient",
    } <= set(every)
    assert "Coverage" not in every
    for issue in sorted(name for name, info in ruleset.info.items() if info.kind == "issue")[::25]:
        assert set(types_for(ruleset, (issue,))) <= set(every)


def test_files_and_a_server_are_screened_together(server: BulkServer, whole: dict[str, Any], tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in [name for name in server.files if name.startswith("Observation")]:
        (here / f"{name}.ndjson").write_bytes(server.files.pop(name))
    done = screen(server, tmp_path / "out", here)
    assert done.returncode == 0, done.stderr
    assert said(tmp_path / "out") == whole


# -- what the server says of its export


def test_errors_of_the_export_are_listed_and_what_is_deleted_is_gone(server: BulkServer, tmp_path: Path) -> None:
    issues = [{"severity": "error", "code": "processing"}, {"severity": "information", "code": "informational"}]
    lines = [msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]}) + b"\n" for issue in issues]
    server.files["OperationOutcome.1"], server.kinds["OperationOutcome.1"] = b"".join(lines), "error"
    patient = json.loads(server.files["Patient.1"].splitlines()[0])["id"]
    gone = {"resourceType": "Bundle", "type": "transaction",
            "entry": [{"request": {"method": "DELETE", "url": f"Patient/{patient}"}}]}  # fmt: skip
    server.files["Bundle.1"], server.kinds["Bundle.1"] = msgspec.json.encode(gone) + b"\n", "deleted"

    assert screen(server, tmp_path).returncode == 0

    failed = [one for one in problems(tmp_path) if one["reason"] == "failed-query"]
    assert [(one["file"].partition(".")[0], one["line"]) for one in failed] == [("error", 1)]
    assert f"Patient/{patient}".encode() not in (tmp_path / "findings.csv").read_bytes()


def test_a_file_with_fewer_lines_than_promised_is_listed(server: BulkServer, tmp_path: Path) -> None:
    manifest = server.manifest()
    manifest["output"][0]["count"] += 5
    server.on("/job/1", answers(200, manifest))
    assert screen(server, tmp_path).returncode == 0
    (found,) = [one for one in problems(tmp_path) if "its manifest says" in one["message"]]
    assert found["reason"] == "not-readable"


# -- stopped and resumed


def test_a_run_that_is_killed_at_any_time_goes_on_with_its_export(
    server: BulkServer, whole: dict[str, Any], tmp_path: Path
) -> None:
    """kill -9 when the server was asked for one more thing each time."""
    out = tmp_path / "out"
    server.ranges = True
    wanted = 0
    kills = 0
    while True:
        wanted += 4
        server.on(f"/file/{sorted(server.files)[wanted % len(server.files)]}", cut(0.5))
        resume = ["--resume"] if (out / ".endplate-export/state.json").exists() else []
        words = command("--from-server", server.base, "--out", out, *QUICK, "--downloads", 1, *resume)
        before = len(server.asked)
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and len(server.asked) - before < wanted:
            time.sleep(0.005)
        if process.poll() is None and len(server.to("DELETE", "/job/")) == 0:
            process.kill()
            process.communicate()
            kills += 1
            assert not (out / "summary.json").exists()
            continue
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        break
    assert kills >= 3
    assert server.jobs <= 2, "an export that had begun was begun again"
    assert said(out) == whole
    assert not (out / ".endplate-export").exists()


def test_a_download_that_fails_stops_the_run_which_can_go_on(
    server: BulkServer, whole: dict[str, Any], tmp_path: Path
) -> None:
    server.on("/file/Condition.1", answers(400))
    stopped = screen(server, tmp_path)
    assert stopped.returncode == 3
    assert stopped.stderr.endswith(
        f"error: `{server.origin}` answers 400 instead of a file; "
        "what is done is kept, and `--resume` goes on from there\n".encode()
    )
    assert screen(server, tmp_path, "--resume").returncode == 0
    assert said(tmp_path) == whole
    assert len(server.to("GET", "/file/Patient.1")) == 1
    assert server.jobs == 1


def test_a_full_disk_stops_the_run_and_what_is_there_is_kept(
    server: BulkServer, whole: dict[str, Any], tmp_path: Path
) -> None:
    """A file that may not grow stands for a disk that is full."""
    largest = len(server.files["Observation.1"]) // 2
    words = command("--from-server", server.base, "--out", tmp_path, *QUICK)
    stopped = subprocess.run([sys.executable, "-c", LIMITED, str(largest), *words], capture_output=True, check=False)
    assert stopped.returncode == 3, stopped.stderr
    assert b".endplate-export` cannot be written: File too large; what is done is kept" in stopped.stderr
    assert screen(server, tmp_path, "--resume").returncode == 0
    assert said(tmp_path) == whole
    assert len(server.to("GET", "/file/Patient.1")) == 1


def test_ctrl_c_while_the_export_is_under_way_says_how_to_go_on(
    server: BulkServer, whole: dict[str, Any], tmp_path: Path
) -> None:
    server.on("/job/1", *[answers(202, X_Progress="half")] * 10_000)
    words = command("--from-server", server.base, "--out", tmp_path, *QUICK)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while len(server.to("GET", "/job/1")) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == b"stopped; what is done is kept, and `--resume` goes on from there"
    assert b"export: half; asked again in" in errors
    server.acts.clear()
    assert screen(server, tmp_path, "--resume").returncode == 0
    assert said(tmp_path) == whole
    assert server.jobs == 1


def test_resume_refuses_another_export_and_one_that_is_not_there(server: BulkServer, tmp_path: Path) -> None:
    none = screen(server, tmp_path / "none", "--resume")
    assert none.returncode == 2
    assert b"holds no unfinished export: start without --resume" in none.stderr
    server.on("/file/Condition.1", answers(400))
    assert screen(server, tmp_path).returncode == 3
    other = screen(server, tmp_path, "--resume", "--group", "g")
    assert other.returncode == 2
    assert b"cannot resume: the server, the group, the types or `--since` changed" in other.stderr


def test_a_slow_server_is_waited_for(server: BulkServer, whole: dict[str, Any], tmp_path: Path) -> None:
    server.on("/fhir/$export", late(0.5))
    server.on("/file/Patient.1", late(0.5))
    assert screen(server, tmp_path).returncode == 0
    assert said(tmp_path) == whole


def test_a_run_that_is_killed_while_it_evaluates_goes_on_without_the_server(
    server: BulkServer, whole: dict[str, Any], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command("--from-server", server.base, "--out", tmp_path, *QUICK),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (tmp_path / ".endplate-run/setup.msgpack").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.communicate()
    exports = server.jobs
    server.files.clear()
    server.on("/job/1", *[answers(404)] * 10)
    assert screen(server, tmp_path, "--resume").returncode == 0
    assert said(tmp_path) == whole
    assert (server.jobs, exports) == (1, 1)


# -- refusals


def test_an_export_that_never_ends_is_given_up(server: BulkServer, tmp_path: Path) -> None:
    server.on("/job/1", *[answers(202)] * 10_000)
    done = screen(server, tmp_path, "--wait-hours", "0.001")
    assert done.returncode == 3
    assert b"the export is not done after 0.001 h" in done.stderr


def test_a_server_that_refuses_has_begun_nothing(server: BulkServer, tmp_path: Path) -> None:
    server.on("/fhir/$export", *[answers(403)] * 2)
    done = screen(server, tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: `{server.origin}` refuses the export (403)\n".encode())


def test_files_elsewhere_need_to_be_allowed(server: BulkServer, whole: dict[str, Any], tmp_path: Path) -> None:
    with serving() as storage:
        storage.files = dict(server.files)
        server.elsewhere = storage.origin
        done = screen(server, tmp_path)
        assert done.returncode == 3
        assert f"name it with `--allow-origin {storage.origin}`".encode() in done.stderr
        done = screen(server, tmp_path, "--resume", "--allow-origin", storage.origin)
        assert done.returncode == 0, done.stderr
        assert said(tmp_path) == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from-server", "ftp://x"], "`ftp://x` is no address of a server"),
        (["--from-server", "https://x/fhir?a=b"], "has no `?` and no `#`"),
        (["--from-server", "https://x", "--group", "a/b"], "`a/b` is no id of a Group"),
        (["--from-server", "https://x", "--since", "yesterday"], "`yesterday` is no instant"),
        (["--from-server", "https://x", "--group", "a", "--patients"], "exclude each other"),
        (["--from-server", "https://x", "--since", "2026-01-31T00:00:00Z", "--complete"], "exclude each other"),
        (["--from-server", "https://x", "--client-id", "a"], "belong together"),
        (["--from-server", "https://x", "--scope", "a"], "need `--client-id` and `--client-key`"),
        (["--group", "a", "x.json"], "options for a server need `--from-server URL`"),
        ([], "nothing to screen: give files, or `--from-server URL`"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    done = endplate(*options, "--out", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


# -- a real server


@pytest.fixture(scope="module")
def stored(hapi: Hapi, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, dict[str, Any]]:
    """The example patients in HAPI as a Group: its id, the same resources as files, and what these give."""
    suffix = f"-{uuid.uuid4().hex[:8]}"
    first = ("Organization", "Practitioner", "Patient", "Encounter")  # what others refer to
    paths = sorted(EXAMPLES.glob("*.ndjson"), key=lambda path: (path.stem not in first, path.stem))
    held = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    held.sort(key=lambda resource: first.index(kind) if (kind := resource["resourceType"]) in first else len(first))
    bundle = renamed({"entry": [{"resource": resource} for resource in held]}, suffix)
    group = f"screened{suffix}"
    patients = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient"]
    members = [{"entity": {"reference": f"Patient/{patient['id']}"}} for patient in patients]
    hapi.put_bundle(bundle)
    hapi.put([{"resourceType": "Group", "id": group, "type": "person", "actual": True, "member": members}])
    files = write_bulk(tmp_path_factory.mktemp("stored") / "in", bulk([bundle]))
    out = tmp_path_factory.mktemp("stored") / "out"
    assert endplate(files, "--out", out).returncode == 0
    return group, files, said(out)


def registered(endpoint: TokenEndpoint, path: Path, algorithm: str, **how: Any) -> tuple[object, ...]:
    """The options by which the command line says who it is; the key in a file."""
    client = endpoint.register("system/*.rs", algorithm=algorithm, **how)
    key = client.key.as_pem(private=True) if algorithm == "RS384" else json.dumps(client.settings()).encode()
    path.write_bytes(key)
    return "--client-id", client.client_id, "--client-key", path, "--key-id", "client"


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_group_of_a_guarded_server_gives_what_the_files_give(
    hapi: Hapi,
    token_endpoint: TokenEndpoint,
    stored: tuple[str, Path, dict[str, Any]],
    tmp_path: Path,
    algorithm: str,
) -> None:
    """The token endpoint is found through the server, and the tokens expire while the export is under way."""
    group, _, whole = stored
    who = registered(token_endpoint, tmp_path / "key", algorithm, seconds=2)
    words = ("--from-server", hapi.guarded, "--group", group, *who, "--poll-seconds", "0.5", "--out", tmp_path / "out")
    done = endplate(*words)
    assert done.returncode == 0, done.stderr
    found = said(tmp_path / "out")
    refused = [one for one in found["problems"] if "failed-query" in one]
    assert len(refused) == 1, "HAPI exports no Medication of patients"
    found["problems"].remove(refused[0])
    del found["summary"]["problems"]["failed-query"]
    assert found == whole
    assert b"export begun, without Medication" in done.stderr


def test_without_a_token_a_guarded_server_refuses(hapi: Hapi, tmp_path: Path) -> None:
    done = endplate("--from-server", hapi.guarded, "--out", tmp_path)
    assert done.returncode == 2
    assert b"refuses the export (401)" in done.stderr


def test_a_client_that_the_endpoint_does_not_know_gets_no_token(
    hapi: Hapi, token_endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    _, _, *key = registered(token_endpoint, tmp_path / "key", "ES384")
    done = endplate("--from-server", hapi.guarded, "--client-id", "nobody", *key, "--out", tmp_path)
    assert done.returncode == 2
    assert b"gives no token to the client `nobody`: `invalid_client`" in done.stderr


@pytest.mark.parametrize("more", [(), ("--patients",)], ids=["server", "patients"])
def test_the_findings_of_an_export_of_everything_include_those_of_the_files(
    hapi: Hapi, stored: tuple[str, Path, dict[str, Any]], tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Others have stored theirs beside them."""
    _, _, whole = stored
    done = endplate("--from-server", hapi.base, *more, "--poll-seconds", "0.5", "--out", tmp_path)
    assert done.returncode in (0, 1), done.stderr
    lines = (tmp_path / "detected-issues.ndjson").read_bytes().splitlines()
    assert set(whole["detected-issues.ndjson"].splitlines()) <= set(lines)


def test_a_killed_run_goes_on_with_the_export_that_the_server_made(
    hapi: Hapi, stored: tuple[str, Path, dict[str, Any]], tmp_path: Path
) -> None:
    group, _, whole = stored
    words = ("--from-server", hapi.base, "--group", group, "--poll-seconds", "0.2", "--out", tmp_path)
    process = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / ".endplate-export/state.json"
    while not state.exists() or not json.loads(state.read_bytes())["job"]:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    job = json.loads(state.read_bytes())["job"]
    assert endplate(*words, "--resume").returncode == 0
    assert said(tmp_path)["detected-issues.ndjson"] == whole["detected-issues.ndjson"]
    assert "completed" in hapi.client.delete(job).text, "the job of the killed run is the one that was used"


def test_what_changed_since_tomorrow_is_nothing(
    hapi: Hapi, stored: tuple[str, Path, dict[str, Any]], tmp_path: Path
) -> None:
    words = ("--from-server", hapi.base, "--group", stored[0], "--since", "2099-01-01T00:00:00Z")
    done = endplate(*words, "--poll-seconds", "0.5", "--out", tmp_path)
    assert done.returncode == 2
    assert f"nothing to evaluate in `{hapi.base}`: no patient's data".encode() in done.stderr
