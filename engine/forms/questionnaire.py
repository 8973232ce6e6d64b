"""A form as a FHIR Questionnaire, R4 or R5, with what SDC's observation-based extraction needs.

Every question carries the code of its result, its components theirs. SDC extraction makes the same Observation of an
answer that Endplate does where a result has no body site; where it has one (a region, a muscle) SDC has no place for
it, so those are not marked. Source: FHIR R4 and R5 Questionnaire, SDC 4.0 `observationExtract`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.fhir.compose_parts import UCUM
from engine.fhir.elements import Json
from engine.model.form import DATE, Field, Form, Option, Question
from engine.terminology.terminology import Terminology

Version = Literal["R4", "R5"]

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_EXTRACT = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-observationExtract"
_CONTROL = "http://hl7.org/fhir/questionnaire-item-control"
_FEW = 5  # answers that are shown side by side
_DAY = "Day of the examination, if it was not today"


def questionnaire(form: Form, terminology: Terminology, version: Version) -> Json:
    """The whole Questionnaire. Numbers in it are int."""
    return _Writer(terminology, version).form(form)


class _Writer:
    def __init__(self, terminology: Terminology, version: Version) -> None:
        self._terminology = terminology
        self._newer = version == "R5"
        self._choice = "coding" if self._newer else "choice"

    def form(self, form: Form) -> Json:
        written: Json = {
            "resourceType": "Questionnaire",
            "id": form.name,
            "url": form.url,
            "version": form.version,
            "name": "".join(word.capitalize() for word in form.name.split("-")),
            "title": form.title,
            "status": "active",
            "subjectType": ["Patient"],
        }
        if form.purpose:
            written["description"] = form.purpose
        sections = [
            {
                "linkId": f"section-{section.link}",
                "text": section.title,
                "type": "group",
                "item": [self._question(question) for question in section.questions],
            }
            for section in form.sections
        ]
        return {**written, "item": [{"linkId": DATE, "text": _DAY, "type": "date"}, *sections]}

    def _question(self, question: Question) -> Json:
        code = self._coding(question.concept, "observation")
        plain = not question.region and not question.repeats
        value = question.value
        if question.repeats or value is None:
            inner = [self._field(field, code if field is value else []) for field in question.fields]
            group = {"linkId": question.link, "code": code, "text": question.title, "type": "group", "repeats": True}
            return {**group, "item": [*self._help(question), *inner]}
        item = self._field(value, code, question.title)
        if plain and value.kind != "boolean":
            _extend(item, {"url": _EXTRACT, "valueBoolean": True})
        gate = next((option for option in value.options if option.value == question.gate), None)
        parts = [self._part(part, value.link, gate, extracted=plain) for part in question.parts]
        if inner := [*self._help(question), *parts]:
            item["item"] = inner
        return _ordered(item)

    def _part(self, part: Field, of: str, gate: Option | None, *, extracted: bool) -> Json:
        item = self._field(part, self._coding(part.name, "component"))
        if extracted:
            _extend(item, {"url": _EXTRACT, "valueCode": "component"})
        if gate is not None:
            when = {"question": of, "operator": "=", "answerCoding": {"system": gate.system, "code": gate.code}}
            item["enableWhen"] = [when]
        return _ordered(item)

    def _field(self, field: Field, code: list[Json], title: str = "") -> Json:
        item: Json = {"linkId": field.link}
        code = code or self._coding(field.name, "component")
        if extension := list(_shown(field, self._newer)):
            item["extension"] = extension
        if code:
            item["code"] = code
        item |= {"text": title or field.title, "type": self._choice if field.kind == "choice" else field.kind}
        if field.repeats:
            item["repeats"] = True
        if field.options:
            item["answerOption"] = [{"valueCoding": coding_of(option)} for option in field.options]
        return _ordered(item)

    def _help(self, question: Question) -> list[Json]:
        if question.help.partition(" (")[0] in ("", question.title):
            return []
        control = {"coding": [{"system": _CONTROL, "code": "help"}]}
        shown = [{"url": f"{_CORE}questionnaire-itemControl", "valueCodeableConcept": control}]
        return [{"linkId": f"{question.link}.help", "extension": shown, "text": question.help, "type": "display"}]

    def _coding(self, name: str, kind: str) -> list[Json]:
        coding = self._terminology.preferred(name, kind) if name else None
        if coding is None:
            return []
        shown = {"display": coding.display} if coding.display else {}
        return [{"system": coding.system, "code": coding.code, **shown}]


def coding_of(option: Option) -> Json:
    """The answer as a Coding."""
    return {"system": option.system, "code": option.code, "display": option.display}


def _shown(field: Field, newer: bool) -> Iterator[Json]:
    """How it is best shown, and the units that may be chosen. R5 forbids an orientation for its own type `coding`."""
    if field.options:
        few = len(field.options) <= _FEW and not field.repeats
        control = "radio-button" if few else "check-box" if field.repeats else "drop-down"
        concept = {"coding": [{"system": _CONTROL, "code": control}]}
        yield {"url": f"{_CORE}questionnaire-itemControl", "valueCodeableConcept": concept}
        if (few or field.repeats) and not newer:
            yield {"url": f"{_CORE}questionnaire-choiceOrientation", "valueCode": "horizontal"}
    for unit in field.units:
        coding = {"system": UCUM, "code": unit, "display": unit}
        yield {"url": f"{_CORE}questionnaire-unitOption", "valueCoding": coding}
    if field.kind == "integer":
        yield {"url": f"{_CORE}minValue", "valueInteger": 0}


def _extend(item: Json, extension: Json) -> None:
    item["extension"] = [*item.get("extension", []), extension]


_ORDER = ("linkId", "extension", "code", "text", "type", "enableWhen", "repeats", "answerOption", "item")


def _ordered(item: Json) -> Json:
    return {key: item[key] for key in _ORDER if key in item}
