"""Compact facts (engine/fhir/compose.py) as the answers of a form: the opposite of reading them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.errors import InputError
from engine.fhir.compose_parts import CompactFact, quantity, written
from engine.fhir.elements import Json
from engine.forms.questionnaire import coding_of
from engine.model.form import DATE, Field, Form, Question

_PLACED = ("r", "c", "v", "u", "cmp", "d", "id", "region")


def questionnaire_response(
    form: Form,
    facts: Iterable[CompactFact],
    *,
    patient: str,
    authored: str = "",
    identity: str = "",
    status: str = "completed",
    day: str = "",
) -> Json:
    """The answers that say the facts; `v: not-examined` is an answer too. `patient`: "Patient/x".

    `authored`: when, as FHIR writes it; `day`: of the examination, if another one. Raises InputError for a fact for
    which the form has no question or no answer.
    """
    told: dict[str, list[CompactFact]] = {}
    for fact in facts:
        told.setdefault(_question(form, fact).link, []).append(fact)
    sections: list[Json] = []
    for section in form.sections:
        items = [item for q in section.questions if q.link in told for item in _items(q, told[q.link])]
        if items:
            sections.append({"linkId": f"section-{section.link}", "item": items})
    dated = [{"linkId": DATE, "answer": [{"valueDate": day}]}] if day else []
    return {
        "resourceType": "QuestionnaireResponse",
        **({"id": identity} if identity else {}),
        "questionnaire": form.canonical,
        "status": status,
        "subject": {"reference": patient},
        **({"authored": authored} if authored else {}),
        **({"item": [*dated, *sections]} if dated or sections else {}),
    }


def _question(form: Form, fact: CompactFact) -> Question:
    for question in form.questions:
        if question.concept == fact.get("c") and (question.repeats or question.region == (fact.get("region") or "")):
            return question
    raise InputError(f"`{form.name}` has no question for `{fact.get('c')}` in region `{fact.get('region') or 'none'}`")


def _items(question: Question, facts: list[CompactFact]) -> list[Json]:
    if question.repeats:
        return [{"linkId": question.link, "item": _fields(question, fact)} for fact in facts]
    first, *others = facts
    several = [part for part in question.parts if part.repeats]
    if any(_without(fact, several) != _without(first, several) for fact in others):
        raise InputError(f"`{question.link}` can be answered once")
    merged: dict[str, object] = dict(first)
    for part in several:
        if values := [fact[part.name] for fact in facts if part.name in fact]:
            merged[part.name] = values
    fields = _fields(question, merged)
    value, inner = fields[0], fields[1:]
    if inner:
        value["answer"][0]["item"] = inner
    return [value]


def _without(fact: CompactFact, parts: Iterable[Field]) -> dict[str, object]:
    left = {part.name for part in parts}
    return {key: value for key, value in fact.items() if key not in left}


def _fields(question: Question, fact: Mapping[str, object]) -> list[Json]:
    known = {part.name for part in question.parts}
    if odd := [key for key in fact if key not in _PLACED and key not in known]:
        raise InputError(f"`{question.link}` does not ask for `{odd[0]}`")
    found = []
    if question.value is not None:
        found.append(_item(question.value, fact.get("v"), fact))
    return found + [_item(part, fact[part.name], {}) for part in question.parts if part.name in fact]


def _item(field: Field, value: object, fact: Mapping[str, object]) -> Json:
    values = value if isinstance(value, list) else [value]
    return {"linkId": field.link, "answer": [_answer(field, one, fact) for one in values]}


def _answer(field: Field, value: object, fact: Mapping[str, object]) -> Json:
    match field.kind:
        case "choice":
            word = ("present" if value else "absent") if isinstance(value, bool) else str(value)
            option = next((one for one in field.options if one.value == word), None)
            if option is None:
                raise InputError(f"`{word}` is no answer to `{field.link}`")
            return {"valueCoding": coding_of(option)}
        case "quantity":
            unit = str(fact.get("u") or field.units[0])
            return {"valueQuantity": quantity(value, unit, str(fact.get("cmp") or ""))}
        case "integer":
            return {"valueInteger": value}
        case "date":
            return {"valueDate": written(value)}
        case "boolean":
            return {"valueBoolean": True}
