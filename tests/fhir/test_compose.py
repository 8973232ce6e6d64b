"""Compact facts as FHIR: what is written, what is refused, and that it is valid and reads back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import InputError
from engine.fhir.compose import compose_bundle, compose_fact
from engine.fhir.medications import read_medications
from engine.model.record import Medication
from engine.terminology import Terminology, load_terminology

NOW = date(2025, 6, 1)
FILES = {
    "systems.csv": """system,uri,traits,shape
lab,http://lab.example,,
rx,http://rx.example,,
mine,{base}:mine,,
part,{base}:part,,
way,{base}:way,,
phase,{base}:phase,,
course-of,http://course.example,,
region,{base}:region,,
stage,{base}:stage,,
""",
    "concepts.csv": """concept,carriers,system,code,display,match,use,answer,denied,region,sign,study,only,preferred
acid,observation,lab,1-1,Acid in serum,,,,,,,,,y
limpness,observation,mine,limpness,Limpness,,,,,,,,,y
onset,observation,mine,onset,Onset,,,,,,,,,y
stage,observation,mine,stage,Stage,,,,,,,,,y
surgery,procedure,lab,2-2,Surgery,,,,,,,,,y
pollen,allergy,lab,3-3,Pollen,,,,,,,,,y
malady,condition,lab,4-4,Malady,,,,,,,,,y
""",
    "drugs.csv": """ingredient,system,code,route,match,use,preferred,display
braceptin,rx,10,,,,y,braceptin
salt,rx,20,parenteral,,,y,salt
salt,rx,21,,,minor,,salts
washing,mine,washing,,,,y,washing
""",
    "answers.csv": """answer,system,code,display,preferred
present,lab,LA1,Present,y
absent,lab,LA2,Absent,y
positive,lab,LA3,Positive,y
""",
    "codesets.csv": """codeset,value,system,code,display,preferred
region,north,region,north,north,y
stage,IIb,stage,2b,IIb,y
component,weakness,part,weak,weakness,y
component,hz,part,rate,rate,y
component,muscles,part,muscles,muscles,y
component,sign,part,sign,sign,y
sign,twitch,part,twitch,twitch,y
route,iv,way,iv,iv,y
therapy-phase,initiation,phase,initiation,initiation,y
course,induction,course-of,acute,acute,y
order-reason,fever,mine,fever,fever,y
assay-method,ripa,mine,ripa,ripa,y
scope,complete-record,mine,complete,complete,y
""",
    "units.csv": "unit,spelling\nmg,mg\ng,g\nd,d\n",
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Terminology:
    folder: Path = tmp_path_factory.mktemp("valuesets")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load_terminology(folder)


def code_of(concept: Mapping[str, Any]) -> str:
    return str(concept["coding"][0]["code"])


class TestResults:
    def test_a_number_with_unit_comparator_and_range(self, words: Terminology) -> None:
        fact = {
            "r": "Observation", "c": "acid", "v": Decimal("0.5"), "u": "mmol/L", "cmp": "<", "ref_high": Decimal("0.4"),
            "ref_u": "mol/L", "interp": "NEG", "d": "2025-05-01",
        }  # fmt: skip
        resource = compose_fact(fact, words)
        assert resource["status"] == "final"
        assert resource["code"]["coding"] == [
            {"system": "http://lab.example", "code": "1-1", "display": "Acid in serum"}
        ]
        ucum = {"system": "http://unitsofmeasure.org"}
        assert resource["valueQuantity"] == {
            "value": Decimal("0.5"), "comparator": "<", "unit": "mmol/L", "code": "mmol/L", **ucum,
        }  # fmt: skip
        assert resource["referenceRange"] == [
            {"high": {"value": Decimal("0.4"), "unit": "mol/L", "code": "mol/L", **ucum}}
        ]
        assert code_of(resource["interpretation"][0]) == "NEG"
        assert resource["effectiveDateTime"] == "2025-05-01"

    def test_the_range_has_the_unit_of_the_value_unless_it_states_its_own(self, words: Terminology) -> None:
        resource = compose_fact({"r": "Observation", "c": "acid", "v": 3, "u": "g/L", "ref_low": 1}, words)
        assert resource["referenceRange"][0]["low"]["code"] == "g/L"

    def test_whole_numbers_without_unit_are_counts(self, words: Terminology) -> None:
        assert compose_fact({"r": "Observation", "c": "acid", "v": 44}, words)["valueInteger"] == 44
        assert compose_fact({"r": "Observation", "c": "acid", "count": 2}, words)["valueInteger"] == 2
        assert compose_fact({"r": "Observation", "c": "acid", "v": Decimal("1.5")}, words)["valueQuantity"] == {
            "value": Decimal("1.5")
        }

    def test_answers_of_the_concept_come_before_answers_of_all(self, words: Terminology) -> None:
        staged = compose_fact({"r": "Observation", "c": "stage", "v": "IIb"}, words)
        assert code_of(staged["valueCodeableConcept"]) == "2b"
        answered = compose_fact({"r": "Observation", "c": "limpness", "v": "present"}, words)
        assert code_of(answered["valueCodeableConcept"]) == "LA1"

    def test_dates_and_done(self, words: Terminology) -> None:
        assert compose_fact({"r": "Observation", "c": "onset", "v": "2020-03"}, words)["valueDateTime"] == "2020-03"
        assert (
            compose_fact({"r": "Observation", "c": "onset", "v": date(2020, 3, 1)}, words)["valueDateTime"]
            == "2020-03-01"
        )
        done = compose_fact({"r": "Observation", "c": "acid", "v": "done", "d": 2020}, words)
        assert (done["effectiveDateTime"], [key for key in done if key.startswith("value")]) == ("2020", [])

    def test_sites_and_components(self, words: Terminology) -> None:
        fact = {
            "r": "Observation", "c": "limpness", "v": "present", "region": "north", "weakness": False, "hz": 3,
            "muscles": 2, "sign": "twitch",
        }  # fmt: skip
        resource = compose_fact(fact, words)
        assert code_of(resource["bodySite"]) == "north"
        weakness, rate, muscles, sign = resource["component"]
        assert (code_of(weakness["code"]), code_of(weakness["valueCodeableConcept"])) == ("weak", "LA2")
        assert rate["valueQuantity"]["code"] == "Hz"
        assert muscles["valueInteger"] == 2
        assert code_of(sign["valueCodeableConcept"]) == "twitch"

    def test_a_concept_that_only_a_procedure_or_an_allergy_states(self, words: Terminology) -> None:
        done = compose_fact({"r": "Observation", "c": "surgery", "v": "present", "d": "2020"}, words)
        assert (done["resourceType"], done["status"], done["performedDateTime"]) == ("Procedure", "completed", "2020")
        assert compose_fact({"r": "Observation", "c": "surgery", "v": "absent"}, words)["status"] == "not-done"
        assert (
            compose_fact({"r": "Procedure", "c": "surgery", "status": "in-progress"}, words)["status"] == "in-progress"
        )
        allergy = compose_fact({"r": "Observation", "c": "pollen", "v": "absent", "d": "2020"}, words)
        assert (allergy["resourceType"], allergy["recordedDate"]) == ("AllergyIntolerance", "2020")
        assert code_of(allergy["verificationStatus"]) == "refuted"

    def test_a_condition(self, words: Terminology) -> None:
        fact = {"r": "Condition", "c": "malady", "ver": "refuted", "clin": "active", "cat": "encounter-diagnosis",
                "onset": 2021, "rec": date(2025, 1, 1)}  # fmt: skip
        resource = compose_fact(fact, words)
        assert (resource["onsetDateTime"], resource["recordedDate"]) == ("2021", "2025-01-01")
        assert code_of(resource["verificationStatus"]) == "refuted"
        assert code_of(resource["category"][0]) == "encounter-diagnosis"


class TestOrders:
    def read(self, words: Terminology, **fact: object) -> Medication:
        resource = compose_fact({"r": "MedicationRequest", "c": "braceptin", **fact}, words)
        [medication] = read_medications(resource, words, NOW, lambda _: None, lambda *_: None)
        return medication

    def test_status_and_dates_read_back(self, words: Terminology) -> None:
        draft = self.read(words, status="draft")
        assert (draft.status, draft.start, draft.supply) == ("draft", None, False)
        dated = self.read(words, status="stopped", start="2024-01-02", end="2024-02-03")
        assert (dated.start, dated.end) == (date(2024, 1, 2), date(2024, 2, 3))
        assert self.read(words, start="2024-01-02").start == date(2024, 1, 2)

    def test_supplies_statements_vaccinations_and_procedures_read_back(self, words: Terminology) -> None:
        times = {"start": "2025-01-10", "end": "2025-03-03"}
        for kind in ("MedicationDispense", "MedicationStatement", "Procedure"):
            read = self.read(words, r=kind, status="completed", **times)
            assert (read.supply, read.start, read.end) == (True, date(2025, 1, 10), date(2025, 3, 3)), kind
        given = self.read(words, r="Immunization", start="2025-01-10", route="iv")
        assert (given.status, given.start, given.route) == ("completed", date(2025, 1, 10), "iv")
        assert self.read(words, r="Procedure", c="washing", start="2025-01-10").ingredient == "washing"

    @pytest.mark.parametrize(
        ("stated", "single", "daily", "course"),
        [
            ({"single_mg": 60, "daily_mg": 240}, 60, 240, None),
            ({"single_mg": 60, "daily_mg": 150}, 60, 150, None),
            ({"single_mg": 60, "daily_mg": 30}, 60, 30, None),
            ({"single_mg": 60}, 60, None, None),
            ({"dose_mg_day": Decimal("7.5")}, Decimal("7.5"), Decimal("7.5"), None),
            ({"total_g": 165}, 33000, 33000, 165),
            ({"total_g": 2, "daily_mg": 500}, 500, 500, 2),
            ({}, None, None, None),
        ],
    )
    def test_doses_read_back(
        self, words: Terminology, stated: dict[str, Any], single: Any, daily: Any, course: Any
    ) -> None:
        read = self.read(words, **stated)
        assert (read.single_mg, read.daily_mg, read.course_g) == (single, daily, course)

    def test_route_reason_initiation_and_course_read_back(self, words: Terminology) -> None:
        read = self.read(words, route="iv", reason="fever", initial=True, course="induction")
        assert (read.route, read.reason, read.initiation, read.course) == ("iv", "fever", True, "induction")

    def test_a_prohibition_and_a_minor_ingredient_read_back_as_nothing(self, words: Terminology) -> None:
        for stated in ({"doNotPerform": True}, {"c": "salt", "minor": True}):
            resource = compose_fact({"r": "MedicationRequest", "c": "braceptin", **stated}, words)
            assert read_medications(resource, words, NOW, lambda _: None, lambda *_: None) == ()


DAY = "2025-02-01"
CASE: Mapping[str, Any] = {
    "id": "V 1",
    "now": "2025-06-01",
    "scope": "full",
    "patient": {"sex": "female", "birth": "1990-05-01", "active": False, "deceased": True},
    "facts": [
        {"r": "Observation", "c": "acid", "v": Decimal("8.2"), "u": "mmol/L", "lab": "lab-a", "method": "ripa"},
        {"r": "Observation", "c": "acid", "v": 7, "u": "mmol/L", "lab": "lab-a", "method": "by eye", "d": DAY},
        {"r": "Observation", "c": "limpness", "v": "absent", "region": "north", "weakness": True, "enc": "current",
         "id": "mine", "d": DAY},
        {"r": "Observation", "c": "surgery", "v": "present", "enc": "finished", "d": "2020"},
        {"r": "Observation", "c": "pollen", "v": "present", "d": "2020"},
        {"r": "Condition", "c": "malady", "ver": "confirmed", "clin": "active", "rec": "2024"},
        {"r": "MedicationRequest", "c": "braceptin", "start": DAY, "single_mg": 60, "daily_mg": 240},
        {"r": "MedicationRequest", "c": "salt", "status": "draft", "minor": True, "route": "iv"},
        {"r": "MedicationDispense", "c": "braceptin", "status": "completed", "start": DAY, "end": "2025-03-03"},
        {"r": "Immunization", "c": "salt", "start": DAY},
    ],
}  # fmt: skip


class TestBundle:
    def test_it_holds_the_patient_the_day_and_the_scope(self, words: Terminology) -> None:
        bundle = compose_bundle(CASE, words)
        assert bundle["timestamp"] == "2025-06-01T12:00:00Z"
        assert [tag["code"] for tag in bundle["meta"]["tag"]] == ["complete"]
        patient = bundle["entry"][0]["resource"]
        assert patient == {
            "resourceType": "Patient", "id": "V-1", "active": False, "gender": "female", "birthDate": "1990-05-01",
            "deceasedBoolean": True,
        }  # fmt: skip
        assert "meta" not in compose_bundle({**CASE, "scope": "partial"}, words)

    def test_every_fact_belongs_to_the_patient_and_has_its_own_id(self, words: Terminology) -> None:
        entries = compose_bundle(CASE, words)["entry"]
        resources = [entry["resource"] for entry in entries[1:]]
        ids = [resource["id"] for resource in resources]
        assert len(set(ids)) == len(ids)
        assert "mine" in ids
        for entry, resource in zip(entries[1:], resources, strict=True):
            assert entry["fullUrl"].endswith(f"/{resource['resourceType']}/{resource['id']}")
            subject = resource.get("subject") or resource.get("patient")
            assert subject == {"reference": "Patient/V-1"} or resource["resourceType"] == "Organization"

    def test_one_laboratory_and_one_present_encounter(self, words: Terminology) -> None:
        resources = [entry["resource"] for entry in compose_bundle(CASE, words)["entry"]]
        [laboratory] = [r for r in resources if r["resourceType"] == "Organization"]
        performers = [r["performer"] for r in resources if "performer" in r]
        assert performers == [[{"reference": f"Organization/{laboratory['id']}"}]] * 2
        encounters = {r["id"]: r["status"] for r in resources if r["resourceType"] == "Encounter"}
        assert encounters == {"V-1-current": "in-progress", "V-1-finished": "finished"}

    def test_it_is_valid_fhir(self, words: Terminology) -> None:
        from fhir.resources.R4B.bundle import Bundle  # noqa: PLC0415  slow to import, and only needed here

        encoder = msgspec.json.Encoder(decimal_format="number")
        Bundle.model_validate_json(encoder.encode(compose_bundle(CASE, words)))

    def test_an_empty_patient(self, words: Terminology) -> None:
        bundle = compose_bundle({}, words)
        assert [entry["resource"] for entry in bundle["entry"]] == [{"resourceType": "Patient", "id": "patient"}]


class TestRefusals:
    @pytest.mark.parametrize(
        ("fact", "message"),
        [
            ({"r": "Observation", "c": "limpnes"}, "`limpnes` has no code to write as observation; did"),
            ({"r": "Observation", "c": "limpness", "weaknes": True}, "`weaknes` is no key .* did you mean `weakness`"),
            ({"r": "Observation", "c": "limpness", "v": "presents"}, "`presents` has no code .* mean `present`"),
            ({"r": "Observation", "c": "limpness", "region": "nord"}, "`nord` has no code to write as region"),
            ({"r": "Observation", "c": "acid", "v": 1, "d": "soon"}, "`soon` is no date"),
            ({"r": "Observation", "c": "surgery", "v": "maybe"}, "`maybe` cannot be said of a procedure"),
            ({"r": "Observation", "c": "pollen", "v": "maybe"}, "`maybe` cannot be said of an allergy"),
            ({"r": "Condition", "c": "malady", "v": "present"}, "`v` is no key of a fact of `r: Condition`"),
            ({"r": "MedicationRequest", "c": "braceptin", "single_mg": 0}, "it must be above zero"),
            ({"r": "MedicationRequest", "c": "braceptin", "single_mg": "a lot"}, "`a lot` is no number"),
            ({"r": "MedicationDispense", "c": "braceptin", "start": "2025", "end": "2025-02-01"}, "has no length"),
            ({"r": "Goal", "c": "malady"}, "`r: Goal` cannot be composed: use AllergyIntolerance"),
            ({"r": "Observation"}, "a fact needs `c`"),
            ("acid", "a fact needs"),
        ],
    )  # fmt: skip
    def test_a_fact_that_cannot_be_written_says_why(
        self, words: Terminology, fact: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            compose_fact(fact, words)
        with pytest.raises(InputError, match=r"^facts\[0\]: "):
            compose_bundle({"facts": [fact]}, words)

    def test_an_unknown_encounter(self, words: Terminology) -> None:
        with pytest.raises(InputError, match=r"facts\[0\]: `enc: past` is not known: use current or finished"):
            compose_bundle({"facts": [{"r": "Observation", "c": "acid", "enc": "past"}]}, words)
