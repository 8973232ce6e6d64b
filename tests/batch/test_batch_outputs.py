"""What a batch writes: tables, DetectedIssues, problems, a summary, and a report that holds only a part of many."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from batch_kit import DAY, ROOT, endplate, ndjson, population, ready, screened
from msgspec.structs import replace

from engine.batch import shown as showing
from engine.batch.results import Counts, Found, Silent, pack
from engine.batch.tables import COLUMNS, CsvTable, TableRow, has_parquet
from engine.model.finding import Evaluation, Finding, RulesetId


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a batch of the example patients with a broken line among them."""
    folder = tmp_path_factory.mktemp("screened")
    source = folder / "patients.ndjson"
    patients = list(population(1))
    source.write_bytes(ndjson(patients[:10]) + b"{broken\n" + ndjson(patients[10:]))
    done = endplate(source, "--out", folder / "out", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert b"22 patients" in done.stdout
    assert b"report: " in done.stdout
    return folder / "out"


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "findings.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_summary_counts_what_the_tables_hold(out: Path) -> None:
    said = json.loads((out / "summary.json").read_bytes())
    table = rows(out)

    assert said["findings"]["total"] == len(table) > 20
    assert said["patients"]["with_findings"] == len({row["patient"] for row in table})
    assert said["patients"]["evaluated"] == 22
    for issue, held in said["findings"]["by_issue"].items():
        for severity, count in held["severities"].items():
            assert count == sum((row["issue"], row["severity"]) == (issue, severity) for row in table)
    assert sum(sum(held.values()) for held in said["findings"]["by_ruleset"].values()) == len(table)
    assert said["run"] == {
        "sources": [str(out.parent / "patients.ndjson")],
        "as_of": "2026-04-20",
        "complete": False,
        "backend": "plain",
        "only": [],
        "limit": None,
    }


def test_every_issue_refers_to_its_guidance_which_stands_before_it(out: Path) -> None:
    seen: set[str] = set()
    issues = 0
    for line in (out / "detected-issues.ndjson").read_bytes().splitlines():
        resource = json.loads(line)
        if resource["resourceType"] == "GuidanceResponse":
            seen.add(f"GuidanceResponse/{resource['id']}")
            continue
        issues += 1
        details = [detail["reference"] for evidence in resource["evidence"] for detail in evidence["detail"]]
        guidance = {name for name in details if name.startswith("GuidanceResponse/")}
        assert guidance
        assert guidance <= seen
        assert len(resource["id"]) <= 64
    assert issues == len(rows(out))


def test_problems_say_file_line_reason_and_what_was_done(out: Path) -> None:
    first = json.loads((out / "problems.ndjson").read_bytes().splitlines()[0])
    by_reason = {line["reason"]: line for line in map(json.loads, (out / "problems.ndjson").read_bytes().splitlines())}

    assert set(first) >= {"file", "reason", "message"}
    assert by_reason["not-json"]["line"] == 11
    assert by_reason["not-json"]["file"].endswith("patients.ndjson")
    assert by_reason["unusable-datum"]["patient"].startswith("Patient/")


@pytest.mark.skipif(not has_parquet(), reason="needs pyarrow")
def test_parquet_holds_what_csv_holds(out: Path) -> None:
    parquet = importlib.import_module("pyarrow.parquet")

    held = parquet.read_table(out / "findings.parquet").to_pylist()

    assert [set(row) for row in held] == [set(COLUMNS)] * len(held)
    for row, line in zip(held, rows(out), strict=True):
        assert line["evidence"] == " ".join(row["evidence"])
        assert line["as_of"] == row["as_of"].isoformat()
        assert {name: line[name] for name in ("patient", "issue", "severity", "rule", "identifier")} == {
            name: row[name] for name in ("patient", "issue", "severity", "rule", "identifier")
        }


def test_without_pyarrow_csv_is_written_and_it_is_said_once(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['pyarrow'] = None; import importlib.util as u; f = u.find_spec; "
    hide += "u.find_spec = lambda name, *a: None if name == 'pyarrow' else f(name, *a); "
    hide += "from engine.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hide, "screen", str(ROOT / "fhir_examples/patients/typical-mg.json"), "--out",
         str(tmp_path), "--as-of", "bundle", "--backend", "plain"], capture_output=True, check=True,
    )  # fmt: skip

    assert done.stdout.count(b"endplate[parquet]") == 1
    assert (tmp_path / "findings.csv").exists()
    assert not (tmp_path / "findings.parquet").exists()


def test_a_cell_that_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    table = CsvTable(tmp_path / "x.csv")
    table.add(TableRow("=1+1", DAY, *[""] * 8, ("a", "b"), (), "", ""))
    table.close()

    assert "'=1+1," in (tmp_path / "x.csv").read_text("utf-8")


# -- the report


def test_the_page_runs_only_the_script_that_its_policy_names(out: Path) -> None:
    page = (out / "report.html").read_text("utf-8")

    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']""", page)


def test_the_page_has_counts_parameters_versions_and_every_patient(out: Path) -> None:
    page = (out / "report.html").read_text("utf-8")
    info = ready().ruleset.info

    assert page.count("<section") == 22
    for row in rows(out):
        assert row["issue"] in page
        assert info[row["issue"]].version in page
    assert ready().ruleset.hash[:12] in page
    assert "2026-04-20" in page
    assert "What is missing" in page
    assert "a document or line is no JSON" in page


def test_a_page_of_many_shows_the_most_severe_and_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "MOST_SHOWN", 3)
    monkeypatch.setattr(showing, "MOST_SILENT", 1)
    base = Evaluation(
        patient="", as_of=DAY, complete=False, findings=(),
        ruleset=RulesetId("x", "1", "h"),
    )  # fmt: skip
    finding = Finding(issue="i", severity="low", display="warning", group="", rule="i", version="1", hash="", case=0,
                      summary="s")  # fmt: skip
    picked = showing.Picked()
    for number, severity in enumerate(("low", "", "high", "low", "moderate", "", "high")):
        named = replace(base, patient=f"Patient/{number}")
        if severity:
            found = replace(named, findings=(replace(finding, severity=severity),))
            picked.add(Found(found.patient, pack(found), found.worst))
        else:
            picked.add(Silent(named.patient, pack(named)))

    shown = picked.shown(Counts(patients=7, with_findings=5))

    assert [evaluation.patient[-1] for evaluation in shown.evaluations] == ["1", "2", "4", "6"]
    assert (shown.more, shown.silent) == (2, 1)


def test_validate_holds_every_output_against_the_fhir_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ROOT / "fhir_examples" / "patients"
    patients = (folder / "typical-als.json", folder / "musk-mg-labelled-als.json")
    plain, checked = (screened(tmp_path / name, *patients, validate=name == "on") for name in ("off", "on"))
    assert checked.findings == plain.findings
    assert any(checked.findings.values())

    def faulty(*_: object, **__: object) -> dict[str, object]:
        return {"resourceType": "DetectedIssue", "status": ["no", "code"]}

    monkeypatch.setattr("engine.batch.output.detected_issue", faulty)
    assert screened(tmp_path / "unseen", *patients).counts.failed == 0
    broken = screened(tmp_path / "seen", *patients, validate=True)
    assert broken.counts.failed == sum(bool(found) for found in plain.findings.values())
    assert "not-evaluated" in {code for code, _, _ in broken.odd}
