"""The surroundings of every story: places, people, ordinary diagnoses, drugs and measurements."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.document import load_document

Json = dict[str, Any]

HL7 = "http://terminology.hl7.org/CodeSystem/"


class World:
    """What stands in surroundings.yaml, as FHIR."""

    def __init__(self) -> None:
        self.data: Mapping[str, Any] = load_document(Path(__file__).with_name("surroundings.yaml")).data
        self._category = {concept: name for name, concepts in self.data["categories"].items() for concept in concepts}

    def organization(self, name: str) -> Json:
        place = self.data["organizations"][name]
        return {
            "resourceType": "Organization",
            "id": name,
            "identifier": [{"system": "https://example.org/organizations", "value": name}],
            "active": True,
            "name": place["name"],
            "address": [{"city": place["city"]}],
        }

    def practitioner(self, role: str) -> Json:
        person = self.data["people"][role]
        name = {"family": person["family"], "given": [person["given"]]}
        return {
            "resourceType": "Practitioner",
            "id": role,
            "identifier": [{"system": "https://example.org/staff", "value": person["family"].lower()}],
            "name": [name | ({"prefix": [person["prefix"]]} if "prefix" in person else {})],
            "qualification": [{"code": {"text": person["role"]}}],
        }

    def place_of(self, role: str) -> str:
        return str(self.data["people"][role]["at"])

    def category(self, concept: str) -> Json:
        return hl7("observation-category", self._category.get(concept, "exam"))

    def is_laboratory(self, concept: str) -> bool:
        return self._category.get(concept) == "laboratory"

    def code(self, kind: str, name: str) -> Json:
        """An ordinary diagnosis, drug, allergy or measurement: a known code where it has one, else the site's own."""
        item = self.data[kind][name]
        text = item.get("text", name)
        if "system" in item:
            coding = {"system": item["system"], "code": item["code"], "display": item["display"]}
        else:
            coding = {"system": self.data["local"], "code": name, "display": text}
        return {"coding": [coding], "text": text}

    def dose(self, drug: str) -> str:
        return str(self.data["drugs"][drug]["dose"])


def hl7(system: str, code: str, display: str = "") -> Json:
    """A CodeableConcept of HL7's own terminology."""
    return {"coding": [{"system": HL7 + system, "code": code, **({"display": display} if display else {})}]}


def number(text: str) -> int:
    """A number that is always the same for one text."""
    return zlib.crc32(text.encode())
