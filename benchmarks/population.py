"""A general population for benchmarks: ordinary patients of a hospital, and now and then one whom the rules concern.

An ordinary patient has about 50 resources and 27 KB: visits, blood counts, liver values, weight and electrolytes,
common diagnoses and drugs, among them ones that stand in the value sets without making anybody relevant (ALT, weight,
statins, beta-blockers, macrolides). The seed is fixed: the same number gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, VECTORS = ROOT / "fhir_examples/patients", ROOT / "tests/vectors"
LOINC, RXNORM, SNOMED = "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm", "http://snomed.info/sct"
LABORATORY = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 11, 17),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 4, 12),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 150, 400),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3, 5),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 130, 146),
    ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "U/L", 8, 60),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 1, 2),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 5, 9),
    ("29463-7", "Body weight", "kg", 50, 110),
    ("8302-2", "Body height", "cm", 150, 195),
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 95, 170),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 120, 260),
)
DIAGNOSES = (
    ("38341003", "Hypertensive disorder"), ("44054006", "Type 2 diabetes mellitus"), ("55822004", "Hyperlipidemia"),
    ("195967001", "Asthma"), ("396275006", "Osteoarthritis"), ("35489007", "Depressive disorder"),
)  # fmt: skip
DRUGS = (
    ("617310", "atorvastatin 20 MG Oral Tablet"), ("314076", "lisinopril 10 MG Oral Tablet"),
    ("866427", "metoprolol succinate 25 MG Extended Release Oral Tablet"), ("860975", "metformin 500 MG Oral Tablet"),
    ("248656", "azithromycin 500 MG Oral Tablet"), ("197361", "amlodipine 5 MG Oral Tablet"),
)  # fmt: skip
FILLER = "Automatically verified by the analyser; delta check passed; no comment of the laboratory physician. "


def ordinary(number: int) -> Json:
    """An ordinary patient as a Bundle."""
    chance = random.Random(number)
    patient = f"ordinary-{number}"
    subject = {"reference": f"Patient/{patient}"}

    def day() -> str:
        return f"{chance.randint(2018, 2026)}-{chance.randint(1, 4):02}-{chance.randint(1, 19):02}"

    resources: list[Json] = [
        {"resourceType": "Patient", "id": patient, "gender": chance.choice(("male", "female")),
         "birthDate": f"{chance.randint(1930, 2005)}-05-17", "name": [{"family": f"Family{number}", "given": ["A"]}],
         "identifier": [{"system": "urn:example:mrn", "value": f"MRN{number:09}"}],
         "address": [{"line": [f"{number} Long Street"], "city": "Town", "postalCode": "00000", "country": "XX"}]},
    ]  # fmt: skip
    for index in range(8):
        moment = day()
        resources.append({
            "resourceType": "Encounter", "id": f"e{number}-{index}", "status": "finished", "class": {"code": "AMB"},
            "subject": subject, "period": {"start": f"{moment}T08:00:00Z", "end": f"{moment}T08:30:00Z"},
            "type": [{"coding": [{"system": SNOMED, "code": "185349003", "display": "Encounter for check up"}]}],
        })  # fmt: skip
    for index in range(32):
        code, name, unit, low, high = chance.choice(LABORATORY)
        resources.append({
            "resourceType": "Observation", "id": f"o{number}-{index}", "status": "final", "subject": subject,
            "meta": {"lastUpdated": "2026-04-19T04:00:00Z", "versionId": "1"},
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                      "code": "laboratory"}]}],
            "code": {"coding": [{"system": LOINC, "code": code, "display": name}], "text": name},
            "encounter": {"reference": f"Encounter/e{number}-{index % 8}"}, "effectiveDateTime": f"{day()}T07:10:00Z",
            "valueQuantity": {"value": round(chance.uniform(low, high), 1), "unit": unit, "code": unit,
                              "system": "http://unitsofmeasure.org"},
            "note": [{"text": FILLER}],
        })  # fmt: skip
    for index in range(4):
        code, name = chance.choice(DIAGNOSES)
        resources.append({
            "resourceType": "Condition", "id": f"c{number}-{index}", "subject": subject, "recordedDate": day(),
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "verificationStatus": {"coding": [{"code": "confirmed"}]},
            "code": {"coding": [{"system": SNOMED, "code": code, "display": name}], "text": name},
        })  # fmt: skip
    for index in range(5):
        code, name = chance.choice(DRUGS)
        resources.append({
            "resourceType": "MedicationRequest", "id": f"m{number}-{index}", "status": "active", "intent": "order",
            "subject": subject, "authoredOn": day(),
            "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": code, "display": name}], "text": name},
            "dosageInstruction": [{"text": "one tablet a day"}],
        })  # fmt: skip
    entries = [{"fullUrl": f"http://example.org/fhir/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def relevant(number: int) -> Json:
    """One of the example patients under an id of its own."""
    paths = sorted(EXAMPLES.glob("*.json"))
    return renamed(json.loads(paths[number % len(paths)].read_text("utf-8")), number)


def vectors(rounds: int, encodings: tuple[str, ...] = ("primary", "alt", "messy")) -> Iterator[Json]:
    """The 255 test patients, all relevant, in each encoding, `rounds` times under ids of their own."""
    for number in range(rounds):
        for encoding in encodings:
            with gzip.open(VECTORS / f"{encoding}.ndjson.gz") as lines:
                for line in lines:
                    yield renamed(json.loads(line), number, encoding)


def renamed(bundle: Json, *names: object) -> Json:
    """A Bundle with other ids."""
    suffix = "".join(f"-{name}" for name in names)
    text = json.dumps(bundle)
    for entry in bundle["entry"]:
        if "id" in entry["resource"]:
            name = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            text = text.replace(f'{name}"', f'{name}{suffix}"')
    copy: Json = json.loads(text)
    for entry in copy["entry"]:
        if "id" in entry["resource"]:
            entry["resource"]["id"] += suffix
    return copy


def population(size: int, one_in: int = 1_000) -> Iterator[Json]:
    """`size` patients, one in `one_in` of them relevant."""
    for number in range(size):
        yield relevant(number) if number % one_in == one_in // 2 else ordinary(number)
