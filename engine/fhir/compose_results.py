"""Compact facts of results and diagnoses as FHIR resources in their primary encoding (docs/clinical)."""

from __future__ import annotations

from engine.errors import InputError
from engine.fhir.compose_parts import (
    CompactFact,
    coded,
    exact,
    fhir_coded,
    is_number,
    preferred,
    quantity,
    refuse_unknown,
    written,
)
from engine.fhir.elements import Json
from engine.terminology.content import Coding
from engine.terminology.terminology import Terminology

_SITES = {"region": "region", "muscle": "muscle", "nerve": "nerve", "site": "lesion-site"}  # key -> code set
_COMPONENT_CODES = {"sign": "sign", "side": "laterality"}
_FREQUENCY = "hz"  # the one component that is a quantity with a unit
_DONE = "done"
_OBSERVATION = frozenset({
    "r", "id", "c", "v", "u", "cmp", "d", "status", "interp", "ref_low", "ref_high", "ref_u", "count", "lab", "method",
    "enc", *_SITES,
})  # fmt: skip
_CONDITION = ("r", "id", "c", "ver", "clin", "cat", "onset", "rec")


def observation(fact: CompactFact, terminology: Terminology) -> Json:
    """An Observation; a Procedure or an AllergyIntolerance where the concept has a code only there. Without subject,
    id and references, which the bundle adds."""
    concept = str(fact["c"])
    coding = terminology.preferred(concept, "observation")
    if coding is None:
        if terminology.preferred(concept, "procedure") is not None:
            return procedure(fact, terminology)
        if terminology.preferred(concept, "allergy") is not None:
            return allergy(fact, terminology)
        coding = preferred(terminology, concept, "observation")
    components = {key: value for key, value in fact.items() if key not in _OBSERVATION}
    refuse_unknown(
        {key: value for key, value in components.items() if terminology.preferred(key, "component") is None}
        | {"r": fact["r"]},
        (*_OBSERVATION, *terminology.content.preferred.get("component", ())),
    )
    resource: Json = {
        "resourceType": "Observation",
        "status": fact.get("status", "final"),
        "code": coded(coding, concept.replace("-", " ")),
        **({"effectiveDateTime": written(fact["d"])} if fact.get("d") is not None else {}),
        **_value(fact, terminology),
    }
    if fact.get("interp"):
        resource["interpretation"] = [fhir_coded("v3-ObservationInterpretation", str(fact["interp"]))]
    if bounds := _range(fact):
        resource["referenceRange"] = [bounds]
    if sites := [preferred(terminology, fact[key], codeset) for key, codeset in _SITES.items() if fact.get(key)]:
        resource["bodySite"] = {"coding": [coding for site in sites for coding in coded(site)["coding"]]}
    if fact.get("method"):
        method = terminology.preferred(str(fact["method"]), "assay-method")
        resource["method"] = coded(method) if method else {"text": str(fact["method"])}
    if components:
        resource["component"] = [_component(key, value, terminology) for key, value in components.items()]
    return resource


def _value(fact: CompactFact, terminology: Terminology) -> Json:
    value, unit = fact.get("v"), str(fact.get("u") or "")
    if fact.get("count") is not None:
        return {"valueInteger": exact(fact["count"])}
    if value is None or value == _DONE:
        return {}
    if is_number(value):
        if isinstance(value, int) and not unit and not fact.get("cmp"):
            return {"valueInteger": value}
        return {"valueQuantity": quantity(value, unit, str(fact.get("cmp") or ""))}
    answer = _answer(str(fact["c"]), value, terminology)
    if answer is not None:
        return {"valueCodeableConcept": coded(answer)}
    try:
        return {"valueDateTime": written(value)}
    except InputError:
        preferred(terminology, value, "answer")
        raise


def _answer(concept: str, value: object, terminology: Terminology) -> Coding | None:
    """The coding of an answer: of the concept's own code set, or of the answers that all share."""
    return terminology.preferred(str(value), concept) or terminology.preferred(str(value), "answer")


def _range(fact: CompactFact) -> Json:
    unit = str(fact.get("ref_u") or fact.get("u") or "")
    return {end: quantity(fact[key], unit) for end, key in (("low", "ref_low"), ("high", "ref_high")) if key in fact}


def _component(key: str, value: object, terminology: Terminology) -> Json:
    component: Json = {"code": coded(preferred(terminology, key, "component"))}
    if isinstance(value, bool):
        answer = preferred(terminology, "present" if value else "absent", "answer")
        return {**component, "valueCodeableConcept": coded(answer)}
    if key in _COMPONENT_CODES:
        return {**component, "valueCodeableConcept": coded(preferred(terminology, value, _COMPONENT_CODES[key]))}
    if key == _FREQUENCY:
        return {**component, "valueQuantity": quantity(value, "Hz")}
    if isinstance(value, int):
        return {**component, "valueInteger": value}
    return {**component, "valueQuantity": quantity(value)}


def procedure(fact: CompactFact, terminology: Terminology) -> Json:
    """A Procedure: `v` present, absent or done, or its own `status`."""
    refuse_unknown(fact, ("r", "id", "c", "v", "d", "status", "enc"))
    statuses = {"present": "completed", _DONE: "completed", "absent": "not-done"}
    value = fact.get("v", _DONE)
    if "status" not in fact and value not in statuses:
        raise InputError(f"`{value}` cannot be said of a procedure: use present, absent or done")
    return {
        "resourceType": "Procedure",
        "status": fact.get("status") or statuses[value],
        "code": coded(preferred(terminology, fact["c"], "procedure")),
        **({"performedDateTime": written(fact["d"])} if fact.get("d") is not None else {}),
    }


def allergy(fact: CompactFact, terminology: Terminology) -> Json:
    """An AllergyIntolerance: `v` present or absent, `d` the day on which it was recorded."""
    refuse_unknown(fact, ("r", "id", "c", "v", "d"))
    statuses = {"present": "confirmed", "absent": "refuted"}
    value = fact.get("v", "present")
    if value not in statuses:
        raise InputError(f"`{value}` cannot be said of an allergy: use present or absent")
    return {
        "resourceType": "AllergyIntolerance",
        **({"clinicalStatus": fhir_coded("allergyintolerance-clinical", "active")} if value == "present" else {}),
        "verificationStatus": fhir_coded("allergyintolerance-verification", statuses[value]),
        "code": coded(preferred(terminology, fact["c"], "allergy")),
        **({"recordedDate": written(fact["d"])} if fact.get("d") is not None else {}),
    }


def condition(fact: CompactFact, terminology: Terminology) -> Json:
    """A Condition: `ver`, `clin`, `cat`, `onset`, `rec`."""
    refuse_unknown(fact, _CONDITION)
    resource: Json = {"resourceType": "Condition"}
    if fact.get("clin"):
        resource["clinicalStatus"] = fhir_coded("condition-clinical", str(fact["clin"]))
    if fact.get("ver"):
        resource["verificationStatus"] = fhir_coded("condition-ver-status", str(fact["ver"]))
    if fact.get("cat"):
        resource["category"] = [fhir_coded("condition-category", str(fact["cat"]))]
    resource["code"] = coded(preferred(terminology, fact["c"], "condition"))
    if fact.get("onset") is not None:
        resource["onsetDateTime"] = written(fact["onset"])
    if fact.get("rec") is not None:
        resource["recordedDate"] = written(fact["rec"])
    return resource
