"""What is read: files, folders, patterns, manifests, packed files, single resources of one patient in many files."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from batch_kit import Json, bulk, examples, ndjson, population, renamed, screened, write_bulk

from engine.batch.packing import BROKEN, open_plain
from engine.batch.plan import parts
from engine.batch.sources import listing
from engine.errors import InputError

zstandard = pytest.importorskip("zstandard", reason="needs zstandard")
MG = {"system": "http://snomed.info/sct", "code": "91637004"}


def patient(identity: str, **more: object) -> Json:
    return {"resourceType": "Patient", "id": identity, "birthDate": "1960-01-01", **more}


def mg(identity: str, subject: Json, **more: object) -> Json:
    code = {"coding": [MG]}
    return {"resourceType": "Condition", "id": identity, "code": code, "subject": subject,
            "recordedDate": "2020-01-01", **more}  # fmt: skip


def order(identity: str, subject: Json, **more: object) -> Json:
    return {"resourceType": "MedicationRequest", "id": identity, "status": "active", "intent": "order",
            "authoredOn": "2026-04-10", "subject": subject, **more}  # fmt: skip


CIPRO = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "2551"}]}
P1 = {"reference": "Patient/p1"}
AVOID = ("mg-drug-avoid", "high")


def write(folder: Path, **files: list[Json]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, held in files.items():
        (folder / f"{name}.ndjson").write_bytes(ndjson(held))
    return folder


# -- one patient in many files


def test_a_bulk_export_gives_what_the_bundles_give(tmp_path: Path) -> None:
    bundles = list(population(2))
    whole = tmp_path / "bundles.ndjson"
    whole.write_bytes(ndjson(bundles))
    spread = write_bulk(tmp_path / "bulk", bulk(bundles), files=3)

    by_bundle = screened(tmp_path / "a", whole)
    by_type = screened(tmp_path / "b", spread, size=20_000, into=5)

    complete = {"als-ms-overlap"}  # a Bundle may declare itself complete, a bulk export cannot
    same = {name: found for name, found in by_bundle.findings.items() if name in by_type.findings}
    assert by_type.counts.patients == by_bundle.counts.patients == 44
    assert complete
    differing = {name for name, found in same.items() if by_type.findings[name] != found}
    declared = {
        f"Patient/{entry['resource']['id']}"
        for bundle in bundles
        if bundle.get("meta", {}).get("tag")
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Patient"
    }
    assert differing <= declared
    assert sum(map(len, by_type.findings.values())) > 40


def test_an_order_finds_its_medication_in_another_file_whatever_the_partitions(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in",
        Patient=[patient("p1")],
        Condition=[mg("c1", P1)],
        MedicationRequest=[order("o1", P1, medicationReference={"reference": "Medication/m1"})],
        Medication=[{"resourceType": "Medication", "id": "m1", "code": CIPRO}],
    )

    for number in (1, 7):
        assert AVOID in screened(tmp_path / str(number), folder, into=number).findings["Patient/p1"]


def test_an_order_finds_the_ingredient_of_its_medication_in_a_third_file(tmp_path: Path) -> None:
    ingredient = {"itemReference": {"reference": "Medication/m2"}}
    folder = write(
        tmp_path / "in",
        Patient=[patient("p1")],
        Condition=[mg("c1", P1)],
        MedicationRequest=[order("o1", P1, medicationReference={"reference": "Medication/m1"})],
        Medication=[{"resourceType": "Medication", "id": "m1", "ingredient": [ingredient]}],
        More=[{"resourceType": "Medication", "id": "m2", "code": CIPRO}],
    )

    assert AVOID in screened(tmp_path, folder, into=16).findings["Patient/p1"]


def test_a_subject_by_identifier_is_the_patient_who_has_it(tmp_path: Path) -> None:
    number = {"system": "urn:x", "value": "77"}
    folder = write(
        tmp_path / "in",
        Patient=[patient("p1", identifier=[number])],
        Condition=[mg("c1", {"identifier": number})],
        MedicationRequest=[
            order("o1", {"reference": "#me"}, medicationCodeableConcept=CIPRO,
                  contained=[{"resourceType": "Patient", "id": "me", "identifier": [number]}])
        ],
    )  # fmt: skip

    found = screened(tmp_path, folder, into=9)

    assert found.counts.patients == 1
    assert AVOID in found.findings["Patient/p1"]


def test_an_identifier_that_two_patients_have_is_nobodys(tmp_path: Path) -> None:
    number = {"system": "urn:x", "value": "77"}
    folder = write(
        tmp_path / "in",
        Patient=[patient("p1", identifier=[number]), patient("p2", identifier=[number])],
        Condition=[mg("c1", {"identifier": number})],
    )

    found = screened(tmp_path, folder, into=4)

    assert not found.counts.relevant
    assert [code for code, _, _ in found.odd] == ["no-patient"]


def test_data_of_a_patient_who_is_not_there_are_set_aside_and_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Patient=[patient("p1")], Condition=[mg("c1", {"reference": "Patient/p2"})])

    found = screened(tmp_path, folder)

    assert found.counts.patients == 1
    assert found.odd == [("unknown-patient", "Condition.ndjson", 0)] or found.odd[0][0] == "unknown-patient"


def test_without_patient_resources_those_whom_the_data_name_are_screened(tmp_path: Path) -> None:
    orders = [order("o1", {"reference": "http://x.org/fhir/Patient/p1"}, medicationCodeableConcept=CIPRO)]
    folder = write(tmp_path / "in", Condition=[mg("c1", P1)], MedicationRequest=orders)

    assert AVOID in screened(tmp_path, folder, into=3).findings["Patient/p1"]


def test_data_of_nobody_are_set_aside_with_file_and_line(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in",
        Patient=[patient("p1")],
        Condition=[mg("c0", P1), mg("c1", {}), mg("c2", {"reference": "Group/1"})],
    )

    found = screened(tmp_path, folder)

    assert found.odd == [("no-patient", "Condition.ndjson", 2), ("no-patient", "Condition.ndjson", 3)]


# -- versions


def test_the_newest_version_counts_in_whatever_file_it_stands(tmp_path: Path) -> None:
    old = mg("c1", P1, meta={"lastUpdated": "2024-01-01T00:00:00Z"})
    other = {"coding": [{"system": "urn:x", "code": "y"}]}
    new = mg("c1", P1, meta={"lastUpdated": "2025-01-01T00:00:00Z"}, code=other)
    for first, second in ((old, new), (new, old)):
        folder = write(tmp_path / "in", Patient=[patient("p1")], A=[first], B=[second])
        assert screened(tmp_path, folder).counts.relevant == 0
    folder = write(tmp_path / "in", Patient=[patient("p1")], A=[old], B=[])
    assert screened(tmp_path, folder).counts.relevant == 1


def test_what_a_manifest_says_is_deleted_is_not_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Patient=[patient("p1")], Condition=[mg("c1", P1)])
    gone = {"resourceType": "Bundle", "type": "transaction",
            "entry": [{"request": {"method": "DELETE", "url": "Condition/c1"}}]}  # fmt: skip
    (folder / "gone.ndjson").write_bytes(ndjson([gone]))
    manifest = {
        "transactionTime": "2026-01-01T00:00:00Z",
        "request": "https://x.org/$export",
        "requiresAccessToken": False,
        "output": [{"type": "Condition", "url": "https://x.org/files/Condition.ndjson"}],
        "deleted": [{"type": "Bundle", "url": "https://x.org/files/gone.ndjson"}],
        "error": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert screened(tmp_path, folder).counts.relevant == 0
    del manifest["deleted"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert screened(tmp_path, folder).counts.relevant == 1


# -- manifests


def test_a_manifest_names_its_files_and_its_next_page(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Patient=[patient("p1")], Condition=[mg("c1", P1)], Stray=[patient("p2")])
    second = {"transactionTime": "", "manifestType": "bulk-export", "outcome": [],
              "output": [{"type": "Condition", "url": "Condition.ndjson"}]}  # fmt: skip
    first = {"transactionTime": "", "output": [{"type": "Patient", "url": "http://x.org/a/Patient.ndjson?sig=1"}],
             "error": [], "link": [{"relation": "next", "url": "http://x.org/page2.json"}]}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(first))
    (folder / "page2.json").write_text(json.dumps(second))

    found = screened(tmp_path, folder / "manifest.json")

    assert found.counts.patients == found.counts.relevant == 1
    assert found.odd == []


def test_a_manifest_that_waits_for_a_further_one_is_a_problem(tmp_path: Path) -> None:
    folder = write_bulk(tmp_path / "in", bulk(examples()))
    stub = {"transactionTime": "", "manifestType": "bulk-publish", "link": [{"relation": "next", "url": "#pending"}]}
    (folder / "manifest.json").write_text(json.dumps(stub))
    found = screened(tmp_path, folder)
    assert ("further-pages", "manifest.json", 0) in found.odd


def test_a_file_that_a_manifest_names_and_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", Patient=[patient("p1")])
    manifest = {"transactionTime": "", "output": [{"url": "x/Patient.ndjson"}, {"url": "x/Condition.ndjson"}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert [code for code, _, _ in screened(tmp_path, folder).odd] == ["not-readable"]


def test_an_error_outcome_among_the_data_is_a_problem(tmp_path: Path) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    folder = write(tmp_path / "in", Patient=[patient("p1")], errors=[outcome])

    assert screened(tmp_path, folder).odd == [("failed-query", "errors.ndjson", 0)]


# -- paths


def test_the_order_of_the_arguments_and_a_file_given_twice_change_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", B=[patient("p1")], A=[mg("c1", P1)])
    files = [folder / "A.ndjson", folder / "B.ndjson"]

    assert listing(files) == listing([*reversed(files), folder, files[0]]) == listing([folder / "*.ndjson"])


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        listing([tmp_path / "nothing"])
    with pytest.raises(InputError, match="does not exist"):
        listing([tmp_path / "*.ndjson"])
    (tmp_path / "notes.txt").write_text("no data")
    with pytest.raises(InputError, match="holds no JSON"):
        listing([tmp_path])


def test_arrays_single_resources_and_bundles_stand_side_by_side(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "array.json").write_text(json.dumps([patient("p1"), mg("c1", P1)], indent=1))
    (folder / "one.json").write_text(json.dumps(order("o1", P1, medicationCodeableConcept=CIPRO), indent=1))
    (folder / "bundle.json").write_text(json.dumps(next(examples())))

    found = screened(tmp_path, folder)

    assert found.counts.patients == 2
    assert AVOID in found.findings["Patient/p1"]


# -- packed files


def zstd(data: bytes) -> bytes:
    return bytes(zstandard.ZstdCompressor().compress(data))


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_packed_files_are_read_and_a_cut_one_costs_its_end(pack: object, tmp_path: Path) -> None:
    assert callable(pack)
    data = ndjson(patient(f"p{number}", note=random.Random(number).random()) for number in range(20_000))
    file = tmp_path / f"Patient.ndjson.{'gz' if pack is gzip.compress else 'zst'}"
    file.write_bytes(pack(data[: len(data) // 2]) + pack(data[len(data) // 2 :]))

    whole = screened(tmp_path, file)
    file.write_bytes(pack(data)[:-100])
    cut = screened(tmp_path, file)

    assert whole.counts.patients == 20_000
    assert whole.odd == []
    assert 0 < cut.counts.patients < 20_000
    assert [(code, name) for code, name, _ in cut.odd] == [("not-readable", file.name)]


def test_damaged_packing_ends_the_file_with_an_error(tmp_path: Path) -> None:
    for data in (zstd(b"x" * 1000), gzip.compress(b"x" * 1000)):
        file = tmp_path / "broken"
        file.write_bytes(data[:12] + b"\xff" * 20 + data[32:])
        with pytest.raises(BROKEN), open_plain(str(file)) as stream:
            stream.read()


# -- parts


def test_a_large_file_is_cut_at_ends_of_lines_and_keeps_its_line_numbers(tmp_path: Path) -> None:
    lines = [ndjson([patient(f"p{number}", note="x" * (number % 700))]) for number in range(2_000)]
    lines[1500] = b"{broken\n"
    file = tmp_path / "Patient.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + b"".join(lines))

    cut = list(parts(listing([file]).sources, 100_000))
    found = screened(tmp_path, file, size=100_000)

    assert len(cut) > 5
    assert found.counts.patients == 1_999
    assert found.odd == [("not-json", "Patient.ndjson", 1501)]


def test_a_line_longer_than_the_reader_takes_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.batch.pieces.LARGEST", 50_000)
    held = [patient("p1"), patient("p2", note="x" * 300_000), patient("p3")]
    file = tmp_path / "Patient.ndjson"
    file.write_bytes(ndjson(held))

    found = screened(tmp_path, file, size=60_000)

    assert found.counts.patients == 2
    assert found.odd == [("too-large", "Patient.ndjson", 2)]


def test_a_patient_in_two_bundles_is_evaluated_twice_and_named(tmp_path: Path) -> None:
    bundle = renamed(next(examples()), "-x")
    (tmp_path / "a.json").write_text(json.dumps(bundle))
    (tmp_path / "b.json").write_text(json.dumps(bundle))

    found = screened(tmp_path / "out", tmp_path / "a.json", tmp_path / "b.json")

    assert found.counts.patients == 2
    assert ("several-bundles", "b.json", 0) in found.odd


def test_a_log_file_among_the_data_is_named_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "Patient.ndjson"
    file.write_bytes(b'{"level": "INFO", "message": "started"}\n' + ndjson([patient("p1")]) + b"\n\n42\n")

    found = screened(tmp_path, file)

    assert found.counts.patients == 1
    assert found.odd == [("no-resource-type", "Patient.ndjson", 1), ("not-an-object", "Patient.ndjson", 5)]
