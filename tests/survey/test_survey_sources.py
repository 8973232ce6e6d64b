"""A survey reads what a batch reads: files, folders, patterns, Bundles, NDJSON, exports, packed, standard input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from survey_kit import FEED, Json, surveyed

from engine.survey.result import Survey


def lines() -> Iterator[Json]:
    for path in sorted(FEED.glob("*.ndjson")):
        yield from map(json.loads, path.read_text("utf-8").splitlines())


def bundle(resources: list[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def by_patient() -> list[list[Json]]:
    held: dict[str, list[Json]] = {}
    for one in lines():
        owner = one["id"] if one["resourceType"] == "Patient" else one["subject"]["reference"].partition("/")[2]
        held.setdefault(owner, []).append(one)
    return list(held.values())


def ndjson(values: list[Json]) -> bytes:
    return b"".join(msgspec.json.encode(one) + b"\n" for one in values)


def told(survey: Survey) -> object:
    """What a survey says of the content, whatever the form."""
    said = msgspec.to_builtins(survey)
    return {key: value for key, value in said.items() if key not in ("files", "documents", "sources", "problems")}


@pytest.fixture(scope="module")
def expected() -> object:
    survey = surveyed(FEED)
    assert survey.files == 4
    assert survey.proposals
    return told(survey)


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_single_bundle_and_a_bundle_a_line(tmp_path: Path, expected: object) -> None:
    one = write(tmp_path, "one.json", json.dumps(bundle(list(lines())), indent=1).encode())
    assert told(surveyed(one)) == expected
    many = write(tmp_path, "many.ndjson", ndjson([bundle(held) for held in by_patient()]))
    assert told(surveyed(many)) == expected


def test_a_folder_of_bundles_an_array_and_a_pattern(tmp_path: Path, expected: object) -> None:
    for number, held in enumerate(by_patient()):
        write(tmp_path, f"bundles/{number}.json", json.dumps(bundle(held)).encode())
    assert told(surveyed(tmp_path / "bundles")) == expected
    assert told(surveyed(tmp_path / "bundles" / "*.json")) == expected
    assert told(surveyed(write(tmp_path, "array.json", json.dumps(list(lines())).encode()))) == expected


def test_an_export_with_a_manifest_and_several_files_for_a_type(tmp_path: Path, expected: object) -> None:
    entries = []
    for path in FEED.glob("*.ndjson"):
        data = path.read_bytes().splitlines(keepends=True)
        for number in (0, 1):
            name = f"{path.stem}.{number}.ndjson"
            write(tmp_path, name, b"".join(data[number::2]))
            entries.append({"type": path.stem, "url": f"https://server.example.org/files/{name}"})
    manifest = {"transactionTime": "2026-04-20T00:00:00Z", "requiresAccessToken": False, "output": entries}
    assert told(surveyed(write(tmp_path, "manifest.json", json.dumps(manifest).encode()))) == expected


def test_packed_files(tmp_path: Path, expected: object) -> None:
    for path in FEED.glob("*.ndjson"):
        write(tmp_path, f"gzip/{path.name}.gz", gzip.compress(path.read_bytes()))
    assert told(surveyed(tmp_path / "gzip")) == expected
    zstandard = pytest.importorskip("zstandard", reason="needs zstandard")
    for path in FEED.glob("*.ndjson"):
        write(tmp_path, f"zstd/{path.name}.zst", zstandard.compress(path.read_bytes()))
    assert told(surveyed(tmp_path / "zstd")) == expected


def test_standard_input(tmp_path: Path, expected: object) -> None:
    command = [sys.executable, "-c", "from engine.cli import main; main()", "site", "survey", "-", "--out",
               str(tmp_path / "out"), "--format", "json", "--as-of", "2026-04-20"]  # fmt: skip
    done = subprocess.run(command, input=ndjson(list(lines())), capture_output=True, check=True)
    said = json.loads(done.stdout)
    wanted = json.loads(msgspec.json.encode(expected))
    assert {key: value for key, value in said.items() if key in wanted} == wanted
    assert said["sources"] == ["-"]


def test_what_cannot_be_read_is_counted_and_costs_itself(tmp_path: Path, expected: object) -> None:
    data = ndjson(list(lines()))
    broken = write(tmp_path, "broken.ndjson", b"\xef\xbb\xbf" + data + b'\n{"resourceType": \n\n<xml/>\n[1]\n')
    survey = surveyed(broken)
    assert told(survey) == expected
    assert survey.problems == {"not-an-object": 1, "not-json": 2}
    packed = gzip.compress(data * 20)
    cut = surveyed(write(tmp_path, "cut.ndjson.gz", packed[: len(packed) // 2]))
    assert cut.problems == {"not-readable": 1}


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Ten times the patients with ten times the local codes: no more than the caps allow is kept."""
    sizes = []
    for factor in (1, 10):
        path = tmp_path / f"{factor}.ndjson"
        with path.open("wb") as stream:
            for number in range(2_000 * factor):
                stream.write(msgspec.json.encode({
                    "resourceType": "Observation", "id": f"o{number}", "status": "final",
                    "subject": {"reference": f"Patient/p{number}"},
                    "code": {"coding": [{"system": "https://lab.example.org", "code": f"c{number % 500}",
                                         "display": "Multiple sclerosis"}]},
                    "valueQuantity": {"value": number, "unit": f"u{number}"},
                }) + b"\n")  # fmt: skip
        tracemalloc.start()
        surveyed(path)
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] < sizes[0] + 30 * 2**20
