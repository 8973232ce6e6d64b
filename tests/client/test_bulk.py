"""An export from kick-off to the last file, with servers that are busy, slow, forgetful or wrong on the way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bulk_server import TIME, Asked, BulkServer, Handler, answers, cut, drip
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.client.bulk import Export, Limits
from engine.client.folder import Wanted, names_of, state_of
from engine.client.http import Http, Patience
from engine.client.manifest import RemoteFile
from engine.errors import InputError, RemoteError

QUICK = Patience(attempts=4, first=0.01, most=2.0, connect=2.0, read=2.0, answer=5.0)
LIMITS = Limits(wait_s=20.0, poll_s=0.05, parallel=3)
FILES = {
    "Patient.1": b'{"resourceType":"Patient","id":"a"}\n',
    "Observation.1": b'{"resourceType":"Observation","id":"b"}\n' * 400,
    "Observation.2": b'\n{"resourceType":"Observation","id":"c"}\n',
}


class Tokens:
    def __init__(self, server: BulkServer) -> None:
        self.server = server

    def token(self, refused: str = "") -> str:
        return self.server.tokens[-1]


def run(
    server: BulkServer,
    folder: Path,
    wanted: Wanted | None = None,
    *,
    also: tuple[str, ...] = (),
    limits: Limits = LIMITS,
    told: list[str] | None = None,
    tokens: bool = False,
) -> dict[str, bytes]:
    """The content of each file of the export, by the type in its name."""
    shown = told if told is not None else []
    with Http(
        [server.base, *also], tokens=Tokens(server) if tokens else None, trusted=[server.base], patience=QUICK
    ) as http:
        export = Export(http, folder, wanted or Wanted(server.base), limits, show=shown.append)
        return contents(export.run())


def contents(manifest: Path) -> dict[str, bytes]:
    found = json.loads(manifest.read_bytes())
    held: dict[str, bytes] = {}
    for element in ("output", "deleted", "error"):
        for entry in found[element]:
            data = (manifest.parent / entry["url"]).read_bytes()
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            held[entry["type"]] = held.get(entry["type"], b"") + data
    return held


def whole() -> dict[str, bytes]:
    held: dict[str, bytes] = {}
    for name, content in FILES.items():
        kind = name.partition(".")[0]
        held[kind] = held.get(kind, b"") + content
    return held


@pytest.fixture(autouse=True)
def _filled(server: BulkServer) -> None:
    server.files = dict(FILES)
    server.counts = False


def exported(server: BulkServer) -> Asked:
    return next(one for one in server.asked if one.path.endswith("$export"))


# -- kick-off


@pytest.mark.parametrize(
    ("of", "path"),
    [("", "/fhir/$export"), ("Patient", "/fhir/Patient/$export"), ("Group/g-1", "/fhir/Group/g-1/$export")],
)
def test_the_whole_server_its_patients_or_a_group_are_exported(
    server: BulkServer, tmp_path: Path, of: str, path: str
) -> None:
    wanted = Wanted(server.base, of, ("Observation", "Patient"), "2026-01-31T00:00:00+01:00")
    assert run(server, tmp_path / "x", wanted) == whole()
    asked = exported(server)
    assert (asked.method, asked.path) == ("GET", path)
    assert asked.query == {
        "_outputFormat": "application/fhir+ndjson",
        "_type": "Observation,Patient",
        "_since": "2026-01-31T00:00:00+01:00",
    }
    assert (asked.headers["accept"], asked.headers["prefer"]) == ("application/fhir+json", "respond-async")


def test_where_only_post_begins_an_export_it_is_posted(server: BulkServer, tmp_path: Path) -> None:
    server.on("GET /fhir/$export", answers(405))
    assert run(server, tmp_path / "x", Wanted(server.base, types=("Patient",), since=TIME)) == whole()
    asked = server.to("POST", "/fhir/$export")[0]
    assert asked.headers["content-type"] == "application/fhir+json"
    assert json.loads(asked.body) == {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_outputFormat", "valueString": "application/fhir+ndjson"},
            {"name": "_since", "valueInstant": TIME},
            {"name": "_type", "valueString": "Patient"},
        ],
    }


OUTSIDE = Wanted("", "Patient", ("Medication", "Organization", "Patient"))


@pytest.mark.parametrize("refused", [1, 2])
def test_types_that_belong_to_no_patient_are_left_out_where_a_server_refuses_them(
    server: BulkServer, tmp_path: Path, refused: int
) -> None:
    server.on("/fhir/Patient/$export", *[answers(400)] * refused)
    told: list[str] = []
    folder = tmp_path / "x"
    assert run(server, folder, msgspec.structs.replace(OUTSIDE, base=server.base), told=told) == whole()
    asked = [one.query["_type"] for one in server.to("GET", "/fhir/Patient/$export")]
    assert asked == ["Medication,Organization,Patient", "Organization,Patient", "Patient"][: refused + 1]
    state = state_of(folder)
    assert state is not None
    assert state.dropped == ("Medication", "Organization")[:refused]
    assert told[0].startswith("export begun, without Medication")


def test_an_export_that_fails_is_tried_once_without_what_belongs_to_no_patient(
    server: BulkServer, tmp_path: Path
) -> None:
    server.on("/job/1", answers(500))
    assert run(server, tmp_path / "x", msgspec.structs.replace(OUTSIDE, base=server.base)) == whole()
    asked = [one.query["_type"] for one in server.to("GET", "/fhir/Patient/$export")]
    assert asked == ["Medication,Organization,Patient", "Patient"]
    server.on("/job/3", answers(500))
    server.on("/job/4", answers(500))
    with pytest.raises(RemoteError, match="the export failed"):
        run(server, tmp_path / "y", msgspec.structs.replace(OUTSIDE, base=server.base))
    assert server.jobs == 4


def test_a_refusal_says_why_and_nothing_has_begun(server: BulkServer, tmp_path: Path) -> None:
    issue = {"severity": "error", "code": "not-found", "diagnostics": "Group\x1b[31m unknown"}
    server.on("/fhir/Group/g/$export", *[answers(404, {"resourceType": "OperationOutcome", "issue": [issue]})] * 2)
    with pytest.raises(RemoteError) as refused:
        run(server, tmp_path / "x", Wanted(server.base, "Group/g"))
    assert str(refused.value) == f"`{server.origin}` refuses the export (404): Group [31m unknown"
    assert state_of(tmp_path / "x") is None


def test_a_busy_server_is_asked_again_to_begin(server: BulkServer, tmp_path: Path) -> None:
    server.on("/fhir/$export", answers(429, Retry_After="0"), answers(503))
    assert run(server, tmp_path / "x") == whole()
    assert server.jobs == 1


def test_an_export_that_may_have_begun_is_not_begun_again(server: BulkServer, tmp_path: Path) -> None:
    server.on("/fhir/$export", answers(504))
    with pytest.raises(RemoteError, match="answers 504"):
        run(server, tmp_path / "x")
    assert len(server.asked) == 1


@pytest.mark.parametrize("where", ["", "ftp://x/y", "http://user:secret@host/"])
def test_an_export_that_begins_nowhere_is_an_error(server: BulkServer, tmp_path: Path, where: str) -> None:
    server.on("/fhir/$export", answers(202, **({"Content_Location": where} if where else {})))
    with pytest.raises(RemoteError) as refused:
        run(server, tmp_path / "x")
    assert "secret" not in str(refused.value)


# -- polling


def test_it_is_polled_until_it_is_done_and_its_progress_is_shown(server: BulkServer, tmp_path: Path) -> None:
    server.on(
        "/job/1",
        answers(202, X_Progress="12 %\tdone", Retry_After="120"),
        answers(202),
        answers(503),
        answers(500, {"resourceType": "OperationOutcome", "issue": [{"code": "transient"}]}),
    )
    told: list[str] = []
    assert run(server, tmp_path / "x", told=told) == whole()
    assert len(server.to("GET", "/job/1")) == 5
    assert told[1].startswith("export: 12 %done; asked again in")


def test_an_export_that_never_ends_is_given_up(server: BulkServer, tmp_path: Path) -> None:
    server.on("/job/1", *[answers(202)] * 100)
    with pytest.raises(RemoteError, match=r"is not done after 0\.000139 h"):
        run(server, tmp_path / "x", limits=Limits(wait_s=0.5, poll_s=0.05))
    assert 5 <= len(server.to("GET", "/job/1")) <= 12


def test_a_failed_export_says_its_code_and_nothing_of_patients(server: BulkServer, tmp_path: Path) -> None:
    issue = {"code": "exception", "diagnostics": "Patient/jane-doe"}
    server.on("/job/1", answers(500, {"resourceType": "OperationOutcome", "issue": [issue]}))
    with pytest.raises(RemoteError) as failed:
        run(server, tmp_path / "x")
    assert str(failed.value) == f"the export failed on `{server.origin}` (500: exception)"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"transactionTime": "t"}',
        b'{"output": []}',
        b"\xff",
        b'{"resourceType": "Bundle", "transactionTime": "t", "output": []}',
    ],
)
def test_a_malformed_manifest_is_an_error(server: BulkServer, tmp_path: Path, body: bytes) -> None:
    server.on("/job/1", answers(200, body))
    with pytest.raises(RemoteError, match=r"no manifest|no JSON"):
        run(server, tmp_path / "x")


def test_every_page_of_a_manifest_is_read(server: BulkServer, tmp_path: Path) -> None:
    first, second = server.manifest(), server.manifest()
    first["output"], second["output"] = first["output"][:1], second["output"][1:]
    first["link"] = [{"relation": "next", "url": "page-2"}]
    server.on("/job/1", answers(200, first))
    server.on("/job/page-2", answers(202), answers(200, second))
    assert run(server, tmp_path / "x") == whole()


def test_a_manifest_whose_pages_go_in_a_circle_is_an_error(server: BulkServer, tmp_path: Path) -> None:
    server.on("/job/1", answers(200, server.manifest() | {"link": [{"relation": "next", "url": "1"}]}))
    with pytest.raises(RemoteError, match="has no end"):
        run(server, tmp_path / "x")


# -- download


def test_files_are_saved_as_they_come_packed_or_not(server: BulkServer, tmp_path: Path) -> None:
    server.packed = True
    assert run(server, tmp_path / "x") == whole()
    assert all(path.name.endswith(".ndjson.gz") for path in (tmp_path / "x").glob("*.ndjson*"))
    assert {one.headers["accept"] for one in server.to("GET", "/file/")} == {"application/fhir+ndjson"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_download_that_breaks_off_goes_on_where_it_was(server: BulkServer, tmp_path: Path, packed: bool) -> None:
    server.ranges, server.packed = True, packed
    server.on("/file/Observation.1", cut(0.3), cut(0.5))
    assert run(server, tmp_path / "x") == whole()
    ranges = [one.headers.get("range", "") for one in server.to("GET", "/file/Observation.1")]
    assert len(ranges) == 3
    begins = [int(one.removeprefix("bytes=").removesuffix("-") or 0) for one in ranges]
    assert 0 == begins[0] < begins[1] < begins[2]
    assert not list((tmp_path / "x").glob("*.part")) + list((tmp_path / "x").glob("*.mark"))


def test_a_later_call_goes_on_where_a_download_broke_off(server: BulkServer, tmp_path: Path) -> None:
    server.ranges = True
    server.on("/file/Observation.1", *[cut(0.5)] * QUICK.attempts)
    with pytest.raises(RemoteError, match="does not answer"):
        run(server, tmp_path / "x")
    (part,) = (tmp_path / "x").glob("*.part")
    held = part.stat().st_size
    assert held > len(FILES["Observation.1"]) // 2
    assert run(server, tmp_path / "x") == whole()
    assert server.to("GET", "/file/Observation.1")[-1].headers["range"] == f"bytes={held}-"


def test_where_nothing_proves_it_the_same_file_a_download_begins_anew(server: BulkServer, tmp_path: Path) -> None:
    content = FILES["Observation.1"]
    weak = {"Accept_Ranges": "bytes", "ETag": 'W/"1"', "Last_Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}

    def half(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in weak.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.close_connection = True

    server.on("/file/Observation.1", half)
    assert run(server, tmp_path / "x") == whole()
    assert all("range" not in one.headers for one in server.to("GET", "/file/Observation.1"))


def test_without_ranges_a_download_that_breaks_off_begins_anew(server: BulkServer, tmp_path: Path) -> None:
    server.on("/file/Observation.1", cut(0.3), cut(0.9))
    assert run(server, tmp_path / "x") == whole()
    assert all("range" not in one.headers for one in server.to("GET", "/file/Observation.1"))


def test_a_file_that_changed_meanwhile_begins_anew(server: BulkServer, tmp_path: Path) -> None:
    server.ranges = True

    def changed(handler: Handler) -> None:
        server.files["Observation.1"] = b'{"resourceType":"Observation","id":"new"}\n'
        handler._usual()

    server.on("/file/Observation.1", cut(0.5), changed)
    found = run(server, tmp_path / "x")
    assert found["Observation"] == server.files["Observation.1"] + FILES["Observation.2"]


@pytest.mark.parametrize(
    "lie",
    [
        answers(206, b"x" * 10, Content_Range="bytes 0-9/10"),
        answers(206, b"x" * 10, Content_Range="bytes 5-9/*"),
        answers(206, b"x" * 10, Content_Range="elsewhere"),
        answers(416, Content_Range="bytes */5"),
        answers(206, b"x" * 10),
    ],
)
def test_a_server_that_goes_on_elsewhere_is_not_believed(server: BulkServer, tmp_path: Path, lie: Any) -> None:
    server.ranges = True
    server.on("/file/Observation.1", cut(0.5), lie)
    assert run(server, tmp_path / "x") == whole()


def test_a_file_that_never_comes_whole_leaves_the_others_there(server: BulkServer, tmp_path: Path) -> None:
    server.on("/file/Observation.1", *[cut(0.5)] * 50)
    with pytest.raises(RemoteError, match="does not answer"):
        run(server, tmp_path / "x")
    held = sorted(path.name.partition(".")[0] for path in (tmp_path / "x").glob("*.ndjson"))
    assert held == ["Observation", "Patient"]
    assert not (tmp_path / "x" / "manifest.json").exists()
    server.acts.clear()
    assert run(server, tmp_path / "x") == whole()
    assert len(server.to("GET", "/file/Patient.1")) == 1
    assert server.jobs == 1


def test_links_that_expired_are_asked_for_again(server: BulkServer, tmp_path: Path) -> None:
    def renewed(handler: Handler) -> None:
        server.version += 1
        handler.send(403)

    server.on("/file/Observation.1", renewed)
    told: list[str] = []
    assert run(server, tmp_path / "x", told=told) == whole()
    assert len(server.to("GET", "/job/1")) == 2
    assert len(server.to("GET", "/file/Patient.1")) <= 2
    assert any("links to files expired" in line for line in told)


def test_links_that_never_hold_are_given_up(server: BulkServer, tmp_path: Path) -> None:
    server.on("/file/Observation.1", *[answers(410)] * 50)
    with pytest.raises(RemoteError, match="answers 410 instead of a file"):
        run(server, tmp_path / "x")
    assert len(server.to("GET", "/file/Observation.1")) == 5


def test_downloads_have_an_end_in_time(server: BulkServer, tmp_path: Path) -> None:
    server.on("/file/Observation.1", *[drip] * 5)
    with pytest.raises(RemoteError, match="sends its files too slowly"):
        run(server, tmp_path / "x", limits=Limits(wait_s=0.5, poll_s=0.05))


def test_a_file_with_fewer_lines_than_its_manifest_says_is_noted(server: BulkServer, tmp_path: Path) -> None:
    manifest = server.manifest()
    manifest["output"][1]["count"] = 401
    manifest["output"][2]["count"] = 1
    server.on("/job/1", answers(200, manifest))
    run(server, tmp_path / "x")
    state = state_of(tmp_path / "x")
    assert state is not None
    ((name, said),) = state.odd
    assert name.startswith("Observation.")
    assert said == "holds 400 lines where its manifest says 401"


# -- tokens


def test_the_token_is_sent_for_files_only_where_the_manifest_says_so(server: BulkServer, tmp_path: Path) -> None:
    server.tokens = ["good"]
    for needed in (False, True):
        server.asked.clear()
        server.needs_token = needed
        assert run(server, tmp_path / str(needed), tokens=True) == whole()
        assert {one.token for one in server.to("GET", "/file/")} == {"good" if needed else ""}
        assert {exported(server).token} == {"good"}
        assert {one.token for one in (*server.to("GET", "/job/"), *server.to("DELETE", "/job/"))} == {"good"}


def test_files_of_another_origin_are_downloaded_only_if_it_is_listed_and_without_the_token(
    server: BulkServer, elsewhere: BulkServer, tmp_path: Path
) -> None:
    elsewhere.files = dict(FILES)
    server.elsewhere, server.tokens, server.needs_token = elsewhere.origin, ["good"], True
    with pytest.raises(RemoteError, match="not among the servers that may be called"):
        run(server, tmp_path / "x", tokens=True)
    assert elsewhere.asked == []
    assert run(server, tmp_path / "x", tokens=True, also=(elsewhere.origin,)) == whole()
    assert {one.token for one in elsewhere.asked} == {""}


def test_a_redirect_of_a_file_to_another_origin_leaves_the_token_behind(
    server: BulkServer, elsewhere: BulkServer, tmp_path: Path
) -> None:
    elsewhere.files = dict(FILES)
    server.tokens, server.needs_token = ["good"], True
    server.on("/file/Patient.1", answers(302, Location=elsewhere.link("Patient.1")))
    assert run(server, tmp_path / "x", tokens=True, also=(elsewhere.origin,)) == whole()
    assert {one.token for one in elsewhere.asked} == {""}


# -- end and beginning anew


def test_the_job_is_removed_when_all_files_are_there(server: BulkServer, tmp_path: Path) -> None:
    run(server, tmp_path / "x")
    assert server.asked[-1].method == "DELETE"
    assert server.asked[-1].path == "/job/1"


@pytest.mark.parametrize("status", [404, 405, 500, 503])
def test_a_server_that_will_not_remove_the_job_changes_nothing(server: BulkServer, tmp_path: Path, status: int) -> None:
    server.on("DELETE /job/1", *[answers(status)] * 5)
    assert run(server, tmp_path / "x") == whole()


def test_a_finished_export_is_not_asked_for_again(server: BulkServer, tmp_path: Path) -> None:
    run(server, tmp_path / "x")
    before = len(server.asked)
    assert run(server, tmp_path / "x") == whole()
    assert [one.method for one in server.asked[before:]] == ["DELETE"]


def test_an_export_that_the_server_forgot_is_begun_anew(server: BulkServer, tmp_path: Path) -> None:
    server.on("/file/Observation.1", answers(500), *[answers(500)] * 9)
    with pytest.raises(RemoteError):
        run(server, tmp_path / "x")
    server.acts.clear()
    server.on("/job/1", answers(404))
    told: list[str] = []
    assert run(server, tmp_path / "x", told=told) == whole()
    assert server.jobs == 2
    assert any("begun anew" in line for line in told)


def test_another_export_does_not_go_on_in_the_same_folder(server: BulkServer, tmp_path: Path) -> None:
    run(server, tmp_path / "x")
    with pytest.raises(InputError, match="cannot resume"):
        run(server, tmp_path / "x", Wanted(server.base, "Patient"))
    (tmp_path / "x" / "state.json").write_bytes(b"{")
    with pytest.raises(InputError, match="another version"):
        run(server, tmp_path / "x")


# -- names


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.builds(
            RemoteFile, st.text(max_size=20), st.sampled_from(["output", "deleted", "error"]), st.text(max_size=60)
        ),
        max_size=8,
        unique_by=lambda file: file.url,
    )
)
def test_names_of_files_differ_and_are_names_of_files(files: list[RemoteFile]) -> None:
    names = names_of(files)
    assert len(set(names)) == len(files)
    assert all(name.isascii() and "/" not in name and len(name) < 80 for name in names)


@given(st.permutations(["a", "b", "c", "d"]), st.integers(0, 99))
def test_a_name_stays_when_its_link_is_renewed(order: list[str], signature: int) -> None:
    first = {one: RemoteFile(f"https://host/{one}?signed=1") for one in order}
    second = {one: RemoteFile(f"https://host/{one}?signed={signature}") for one in sorted(order)}
    names = dict(zip(first, names_of(list(first.values())), strict=True))
    assert names == dict(zip(second, names_of(list(second.values())), strict=True))
