"""The feed of a hospital that codes everything in its own way: some of the patients, one NDJSON file for each type.

Diagnoses are ICD codes without dots under an address of the hospital, laboratory and drugs have local numbers, and one
unit is spelled as nobody else does. Findings of the examination are not coded at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from examples.world import Json

PATIENTS = ("typical-als", "mg-then-als", "fluoroquinolone-in-mg", "riluzole-hepatotoxicity", "ordinary-patient")
HOSPITAL = "https://hospital.example.org"
KEPT = {
    "Patient": ("gender", "birthDate"),
    "Condition": ("clinicalStatus", "verificationStatus", "category", "code", "subject", "onsetDateTime",
                  "recordedDate"),
    "Observation": ("status", "code", "subject", "effectiveDateTime", "valueQuantity", "interpretation",
                    "referenceRange"),
    "MedicationRequest": ("status", "intent", "medicationCodeableConcept", "subject", "authoredOn",
                          "dosageInstruction"),
}  # fmt: skip
DIAGNOSES = {
    "86044005": ("G1221", "Amyotrophic lateral sclerosis"),
    "91637004": ("G7000", "Myasthenia gravis without (acute) exacerbation"),
}
OTHERS = ("42355",)                        # what another hospital prescribes does not stand in this feed
LOINC, ICD = "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM, SNOMED = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://snomed.info/sct"


def feed(bundles: Mapping[str, Json]) -> dict[str, list[Json]]:
    """File name -> its lines."""
    kinds: dict[str, list[Json]] = {}
    for name in PATIENTS:
        for entry in bundles[name]["entry"]:
            resource = entry["resource"]
            kind = resource["resourceType"]
            if kind in KEPT and (kind == "Patient" or _local(resource)):
                held = {key: resource[key] for key in KEPT[kind] if key in resource}
                kinds.setdefault(kind, []).append({"resourceType": kind, "id": resource["id"], **_localised(held)})
    return {f"{kind}.ndjson": held for kind, held in sorted(kinds.items())}


def _local(resource: Json) -> bool:
    """Whether the hospital codes such a thing: not what is seen in an examination."""
    concept = resource.get("code") or resource.get("medicationCodeableConcept") or {}
    return any(_coding(coding) for coding in concept.get("coding", ()))


def _localised(resource: Json) -> Json:
    changed = dict(resource)
    for key in ("code", "medicationCodeableConcept"):
        if key in resource:
            codings = [local for coding in resource[key]["coding"] if (local := _coding(coding))]
            changed[key] = {"coding": codings}
    if "valueQuantity" in resource:
        changed["valueQuantity"] = _quantity(resource["valueQuantity"])
    if "referenceRange" in resource:
        changed["referenceRange"] = [
            {side: _quantity(limit) if isinstance(limit, dict) and "value" in limit else limit
             for side, limit in one.items()} for one in resource["referenceRange"]
        ]  # fmt: skip
    return changed


def _coding(coding: Json) -> Json | None:
    system, code, display = coding["system"], coding["code"], coding.get("display", "")
    if system == ICD:
        return {"system": f"{HOSPITAL}/diagnoses-icd10", "code": code.replace(".", ""), "display": display}
    if system == SNOMED and code in DIAGNOSES:
        code, display = DIAGNOSES[code]
        return {"system": f"{HOSPITAL}/diagnoses-icd10", "code": code, "display": display}
    if system == LOINC:
        return {"system": f"{HOSPITAL}/lab", "code": f"L{code.replace('-', '')}", "display": display}
    if system == RXNORM and code not in OTHERS:
        return {"system": f"{HOSPITAL}/formulary", "code": f"F{code}", "display": display}
    return None


def _quantity(quantity: Json) -> Json:
    """A number whose unit is a text alone; units of enzymes in the hospital's own spelling."""
    unit = quantity.get("code", "")
    return {"value": quantity["value"], "unit": {"U/L": "Units p. L"}.get(unit, unit)}
