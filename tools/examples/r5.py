"""R4 resources of the examples in their R5 form: what R5 renamed or made a CodeableReference."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_STATUS = {
    "Encounter": {"finished": "completed"},
    "MedicationStatement": {"active": "recorded", "completed": "recorded"},
}


def as_r5(resource: Json) -> Json:
    """The same resource as R5 writes it; kinds that did not change come back as they are."""
    kind = resource["resourceType"]
    resource = dict(resource)
    if "status" in resource:
        resource["status"] = _STATUS.get(kind, {}).get(resource["status"], resource["status"])
    if "medicationCodeableConcept" in resource:
        resource["medication"] = {"concept": resource.pop("medicationCodeableConcept")}
    if "reasonCode" in resource:
        resource["reason"] = [{"concept": reason} for reason in resource.pop("reasonCode")]
    match kind:
        case "Encounter":
            resource["class"] = [{"coding": [resource["class"]]}]
            resource["actualPeriod"] = resource.pop("period")
            resource["participant"] = [{"actor": who["individual"]} for who in resource["participant"]]
        case "Procedure":
            for old, new in (("performedDateTime", "occurrenceDateTime"), ("performedPeriod", "occurrencePeriod")):
                if old in resource:
                    resource[new] = resource.pop(old)
        case "ServiceRequest":
            resource["code"] = {"concept": resource["code"]}
        case "Organization":
            resource["contact"] = [{"address": address} for address in resource.pop("address")]
        case "CareTeam":
            resource["participant"] = [{**who, "role": who["role"][0]} for who in resource["participant"]]
        case "Condition":
            recorder = resource.pop("recorder", None)
            if recorder:
                function = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                                        "code": "author"}]}  # fmt: skip
                resource["participant"] = [{"function": function, "actor": recorder}]
    return resource
