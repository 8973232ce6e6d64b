"""Hostile input, end to end: whatever is fed in, there is an evaluation or a one-line error, never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_vectors import bundles, evaluator, expected

from engine.cli import main
from engine.fhir import Scope, as_documents, read_documents, read_prefetch, read_records
from engine.fhir.decode import LARGEST
from engine.fhir.grouping import SUPPORT_KINDS
from engine.model.finding import Evaluation
from engine.model.problem import Problem
from engine.model.record import Record
from engine.outputs.cards import cards_response
from engine.outputs.detected_issue import issue_bundle
from engine.outputs.evaluation_json import evaluation_json
from engine.outputs.evaluation_text import evaluation_text
from engine.outputs.report import report
from engine.outputs.settings import BASE
from engine.outputs.validation import check_output

NOW = date(2025, 6, 1)
UCUM = "http://unitsofmeasure.org"
DANGER = "mg-drug-avoid"
NUMERIC = "als-niv-threshold"
FORMATS = ("text", "json", "fhir", "cards")
Json = dict[str, Any]


# ---------------------------------------------------------------- a patient with two findings


def coded(concept: str, kind: str) -> Json:
    coding = evaluator().ruleset.terminology.preferred(concept, kind)
    assert coding is not None
    return {"coding": [{"system": coding.system, "code": coding.code}]}


def of(who: str, kind: str, identity: str, **elements: Any) -> Json:
    return {"resourceType": kind, "id": identity, "subject": {"reference": f"Patient/{who}"}, **elements}


def patient(who: str = "p", **more: Any) -> Json:
    return {"resourceType": "Patient", "id": who, "gender": "male", "birthDate": "1960-05-05", **more}


def disease(concept: str, who: str = "p", **more: Any) -> Json:
    confirmed = {"verificationStatus": {"coding": [{"code": "confirmed"}]}, "recordedDate": "2024-05-05"}
    return of(who, "Condition", f"{concept}-{who}", **{"code": coded(concept, "condition"), **confirmed, **more})


def drug(who: str = "p", **more: Any) -> Json:
    usual = {"status": "active", "intent": "order", "authoredOn": "2025-05-20"}
    named = {"medicationCodeableConcept": coded("ciprofloxacin", "medication")}
    return of(who, "MedicationRequest", f"drug-{who}", **{**usual, **named, **more})


def lungs(value: object = 45, who: str = "p", **more: Any) -> Json:
    quantity = {"value": value, "unit": "%", "system": UCUM, "code": "%"}
    usual = {"status": "final", "code": coded("fvc-pct", "observation"), "effectiveDateTime": "2025-05-20"}
    return of(who, "Observation", f"fvc-{who}", **{**usual, "valueQuantity": quantity, **more})


def bundle(*resources: object) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def sick(who: str = "p") -> list[Json]:
    """The resources of a patient with ALS, myasthenia gravis, a weak breath and a hazardous drug."""
    return [patient(who), disease("als", who), disease("mg", who), drug(who), lungs(who=who)]


def read(*documents: object, as_of: date = NOW) -> tuple[list[Record], list[Problem]]:
    nobody: list[Problem] = []
    records = read_records(as_documents(documents), evaluator().ruleset.terminology, Scope(as_of=as_of), nobody)
    return list(records), nobody


def evaluated(*resources: object, as_of: date = NOW) -> Evaluation:
    """The one evaluation of patient `p`."""
    (one,), _ = read(bundle(patient(), *resources), as_of=as_of)
    return evaluator().evaluate(one)


def issues(evaluation: Evaluation) -> set[str]:
    return {finding.issue for finding in evaluation.findings}


def every_output(evaluation: Evaluation) -> list[str]:
    """The evaluation in every form in which it leaves the house; FHIR is checked."""
    info = evaluator().ruleset.info
    fhir = issue_bundle(evaluation, info, base=BASE)
    check_output(fhir)
    cards = cards_response(evaluation, info, base=BASE)
    return [
        evaluation_text(evaluation, info),
        evaluation_json(evaluation, info).decode(),
        json.dumps(fhir, default=str),
        json.dumps(cards, default=str),
        report([evaluation], info, source="here"),
    ]


# ---------------------------------------------------------------- the command line


class Ran(NamedTuple):
    code: object
    out: str
    err: str


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Ran]:
    """Runs `endplate evaluate` on files with the given content."""
    monkeypatch.setenv("ENDPLATE_CACHE", str(cache))
    monkeypatch.setenv("ENDPLATE_DEBUG", "1")  # a defect is raised, and not told in one line

    def run(*contents: object, form: str = "json", as_of: str = "2025-06-01") -> Ran:
        paths = []
        for number, content in enumerate(contents):
            path = content if isinstance(content, Path) else tmp_path / f"input-{number}.json"
            if not isinstance(content, Path):
                path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
            paths.append(str(path))
        arguments = ["evaluate", *paths, "--as-of", as_of, "--backend", "plain", "--format", form]
        monkeypatch.setattr(sys, "argv", ["endplate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        return Ran(ended.value.code or 0, out.decode(), err.decode())

    return run


UNUSABLE = {
    "nothing": b"",
    "blanks": b" \n\n \t",
    "words": b"patient has weakness",
    "half": b'{"resourceType": "Bundle", "entry": [',
    "xml": b'<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"/>',
    "utf-16": '{"resourceType": "Patient"}'.encode("utf-16"),
    "latin-1": '{"resourceType": "Patient", "id": "é"}'.encode("latin-1"),
    "a number": b"42",
    "null": b"null",
    "an empty list": b"[]",
    "a list of numbers": b"[1, 2]",
    "no fhir": b'{"name": "x", "value": 1}',
    "an empty object": b"{}",
    "an empty bundle": b'{"resourceType": "Bundle", "type": "collection"}',
    "a bundle of nothing": b'{"resourceType": "Bundle", "entry": [null, 7, {}, {"resource": null}]}',
    "a bundle of others": b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Location"}}]}',
    "a bundle that is no list": b'{"resourceType": "Bundle", "entry": "x"}',
    "a resource of nobody": b'{"resourceType": "Condition", "id": "c", "code": {"text": "x"}}',
    "an odd type": b'{"resourceType": ["Patient"], "id": "p"}',
    "deep": b"[" * 100_000,
    "deep and whole": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "binary": bytes(range(256)) * 50,
    "zeros": b"\0" * 5000,
    "a damaged archive": b"\x1f\x8b" + b"x" * 200,
    "half an archive": gzip.compress(b'{"resourceType": "Patient", "id": "p"}' * 500)[:60],
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_input_is_one_line_and_exit_code_2(name: str, cli: Callable[..., Ran]) -> None:
    code, out, err = cli(UNUSABLE[name])
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: nothing to evaluate in `") and "input-0.json" in line
    assert len(line) < 600 and line.isprintable()


def test_a_path_that_is_no_file_is_one_line_and_exit_code_2(cli: Callable[..., Ran], tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.json", tmp_path / ("x" * 300)):
        code, out, err = cli(path)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert err.startswith("error: ") and "is no file" in err


def test_a_date_that_is_none_is_one_line_and_exit_code_2(cli: Callable[..., Ran]) -> None:
    for text in ("yesterday", "2025-13-45", "0000-00-00", "2025-06-01T00:00:00Z", "9" * 400):
        code, out, err = cli(bundle(*sick()), as_of=text)
        assert (code, out, len(err.splitlines())) == (2, "", 1), text


@pytest.mark.parametrize("form", FORMATS)
def test_one_bad_file_among_good_ones_costs_itself(form: str, cli: Callable[..., Ran]) -> None:
    code, out, err = cli(b"no json", bundle(*sick()), b'{"a": 1}', form=form)
    assert code == 0 and DANGER in out
    assert ["input-0.json" in line or "input-2.json" in line for line in err.splitlines()] == [True, True]


def test_an_ordinary_patient_is_exit_code_0_and_no_finding(cli: Callable[..., Ran]) -> None:
    code, out, err = cli(bundle(patient()))
    assert (code, err) == (0, "")
    assert json.loads(out)["findings"] == []


def test_several_patients_in_one_bundle_have_one_evaluation_each_and_nothing_crosses(cli: Callable[..., Ran]) -> None:
    apart = [patient("a"), disease("mg", "a"), patient("b"), drug("b"), *sick("c"), patient("d"), disease("als", "d")]
    code, out, err = cli(bundle(*apart))
    told = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [one["patient"] for one in told] == ["Patient/a", "Patient/b", "Patient/c", "Patient/d"]
    assert [{f["issue"] for f in one["findings"]} for one in told] == [set(), set(), issues(evaluated_of("c")), set()]
    for one in told:
        mine = one["patient"].removeprefix("Patient/")
        named = {e["reference"] for f in one["findings"] for b in f["because"] for e in b["evidence"]}
        assert all(name.endswith(f"-{mine}") or name == one["patient"] for name in named)


def evaluated_of(who: str) -> Evaluation:
    (one,), _ = read(bundle(*sick(who)))
    return evaluator().evaluate(one)


def test_a_resource_of_nobody_is_told_and_nobody_has_it(cli: Callable[..., Ran]) -> None:
    stray = drug("stranger")
    lost = {name: value for name, value in drug("nobody").items() if name != "subject"}
    code, out, err = cli(bundle(patient(), disease("mg"), stray, lost))
    assert code == 0 and json.loads(out)["findings"] == []
    assert [line.rpartition(" ")[2] for line in err.splitlines()] == ["[unknown-patient]", "[no-patient]"]


# ---------------------------------------------------------------- what may be missing, and what may be odd


@pytest.mark.parametrize("element", ["status", "code", "subject", "id", "valueQuantity", "effectiveDateTime",
                                     "medicationCodeableConcept", "authoredOn", "verificationStatus", "recordedDate",
                                     "resourceType", "intent"])  # fmt: skip
def test_any_element_may_be_missing_or_null_and_the_rest_is_evaluated(element: str) -> None:
    for of_all in (dropped, nulled):
        damaged = [of_all(element, one) for one in (lungs(90, id="x"), disease("mg", id="x"), drug(id="x"))]
        evaluation = evaluated(*sick()[1:], *damaged)
        assert {DANGER, NUMERIC} <= issues(evaluation)
        every_output(evaluation)


def dropped(element: str, from_: Json) -> Json:
    return {name: value for name, value in from_.items() if name != element}


def nulled(element: str, of_: Json) -> Json:
    return {name: None if name == element else value for name, value in of_.items()}


DATES = ["1899-12-31", "1066-10-14", "0001-01-01", "0000-00-00", "-0044-03-15", "2178-07-22", "9999-12-31",
         "10000-01-01", "2025-02-30", "2025-13-01", "2025-6-1", "01.06.2025", "20250601", "today", "", " ", "2025-",
         "2025-05-20T", "2025-05-20T99:99:99Z", "2025-05-20" + "0" * 5000, 20250601, 1e9, None, [], {}, ["2025-05-20"],
         True, "٢٠٢٥-٠٥-٢٠", "２０２５-05-20"]  # fmt: skip


@pytest.mark.parametrize("written", DATES, ids=repr)
def test_an_odd_date_costs_its_resource_only(written: object) -> None:
    odd = [
        lungs(10, id="odd", effectiveDateTime=written),
        lungs(10, id="period", effectivePeriod={"start": written, "end": written}),
        disease("mg", id="late", recordedDate=written, onsetDateTime=written),
        drug(id="drug-2", authoredOn=written, dosageInstruction=[{"timing": {"repeat": {"boundsPeriod": {
            "start": written, "end": written}}}}]),
        {**patient("q"), "birthDate": written, "deceasedDateTime": None},
    ]  # fmt: skip
    (one, *others), _ = read(bundle(*sick(), *odd))
    evaluation = evaluator().evaluate(one)
    assert {DANGER, NUMERIC} <= issues(evaluation)
    for told in (evaluation, *map(evaluator().evaluate, others)):
        every_output(told)


def test_a_result_before_1900_is_undated_and_one_after_the_evaluation_does_not_exist() -> None:
    for written, code in (("1899-12-31", "unreadable-date"), ("2178-07-22", "future-date")):
        evaluation = evaluated(disease("als"), lungs(effectiveDateTime=written))
        assert NUMERIC not in issues(evaluation)
        assert code in {problem.code for problem in evaluation.problems}
    ended = evaluated(disease("als"), lungs(effectiveDateTime="9999-12-31"), as_of=date(9999, 12, 31))
    assert NUMERIC in issues(ended), "the last day of the calendar"


HUGE = ["1e999999", "-1e999999", "1e-999999", "9" * 400, "-" + "9" * 400, "0." + "3" * 5000, "1E400", "NaN",
        "Infinity", "-Infinity", "4.5e1e1"]  # fmt: skip


@pytest.mark.parametrize("number", HUGE, ids=[text[:12] for text in HUGE])
def test_a_number_that_cannot_be_is_unknown_at_once(number: str, cli: Callable[..., Ran]) -> None:
    text = json.dumps(bundle(*sick(), lungs(777, id="odd", effectiveDateTime="2025-05-30"), dosed(777)))
    started = time.monotonic()
    code, out, err = cli(text.replace("777", number).encode())
    assert time.monotonic() - started < 5
    if number == "4.5e1e1":  # no JSON in any reading
        assert code == 2
        return
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert {DANGER, NUMERIC} <= {f["issue"] for f in told["findings"]}
    assert [f for f in told["findings"] if f["issue"].startswith(("pyridostigmine", "resp-"))] == []


def dosed(value: object) -> Json:
    """An order whose dose, frequency, strength and length are all this number."""
    quantity = {"value": value, "unit": "mg", "system": UCUM, "code": "mg"}
    repeat = {"frequency": value, "period": value, "periodUnit": "d", "count": value, "boundsDuration": {
        "value": value, "code": "d"}}  # fmt: skip
    dosage = {"doseAndRate": [{"doseQuantity": quantity}], "timing": {"repeat": repeat}, "maxDosePerPeriod": {
        "numerator": quantity, "denominator": {"value": value, "code": "d"}}}  # fmt: skip
    return drug(
        id="dosed", medicationCodeableConcept=coded("pyridostigmine", "medication"), dosageInstruction=[dosage],
        dispenseRequest={"validityPeriod": {"start": value}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "weak"),
    [("45", True), (" 45 ", True), ("45.0", True), ("<45", True), ("45,0", True), ("", False), ("forty-five", False),
     ("45 or 46", False), ("4 5", False), ("０４５", False), ("4" * 4000, False), ("NaN", False), (True, False),
     ([45], False), ({"value": 45}, False), (45.0, True), (Decimal("45.000"), True)],
)  # fmt: skip
def test_a_number_may_be_written_as_a_string(written: object, weak: bool) -> None:
    evaluation = evaluated(disease("als"), lungs(written))
    assert (NUMERIC in issues(evaluation)) is weak
    every_output(evaluation)


@pytest.mark.parametrize("depth", [5, 50, 400, 5000])
def test_deep_nesting_costs_at_most_what_is_nested(depth: int) -> None:
    inner: Any = {"resourceType": "Bundle", "entry": [{"resource": lungs(10)}]}
    code: Any = coded("mg", "condition")
    site: Any = "arm"
    for _ in range(depth):
        inner = {"resourceType": "Bundle", "entry": [{"resource": inner}]}
        code, site = {"concept": code, "code": code}, [{"coding": [{"extension": site}], "bodySite": site}]
    parts: Any = {"name": "x", "resource": lungs(10)}
    for _ in range(depth):
        parts = {"name": "x", "part": [parts]}
    deep = [disease("mg", id="deep", code=code), lungs(10, id="site", bodySite=site, component=[site], code=site)]
    whole = bundle(*sick(), *deep, inner, {"resourceType": "Parameters", "parameter": [parts]})
    (one,), _ = read(whole)
    evaluation = evaluator().evaluate(one)
    assert {DANGER, NUMERIC} <= issues(evaluation)


def test_references_in_a_circle_end() -> None:
    def medication(identity: str, *parts: str) -> Json:
        ingredients = [{"itemReference": {"reference": part}} for part in parts]
        return {"resourceType": "Medication", "id": identity, "ingredient": ingredients}

    first, second = medication("one", "Medication/two"), medication("two", *["Medication/one"] * 200)
    own = drug(id="round", contained=[medication("me", "#me")], medicationReference={"reference": "#me"})
    orders = [drug(id=f"o{n}", medicationReference={"reference": f"Medication/{n}"}) for n in ("one", "two")]
    unnamed = [dropped("medicationCodeableConcept", one) for one in (own, *orders)]
    itself = {"reference": "Observation/member"}
    member = lungs(10, id="member", hasMember=[itself], subject=itself)
    (one,), _ = read(bundle(*sick(), first, second, *unnamed, member))
    assert {DANGER, NUMERIC} <= issues(evaluator().evaluate(one))


def test_a_crowd_of_entries_is_read_in_linear_time() -> None:
    """Ten thousand orders of one Medication, results with ten thousand codings, performers, components, notes."""
    many = [{"system": "urn:x", "code": str(number)} for number in range(3_000)]
    wide = lungs(10, id="wide", performer=[{"reference": f"Practitioner/{n}"} for n in range(10_000)],
                 component=[{"code": {"coding": many[:3]}, "valueString": "x"}] * 10_000, note=[{"text": "x"}] * 10_000,
                 interpretation=[{"coding": many}] * 20, code={"coding": many})  # fmt: skip
    orders = [drug(id=f"d{number}", medicationReference={"reference": "Medication/m"}) for number in range(3_000)]
    started = time.monotonic()
    (one,), _ = read(bundle(*sick(), wide, *orders, *([patient()] * 200)))
    evaluation = evaluator().evaluate(one, "none")
    assert {DANGER, NUMERIC} <= issues(evaluation)
    assert time.monotonic() - started < 20


# ---------------------------------------------------------------- hostile strings


STRINGS = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "markdown": "[click](http://evil.example) ![x](http://evil.example/x.png) **b** `c` | d",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "lines": "a\r\nb\u2028c\x85d",
    "directions": "\u202egnp.exe\u202c\u2066x\u2069",
    "nothing": "\x00\x01\ufeff\u200b",
    "template": "{{ 7 * 7 }} {% raw %} ${jndi:ldap://evil.example/a} %s {value} {0}",
    "query": "'; drop table patients; --",
    "path": "../../../../etc/passwd",
    "long": "x" * 200_000,
    "wide": "𝕏" * 500 + "e\u0301" * 500 + "ﷺ" * 500,
    "half": "\ud800 \udfff",
}


@pytest.mark.parametrize("name", STRINGS)
def test_a_hostile_string_stays_a_string(name: str, cli: Callable[..., Ran]) -> None:
    """In names, ids, units, systems, codes, displays and texts; of the patient's own id below."""
    said = STRINGS[name]
    hostile = [
        patient(name=[{"text": said}]),
        *({**one, "id": f"{one['id']}{said}"} for one in sick()[1:]),
        lungs(10, id="unit", valueQuantity={"value": 10, "unit": said, "code": said, "system": said}),
        lungs(10, id="text", valueQuantity=None, valueString=said, method={"text": said}),
        disease("mg", id="code", code={"coding": [{"system": said, "code": said, "display": said}], "text": said}),
        drug(id="named", medicationCodeableConcept={"text": f"ciprofloxacin {said}", "coding": [
            {"system": said, "code": said, "display": said}]}),
    ]  # fmt: skip
    for one in hostile[1:]:
        one["subject"] = {"reference": "Patient/p", "display": said}
    for form in FORMATS:
        code, out, err = cli(bundle(*hostile), form=form)
        assert code == 0, err
        assert DANGER in out
        assert harmless(out) and harmless(err)
    told = evaluated(*hostile[1:])
    every_output(told)
    page = report([told], evaluator().ruleset.info, source=said).partition("</style>")[2]
    assert page.count("<script") == 1 and "<img" not in page and "\x1b" not in page  # the search is our own


@pytest.mark.parametrize("name", STRINGS)
def test_a_patient_may_be_called_anything(name: str, cli: Callable[..., Ran]) -> None:
    who = f"p{STRINGS[name]}"
    for form in FORMATS:
        code, out, err = cli(bundle(*sick(who)), form=form)
        assert code == 0, err
        assert harmless(out) and harmless(err)
    records, _ = read(bundle(*sick(who)))
    for one in records:
        every_output(evaluator().evaluate(one))


def harmless(out: str) -> bool:
    """Whether no character of it moves a cursor, hides, or turns the direction of reading."""
    return all(char.isprintable() or char == "\n" or unicodedata.category(char) in ("Zs", "Cn") for char in out)


# ---------------------------------------------------------------- sizes


MEASURED = """
import resource, sys
from engine.fhir import read_documents
from pathlib import Path
import msgspec
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = [getattr(d, "code", "read") for d in read_documents(Path(sys.argv[1]))]
print(",".join(found), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_line_of_200_megabytes_is_skipped_in_bounded_memory(first: bool, packed: bool, tmp_path: Path) -> None:
    size = 200 * 2**20
    small = json.dumps(patient()).encode() + b"\n"
    path = tmp_path / "large.ndjson"
    with gzip.open(path, "wb", compresslevel=1) if packed else path.open("wb") as file:
        if not first:
            file.write(small)
        file.write(b'{"resourceType": "Observation", "id": "')
        if packed:
            for _ in range(size // 2**20):
                file.write(b"x" * 2**20)
        else:
            file.seek(size)  # a hole: nothing is written, and zeros are read
        file.write(b'"}\n' + small)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    found, megabytes = done.stdout.split()
    assert found == ("too-large,read" if first else "read,too-large,read")
    assert int(megabytes) < 4 * LARGEST // 2**20


def test_a_large_line_is_told_and_the_others_are_evaluated(tmp_path: Path, cli: Callable[..., Ran]) -> None:
    path = tmp_path / "large.ndjson"
    with path.open("wb") as file:
        for one in sick():
            file.write(json.dumps(one).encode() + b"\n")
        file.write(b'{"resourceType": "Observation", "id": "')
        file.seek(200 * 2**20)
        file.write(b'"}\n')
    code, out, err = cli(path)
    assert code == 0 and {DANGER, NUMERIC} <= {f["issue"] for f in json.loads(out)["findings"]}
    (line,) = err.splitlines()
    assert "line 6" in line and "[too-large]" in line


# ---------------------------------------------------------------- anything anywhere


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.text(max_size=20),
    st.sampled_from([
        10**400, Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1E+999999"), Decimal("1E-999999"),
        "", "#", "#x", "/", "?", "Patient/", "Patient?identifier=|", "urn:uuid:", "http://", "1899-12-31",
        "9999-12-31", "2025", "9" * 400, "{" * 500, "x" * 5000, "\x00\x1b", [], {}, [[]], [{}], [None] * 100,
        {"coding": [None, {}, {"code": 7}]}, {"reference": 7}, {"reference": "#"}, {"value": "NaN", "unit": 7},
        {"resourceType": "Bundle"}, {"resourceType": 7}, {"start": 7, "end": []}, {"coding": {"coding": {}}},
    ]),
)  # fmt: skip


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def put(value: Any, path: tuple[str | int, ...], junk: object) -> Any:
    if not path:
        return junk
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, step: put(value[step], rest, junk)}
    return [*value[:step], put(value[int(step)], rest, junk), *value[int(step) + 1 :]]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Json, int, Any]:
    """A test patient with one node of one entry replaced: (case, the Bundle, number of the entry, the mutant)."""
    case = draw(st.sampled_from(sorted(expected())))
    whole = bundles(draw(st.sampled_from(["primary", "alt", "messy"])))[case]
    number = draw(st.integers(0, len(whole["entry"]) - 1))
    entry = whole["entry"][number]
    path = draw(st.sampled_from(sorted(places(entry), key=repr)))
    return case, whole, number, put(entry, path, draw(JUNK))


def told_of(whole: Json, case: str) -> list[Record]:
    records, _ = read(whole, as_of=date.fromisoformat(str(expected()[case]["now"])))
    return records


def without(record: Record, reference: str) -> object:
    """What the record holds of every other resource."""
    return (
        {concept: [r for r in found if r.reference != reference] for concept, found in record.results.items()
         if any(r.reference != reference for r in found)},
        {concept: [d for d in found if d.reference != reference] for concept, found in record.diagnoses.items()
         if any(d.reference != reference for d in found)},
        [m for m in record.medications if m.reference != reference],
    )  # fmt: skip


@pytest.mark.soak
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(mutated())
def test_junk_anywhere_costs_its_entry_and_nothing_else(mutant: tuple[str, Json, int, Any]) -> None:
    case, whole, number, entry = mutant
    changed = whole | {"entry": [*whole["entry"][:number], entry, *whole["entry"][number + 1 :]]}
    rest = whole | {"entry": [*whole["entry"][:number], *whole["entry"][number + 1 :]]}
    records = told_of(changed, case)
    for record in records:
        every_output(evaluator().evaluate(record, "none"))

    original = whole["entry"][number]
    now = entry.get("resource") if isinstance(entry, dict) else None
    then = original["resource"]
    kind = now.get("resourceType") if isinstance(now, dict) else then["resourceType"]
    if not isinstance(kind, str) or {kind, then["resourceType"]} & (SUPPORT_KINDS | {"Bundle", "Parameters"}):
        return  # others may rest on it
    if isinstance(now, dict) and (now.get("id"), entry.get("fullUrl")) != (then.get("id"), original.get("fullUrl")):
        return  # it may now be called as another one is
    name = f"{then['resourceType']}/{then['id']}"
    before = {record.person.reference: without(record, name) for record in told_of(rest, case)}
    after = {record.person.reference: without(record, name) for record in records}
    assert {who: after.get(who) for who in before} == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutated(), st.sampled_from(["proved", "listed"]), st.sampled_from(["als-level", NUMERIC, DANGER]))
def test_junk_is_explained_and_asked_about_as_well(mutant: tuple[str, Json, int, Any], missing: Any, rule: str) -> None:
    case, whole, number, entry = mutant
    for record in told_of(whole | {"entry": [*whole["entry"][:number], entry, *whole["entry"][number + 1 :]]}, case):
        evaluator().evaluate(record, missing)
        if rule != "als-level":
            evaluator().explain(record, rule)


@settings(max_examples=100, deadline=None)
@given(st.recursive(JUNK, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
    st.sampled_from(["resourceType", "entry", "resource", "id", "subject", "reference", "code", "coding", "status",
                     "contained", "parameter", "part", "fullUrl", "request", "method", "url", "meta", "x"]),
    inner, max_size=5), max_leaves=25))  # fmt: skip
def test_any_json_at_all_is_read_without_a_fault(document: object) -> None:
    for whole in (document, *({"resourceType": "Bundle", "entry": held} for held in (document, [document]))):
        records, _ = read(whole, bundle(*sick()))
        assert any({DANGER, NUMERIC} <= issues(evaluator().evaluate(one)) for one in records)
    told = read_prefetch({"a": document, "b": bundle(*sick())}, "p", evaluator().ruleset.terminology,
                         Scope(as_of=NOW), drafts=[document])  # fmt: skip
    evaluator().evaluate(told)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bytes_at_all_are_read_without_a_fault(data: st.DataObject) -> None:
    whole = json.dumps(bundle(*sick())).encode()
    start = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.binary(max_size=30))
    length = data.draw(st.integers(0, 40))
    damaged = whole[:start] + cut + whole[start + length :]
    packed = data.draw(st.booleans())
    stream = io.BytesIO(gzip.compress(damaged)[: data.draw(st.integers(10, 2000))] if packed else damaged)
    nobody: list[Problem] = []
    documents = read_documents(stream, "input")
    for one in read_records(documents, evaluator().ruleset.terminology, Scope(as_of=NOW), nobody):
        evaluator().evaluate(one)


