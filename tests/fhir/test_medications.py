"""Orders, statements, supplies, vaccinations and plasma exchanges as Medications, one per ingredient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fhir.medications import read_medications
from engine.model.record import Medication
from engine.terminology.content import Drug

RX, ATC, LOCAL, PHASE = "urn:test:rx", "urn:test:atc", "urn:test:local", "urn:test:phase"
OURS = "urn:endplate:drugs"
NOW = date(2025, 6, 1)


class Fake:
    """A terminology of a few made-up codes: a tablet, an ingredient, a mixture, an ointment that is no exposure."""

    minor_of_many = frozenset({"salt"})
    codes: Mapping[tuple[str, str], tuple[Drug, ...]] = {
        (RX, "tab60"): (Drug("braceptin", "oral"),),
        (RX, "strong60"): (Drug("braceptin", "oral", strength="60 MG"),),
        (RX, "strong12"): (Drug("braceptin", "oral", strength="12 MG/ML"),),
        (RX, "either"): (Drug("braceptin", "oral", strength="60 MG; 30 MG"),),
        (RX, "in"): (Drug("braceptin"),),
        (ATC, "B01"): (Drug("braceptin", "systemic"),),
        (RX, "salt"): (Drug("salt", "parenteral"),),
        (RX, "saline"): (Drug("salt", minor=True),),
        (RX, "pair"): (Drug("braceptin", "oral"), Drug("collumin", "oral")),
        (RX, "exchange"): (Drug("exchange"),),
        (RX, "vaccine"): (Drug("vaccine"),),
    }
    silent = frozenset({(RX, "ointment")})
    sets: Mapping[str, Mapping[tuple[str, str], str]] = {
        "route": {
            (LOCAL, "PO"): "oral", ("", "oral"): "oral", ("", "iv"): "iv", ("", "im"): "im", ("", "tablet"): "oral",
            ("", "eye drops"): "ophthalmic",
        },
        "therapy-phase": {(PHASE, "initiation"): "initiation", (PHASE, "induction"): "induction"},
        "course": {
            (PHASE, "acute"): "induction", (PHASE, "induction"): "induction", (PHASE, "continuous"): "maintenance",
        },
        "order-reason": {(LOCAL, "scan"): "chest-imaging"},
    }  # fmt: skip

    def drugs(self, codings: Iterable[tuple[str, str]]) -> tuple[Drug, ...]:
        return next((self.codes[coding] for coding in codings if coding in self.codes), ())

    def known(self, codings: Iterable[tuple[str, str]]) -> bool:
        return any(coding in self.codes or coding in self.silent for coding in codings)

    def misspelt(self, codings: Iterable[tuple[str, str]]) -> bool:
        return any(system == OURS for system, _ in codings)

    def drugs_named(self, text: str) -> tuple[Drug, ...]:
        words = text.lower().replace("-", " ").split()
        return tuple(Drug(name) for name in ("braceptin", "collumin", "salt", "ointment") if name in words)

    def code(self, codeset: str, codings: Iterable[tuple[str, str]]) -> str:
        table = self.sets[codeset]
        return next((table[coding] for coding in codings if coding in table), "")

    def unit(self, text: str) -> str:
        return {"mg": "mg", "days": "d"}.get(text, "")


STORE: dict[str, dict[str, object]] = {
    "Medication/m": {"resourceType": "Medication", "code": {"coding": [{"system": RX, "code": "tab60"}]}},
    "Condition/c": {"resourceType": "Condition", "code": {"coding": [{"system": LOCAL, "code": "scan"}]}},
}


def resolve(reference: object) -> dict[str, object] | None:
    return STORE.get(str(reference.get("reference"))) if isinstance(reference, Mapping) else None


def concept(code: str = "", system: str = RX, text: str = "", display: str = "") -> dict[str, object]:
    coding = {key: value for key, value in (("system", system), ("code", code), ("display", display)) if value}
    return {**({"coding": [coding]} if code else {}), **({"text": text} if text else {})}


class Reading:
    """The medications of a resource, and the problems noted."""

    def __init__(self, kind: str = "MedicationRequest", **elements: object) -> None:
        self.problems: list[tuple[str, str]] = []
        resource = {"resourceType": kind, "id": "x", **elements}
        self.all = read_medications(
            resource,
            Fake(),  # type: ignore[arg-type]
            NOW,
            resolve,
            lambda code, message: self.problems.append((code, message)),
        )

    @property
    def one(self) -> Medication:
        assert len(self.all) == 1
        return self.all[0]

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.problems]


TABLET = {"medicationCodeableConcept": concept("tab60")}


def order(**elements: object) -> Reading:
    return Reading(**{"status": "active", **TABLET, **elements})


class TestStatus:
    @pytest.mark.parametrize("status", ["active", "on-hold", "draft", "completed", "stopped"])
    @pytest.mark.parametrize("kind", ["MedicationRequest", "MedicationStatement", "MedicationDispense"])
    def test_statuses_are_kept_as_coded(self, kind: str, status: str) -> None:
        read = Reading(kind, status=status, **TABLET).one
        assert (read.status, read.supply) == (status, kind != "MedicationRequest")

    def test_no_status_means_active(self) -> None:
        assert Reading(**TABLET).one.status == "active"

    @pytest.mark.parametrize(
        "status",
        [
            "cancelled",
            "entered-in-error",
            "unknown",
            "intended",
            "not-taken",
            "preparation",
            "declined",
            "in-progress",
            "?",
        ],
    )
    def test_what_was_not_given_gives_nothing(self, status: str) -> None:
        assert Reading("MedicationDispense", status=status, **TABLET).all == ()

    def test_a_status_that_fhir_does_not_know_is_noted_for_a_drug_of_ours(self) -> None:
        read = order(status="gladly")
        assert (read.all, read.codes) == ((), ["unknown-status"])
        assert order(status="cancelled").codes == []
        assert Reading(status="gladly", medicationCodeableConcept=concept("zzz")).codes == []

    def test_a_prohibition_is_not_an_exposure(self) -> None:
        assert order(doNotPerform=True).all == ()
        assert order(doNotPerform=False).one.ingredient == "braceptin"

    @pytest.mark.parametrize("intent", ["proposal", "plan", "option", "PLAN", {"coding": [{"code": "proposal"}]}])
    def test_what_is_only_proposed_is_no_exposure(self, intent: object) -> None:
        for status in ("active", "on-hold", "completed", "stopped", ""):
            read = order(intent=intent, status=status)
            assert (read.all, read.problems) == ((), [])

    @pytest.mark.parametrize("intent", ["proposal", "plan", "option"])
    def test_a_draft_that_is_only_proposed_is_read_and_so_is_a_report_of_what_is_taken(self, intent: str) -> None:
        assert order(intent=intent, status="draft").one.status == "draft"
        assert order(intent=intent, reportedBoolean=True).one.status == "active"
        assert order(intent=intent, reported=True).one.status == "active"
        assert order(intent=intent, reportedReference={"reference": "Patient/p"}).one.status == "active"
        assert order(intent=intent, reportedBoolean=False).all == ()

    @pytest.mark.parametrize("intent", ["order", "original-order", "reflex-order", "filler-order", "instance-order",
                                        "", None, "gladly", 7])
    def test_any_other_intent_is_an_order(self, intent: object) -> None:
        assert order(intent=intent).one.status == "active"

    def test_the_intent_of_anything_but_a_request_says_nothing(self) -> None:
        assert Reading("MedicationStatement", status="active", intent="plan", **TABLET).one.status == "active"

    def test_status_stands_before_the_prohibition_and_either_ends_the_reading(self) -> None:
        read = order(status="cancelled", doNotPerform=True, medicationReference={"reference": "Medication/nowhere"})
        assert (read.all, read.problems) == ((), [])

    def test_a_status_may_be_a_concept_under_any_system(self) -> None:
        assert order(status={"coding": [{"system": "a value set", "code": "completed"}]}).one.status == "completed"

    def test_an_ended_order_of_r5_is_completed(self) -> None:
        assert order(status="ended").one.status == "completed"

    @pytest.mark.parametrize(
        ("adherence", "status"),
        [("taking", "active"), ("taking-as-directed", "active"), ("on-hold", "on-hold"), ("stopped", "stopped"),
         ("not-taking", None), ("unknown", None), ("", "active")],
    )  # fmt: skip
    def test_a_recorded_statement_of_r5_is_read_by_its_adherence(self, adherence: str, status: str | None) -> None:
        stated = {"adherence": {"code": {"coding": [{"code": adherence}]}}} if adherence else {}
        read = Reading("MedicationStatement", status="recorded", medication={"concept": concept("tab60")}, **stated).all
        assert [m.status for m in read] == ([status] if status else [])

    def test_a_recorded_statement_whose_period_is_over_is_completed(self) -> None:
        read = Reading("MedicationStatement", status="recorded", effectivePeriod={"end": "2025-05-01"}, **TABLET)
        assert read.one.status == "completed"

    def test_an_stu3_statement_that_was_not_taken(self) -> None:
        assert Reading("MedicationStatement", status="active", taken="n", **TABLET).all == ()

    def test_a_vaccination_counts_once_it_is_completed(self) -> None:
        vaccine = {"vaccineCode": concept("vaccine"), "occurrenceDateTime": "2025-05-01T10:00:00Z"}
        read = Reading("Immunization", status="completed", **vaccine).one
        assert (read.ingredient, read.status, read.supply, read.start) == (
            "vaccine",
            "completed",
            True,
            date(2025, 5, 1),
        )
        assert Reading("Immunization", status="not-done", **vaccine).all == ()
        assert Reading("Immunization", **vaccine).all == ()

    @pytest.mark.parametrize(
        ("status", "expected"),
        [("preparation", "draft"), ("in-progress", "active"), ("on-hold", "on-hold"), ("completed", "completed"),
         ("stopped", "stopped"), ("not-done", None), ("entered-in-error", None), ("unknown", None)],
    )  # fmt: skip
    def test_a_procedure_that_is_a_therapy(self, status: str, expected: str | None) -> None:
        read = Reading("Procedure", status=status, code=concept("exchange", text="braceptin infusion")).all
        assert [(m.ingredient, m.status, m.supply) for m in read] == (
            [("exchange", expected, True)] if expected else []
        )

    def test_a_procedure_is_never_a_drug_by_name(self) -> None:
        assert Reading("Procedure", status="completed", code=concept(text="braceptin")).all == ()

    def test_an_administration_is_a_supply(self) -> None:
        read = Reading(
            "MedicationAdministration", status="in-progress", dosage={"dose": {"value": 60, "code": "mg"}}, **TABLET
        )
        assert (read.one.status, read.one.supply, read.one.single_mg, read.one.daily_mg) == ("active", True, 60, None)
        assert Reading("MedicationAdministration", status="not-done", **TABLET).all == ()

    def test_other_resources_are_not_read(self) -> None:
        assert Reading("ServiceRequest", status="active", code=concept("tab60")).all == ()
        assert Reading("Medication", status="active", code=concept("tab60")).all == ()


class TestTimes:
    BOUNDS: Mapping[str, object] = {"timing": {"repeat": {"boundsPeriod": {"start": "2024-03-01", "end": "2024-09"}}}}

    def test_the_period_of_the_dosage_comes_before_all_else(self) -> None:
        read = order(
            dosageInstruction=[self.BOUNDS],
            dispenseRequest={"validityPeriod": {"start": "2024-06-01", "end": "2025-06-01"}},
            authoredOn="2025-01-01",
        ).one
        assert (read.start, read.end, read.written) == (date(2024, 3, 1), date(2024, 9, 15), "2024-03-01")

    def test_then_the_dispense_request_then_the_date_of_the_order(self) -> None:
        validity = {"validityPeriod": {"start": "2024-06-01", "end": "2025-06-01"}}
        read = order(dispenseRequest=validity, authoredOn="2025-01-01").one
        assert (read.start, read.end) == (date(2024, 6, 1), date(2025, 6, 1))
        assert order(authoredOn="2025-01-01T23:30:00+02:00").one.start == date(2025, 1, 1)
        assert order().one.start is None

    def test_several_periods_span_the_order(self) -> None:
        def part(start: str, end: str | None) -> dict[str, object]:
            return {"timing": {"repeat": {"boundsPeriod": {"start": start, "end": end}}}}

        read = order(dosageInstruction=[part("2024-03-01", "2024-04-01"), part("2024-02-01", "2024-03-01")]).one
        assert (read.start, read.end) == (date(2024, 2, 1), date(2024, 4, 1))
        assert order(dosageInstruction=[part("2024-03-01", "2024-04-01"), part("2024-04-01", None)]).one.end is None

    def test_r5_names_the_period_in_the_order(self) -> None:
        read = order(effectiveDosePeriod={"start": "2024-05-01", "end": "2024-06-01"}, authoredOn="2024-04-01").one
        assert (read.start, read.end) == (date(2024, 5, 1), date(2024, 6, 1))

    def test_a_supply_lasts_from_the_day_it_was_handed_over(self) -> None:
        supply = {"value": 52, "unit": "days", "code": "d"}
        read = Reading(
            "MedicationDispense", status="completed", whenHandedOver="2025-01-10T10:00:00Z", daysSupply=supply, **TABLET
        )
        assert (read.one.start, read.one.end) == (date(2025, 1, 10), date(2025, 3, 3))
        prepared = Reading(
            "MedicationDispense", status="completed", whenPrepared="2025-01-10", daysSupply=supply, **TABLET
        )
        assert (prepared.one.start, prepared.one.end) == (None, None)

    def test_statements_and_procedures_have_a_period_or_a_moment(self) -> None:
        period = {"start": "2024", "end": "2025-02-03"}
        statement = Reading("MedicationStatement", effectivePeriod=period, **TABLET).one
        assert (statement.start, statement.end, statement.written) == (date(2024, 7, 1), date(2025, 2, 3), "2024")
        assert Reading("MedicationStatement", effectiveDateTime="2024-02-03", **TABLET).one.start == date(2024, 2, 3)
        code = concept("exchange")
        done = Reading("Procedure", status="completed", code=code, performedPeriod=period).one
        assert (done.start, done.end) == (date(2024, 7, 1), date(2025, 2, 3))
        r5 = Reading("Procedure", status="completed", code=code, occurrenceDateTime="2024-02-03").one
        assert (r5.start, r5.end) == (date(2024, 2, 3), None)

    def test_a_date_that_cannot_be_read_is_noted_and_leaves_the_order_undated(self) -> None:
        read = order(authoredOn="last week")
        assert (read.one.start, read.codes) == (None, ["unreadable-date"])

    def test_a_year_that_has_begun_is_resolved_to_today_at_the_latest(self) -> None:
        assert order(authoredOn="2025").one.start == NOW


class TestWhichDrug:
    def test_by_reference_contained_or_elsewhere(self) -> None:
        elsewhere = Reading(status="active", medicationReference={"reference": "Medication/m"})
        contained = Reading(
            status="active",
            medicationReference={"reference": "#a"},
            contained=[{"resourceType": "Medication", "id": "a", "code": concept("tab60")}],
        )
        r5 = Reading(status="active", medication={"reference": {"reference": "Medication/m"}})
        assert elsewhere.one == contained.one == r5.one
        assert elsewhere.one.found_by_name is False

    def test_any_coding_decides(self) -> None:
        codings = [{"system": LOCAL, "code": "1"}, {"code": "2"}, {"system": RX, "code": "tab60"}]
        assert order(medicationCodeableConcept={"coding": codings}).one.ingredient == "braceptin"

    def test_an_object_where_a_list_belongs_is_a_list_of_one(self) -> None:
        single = {"coding": {"system": RX, "code": "tab60"}}
        dosage = {
            "doseAndRate": {"doseQuantity": {"value": 60, "code": "mg"}},
            "route": {"coding": {"code": "PO", "system": LOCAL}},
        }
        read = order(medicationCodeableConcept=single, dosageInstruction=dosage).one
        assert (read.single_mg, read.route) == (60, "oral")

    def test_the_ingredients_of_a_medication(self) -> None:
        def of(*codes: str, key: str = "itemCodeableConcept") -> Reading:
            parts = [{key: concept(code)} for code in codes]
            return Reading(medicationReference={"reference": "#a"}, contained=[{"id": "a", "ingredient": parts}])

        assert [m.ingredient for m in of("in").all] == ["braceptin"]
        assert [m.ingredient for m in of("in", "salt").all] == ["braceptin", "salt"]
        assert [m.ingredient for m in of("in", "salt", "other").all] == ["braceptin"]

    def test_r5_ingredients_and_ingredients_that_are_medications(self) -> None:
        parts = [{"item": {"concept": concept("in")}}, {"itemReference": {"reference": "#b"}}]
        contained = [{"id": "a", "ingredient": parts}, {"id": "b", "code": concept("salt")}]
        read = Reading(medication={"reference": {"reference": "#a"}}, contained=contained)
        assert [m.ingredient for m in read.all] == ["braceptin", "salt"]

    def test_an_inactive_ingredient_is_none(self) -> None:
        parts = [{"itemCodeableConcept": concept("in"), "isActive": False}]
        assert Reading(medicationReference={"reference": "#a"}, contained=[{"id": "a", "ingredient": parts}]).all == ()

    def test_medications_that_contain_themselves_come_to_an_end(self) -> None:
        loop = {"id": "a", "ingredient": [{"itemReference": {"reference": "#a"}}]}
        assert Reading(medicationReference={"reference": "#a"}, contained=[loop]).all == ()

    def test_one_medication_for_each_ingredient_of_a_product_without_a_dose_of_its_own(self) -> None:
        dosage = [{"doseAndRate": [{"doseQuantity": {"value": 60, "code": "mg"}}]}]
        read = order(medicationCodeableConcept=concept("pair"), dosageInstruction=dosage).all
        assert [(m.ingredient, m.single_mg) for m in read] == [("braceptin", None), ("collumin", None)]

    def test_a_minor_ingredient_and_a_known_product_without_drug_are_never_found_by_name(self) -> None:
        assert order(medicationCodeableConcept=concept("saline", text="salt")).all == ()
        ointment = order(medicationCodeableConcept=concept("ointment", text="braceptin ointment"))
        assert (ointment.all, ointment.problems) == ((), [])

    def test_an_unknown_code_of_our_own_systems_is_reported(self) -> None:
        read = order(medicationCodeableConcept=concept("braceptinn", OURS))
        assert [code for code, _ in read.problems] == ["unrecognised-code"]

    def test_a_drug_that_is_not_ours_is_passed_over(self) -> None:
        read = order(medicationCodeableConcept=concept("zzz", text="water"))
        assert (read.all, read.problems) == ((), [])


class TestByName:
    @pytest.mark.parametrize(
        "medication",
        [
            {"medicationCodeableConcept": concept(text="Braceptin 60 mg")},
            {"medicationCodeableConcept": concept("L1", LOCAL, display="braceptin")},
            {"medicationCodeableConcept": concept("BRACEPTIN-60", LOCAL)},
            {"medicationReference": {"reference": "Medication/nowhere", "display": "braceptin"}},
            {"medicationReference": {"identifier": {"system": LOCAL, "value": "braceptin"}}},
            {"medicationReference": "#a", "contained": [{"id": "a", "identifier": [{"value": "Braceptin 60 Tab"}]}]},
            {"medicationReference": {"reference": "#a"},
             "contained": [{"id": "a", "ingredient": [{"itemCodeableConcept": {"text": "braceptin"}}]}]},
        ],
    )  # fmt: skip
    def test_where_no_code_is_known_the_name_decides_and_is_listed(self, medication: Mapping[str, object]) -> None:
        read = Reading(status="active", **medication)
        assert (read.one.ingredient, read.one.found_by_name) == ("braceptin", True)
        assert "drug-by-name" in read.codes

    def test_a_logical_reference_may_hold_the_code(self) -> None:
        read = Reading(status="active", medicationReference={"identifier": {"system": RX, "value": "tab60"}})
        assert (read.one.ingredient, read.one.found_by_name) == ("braceptin", False)

    def test_the_problem_names_the_system_to_map_and_no_text_of_the_record(self) -> None:
        read = order(medicationCodeableConcept=concept("L1", LOCAL, text="braceptin for Mrs Example"))
        [(code, message)] = read.problems
        assert code == "drug-by-name"
        assert f"map its code of `{LOCAL}`" in message
        assert "Example" not in message
        assert "no code with a code system" in order(medicationCodeableConcept=concept(text="braceptin")).problems[0][1]

    def test_an_ingredient_without_code_beside_one_with_a_code(self) -> None:
        parts = [{"itemCodeableConcept": concept("salt")}, {"itemCodeableConcept": {"text": "braceptin"}}]
        read = Reading(medicationReference={"reference": "#a"}, contained=[{"id": "a", "ingredient": parts}])
        assert {m.ingredient: m.found_by_name for m in read.all} == {"salt": False, "braceptin": True}

    def test_a_known_code_decides_over_any_name(self) -> None:
        read = order(medicationCodeableConcept=concept("tab60", text="collumin")).one
        assert (read.ingredient, read.found_by_name) == ("braceptin", False)

    def test_a_medication_that_is_not_there_is_reported(self) -> None:
        read = Reading(status="active", medicationReference={"reference": "Medication/nowhere"})
        assert (read.all, read.codes) == ((), ["dangling-reference"])


class TestRouteReasonAndPhase:
    def test_the_dosage_decides_then_the_code_then_the_form(self) -> None:
        given = [{"route": concept("PO", LOCAL)}]
        assert order(medicationCodeableConcept=concept("salt"), dosageInstruction=given).one.route == "oral"
        assert order(medicationCodeableConcept=concept("salt")).one.route == "parenteral"
        form = {"id": "a", "code": concept("in"), "form": {"text": "tablet"}}
        assert Reading(medicationReference={"reference": "#a"}, contained=[form]).one.route == "oral"
        assert order(medicationCodeableConcept=concept("in", text="eye drops")).one.route == "ophthalmic"
        assert order(medicationCodeableConcept=concept("in")).one.route == ""

    def test_route_as_text_or_unknown(self) -> None:
        assert order(dosageInstruction=[{"route": {"text": "iv"}}]).one.route == "iv"
        assert order(dosageInstruction=[{"route": {"text": "by courier"}}]).one.route == "oral"

    def test_several_routes(self) -> None:
        def by(*routes: str) -> str:
            return order(dosageInstruction=[{"route": {"text": route}} for route in routes]).one.route

        assert by("iv", "iv") == "iv"
        assert by("iv", "im") == "parenteral"
        assert order(medicationCodeableConcept=concept("in"), dosageInstruction=[
            {"route": {"text": "iv"}}, {"route": {"text": "oral"}}]).one.route == ""  # fmt: skip

    def test_reasons_in_every_form(self) -> None:
        scan = {"coding": [{"system": LOCAL, "code": "scan"}]}
        assert order(reasonCode=[scan]).one.reason == "chest-imaging"
        assert order(reasonReference=[{"reference": "Condition/c"}]).one.reason == "chest-imaging"
        assert order(reason=[{"concept": scan}]).one.reason == "chest-imaging"
        assert order(reason=[{"reference": {"reference": "Condition/c"}}]).one.reason == "chest-imaging"
        assert order(reasonReference=[{"reference": "Condition/none"}]).one.reason == ""

    def test_initiation_and_course(self) -> None:
        def coded(code: str) -> dict[str, object]:
            return {"coding": [{"system": PHASE, "code": code}]}

        assert order(category=[coded("induction"), coded("initiation")]).one.initiation is True
        assert order(courseOfTherapyType=coded("initiation")).one.initiation is True
        assert order(priorPrescription=None).one.initiation is False
        assert order(courseOfTherapyType=coded("acute")).one.course == "induction"
        assert order(courseOfTherapyType=coded("continuous")).one.course == "maintenance"
        assert order(category=[coded("induction")]).one.course == "induction"


class TestDose:
    def test_tablets_times_the_strength_of_the_display(self) -> None:
        dosage = {"timing": {"code": {"text": "QID"}}, "doseAndRate": [{"doseQuantity": {"value": 2, "code": "TAB"}}]}
        product = concept("tab60", display="braceptin bromide 60 MG Oral Tablet")
        read = order(medicationCodeableConcept=product, dosageInstruction=[dosage]).one
        assert (read.single_mg, read.daily_mg) == (120, 480)

    def test_the_strength_of_the_ingredient_that_is_the_drug(self) -> None:
        strength = {"numerator": {"value": 30, "code": "mg"}, "denominator": {"value": 1, "code": "{tablet}"}}
        medication = {"id": "a", "ingredient": [{"itemCodeableConcept": concept("in"), "strength": strength}]}
        dosage = [{"doseAndRate": [{"doseQuantity": {"value": 2, "code": "TAB"}}]}]
        read = Reading(medicationReference={"reference": "#a"}, contained=[medication], dosageInstruction=dosage).one
        assert read.single_mg == 60

    def test_statements_keep_their_dose_under_another_name(self) -> None:
        dosage = [{"doseAndRate": [{"doseQuantity": {"value": Decimal("0.5"), "code": "mg/kg"}}]}]
        read = Reading("MedicationStatement", status="active", dosage=dosage, **TABLET).one
        assert (read.single_mg, read.per_kg) == (None, {"single-mg": Decimal("0.5")})


KINDS = [
    "MedicationRequest",
    "MedicationStatement",
    "MedicationDispense",
    "MedicationAdministration",
    "Immunization",
    "Procedure",
]
KEYS = [
    "status", "taken", "adherence", "medicationCodeableConcept", "medicationReference", "medication", "concept",
    "reference", "contained", "id", "code", "coding", "system", "text", "display", "identifier", "value",
    "ingredient", "item", "itemReference", "itemCodeableConcept", "strength", "isActive", "form", "vaccineCode",
    "administeredProduct", "dosageInstruction", "dosage", "route", "timing", "repeat", "boundsPeriod", "start",
    "end", "dispenseRequest", "validityPeriod", "authoredOn", "whenHandedOver", "daysSupply", "effectivePeriod",
    "effectiveDateTime", "reasonCode", "reason", "reasonReference", "category", "courseOfTherapyType",
    "performedPeriod", "occurrenceTiming", "doNotPerform",
]  # fmt: skip
WORDS = [
    "active",
    "completed",
    "#a",
    "a",
    "tab60",
    "in",
    RX,
    "braceptin",
    "2025",
    "9999-12-31",
    "n",
    "d",
    "\0",
    "",
    "Medication/m",
]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=4)
soup = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=200)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), soup, max_size=10))
def test_nothing_that_json_can_hold_raises(kind: str, elements: dict[str, object]) -> None:
    for medication in Reading(kind, **elements).all:
        assert medication.ingredient


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(KEYS), soup, max_size=8))
def test_a_drug_stays_whatever_stands_around_it(elements: dict[str, object]) -> None:
    kept = {key: value for key, value in elements.items() if key not in ("taken", "doNotPerform")}
    read = Reading(**{**kept, "status": "active", **TABLET})
    assert read.one.ingredient == "braceptin"


def test_a_supply_at_the_end_of_the_calendar_has_no_end() -> None:
    supply = {"value": 3000, "code": "d"}
    read = Reading("MedicationDispense", whenHandedOver="9999-12-31", daysSupply=supply, **TABLET).one
    assert (read.start, read.end) == (date(9999, 12, 31), None)


def tablets(code: str, unit: str = "tablet", value: int = 1, display: str = "") -> Medication:
    twice = {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}
    dosage = [{"timing": twice, "doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}]}]
    return order(medicationCodeableConcept=concept(code, display=display), dosageInstruction=dosage).one


class TestStrengthOfTheCode:
    def test_a_tablet_holds_what_the_product_of_the_code_holds(self) -> None:
        assert (tablets("strong60").single_mg, tablets("strong60").daily_mg) == (60, 120)
        assert tablets("strong12", "mL", 5).single_mg == 60

    def test_a_name_that_says_the_same_changes_nothing_and_another_one_leaves_it_open(self) -> None:
        assert tablets("strong60", display="braceptin 60 MG Oral Tablet").single_mg == 60
        assert tablets("strong60", display="braceptin 30 mg").single_mg is None

    def test_a_strength_of_the_wrong_form_or_two_strengths_are_none(self) -> None:
        assert tablets("strong12").single_mg is None
        assert tablets("strong60", "mL").single_mg is None
        assert tablets("either").single_mg is None
        assert tablets("in").single_mg is None
