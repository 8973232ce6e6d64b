"""Lines that wait: what is found is what is found when nothing waits, whatever stands beside what."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batch_kit import Screened, examples, ndjson, ready, renamed, screened, setup_for

from engine.batch.names import Names
from engine.batch.pieces import Block, Numbers, blocks_of
from engine.batch.plan import Piece, parts
from engine.batch.reader import Reader
from engine.batch.results import Found, Odd
from engine.batch.run import begin, keep, run
from engine.batch.sources import Source
from engine.model.problem import Problem

Json = dict[str, Any]
LOINC, RXNORM = "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"


@pytest.fixture(autouse=True)
def every_file_is_read_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.batch.plan.SNIFFED", 0)


def common(patient: str, number: int, **more: Any) -> Json:
    """A value that rules read and that makes nobody relevant."""
    coding = {"system": LOINC, "code": "1742-6", "display": "ALT"}
    return {"resourceType": "Observation", "id": f"{patient}-{number}", "status": "final",
            "subject": {"reference": f"Patient/{patient}"}, "code": {"coding": [coding]},
            "effectiveDateTime": "2026-04-01", "valueQuantity": {"value": 30 + number, "unit": "U/L"},
            **more}  # fmt: skip


def order(patient: str) -> Json:
    """A drug that stands in the value sets and makes nobody relevant."""
    concept = {"coding": [{"system": RXNORM, "code": "617310", "display": "atorvastatin 20 MG Oral Tablet"}]}
    return {"resourceType": "MedicationRequest", "id": f"m-{patient}", "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/{patient}"}, "medicationCodeableConcept": concept}  # fmt: skip


def visit(patient: str, status: str) -> Json:
    """A visit, over or not."""
    return {"resourceType": "Encounter", "id": f"e-{patient}-{status}", "status": status,
            "subject": {"reference": f"Patient/{patient}"}}  # fmt: skip


def hospital(chance: random.Random) -> list[bytes]:
    """Lines of a bulk export: patients of the examples with common data beside, ordinary ones, ones who are not there,
    older and newer versions, data by identifier, and lines that are none."""
    resources: list[Json] = []
    for number, bundle in enumerate(chance.sample(list(examples()), 9)):
        held = [entry["resource"] for entry in renamed(bundle, f"-{number}")["entry"]]
        name = next(one["id"] for one in held if one["resourceType"] == "Patient")
        held += [common(name, 1), common(name, 2), order(name), visit(name, "finished"), visit(name, "in-progress")]
        coded = [one for one in held if one["resourceType"] in ("Observation", "Condition") and "subject" in one]
        for one in chance.sample(coded, min(2, len(coded))):       # another version, whose code means nothing
            when = f"2026-0{chance.choice((1, 9))}-01T00:00:00Z"
            held.append(one | {"meta": {"lastUpdated": when}, "code": {"coding": [{"system": LOINC, "code": "718-7"}]}})
            one["meta"] = {"lastUpdated": "2026-05-01T00:00:00Z"}
        resources += held
    for number in range(12):
        name = f"ordinary-{number}"
        own = {"system": "urn:mrn", "value": str(number)}
        resources += [{"resourceType": "Patient", "id": name, "identifier": [own]}] if number % 4 else []
        resources += [common(name, one) for one in range(3)] + [order(name), visit(name, "finished")]
        if number % 5 == 1:
            by_identifier = {"subject": {"type": "Patient", "identifier": own}}
            resources.append(chance.choice([one for one in resources if one["resourceType"] == "Condition"])
                             | {"id": f"x-{number}"} | by_identifier)  # fmt: skip
    lines = [msgspec.json.encode(one) + b"\n" for one in resources]
    chance.shuffle(lines)
    for odd in (b"\n", b"{broken\n", lines[0].strip() + lines[1], b" \t\n", b'{"resourceType": "Claim", "id": "c"}\n'):
        lines.insert(chance.randrange(len(lines)), odd)
    return lines


def said(found: Screened) -> tuple[Any, ...]:
    """All that a batch says, whatever the order."""
    issues = sorted(line for frame in found.frames if isinstance(frame, Found) for line in frame.issues)
    odds = [frame for frame in found.frames if isinstance(frame, Odd)]
    odd = sorted((frame.problem.code, frame.problem.where, frame.line) for frame in odds)
    counts = found.counts
    return issues, odd, found.findings, counts.patients, counts.relevant, counts.documents, counts.given


@pytest.mark.parametrize("seed", range(6))
def test_what_waits_changes_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    lines = hospital(chance)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        text = b"".join(lines[number::3])
        packed = chance.random() < 0.3
        (folder / f"{number}.ndjson{'.gz' * packed}").write_bytes(gzip.compress(text) if packed else text)
    options = {"size": chance.choice((4_000, 40_000, 4_000_000)), "into": chance.choice((1, 3))}

    waited = screened(tmp_path / "waited", folder, **options)
    monkeypatch.setattr(Reader, "may_wait", lambda *_: False)
    at_once = screened(tmp_path / "at-once", folder, **options)

    assert waited.counts.waiting and waited.counts.picked
    assert not at_once.counts.waiting
    assert waited.counts.with_findings
    assert said(waited) == said(at_once)


def test_a_newer_version_that_means_nothing_takes_away_what_an_older_one_said(tmp_path: Path) -> None:
    myasthenia = {"coding": [{"system": "http://snomed.info/sct", "code": "91637004"}]}
    old = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}, "code": myasthenia,
           "meta": {"lastUpdated": "2024-01-01T00:00:00Z"}}  # fmt: skip
    nothing = {"coding": [{"system": "urn:x", "code": "y"}]}
    for when, relevant in (("2025", 0), ("2023", 1)):
        new = old | {"code": nothing, "meta": {"lastUpdated": f"{when}-01-01T00:00:00Z"}}
        for first, second in ((old, new), (new, old)):
            file = tmp_path / "in.ndjson"
            file.write_bytes(ndjson([first, {"resourceType": "Patient", "id": "p"}, second]))

            found = screened(tmp_path, file)

            assert found.counts.relevant == relevant
            assert (found.counts.waiting, found.counts.picked) == (1, 1)


def test_what_concerns_nobody_is_not_kept(tmp_path: Path) -> None:
    held = [{"resourceType": "Patient", "id": f"p{n}", "name": [{"family": "x" * 400}]} for n in range(200)]
    held += [common(f"p{n}", m, note=[{"text": "y" * 400}]) for n in range(200) for m in range(5)]
    file = tmp_path / "in.ndjson"
    file.write_bytes(ndjson(held))
    setup, folder = setup_for([file]), tmp_path / "run"
    begin(folder)
    keep(folder, setup)

    kept = list[int]()
    counts = run(
        folder, setup, 1, ready(), lambda _: kept.append(sum(path.stat().st_size for path in folder.glob("*.spill")))
    )

    assert (counts.patients, counts.relevant, counts.kept, counts.picked) == (200, 0, 0, 0)
    assert 0 < max(kept) < 0.1 * file.stat().st_size
    assert not list(folder.glob("*.spill"))


def test_two_resources_on_one_line_are_no_json(tmp_path: Path) -> None:
    one, other = (msgspec.json.encode(common("p", number)) for number in (1, 2))
    file = tmp_path / "in.ndjson"
    file.write_bytes(one + b"\n" + one + other + b"\n" + other + b"\n")

    found = screened(tmp_path, file)

    assert found.odd == [("not-json", "in.ndjson", 2)]
    assert found.counts.patients == 1


def test_lines_have_the_same_numbers_whoever_reads_which_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.batch.pieces._BLOCK", 11)
    monkeypatch.setattr("engine.batch.plan.SNIFFED", 0)
    chance = random.Random(8)
    path = tmp_path / "in.ndjson"
    for _ in range(40):
        lines = [b'{"a":"' + b"x" * chance.randrange(30) + b'"}\n' for _ in range(chance.randrange(2, 30))]
        path.write_bytes(b"".join(lines))
        source = Source(str(path), str(path), path.stat().st_size, 0)
        pieces = [piece for part in parts([source], 40) for piece in part]
        seen = []
        for readers in (1, 2, 3):
            read = []
            several = [Numbers() for _ in range(readers)]
            for piece in chance.sample(pieces, len(pieces)) if readers == 3 else pieces:
                for block in chance.choice(several).blocks_of(source, piece):
                    assert isinstance(block, Block)
                    read += enumerate(block.lines, block.number)
            seen.append(sorted(read))

        assert seen == [list(enumerate(lines, 1))] * 3


def test_blocks_are_the_lines_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.batch.pieces._BLOCK", 7)
    monkeypatch.setattr("engine.batch.pieces.LARGEST", 20)
    chance = random.Random(7)
    for _ in range(60):
        lines = [b"x" * chance.choice((0, 1, 5, 6, 7, 8, 19, 20, 45)) + b"\n" for _ in range(chance.randrange(1, 9))]
        text = b"".join(lines)[: -1 if chance.random() < 0.5 else None]
        path = tmp_path / "in.ndjson"
        path.write_bytes(text)

        blocks = list(blocks_of(Source(str(path), str(path), len(text), 0), Piece(0, True)))

        expected = [(number, line) for number, line in enumerate(text.splitlines(keepends=True), 1)]
        read = [
            (block.number + index, line)
            for block in blocks
            if isinstance(block, Block)
            for index, line in enumerate(block.lines)
        ]
        assert read == [one for one in expected if len(one[1]) <= 20]
        starts = {block.start: block.lines for block in blocks if isinstance(block, Block)}
        assert all(text[start:].startswith(b"".join(held)) for start, held in starts.items())
        too_large = [block.where for block in blocks if isinstance(block, Problem)]
        assert too_large == [f"{path}: line {number}" for number, line in expected if len(line) > 20]


def test_a_set_of_names_holds_all_its_names_and_hardly_any_other() -> None:
    names = Names(f"Patient/{number}" for number in range(5_000))

    assert all(f"Patient/{number}" in names for number in range(5_000))
    assert sum(f"Other/{number}" in names for number in range(5_000)) < 250
    assert "Patient/1" not in Names(())


