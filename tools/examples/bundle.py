"""A story as a Bundle: the facts through `compose_fact`, and around them what a hospital record holds besides."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from engine.fhir.compose import compose_fact
from engine.fhir.compose_parts import coded, preferred
from engine.terminology.terminology import Terminology
from examples.r5 import as_r5
from examples.story import Story
from examples.world import HL7, Json, World, hl7, number

BASE = "https://example.org/fhir/"
ACT = HL7 + "v3-ActCode"
CLASSES = {"AMB": "ambulatory", "IMP": "inpatient encounter", "EMER": "emergency", "HH": "home health"}
ORDERS = ("MedicationRequest", "MedicationStatement", "MedicationDispense", "Immunization")
MANY = 2


def bundle_of(story: Story, world: World, terminology: Terminology) -> Json:
    """The whole patient. `timestamp` is the day of evaluation; a tag declares a complete record."""
    builder = _Builder(story, world, terminology)
    resources = builder.resources()
    if story.fhir == "R5":
        resources = [as_r5(resource) for resource in resources]
    bundle: Json = {"resourceType": "Bundle", "id": story.id}
    if story.complete:
        bundle["meta"] = {"tag": coded(preferred(terminology, "complete-record", "scope"))["coding"]}
    entries = [{"fullUrl": f"{BASE}{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return bundle | {"type": "collection", "timestamp": f"{story.now}T12:00:00Z", "entry": entries}


class _Builder:
    def __init__(self, story: Story, world: World, terminology: Terminology) -> None:
        self.story, self.world, self.terminology = story, world, terminology
        self.subject = {"reference": f"Patient/{story.id}"}
        self.made: list[Json] = []
        self.people: dict[str, None] = {}
        self.places: dict[str, None] = {}
        self.counts: dict[str, int] = {}
        self.encounter: Json = {}
        self.day = story.now
        self.who = "gp"

    def resources(self) -> list[Json]:
        story = self.story
        for item in story.history:
            self._background(item)
        for item in story.drugs:
            self._ordinary_drug(item)
        for name in story.allergies:
            self._allergy(name)
        for relative in story.family:
            self._relative(relative)
        for visit in story.visits:
            self._visit(visit)
        if story.team:
            self._team()
        who = [self.world.practitioner(role) for role in self.people]
        where = [self.world.organization(name) for name in self.places]
        return [self._patient(), *where, *who, *self.made]

    # -- people ---------------------------------------------------------------------------------------------------

    def _person(self, role: str) -> Json:
        self.people[role] = None
        self.places[self.world.place_of(role)] = None
        return {"reference": f"Practitioner/{role}"}

    def _place(self, name: str) -> Json:
        self.places[name] = None
        return {"reference": f"Organization/{name}"}

    def _patient(self) -> Json:
        person, key = self.story.patient, number(self.story.id)
        patient: Json = {
            "resourceType": "Patient",
            "id": self.story.id,
            "identifier": [{"system": "https://example.org/patients", "value": f"N{key % 900000 + 100000}"}],
            "active": person.get("active", True),
            "name": [{"use": "official", "family": person["family"], "given": [person["given"]]}],
            "telecom": [{"system": "email", "value": f"{person['given'].lower()}@example.org"}],
            "gender": person["sex"],
            "birthDate": person["birth"],
            "address": [{"line": [f"Harbour Road {key % 80 + 1}"], "city": person.get("city", "Nordhafen")}],
        }
        if "gp" in self.people:
            patient["generalPractitioner"] = [{"reference": "Practitioner/gp"}]
        return patient

    def _team(self) -> None:
        self._add({
            "resourceType": "CareTeam", "status": "active", "subject": self.subject,
            "participant": [
                {"role": [{"text": self.world.data["people"][role]["role"]}], "member": self._person(role)}
                for role in self.story.team
            ],
        }, "team")  # fmt: skip

    def _relative(self, item: Mapping[str, Any]) -> None:
        self._add({
            "resourceType": "FamilyMemberHistory", "status": "completed", "patient": self.subject,
            "relationship": hl7("v3-RoleCode", item["role"], item["name"]), "note": [{"text": item["text"]}],
        }, "family")  # fmt: skip

    # -- what is always there ---------------------------------------------------------------------------------------

    def _background(self, item: Mapping[str, Any]) -> None:
        self._add({
            "resourceType": "Condition",
            "clinicalStatus": hl7("condition-clinical", item.get("clin", "active")),
            "verificationStatus": hl7("condition-ver-status", "confirmed"),
            "category": [hl7("condition-category", "problem-list-item")],
            "code": self.world.code("conditions", item["condition"]), "subject": self.subject,
            "onsetDateTime": item["since"], "recordedDate": item["since"], "recorder": self._person("gp"),
        }, item["condition"])  # fmt: skip

    def _ordinary_drug(self, item: Mapping[str, Any]) -> None:
        name = item["drug"]
        self._add({
            "resourceType": "MedicationRequest", "status": item.get("status", "active"), "intent": "order",
            "medicationCodeableConcept": self.world.code("drugs", name), "subject": self.subject,
            "authoredOn": item["since"], "requester": self._person(item.get("by", "gp")),
            "dosageInstruction": [{"text": self.world.dose(name)}],
        }, name)  # fmt: skip

    def _allergy(self, name: str) -> None:
        self._add({
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": hl7("allergyintolerance-clinical", "active"),
            "verificationStatus": hl7("allergyintolerance-verification", "confirmed"),
            "code": self.world.code("allergies", name), "patient": self.subject,
        }, f"allergy-{name}")  # fmt: skip

    # -- visits -----------------------------------------------------------------------------------------------------

    def _visit(self, visit: Mapping[str, Any]) -> None:
        self.day, self.who = str(visit["date"]), str(visit["who"])
        self.encounter = self._encounter(visit)
        self._add(self.encounter, "visit")
        for name, value in (visit.get("vitals") or {}).items():
            self._vital(name, value)
        samples = [self._fact(fact) for fact in visit.get("facts") or ()]
        if visit.get("routine"):
            samples += self._routine()
        self._reports(visit, [one for one in samples if one["resourceType"] == "Observation"])
        for text in visit.get("refer") or ():
            self._add(self._own({
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": text},
                "authoredOn": self.day, "requester": self._person(self.who),
            }), "referral")  # fmt: skip
        if visit.get("letter"):
            self._letter(str(visit["letter"]))

    def _encounter(self, visit: Mapping[str, Any]) -> Json:
        kind = visit.get("class", "AMB")
        period = {"start": f"{self.day}T09:00:00Z"}
        status = visit.get("status", "finished")
        if status == "finished":
            period["end"] = f"{visit.get('until', self.day)}T09:40:00Z"
        return {
            "resourceType": "Encounter", "status": status,
            "class": {"system": ACT, "code": kind, "display": CLASSES[kind]}, "type": [{"text": visit["for"]}],
            "subject": self.subject, "participant": [{"individual": self._person(self.who)}], "period": period,
            "serviceProvider": self._place(self.world.place_of(self.who)),
        }  # fmt: skip

    def _own(self, resource: Json) -> Json:
        """A resource of this visit."""
        return resource | {"subject": self.subject, "encounter": {"reference": f"Encounter/{self.encounter['id']}"}}

    def _vital(self, name: str, value: Any) -> None:
        item = self.world.data["vitals"][name]
        measured: Json = {
            "resourceType": "Observation", "status": "final",
            "category": [hl7("observation-category", "vital-signs")], "code": self.world.code("vitals", name),
            "effectiveDateTime": self.day, "performer": [self._person(self.who)],
        }  # fmt: skip
        if "parts" in item:
            measured["component"] = [
                {"code": {"text": part}, "valueQuantity": _ucum(one, item["unit"])}
                for part, one in zip(item["parts"], value, strict=True)
            ]
        else:
            measured["valueQuantity"] = _ucum(value, item["unit"])
        self._add(self._own(measured), name)

    def _routine(self) -> list[Json]:
        turn = self.counts.get("hemoglobin", 0) + number(self.story.id)
        made = []
        for concept, item in self.world.data["routine"].items():
            value = item["values"][turn % len(item["values"])]
            if "system" in item:
                unit = item["u"]
                sample = self._sample({
                    "resourceType": "Observation", "status": "final",
                    "code": {"coding": [{key: item[key] for key in ("system", "code", "display")}]},
                    "effectiveDateTime": self.day, "valueQuantity": _ucum(value, unit),
                    "referenceRange": [{"low": _ucum(item["ref_low"], unit), "high": _ucum(item["ref_high"], unit)}],
                }, concept)  # fmt: skip
                self._add(sample, concept)
            else:
                sample = self._fact({"c": concept, "v": value, **{k: item[k] for k in ("u", "ref_low", "ref_high")}})
            made.append(sample)
        return made

    def _reports(self, visit: Mapping[str, Any], made: list[Json]) -> None:
        """A laboratory report over the samples of the visit, and what the visit says of a study."""
        by_performer: dict[str, list[Json]] = {}
        for one in made:
            by_performer.setdefault(one["performer"][0]["reference"], []).append(one)
        for performer, results in by_performer.items():
            if performer.startswith("Organization/") and len(results) >= MANY:
                self._report("Laboratory report", results, {"reference": performer})
        if "report" in visit:
            who = self._person(self.who)
            self._report(visit["report"]["title"], by_performer[who["reference"]], who, visit["report"]["says"])

    def _report(self, title: str, results: Iterable[Json], performer: Json, says: str = "") -> None:
        report = self._own({
            "resourceType": "DiagnosticReport", "status": "final", "code": {"text": title},
            "effectiveDateTime": self.day, "performer": [performer],
            "result": [{"reference": f"Observation/{one['id']}"} for one in results],
        })  # fmt: skip
        self._add(report | ({"conclusion": says} if says else {}), "report")

    def _letter(self, text: str) -> None:
        data = base64.b64encode(" ".join(text.split()).encode()).decode()
        page = {"contentType": "text/plain", "language": "en", "data": data, "title": "Letter"}
        self._add({
            "resourceType": "DocumentReference", "status": "current", "type": {"text": "Clinical letter"},
            "subject": self.subject, "date": f"{self.day}T16:00:00Z", "author": [self._person(self.who)],
            "content": [{"attachment": page}],
        }, "letter")  # fmt: skip

    # -- facts ------------------------------------------------------------------------------------------------------

    def _fact(self, fact: Mapping[str, Any]) -> Json:
        """The resource of a compact fact, dated and signed by the visit."""
        fact = {"r": "Observation", **fact}
        kind, concept = fact["r"], str(fact["c"])
        day = {"Condition": "rec", "Observation": "d", "Procedure": "d", "AllergyIntolerance": "d"}.get(kind, "start")
        fact.setdefault(day, self.day)
        if fact[day] == "none":
            del fact[day]
        named, changes, laboratory = fact.pop("id", ""), fact.pop("set", {}), fact.pop("lab", "laboratory")
        signed = fact.pop("who", self.who)
        resource = compose_fact(fact, self.terminology)
        kind = resource["resourceType"]
        if kind == "Observation":
            resource = self._sample(resource, concept, str(laboratory), str(signed))
        elif kind in ("Immunization", "AllergyIntolerance"):
            resource["patient"] = self.subject
        elif kind in ("MedicationDispense", "MedicationStatement"):
            resource["subject"] = self.subject
        else:
            resource = self._own(resource)
        if kind == "Condition":
            resource["recorder"] = self._person(str(signed))
        if kind == "MedicationRequest":
            resource["requester"] = self._person(str(signed))
        resource |= changes
        self._add(resource, str(named or concept))
        return resource

    def _sample(self, resource: Json, concept: str, laboratory: str = "laboratory", signed: str = "") -> Json:
        in_laboratory = self.world.is_laboratory(concept)
        performer = self._place(laboratory) if in_laboratory else self._person(signed or self.who)
        return self._own(resource | {"category": [self.world.category(concept)], "performer": [performer]})

    def _add(self, resource: Json, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        named = {"resourceType": resource.pop("resourceType"), "id": f"{self.story.id}-{name}-{self.counts[name]}"}
        resource |= named | {key: resource.pop(key) for key in tuple(resource)}  # the name first, in the same object
        self.made.append(resource)


def _ucum(value: Any, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
