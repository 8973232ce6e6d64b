"""One evaluation over the made-up ruleset `toy`: severity, gates, adjustments, orders, reasons, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
import pytest

from engine.evaluation import Evaluator
from engine.inference.backends import Both, available, make_backend
from engine.inference.plain import PlainBackend
from engine.inference.port import Inference, Part
from engine.model.finding import Evaluation, Finding
from engine.model.record import Diagnosis, Medication, Person, Quantity, Record, Result
from engine.rules.load import load_ruleset
from engine.rules.program import Conclusions

TOY = Path(__file__).parent / "rulesets" / "toy"
TODAY = date(2026, 3, 1)


@cache
def toy(backend: str = "plain") -> Evaluator:
    ruleset = load_ruleset(TOY)
    return Evaluator(ruleset, make_backend(backend, ruleset.program), tenant="clinic")  # type: ignore[arg-type]


def result(concept: str, answer: str = "", days_ago: int = 10, number: str = "", unit: str = "") -> Result:
    day = TODAY - timedelta(days_ago)
    return Result(
        concept=concept, reference=f"Observation/{concept}-{days_ago}", day=day, written=day.isoformat(), answer=answer,
        quantity=Quantity(Decimal(number), unit) if number else None,
    )


def fever(certainty: str = "confirmed") -> Diagnosis:
    return Diagnosis(
        concept="lantern-fever", reference="Condition/fever", certainty=certainty,  # type: ignore[arg-type]
        recorded=TODAY - timedelta(30), written="2026-01-30",
    )


def order(ingredient: str, status: str = "active", days: int = 5, route: str = "oral", number: int = 1) -> Medication:
    return Medication(
        ingredient=ingredient, reference=f"MedicationRequest/{number}", status=status,  # type: ignore[arg-type]
        start=TODAY - timedelta(days), written="start", route=route,
    )


def record(*entries: Result | Diagnosis | Medication, complete: bool = False, **person: object) -> Record:
    results: dict[str, tuple[Result, ...]] = {}
    diagnoses: dict[str, tuple[Diagnosis, ...]] = {}
    for entry in entries:
        if isinstance(entry, Result):
            results[entry.concept] = (*results.get(entry.concept, ()), entry)
        elif isinstance(entry, Diagnosis):
            diagnoses[entry.concept] = (*diagnoses.get(entry.concept, ()), entry)
    adult = Person(reference="Patient/1", sex="female", birth=date(1980, 1, 1))
    return Record(
        person=msgspec.structs.replace(adult, **person), as_of=TODAY, complete=complete, results=results,
        diagnoses=diagnoses, medications=tuple(e for e in entries if isinstance(e, Medication)),
    )


def found(evaluation: Evaluation) -> Mapping[str, Finding]:
    return {finding.issue: finding for finding in evaluation.findings}


CERTAIN = (fever(), result("glow", "present"), result("lantern-antibody", "positive"))


def test_a_finding_carries_its_severity_summary_reasons_and_versions() -> None:
    finding = found(toy().evaluate(record(*CERTAIN)))["lantern-fever-found"]

    assert (finding.severity, finding.display, finding.case) == ("high", "warning", 0)
    assert finding.summary.startswith("Lantern fever: glow present on 2026-02-19, lantern antibody")
    assert [because.fact for because in finding.because] == ["fever-diagnosis", "glow", "antibody"]
    assert finding.references == ("Condition/fever", "Observation/glow-10", "Observation/lantern-antibody-10")
    assert finding.version
    assert finding.hash


def test_a_patient_without_an_anchor_is_not_relevant_and_has_no_conclusions() -> None:
    evaluation = toy().evaluate(record(result("pulse", number="150", unit="/min", days_ago=0)))

    assert not evaluation.relevant
    assert evaluation.findings == ()
    assert evaluation.conclusions == {}


def test_unless_holds_a_finding_back_and_says_why() -> None:
    evaluation = toy().evaluate(record(fever(), result("scan", "dark")))

    held = {finding.issue: finding for finding in evaluation.held_back}["dark-scan-alone"]
    assert "dark-scan-alone" not in found(evaluation)
    assert [(one.by, [b.fact for b in one.because]) for one in held.held_back_by] == [("unless", ["fever-diagnosis"])]


@pytest.mark.parametrize(
    ("person", "kept"),
    [
        ({"deceased": True}, set()),
        ({"birth": date(2015, 1, 1)}, {"pulse-crisis", "brightener-avoid"}),
        ({"active": False}, {"pulse-crisis", "brightener-avoid"}),
    ],
)
def test_a_gate_mutes_findings_of_other_groups_and_changes_no_fact(person: dict[str, object], kept: set[str]) -> None:
    entries = (*CERTAIN, result("pulse", number="180", unit="/min", days_ago=0), order("bright-a"))

    evaluation = toy().evaluate(record(*entries, **person))

    assert set(found(evaluation)) == kept
    assert evaluation.conclusions["lantern-fever"] == "certain"
    assert all(one.held_back_by for one in evaluation.held_back)


def test_closed_world_speaks_only_on_a_complete_record() -> None:
    entries = (fever(), result("glow", "present"))

    assert "antibody-missing" not in found(toy().evaluate(record(*entries)))
    finding = found(toy().evaluate(record(*entries, complete=True)))["antibody-missing"]
    assert finding.display == "batch-only"


@pytest.mark.parametrize(
    ("risk", "medication", "severity", "display"),
    [
        ("established", order("bright-a", "draft"), "high", "interruptive"),
        ("established", order("bright-a", "active"), "high", "warning"),
        ("possible", order("bright-a", "draft"), "moderate", "warning"),
        ("possible", order("bright-a", "active", days=400), "low", "batch-only"),
        ("established", order("bright-a", "active", days=400), "high", "warning"),
    ],
)
def test_adjustments_lower_severity_and_display_in_the_order_named(
    risk: str, medication: Medication, severity: str, display: str
) -> None:
    evidence = (fever(),) if risk == "established" else (result("lantern-antibody", "positive"),)

    finding = found(toy().evaluate(record(*evidence, medication)))["brightener-avoid"]

    assert (finding.severity, finding.display) == (severity, display)
    assert (finding.order, finding.ingredient) == ("MedicationRequest/1", "bright-a")


def test_one_finding_an_order_takes_the_highest_severity_over_its_ingredients() -> None:
    two = (order("bright-b"), order("bright-a"), order("bright-a", number=2))

    findings = [f for f in toy().evaluate(record(fever(), *two)).findings if f.issue == "brightener-avoid"]

    assert sorted((f.order, f.severity) for f in findings) == [
        ("MedicationRequest/1", "high"), ("MedicationRequest/2", "high")
    ]
    assert len({f.identifier for f in findings}) == 2


def test_what_is_missing_is_proved_by_asking_again() -> None:
    finding = found(toy().evaluate(record(fever("suspected")), "proved"))["lantern-fever-found"]

    missing = {one.fact: one for one in finding.missing}
    assert missing["glow"].ask_for == "an examination in the dark"
    assert missing["glow"].reason == "nothing recorded"
    assert "lantern-fever-found moderate" in missing["glow"].would_change["absent"].lost


def test_listed_and_proved_modes_give_the_same_finding_but_for_what_is_missing() -> None:
    one, other = (found(toy().evaluate(record(*CERTAIN), mode))["lantern-fever-found"] for mode in ("none", "proved"))

    assert msgspec.structs.replace(one, missing=()) == msgspec.structs.replace(other, missing=())


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        (CERTAIN, "fires"),
        ((fever(), result("glow", "absent")), "does not fire"),
        ((), "undetermined"),
    ],
)
def test_an_explanation_has_one_of_three_verdicts(entries: tuple[Result | Diagnosis, ...], verdict: str) -> None:
    (explanation,) = toy().explain(record(*entries), "lantern-fever-found")

    assert explanation.verdict == verdict
    assert explanation.tree
    assert bool(explanation.missing) is (verdict == "undetermined")


def test_an_order_rule_is_explained_for_each_current_order() -> None:
    explanations = toy().explain(record(fever(), order("bright-a"), order("dimol", number=2)), "brightener-avoid")

    assert [(e.order, e.verdict) for e in explanations] == [
        ("MedicationRequest/1 bright-a", "fires"), ("MedicationRequest/2 dimol", "does not fire")
    ]


def test_what_nobody_asked_for_is_unknown_because_it_was_not_requested() -> None:
    asked = msgspec.structs.replace(record(fever()), asked=frozenset({"lantern-fever"}))

    missing = {m.fact: m.reason for m in found(toy().evaluate(asked, "listed"))["lantern-fever-found"].missing}

    assert missing["glow"] == "not requested"


@pytest.mark.skipif("durable" not in available(), reason="durable-rules is not installed")
def test_both_backends_conclude_the_same() -> None:
    evaluation = toy("both").evaluate(record(*CERTAIN, order("bright-a")))

    assert evaluation.disagreements == ()
    assert set(found(evaluation)) == set(found(toy().evaluate(record(*CERTAIN, order("bright-a")))))


def test_all_is_asked_before_anything_is_explained_and_every_answer_is_held_against_its_shadow() -> None:
    said: list[str] = []

    class Other:
        """Answers late, and otherwise than plain."""

        def ask(self, values: Mapping[str, str], part: Part = "patient") -> Callable[[], Inference]:
            said.append(f"asked of the {part}")

            def answer() -> Inference:
                said.append(f"answered for the {part}")
                return Inference(Conclusions(values={f"nobody.{part}": "present"}, cases={}))

            return answer

        def close(self) -> None: ...

    program = toy().ruleset.program
    evaluator = Evaluator(toy().ruleset, Both(PlainBackend(program), Other()), tenant="clinic")
    patient = record(*CERTAIN, order("bright-a"), order("bright-b", number=2))

    evaluation = evaluator.evaluate(patient, "proved")

    parts = ("patient", "order", "order")
    assert said == [f"asked of the {part}" for part in parts] + [f"answered for the {part}" for part in parts]
    told = [one for one in evaluation.disagreements if one.startswith("nobody")]
    assert told == [f"nobody.{part}: plain missing, durable present" for part in parts]
    assert evaluation.findings == toy().evaluate(patient, "proved").findings
