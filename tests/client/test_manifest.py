"""Manifests of every version are read, and nothing that is of a wrong type in them does harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.client.manifest import Manifest, RemoteFile, read_manifest

URL = "https://example.org/output"
FIRST = {
    "transactionTime": "2021-01-01T00:00:00Z",
    "request": "https://example.org/$export",
    "requiresAccessToken": True,
    "output": [
        {"type": "Patient", "url": f"{URL}/1.ndjson"},
        {"type": "Observation", "url": f"{URL}/2.ndjson", "count": 7},
    ],
    "error": [{"type": "OperationOutcome", "url": f"{URL}/err.ndjson"}],
}
THIRD = {
    **FIRST,
    "requiresAccessToken": False,
    "outputOrganizedBy": "Patient",
    "deleted": [{"type": "Bundle", "url": f"{URL}/del"}],
    "output": [{"url": f"{URL}/1", "continuesInFile": f"{URL}/2"}, {"url": f"{URL}/2"}],
    "link": [{"relation": "self", "url": f"{URL}/m1"}, {"relation": "next", "url": f"{URL}/m2"}],
}
BALLOT = {
    "manifestType": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest",
    "transactionTime": "2021",
    "requiresAccessToken": True,
    "output": [{"type": "Patient", "url": f"{URL}/1"}],
    "outcome": [{"url": f"{URL}/o"}],
    "extension": [{"url": "http://example.org", "valueBoolean": True}],
}
STUB = {
    "manifestType": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkPublishManifest",
    "transactionTime": "2021",
    "requiresAccessToken": False,
    "link": [{"relation": "next", "url": "#pending"}],
}


def test_the_first_version_names_types_counts_and_errors() -> None:
    found = read_manifest(FIRST)
    assert found == Manifest(
        (
            RemoteFile(f"{URL}/1.ndjson", "output", "Patient"),
            RemoteFile(f"{URL}/2.ndjson", "output", "Observation", 7),
            RemoteFile(f"{URL}/err.ndjson", "error", "OperationOutcome"),
        ),
        "2021-01-01T00:00:00Z",
    )
    assert found.needs_token


def test_the_third_version_has_pages_deletions_and_files_of_mixed_types() -> None:
    found = read_manifest(THIRD)
    assert found is not None
    assert (found.needs_token, found.next, found.pending) == (False, f"{URL}/m2", False)
    assert [(file.kind, file.type) for file in found.files] == [
        ("output", ""),
        ("output", ""),
        ("deleted", "Bundle"),
        ("error", "OperationOutcome"),
    ]


def test_the_ballot_of_the_fourth_version_calls_errors_outcome() -> None:
    found = read_manifest(BALLOT)
    assert found is not None
    assert [file.kind for file in found.files] == ["output", "error"]


def test_a_stub_says_that_a_further_manifest_is_to_come() -> None:
    found = read_manifest(STUB)
    assert found == Manifest((), "2021", needs_token=False, pending=True)


@pytest.mark.parametrize(
    "other",
    [
        {},
        [],
        None,
        "x",
        1,
        {"resourceType": "Bundle", "transactionTime": "", "output": []},
        {"output": []},
        {"transactionTime": ""},
    ],
)
def test_what_is_no_manifest_is_none(other: object) -> None:
    assert read_manifest(other) is None


def test_a_token_is_needed_unless_the_manifest_says_no() -> None:
    for said, needed in ((None, True), ("", True), (0, True), (True, True), (False, False), ("false", False)):
        found = read_manifest({"transactionTime": "", "output": [], "requiresAccessToken": said})
        assert found is not None
        assert found.needs_token is needed, said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries({}, optional={"url": JSON, "type": JSON, "count": JSON})


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"transactionTime": JSON, "output": st.lists(ENTRY | JSON, max_size=4) | JSON},
        optional={
            "deleted": st.lists(ENTRY, max_size=3) | JSON,
            "error": JSON,
            "outcome": JSON,
            "requiresAccessToken": JSON,
            "link": st.lists(st.fixed_dictionaries({"relation": st.just("next") | JSON, "url": JSON}), max_size=3)
            | JSON,
        },
    )
)
def test_any_content_is_read_or_left_out(content: dict[str, Any]) -> None:
    found = read_manifest(content)
    assert found is not None
    assert all(isinstance(file.url, str) and isinstance(file.type, str) and file.count >= -1 for file in found.files)
    listed = content["output"] if isinstance(content["output"], list) else [content["output"]]
    objects = [entry for entry in listed if isinstance(entry, dict)]
    assert len([file for file in found.files if file.kind == "output"]) == len(objects)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            RemoteFile,
            st.text(alphabet="abc/:?=", min_size=1),
            st.sampled_from(["output", "deleted", "error"]),
            st.sampled_from(["", "Patient", "Observation"]),
            st.integers(-1, 9),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_what_was_written_is_read_again(files: list[RemoteFile], needs_token: bool) -> None:
    content: dict[str, Any] = {"transactionTime": "t", "requiresAccessToken": needs_token, "output": []}
    for file in files:
        entry = {"url": file.url, "type": file.type, **({"count": file.count} if file.count >= 0 else {})}
        content.setdefault(file.kind, []).append(entry)
    found = read_manifest(content)
    assert found is not None
    assert sorted(found.files, key=repr) == sorted(files, key=repr)
    assert found.needs_token is needs_token
