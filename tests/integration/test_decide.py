"""Truth maintenance: what is new, changed and withdrawn as a record changes, with the reason, on both databases."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from decide_kit import Hospital, example
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation import Evaluator
from engine.fhir.decode import as_documents
from engine.fhir.fates import fate
from engine.fhir.record import Scope, read_records
from engine.integration.decide import changes
from engine.integration.rendering import unpacked
from engine.model.finding import Evaluation, HeldBack, RulesetId
from engine.store import Database, findings, outbox, retention, work
from engine.store.findings import Change
from engine.views import seen

Json = dict[str, Any]
DAY = date(2026, 4, 20)
ACHR = "achr-false-positive-achr-binding-1"


@pytest.fixture
def hospital(database: Database, evaluator: Evaluator) -> Hospital:
    return Hospital(database, evaluator, day=DAY)


def of(record: list[Json], name: str) -> Json:
    return next(one for one in record if one["id"] == name)


def without(record: list[Json], name: str) -> list[Json]:
    return [one for one in record if one["id"] != name]


def corrected(lab: Json, value: float, status: str = "corrected") -> Json:
    changed = {**lab, "status": status, "valueQuantity": {**lab["valueQuantity"], "value": value}}
    return {key: one for key, one in changed.items() if key != "interpretation"}


def brief(change: Change) -> tuple[str, str, str, int]:
    return change.kind, change.issue, change.status, change.version


def test_a_finding_appears_with_the_lab_that_makes_it(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*without(record, ACHR))
    assert hospital.decide() == []

    hospital.send(of(record, ACHR))
    (change,) = hospital.decide()

    assert brief(change) == ("new", "achr-suspected-false-positive", "preliminary", 1)
    assert (change.severity, change.display, change.ruleset) == ("moderate", "warning", "achr-false-positive")
    assert change.patient == "Patient/achr-false-positive"
    assert change.first_at == change.at == hospital.now
    assert f"Observation/{ACHR}" in unpacked(change.content).finding.references
    (letter,) = hospital.letters()
    assert (letter.target, letter.lane, letter.kind) == ("sink/ehr", "sink/ehr", "new")
    assert (letter.identifier, letter.version, letter.patient) == (change.identifier, 1, change.patient)


def test_what_is_decided_equals_what_one_evaluation_of_the_record_says(hospital: Hospital) -> None:
    record = example("als-refuted-reopened")
    for one in reversed(record):
        hospital.send(one)
        hospital.decide()
    problems: list[Any] = []
    (whole,) = read_records(as_documents(record), hospital.evaluator.ruleset.terminology, Scope(as_of=DAY), problems)
    expected = seen(hospital.evaluator.evaluate(whole, "listed"), "subscription")

    standing = [change for change in hospital.latest() if change.stands]

    assert [unpacked(change.content).finding for change in standing] == sorted(
        expected.findings, key=lambda finding: finding.identifier
    )
    assert len(standing) == 2


def test_a_corrected_lab_withdraws_the_finding_as_an_error_and_says_what_it_says_now(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()

    hospital.send(corrected(of(record, ACHR), 0.1))
    (change,) = hospital.decide()

    assert brief(change) == ("withdrawn", "achr-suspected-false-positive", "entered-in-error", 2)
    assert change.reason == (
        f"AChR positive, not confirmed, 0.5 nmol/L (Observation/{ACHR}): corrected, now AChR negative, 0.1 nmol/L"
    )
    assert unpacked(change.content).finding.advice == ()
    assert [letter.kind for letter in hospital.letters()] == ["new", "withdrawn"]


def test_an_entered_in_error_resource_withdraws_the_finding_as_an_error(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()

    hospital.send({**of(record, ACHR), "status": "entered-in-error"})
    (change,) = hospital.decide()

    assert (change.kind, change.status) == ("withdrawn", "entered-in-error")
    assert f"(Observation/{ACHR}): entered in error" in change.reason
    assert unpacked(change.content).gone == ()


def test_a_deleted_resource_resolves_the_finding_and_is_named_as_gone(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()

    hospital.delete(of(record, ACHR))
    (change,) = hospital.decide()

    assert (change.kind, change.status) == ("withdrawn", "resolved")
    assert f"(Observation/{ACHR}): no longer in the record" in change.reason
    assert unpacked(change.content).gone == (f"Observation/{ACHR}",)


def test_a_refuted_diagnosis_withdraws_what_rested_on_it_as_an_error(hospital: Hospital) -> None:
    record = example("fluoroquinolone-in-mg")
    hospital.send(*record)
    assert [change.kind for change in hospital.decide()] == ["new", "new"]

    mg = of(record, "fluoroquinolone-in-mg-mg-1")
    refuted = {key: value for key, value in mg.items() if key != "clinicalStatus"}
    refuted["verificationStatus"] = {"coding": [{**mg["verificationStatus"]["coding"][0], "code": "refuted"}]}
    hospital.send(refuted)
    fallen = [change for change in hospital.decide() if change.kind == "withdrawn"]

    assert [(change.issue, change.status) for change in fallen] == [("mg-drug-avoid", "entered-in-error")] * 2
    assert all("MG confirmed on 2019-03-12 (Condition/fluoroquinolone-in-mg-mg-1): refuted" in c.reason for c in fallen)


def test_a_stopped_order_resolves_what_warned_of_it(hospital: Hospital) -> None:
    record = example("fluoroquinolone-in-mg")
    hospital.send(*record)
    hospital.decide()

    order = of(record, "fluoroquinolone-in-mg-ciprofloxacin-1")
    hospital.send({**order, "status": "stopped"})
    (change,) = hospital.decide()

    assert (change.kind, change.severity, change.status) == ("withdrawn", "high", "resolved")
    assert "the order MedicationRequest/fluoroquinolone-in-mg-ciprofloxacin-1 is stopped" in change.reason


def test_a_changed_severity_is_told_and_keeps_the_identifier(hospital: Hospital) -> None:
    record = example("fluoroquinolone-in-mg")
    order = of(record, "fluoroquinolone-in-mg-ciprofloxacin-1")
    hospital.send(*record)
    draft = next(change for change in hospital.decide() if change.severity == "high")

    hospital.send({**order, "status": "active"})
    (change,) = hospital.decide()

    assert (draft.display, change.display) == ("interruptive", "warning")
    assert brief(change) == ("changed", draft.issue, "preliminary", 2)
    assert change.identifier == draft.identifier
    assert (change.first_at, change.at) == (draft.first_at, hospital.now)


def test_other_evidence_is_told(hospital: Hospital) -> None:
    record = example("als-niv-threshold")
    hospital.send(*record)
    (first,) = hospital.decide()

    hospital.send(corrected(of(record, "als-niv-threshold-fvc-pct-3"), 44, "amended"))
    (change,) = hospital.decide()

    assert (change.kind, change.severity, change.version) == ("changed", first.severity, 2)
    assert change.evidence != first.evidence
    assert any("44 %" in because.shown for because in unpacked(change.content).finding.because)


def test_nothing_is_told_when_nothing_has_changed(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()

    hospital.send(*record)
    hospital.send({**of(record, "achr-false-positive"), "active": True})
    assert hospital.decide() == []
    assert len(hospital.letters()) == 1
    with hospital.database.read() as connection:
        assert work.waiting(connection, hospital.now + 1)[0] == 0


def test_a_finding_that_comes_back_keeps_its_identifier_and_goes_on_counting(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    lab = of(record, ACHR)
    hospital.send(*record)
    (first,) = hospital.decide()
    hospital.send({**lab, "status": "entered-in-error"})
    hospital.decide()

    hospital.send(lab)
    (change,) = hospital.decide()

    assert brief(change) == ("new", first.issue, "preliminary", 3)
    assert (change.identifier, change.first_at) == (first.identifier, first.first_at)
    assert change.reason == ""


def test_a_patient_of_whom_nothing_is_left_has_no_findings(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()

    for one in record:
        if one["resourceType"] not in ("Organization", "Practitioner"):
            hospital.delete(one)
    (change,) = hospital.decide()

    assert (change.kind, change.status) == ("withdrawn", "resolved")
    assert len(unpacked(change.content).gone) == len(unpacked(change.content).finding.references)


def test_windows_move_with_the_date_and_everybody_is_decided_on_again(hospital: Hospital) -> None:
    hospital.send(*example("als-niv-threshold"), *example("typical-als"))
    (first,) = hospital.decide()
    decider = hospital.decider()
    while decider.sweep():  # the first start
        pass
    hospital.decide()
    assert decider.sweep() == 0

    hospital.day += timedelta(days=400)
    assert decider.sweep() == 2
    assert decider.sweep() == 0
    told = hospital.decide()

    change = next(one for one in told if one.identifier == first.identifier)
    assert (change.kind, change.status) == ("withdrawn", "resolved")
    assert "FVC 46 % on 2026-04-13 (Observation/als-niv-threshold-fvc-pct-3): out of date" in change.reason


def test_a_sweep_that_was_cut_short_goes_on_where_it_was(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.integration.deciding.SWEPT_AT_ONCE", 2)
    patients = [{"resourceType": "Patient", "id": f"p{number}"} for number in range(5)]
    hospital.send(*patients)
    hospital.decide()

    assert hospital.decider("first").sweep() == 2
    rest = hospital.decider("after the restart")
    assert [rest.sweep(), rest.sweep(), rest.sweep(), rest.sweep()] == [2, 1, 0, 0]
    with hospital.database.read() as connection:
        assert work.waiting(connection, hospital.now)[0] == 5


def test_processes_with_other_rules_do_not_sweep_against_each_other(hospital: Hospital) -> None:
    hospital.send({"resourceType": "Patient", "id": "p"})
    old, new = hospital.decider("old"), hospital.decider("new")
    assert [old.sweep(), old.sweep()] == [1, 0]
    hospital.day += timedelta(days=1)  # stands for other rules: another cause
    assert [new.sweep(), new.sweep()] == [1, 0]
    hospital.day -= timedelta(days=1)
    assert [old.sweep(), old.sweep()] == [0, 0]


def test_a_purged_patient_leaves_nothing(hospital: Hospital) -> None:
    hospital.send(*example("achr-false-positive"), *example("als-then-mg"))
    hospital.decide()
    hospital.send(*example("achr-false-positive"))
    claim, *_ = _claimed(hospital)

    hospital.database.run(lambda connection: retention.forget_patient(connection, "Patient/achr-false-positive"))

    assert {change.patient for change in hospital.history()} == {"Patient/als-then-mg"}
    assert {letter.patient for letter in hospital.letters()} == {"Patient/als-then-mg"}
    assert not hospital.database.run(lambda connection: work.done(connection, claim))  # a decision under way is void


def test_a_rule_that_is_gone_withdraws_and_says_so(hospital: Hospital) -> None:
    hospital.send(*example("achr-false-positive"))
    (first,) = hospital.decide()
    ruleset = hospital.evaluator.ruleset
    facts = _evaluated(hospital, "achr-false-positive").facts
    nothing = Evaluation(
        patient=first.patient, as_of=DAY, ruleset=RulesetId(ruleset.id, "9", "x"), complete=False, findings=(),
        facts=facts,
    )  # fmt: skip

    (change,) = changes([first], nothing, lambda issue: (), fate=lambda name: "", info=ruleset.info, at=7)

    assert (change.kind, change.status) == ("withdrawn", "resolved")
    assert change.reason == "the rules no longer contain it"


def test_a_gate_that_mutes_is_the_reason(hospital: Hospital) -> None:
    hospital.send(*example("achr-false-positive"))
    (first,) = hospital.decide()
    told = _evaluated(hospital, "achr-false-positive")
    finding = told.findings[0]
    held = msgspec.structs.replace(finding, held_back_by=(HeldBack("gate: children", finding.because[:1]),))
    muted = msgspec.structs.replace(told, findings=(), held_back=(held,))

    (change,) = changes([first], muted, lambda issue: (), fate=lambda name: "", info={}, at=7)

    assert change.reason.startswith("held back by gate: children: ALS suspected on 2026-04-07 (Condition/")


def test_a_later_result_makes_no_error_of_an_earlier_one(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()

    later = {**corrected(of(record, ACHR), 0.1, "final"), "id": "later", "effectiveDateTime": "2026-04-19"}
    hospital.send(later)
    (change,) = hospital.decide()

    assert brief(change) == ("changed", "achr-suspected-false-positive", "preliminary", 2)


def _evaluated(hospital: Hospital, name: str) -> Evaluation:
    documents = as_documents(example(name))
    (record,) = read_records(documents, hospital.evaluator.ruleset.terminology, Scope(as_of=DAY), [])
    return hospital.evaluator.evaluate(record, "listed")


def _claimed(hospital: Hospital) -> list[work.Claim]:
    now = hospital.now
    return hospital.database.run(
        lambda connection: work.claim(connection, holder="t", now=now, until=now + 1000, most=9)
    )


def test_search_finds_the_latest_versions_by_what_is_asked(hospital: Hospital) -> None:
    hospital.send(*example("achr-false-positive"), *example("als-then-mg"), *example("fluoroquinolone-in-mg"))
    hospital.decide()
    with hospital.database.read() as connection:
        every = findings.search(connection)
        assert [change.identifier for change in every] == sorted(change.identifier for change in every)
        assert [c.issue for c in findings.search(connection, patient="Patient/als-then-mg")] == [
            "overlap-als-mg-definite"
        ]
        assert {c.severity for c in findings.search(connection, severity="high")} == {"high"}
        assert findings.search(connection, status="resolved") == []
        pages = [findings.search(connection, limit=1, after=one.identifier) for one in every]
        assert [page[0].identifier for page in pages[:-1]] == [one.identifier for one in every[1:]]
        assert findings.latest(connection, every[0].identifier) == every[0]


def test_former_versions_are_forgotten_with_time_and_what_stands_or_waits_is_kept(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    lab = of(record, ACHR)
    hospital.send(*record)
    hospital.decide()
    for status in ("entered-in-error", "final"):
        hospital.send({**lab, "status": status})
        hospital.decide()
    later = hospital.now // 1000 + 1
    assert hospital.database.run(lambda connection: retention.forget_older(connection, later)) == 0  # all of it waits

    for _ in range(3):
        for letter in hospital.database.run(
            lambda c: outbox.claim(c, "sink/ehr", holder="h", now=hospital.now, until=hospital.now + 1, most=9)
        ):
            with hospital.database.write() as connection:
                outbox.finish(connection, letter, now=hospital.now)
    assert hospital.database.run(lambda connection: retention.forget_older(connection, later)) == 2
    assert [change.version for change in hospital.history()] == [3]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["coding", "code", "text", "system", "extension"]), inner)
    ),
)


@settings(max_examples=100, deadline=None)
@given(status=ODD, verified=ODD, clinical=ODD, code=ODD)
def test_the_fate_of_anything_is_a_word(status: Any, verified: Any, clinical: Any, code: Any) -> None:
    found = fate({"status": status, "verificationStatus": verified, "clinicalStatus": clinical, "code": code})
    assert found == "" or found.replace("-", " ").replace(" ", "").isalpha()


@pytest.mark.parametrize(
    ("resource", "word"),
    [
        ({"status": "entered-in-error", "verificationStatus": "refuted"}, "entered in error"),
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}, "clinicalStatus": "active"}, "refuted"),
        ({"status": "corrected"}, "corrected"),
        ({"status": "stopped"}, "stopped"),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}, "verificationStatus": "confirmed"}, "resolved"),
        ({"status": "final"}, ""),
        ({}, ""),
    ],
)
def test_the_fate_of_a_resource_is_what_its_status_says(resource: Json, word: str) -> None:
    assert fate(resource) == word
