"""What the value sets of the neuromuscular ruleset say. Codes here stand in the value sets."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from engine.terminology import Drug, Terminology, load_terminology

VALUESETS = Path(__file__).resolve().parents[2] / "rulesets/neuromuscular/valuesets"
TABLES = VALUESETS.parent / "tables"
SCT, LOINC, HPO = "http://snomed.info/sct", "http://loinc.org", "http://human-phenotype-ontology.org"
CM, WHO = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"
RX, ATC, CVX = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://www.whocc.no/atc", "http://hl7.org/fhir/sid/cvx"


def concepts(terminology: Terminology, carrier: str, *codings: tuple[str, str]) -> dict[str, bool]:
    return {meaning.concept: meaning.suspected for meaning in terminology.concepts(carrier, codings)}


def names(drugs: tuple[Drug, ...]) -> list[str]:
    return [drug.ingredient for drug in drugs if not drug.minor]


def rows(file: str) -> list[dict[str, str]]:
    with (VALUESETS / file).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (CM, "G70.00"), (CM, "G7001"), ("urn:oid:2.16.840.1.113883.6.90", "g70.01"), (SCT, "91637004"),
        ("SNOMED CT", "91637004"), ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "G70.0"),
        ("http://hl7.org/fhir/sid/icd-10-nl", "G70.0"), ("urn:oid:1.3.6.1.4.1.12559.11.10.1.3.1.44.2", "G70.0"),
    ],
)  # fmt: skip
def test_myasthenia_gravis_is_known_in_every_system(neuromuscular: Terminology, system: str, code: str) -> None:
    assert concepts(neuromuscular, "condition", (system, code)) == {"mg": False}


@pytest.mark.parametrize("code", ["G70.2", "G70.1", "P94.0", "G73.3"])
def test_other_myasthenic_syndromes_are_known_and_not_myasthenia_gravis(neuromuscular: Terminology, code: str) -> None:
    assert concepts(neuromuscular, "condition", (CM, code)) == {}
    assert neuromuscular.known([(CM, code)])


def test_the_international_code_of_motor_neuron_disease_confirms_nothing(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "condition", (WHO, "G12.2")) == {"als": True, "pls": True, "pma": True}
    assert concepts(neuromuscular, "condition", (WHO, "G12.2"), (SCT, "86044005")) == {"als": False}


def test_a_subtype_of_multiple_sclerosis_is_that_subtype_only(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "condition", (CM, "G35.A")) == {"rrms": False}
    assert concepts(neuromuscular, "condition", (CM, "G35.B1")) == {"ppms": False}
    assert concepts(neuromuscular, "condition", (CM, "G35")) == {"ms": False}
    assert concepts(neuromuscular, "condition", (WHO, "G35.9")) == {"ms": False}


@pytest.mark.parametrize("code", ["H02.41", "H02.413", "h02413", "Q10.0"])
def test_mechanical_and_congenital_ptosis_is_no_ptosis_of_ours(neuromuscular: Terminology, code: str) -> None:
    assert concepts(neuromuscular, "condition", (CM, code)) == {}
    assert concepts(neuromuscular, "condition", (CM, code), (SCT, "11934000")) == {}
    assert concepts(neuromuscular, "condition", (CM, "H02.49"), (SCT, "11934000")) == {"ptosis": False}


def test_palliative_care_is_not_hospice_and_chronic_failure_not_acute(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "condition", (CM, "Z51.5")) == {}
    assert concepts(neuromuscular, "condition", (SCT, "385763009")) == {"hospice": False}
    assert concepts(neuromuscular, "condition", (CM, "J96.11")) == {}
    assert concepts(neuromuscular, "condition", (CM, "J96.21")) == {"resp-failure-acute": False}


def test_a_ventilator_pressure_never_is_an_inspiratory_pressure(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "observation", (SCT, "27913002")) == {"mip": False}
    assert concepts(neuromuscular, "observation", (SCT, "27913002"), (LOINC, "20074-1")) == {}


def test_the_ganglionic_receptor_is_another_receptor(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "observation", (LOINC, "42233-7")) == {}
    assert concepts(neuromuscular, "observation", (LOINC, "11034-6"), (LOINC, "42233-7")) == {}


def test_dysphagia_is_a_diagnosis_as_condition_and_a_finding_as_observation(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "condition", (SCT, "40739000")) == {"dysphagia-dx": False}
    assert concepts(neuromuscular, "observation", (SCT, "40739000")) == {"dysphagia": False}


def test_a_babinski_sign_by_its_code_has_its_region(neuromuscular: Terminology) -> None:
    (meaning,) = neuromuscular.concepts("observation", [(HPO, "HP_0003487")])
    assert (meaning.concept, meaning.answer, meaning.region, meaning.sign) == (
        "umn-sign", "present", "lumbosacral", "babinski",
    )  # fmt: skip


def test_an_observable_reflex_needs_a_value(neuromuscular: Terminology) -> None:
    (meaning,) = neuromuscular.concepts("observation", [(SCT, "246586009")])
    assert (meaning.concept, meaning.answer) == ("umn-sign", "")
    assert neuromuscular.concepts("condition", [(SCT, "246586009")]) == ()


def test_increased_jitter_means_abnormal_and_its_absence_normal(neuromuscular: Terminology) -> None:
    (meaning,) = neuromuscular.concepts("observation", [(HPO, "HP:0030205")])
    assert (meaning.concept, meaning.answer, meaning.denied) == ("sfemg", "abnormal", "normal")


def test_a_finding_as_condition_is_marked_as_finding(neuromuscular: Terminology) -> None:
    (meaning,) = neuromuscular.concepts("condition", [(HPO, "HP:0003473")])
    assert (meaning.concept, meaning.finding) == ("fatigability", True)


def test_ventilation_in_use_counts_only_while_the_procedure_runs(neuromuscular: Terminology) -> None:
    (meaning,) = neuromuscular.concepts("procedure", [(SCT, "447837008")])
    assert (meaning.concept, meaning.only) == ("niv-in-use", "in-progress")


def test_a_billing_number_proves_a_study_and_no_result(neuromuscular: Terminology) -> None:
    (meaning,) = neuromuscular.concepts("procedure", [("http://www.ama-assn.org/go/cpt", "95937")])
    assert (meaning.concept, meaning.study) == ("nmj-study", True)


def test_sulfonamides_are_not_sulfites(neuromuscular: Terminology) -> None:
    assert concepts(neuromuscular, "allergy", (RX, "36679")) == {"sulfite-allergy": False}
    assert concepts(neuromuscular, "allergy", (SCT, "91939003")) == {}
    assert concepts(neuromuscular, "condition", (SCT, "767406000")) == {}, "a substance is no condition"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("NEGATIF", "negative"), ("Nicht nachweisbar", "not-detected"), ("positivo", "positive"),
        ("Non-reactive", "negative"), ("vorhanden", "present"), ("Grenzwertig", "equivocal"), ("unauffällig", "normal"),
        ("Test Not Performed", ""), ("not done", ""), ("pending", ""), (".", ""), ("NO GROWTH", ""),
        ("negative for presence of cancer", ""), ("positive and negative", ""),
    ],
)  # fmt: skip
def test_a_result_in_words_is_one_of_a_closed_list(neuromuscular: Terminology, text: str, answer: str) -> None:
    assert neuromuscular.answer_of_text(text) == answer


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("K/uL", "10*3/uL"), ("x10*9/L", "10*9/L"), ("10^9/l", "10*9/L"), ("/nanoliter", "/nL"), ("lbs", "[lb_av]"),
        ("cmH2O", "cm[H2O]"), ("mmHg", "mm[Hg]"), ("mEq/L", "meq/L"), ("IU/L", "[IU]/L"), ("µkat/L", "ukat/L"),
        ("MMOL/L", "mmol/L"), ("nmol/L", "nmol/L"), ("µIU/mL", "u[IU]/mL"), ("AU/mL", ""), ("furlong", ""), ("", ""),
    ],
)  # fmt: skip
def test_spellings_of_units(neuromuscular: Terminology, text: str, unit: str) -> None:
    assert neuromuscular.unit(text) == unit


@pytest.mark.parametrize(
    "text",
    [
        "Test Not Performed mmol/L", "not done", "TEST CANCELLED, PATIENT CREDITED.  ", "Canceled",
        "nicht durchgeführt", "Nicht durchgefuehrt.", "storniert", "non effectué", "ANNULÉ", "no realizado",
        "Muestra insuficiente", "não realizado", "non eseguito", "niet uitgevoerd", "nie wykonano", "ikke utført",
        "ei tehty", "QNS", "N/A", "unable", "Unknown", "en attente",
    ],
)  # fmt: skip
def test_words_that_say_that_there_is_no_result(neuromuscular: Terminology, text: str) -> None:
    assert neuromuscular.code("not-done", [("", text)]) == "not-done"
    assert neuromuscular.code("not-done", [("http://hospital.example/result", text)]) == "not-done"
    assert neuromuscular.answer_of_text(text) == ""


@pytest.mark.parametrize(
    "text",
    ["negative", "NEGATIF", "none", "absent", "not detected", "nicht nachweisbar", "normal", "5.2 nmol/L", "no", "0",
     "function declined", "unable to walk", ""],
)  # fmt: skip
def test_a_result_is_not_taken_for_none(neuromuscular: Terminology, text: str) -> None:
    assert neuromuscular.code("not-done", [("", text)]) == ""


def test_no_answer_also_says_that_there_is_none(neuromuscular: Terminology) -> None:
    for row in rows("words.csv"):
        if row["codeset"] == "answer":
            assert neuromuscular.code("not-done", [("", row["word"])]) == "", row
    for row in rows("answers.csv"):
        assert neuromuscular.code("not-done", [("", row["display"])]) == "", row


def test_codes_that_say_that_there_is_no_result(neuromuscular: Terminology) -> None:
    absent = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    null = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
    codings = [(absent, "not-performed"), (absent, "error"), (absent, "unknown"), (null, "UNK"), (SCT, "261665006")]
    for coding in codings:
        assert neuromuscular.code("not-done", [coding]) == "not-done"
        assert not neuromuscular.known([coding]), "it says nothing of what else the resource names"


def test_a_code_of_no_data_hides_neither_a_drug_nor_a_suspicious_code(neuromuscular: Terminology) -> None:
    absent = ("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown")
    assert neuromuscular.unrecognised([absent, ("http://hospital.example/icd10", "G1221")])


@pytest.mark.parametrize(
    "coding",
    [(LOINC, "76531-3"), (LOINC, "76530-5"), (LOINC, "76248-4"), (LOINC, "20079-0"), (SCT, "40617009"),
     ("urn:iso:std:iso:11073:10101", "151973"), ("urn:oid:2.16.840.1.113883.6.24", "151976")],
)  # fmt: skip
def test_a_pressure_of_a_ventilated_patient_is_nobodys_strength(
    neuromuscular: Terminology, coding: tuple[str, str]
) -> None:
    assert concepts(neuromuscular, "observation", coding) == {}
    assert concepts(neuromuscular, "observation", (SCT, "27913002"), coding) == {}
    for concept in ("mip", "mep", "snip"):
        own = neuromuscular.preferred(concept, "observation")
        assert own is not None
        assert concepts(neuromuscular, "observation", (own.system, own.code)) == {concept: False}
        assert concepts(neuromuscular, "observation", coding, (own.system, own.code)) == {}


def test_a_product_tells_its_strength(neuromuscular: Terminology) -> None:
    products = rows("rxnorm.csv")
    tablets = [row for row in products if row["ingredient"] == "pyridostigmine" and row["strength"] == "60 MG"]
    solutions = [row for row in products if row["ingredient"] == "ivig" and row["strength"] == "100 MG/ML"]
    assert tablets and solutions
    for row in (*tablets, *solutions):
        (drug,) = neuromuscular.drugs([(RX, row["code"])])
        assert (drug.ingredient, drug.strength) == (row["ingredient"], row["strength"])
    steroids = {row["strength"]: row["code"] for row in products if row["ingredient"] == "prednisone"}
    one, other = steroids["5 MG"], steroids["20 MG"]
    assert neuromuscular.drugs([(RX, one), (RX, one)])[0].strength == "5 MG"
    assert neuromuscular.drugs([(RX, one), (RX, other)])[0].strength == "5 MG; 20 MG", "two strengths are none"


def test_only_a_product_of_one_ingredient_has_a_strength(neuromuscular: Terminology) -> None:
    for row in rows("rxnorm.csv"):
        assert not row["strength"] or re.fullmatch(r"\d+(\.\d+)? M?C?G(/ML)?", row["strength"]), row
        assert not (row["strength"] and row["use"]), row
    by_code: dict[str, set[str]] = {}
    for row in rows("rxnorm.csv"):
        by_code.setdefault(row["code"], set()).add(row["strength"])
    several = {code for code in by_code if len(neuromuscular.drugs([(RX, code)])) > 1}
    assert several and all(by_code[code] == {""} for code in several)


def test_names_are_remembered_within_bounds(neuromuscular: Terminology) -> None:
    for number in range(9000):
        assert neuromuscular.drugs_named(f"no drug {number}") == ()
    assert neuromuscular._named.cache_info().currsize <= 8192
    assert neuromuscular.drugs_named("x " * 200 + "ciprofloxacin") == ()
    assert names(neuromuscular.drugs_named("Ciprofloxacin 500 mg")) == ["ciprofloxacin"]


def test_a_product_tells_its_route(neuromuscular: Terminology) -> None:
    assert neuromuscular.drugs([(RX, "309306")]) == (Drug("ciprofloxacin", "ophthalmic"),)
    assert neuromuscular.drugs([(ATC, "S01ED01")]) == (Drug("timolol", "ophthalmic"),)
    assert neuromuscular.drugs([(RX, "829734")]) == (Drug("magnesium", "parenteral", strength="80 MG/ML"),)
    assert neuromuscular.drugs([(ATC, "A12CC02")]) == (Drug("magnesium", "oral"),)


def test_telithromycin_is_no_macrolide_of_the_group(neuromuscular: Terminology) -> None:
    assert names(neuromuscular.drugs([(ATC, "J01FA15")])) == ["telithromycin"]
    assert names(neuromuscular.drugs([(ATC, "J01FA99")])) == ["other-macrolide"]
    assert names(neuromuscular.drugs([(ATC, "M03AB")])) == ["suxamethonium"]


@pytest.mark.parametrize("coding", [(ATC, "B05BB01"), (ATC, "B05BA10"), (RX, "800925"), (RX, "847781")])
def test_magnesium_in_an_infusion_of_many_salts_is_no_exposure(
    neuromuscular: Terminology, coding: tuple[str, str]
) -> None:
    assert neuromuscular.drugs([coding])[0].minor
    assert names(neuromuscular.drugs([coding])) == []


def test_an_ointment_of_tacrolimus_is_no_immunosuppressant(neuromuscular: Terminology) -> None:
    assert names(neuromuscular.drugs([(ATC, "D11AH01")])) == []
    assert names(neuromuscular.drugs_named("Protopic 0.1 %")) == []
    assert neuromuscular.drugs_named("tacrolimus 0.1 % ointment") == (Drug("tacrolimus", "topical"),)


def test_vaccines_are_told_apart(neuromuscular: Terminology) -> None:
    assert names(neuromuscular.drugs([(CVX, "03")])) == ["mmr-vaccine"]
    assert names(neuromuscular.drugs([(CVX, "3")])) == ["mmr-vaccine"], "the leading zero is often lost"
    assert names(neuromuscular.drugs([(CVX, "37")])) == ["yellow-fever-vaccine"]
    assert names(neuromuscular.drugs([(CVX, "187")])) == [], "the recombinant zoster vaccine is not live"
    assert names(neuromuscular.drugs_named("M-M-R II")) == ["mmr-vaccine"]


@pytest.mark.parametrize(
    ("text", "drugs"),
    [
        ("Magnesium Sulfate 2 gm IV", [Drug("magnesium", "iv")]),
        ("magnesium oxide 400 mg tablet", [Drug("magnesium-oxide", "oral")]),
        ("glucose / magnesium sulfate / sodium chloride", [Drug("magnesium", minor=True)]),
        ("Timolol 0.5% eye drops", [Drug("timolol", "ophthalmic")]),
        ("CIPROFLOXACINA 500 mg comprimidos", [Drug("ciprofloxacin", "oral")]),
        ("Pyridostigminbromid Tabletten", [Drug("pyridostigmine", "oral")]),
        ("Nuedexta", [Drug("dextromethorphan-quinidine")]),
        ("Ciprodex otic", [Drug("ciprofloxacin", "otic"), Drug("dexamethasone", "otic")]),
        ("Sodium chloride 0.9 %", []),
        ("", []),
    ],
)
def test_drugs_by_name(neuromuscular: Terminology, text: str, drugs: list[Drug]) -> None:
    assert list(neuromuscular.drugs_named(text)) == drugs


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("IV", "iv"), ("IV DRIP", "iv"), ("PO/NG", "oral"), ("zum Einnehmen", "oral"), ("Voie intramusculaire", "im"),
        ("Oral route (qualifier value)", "oral"), ("Subcutaneous", "sc"), ("BOTH EYES", "ophthalmic"),
        ("Topical route", "topical"), ("NEB", "inhaled"), ("Vaginal use", "vaginal"), ("LEFT EAR", "otic"),
        ("vial", "parenteral"), ("inhalation vial", "inhaled"), ("IVPCA", "iv"), ("REPLACE", ""), ("as directed", ""),
    ],
)  # fmt: skip
def test_routes_in_words(neuromuscular: Terminology, text: str, route: str) -> None:
    assert neuromuscular.code("route", [("http://hospital.example/route", text)]) == route
    assert neuromuscular.code("route", [("", text)]) == route


@pytest.mark.parametrize(
    ("coding", "route"),
    [
        ((SCT, "26643006"), "oral"), ((SCT, "47625008"), "iv"), ((SCT, "78421000"), "im"), ((SCT, "34206005"), "sc"),
        ((SCT, "6064005"), "topical"), ((SCT, "447694001"), "inhaled"), ((SCT, "16857009"), "vaginal"),
        (("http://standardterms.edqm.eu", "20053000"), "oral"), (("urn:oid:0.4.0.127.0.16.1.1.2.1", "20045000"), "iv"),
        (("http://standardterms.edqm.eu", "20049000"), "nasal"), (("http://standardterms.edqm.eu", "10219000"), "oral"),
    ],
)  # fmt: skip
def test_routes_and_forms_by_code(neuromuscular: Terminology, coding: tuple[str, str], route: str) -> None:
    assert neuromuscular.code("route", [coding]) == route


@pytest.mark.parametrize(
    "name",
    ["fluctuating", "weakness", "atrophy", "fasc", "hyporeflexia", "muscles", "chronic", "fib_psw", "fasc_pot",
     "denervated", "weak", "sign", "side", "hz"],
)  # fmt: skip
def test_every_component_has_a_code_to_write(neuromuscular: Terminology, name: str) -> None:
    coding = neuromuscular.preferred(name, "component")
    assert coding is not None
    assert neuromuscular.code("component", [(coding.system, coding.code)]) == name


def test_a_dotless_code_under_a_hospitals_own_system_is_reported(neuromuscular: Terminology) -> None:
    assert neuromuscular.unrecognised([("http://hospital.example/icd10", "G1221")])
    assert not neuromuscular.unrecognised([("http://hospital.example/icd10", "E119")])
    assert neuromuscular.unrecognised([(CM, "G71.01")]), "a muscle disease that no rule knows"
    assert neuromuscular.unrecognised([("http://hl7.org/fhir/sid/icd-9-cm", "335.20")])


def test_every_muscle_lies_in_a_region(neuromuscular: Terminology) -> None:
    for row in rows("codesets.csv"):
        if row["codeset"] == "muscle":
            assert neuromuscular.region_of(row["value"]), row["value"]
    assert neuromuscular.region_of("trapezius") == "cervical"
    assert neuromuscular.region_of("nowhere") == ""


def test_muscles_are_read_by_their_names(neuromuscular: Terminology) -> None:
    assert neuromuscular.code("muscle", [("", "First dorsal interosseous")]) == "fdi"
    assert neuromuscular.code("nerve", [("", "common fibular nerve")]) == "peroneal"
    assert neuromuscular.code("laterality", [("", "Rechts")]) == "R"


def test_courses_and_phases_of_therapy(neuromuscular: Terminology) -> None:
    course = "http://terminology.hl7.org/CodeSystem/medicationrequest-course-of-therapy"
    assert neuromuscular.code("course", [(course, "acute")]) == "induction"
    assert neuromuscular.code("course", [(course, "continuous")]) == "maintenance"
    assert neuromuscular.code("therapy-phase", [("urn:endplate:therapy-phase", "initiation")]) == "initiation"


def test_no_licensed_descriptor_is_shipped() -> None:
    for file in ("cpt.csv", "icd10.csv"):
        assert not any(row.get("display") for row in rows(file)), file


def test_only_verified_codes_are_emitted(neuromuscular: Terminology) -> None:
    for file in VALUESETS.glob("*.csv"):
        for row in rows(file.name):
            assert not (row.get("preferred") and row.get("confidence") == "unverified"), row


def test_snomed_and_atc_can_be_left_out(tmp_path: Path) -> None:
    for file in VALUESETS.glob("*.csv"):
        if not file.name.startswith(("snomed", "atc")):
            shutil.copy(file, tmp_path)
    terminology = load_terminology(tmp_path)
    assert concepts(terminology, "condition", (CM, "G70.00")) == {"mg": False}
    assert concepts(terminology, "condition", (SCT, "91637004")) == {}
    assert terminology.drugs([(ATC, "J01MA02")]) == ()
    coding = terminology.preferred("mg", "condition")
    assert coding is not None and coding.system == CM


def test_every_drug_of_a_class_can_be_found(neuromuscular: Terminology) -> None:
    classes = YAML(typ="safe").load((TABLES / "classes.yaml").read_text(encoding="utf-8"))
    places = {"topical-route", "parenteral-route", "facial-muscle", "limb-region"}
    missing = {drug for name, members in classes.items() if name not in places for drug in members}
    missing -= neuromuscular.ingredients
    assert missing == set()
    assert "lovastatin" in classes["caution"] and "josamycin" in classes["macrolide"]
    assert "telithromycin" not in classes["macrolide"]


def test_a_fact_of_a_procedure_is_emitted_as_observation_under_its_local_code(neuromuscular: Terminology) -> None:
    procedure = neuromuscular.preferred("thymectomy", "procedure")
    observation = neuromuscular.preferred("thymectomy", "observation")
    assert procedure is not None and procedure.system == SCT
    assert observation is not None and observation.system == "urn:endplate:nmd-observation"
