"""The answers of a form as compact facts (engine/fhir/compose.py): what is said, and what cannot be used.

Nothing is guessed. An answer that its question does not allow, or one that contradicts another, costs its question; a
question that the form does not have costs itself. `not examined`, and no answer, say nothing of the patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from engine.fhir.compose_parts import UCUM
from engine.fhir.dates import resolve_day
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.problems import Note
from engine.model.form import DATE, NOT_EXAMINED, Field, Form, Question
from engine.terminology.terminology import Terminology

RESPONSE = "QuestionnaireResponse"
DEEPEST = 20
STATUSES = {"completed": "final", "amended": "amended"}
"""Of the answers that count -> of the Observations that they become."""

_VALUE = {
    "choice": "valueCoding", "quantity": "valueQuantity", "integer": "valueInteger", "date": "valueDate",
    "boolean": "valueBoolean",
}  # fmt: skip
_COMPARATORS = ("<", "<=", ">", ">=")
Scope = dict[str, list[Json]]  # link -> its answers


class Said(msgspec.Struct, frozen=True):
    """One result. `name`: stable within the response; `fact`: compact, without a date; `withheld`: not examined."""

    name: str
    fact: Json
    withheld: bool = False


class Answers(msgspec.Struct, frozen=True):
    """`day`: of the examination, as written; "" = nothing says so."""

    day: str
    said: tuple[Said, ...]


class UnusableError(Exception):
    """An answer that its question does not allow: (code, message) of a problem."""


def is_ours(questionnaire: object, terminology: Terminology) -> bool:
    """Whether a canonical address is that of one of our forms, known or not."""
    return isinstance(questionnaire, str) and questionnaire.startswith(f"{terminology.content.base}:form:")


def form_of(response: Json, terminology: Terminology, note: Note) -> Form | None:
    """The form that was answered, in the very version; None, with the reason noted, if the answers cannot count."""
    url, _, version = text(response.get("questionnaire")).partition("|")
    version = version.partition("#")[0]
    form = terminology.content.forms.get(url)
    if form is None:
        note("unknown-form", "answers a form that the rules do not have; it was not used")
    elif version not in (form.version, *form.earlier):
        of = "another version of its form" if version else "a form without naming its version"
        note("unknown-form", f"answers {of}; it was not used: fill in version {form.version}")
    elif text(response.get("status")) not in STATUSES:
        note("unfinished-form", "has a status other than completed or amended and was not used")
    else:
        return form
    return None


def read_answers(response: Json, form: Form, terminology: Terminology, note: Note) -> Answers:
    """Everything that the answers say, in the order of the form."""
    top, groups = _scopes(response, form, note)
    said: list[Said] = []
    for question in form.questions:
        scopes = groups.get(question.link, []) if question.repeats else [top]
        for number, scope in enumerate(scopes, 1):
            name = f"{question.link}#{number}" if question.repeats else question.link
            try:
                said += _results(question, name, scope, terminology)
            except UnusableError as unusable:
                note(*unusable.args)
    return Answers(_day(response, top, note), tuple(said))


def _day(response: Json, top: Scope, note: Note) -> str:
    """The day of the examination: as answered, else when the form was filled in. Unreadable is unknown."""
    try:
        told = _values(Field(link=DATE, kind="date"), top.get(DATE, []))
    except UnusableError as unusable:
        note(*unusable.args)
        return ""
    written = told[0] if told else response.get("authored")
    if written is not None and resolve_day(written, date.max) is None:
        note("unreadable-date", "has a date that cannot be read; it counts as undated")
        return ""
    return text(written)


# ---------------------------------------------------------------- the tree of items


def _scopes(response: Json, form: Form, note: Note) -> tuple[Scope, dict[str, list[Scope]]]:
    """The answers by link, however the items are nested; those inside a repeated question stand apart."""
    repeated = {question.link for question in form.questions if question.repeats}
    plain = {DATE, *(field.link for question in form.questions for field in question.fields)}
    silent = {f"section-{section.link}" for section in form.sections}
    silent |= {f"{question.link}.help" for question in form.questions}
    top: Scope = {}
    groups: dict[str, list[Scope]] = {}
    unknown = 0
    stack: list[tuple[Any, Scope, int]] = [(response.get("item"), top, 0)]
    while stack:
        held, scope, depth = stack.pop()
        if depth > DEEPEST:
            note("too-deep", f"has items nested more than {DEEPEST} deep; the inner ones were skipped")
            continue
        inner: list[tuple[Any, Scope, int]] = []
        for item in objects(held):
            link, here = text(item.get("linkId")), scope
            if any("modifierExtension" in one for one in (item, *objects(item.get("answer")))):
                note("modifier-extension", "has an item whose meaning an unknown extension may change")
                continue
            if link in repeated:
                here = {}
                groups.setdefault(link, []).append(here)
            elif link in plain:
                here.setdefault(link, []).extend(objects(item.get("answer")))
            elif link not in silent:
                unknown += 1
                continue
            inner.append((item.get("item"), here, depth + 1))
            inner += [(answer.get("item"), here, depth + 1) for answer in objects(item.get("answer"))]
        stack += reversed(inner)
    if unknown:
        several = f"{unknown} questions" if unknown > 1 else "a question"
        note("unknown-question", f"has {several} that its form does not have; nothing of that was used")
    return top, groups


# ---------------------------------------------------------------- one question


def _results(question: Question, name: str, scope: Scope, terminology: Terminology) -> Iterator[Said]:
    parts = {part.name: (part, _values(part, scope.get(part.link, []))) for part in question.parts}
    asked = any(values for _, values in parts.values())
    fact: Json = {"r": "Observation", "c": question.concept}
    if question.region:
        fact["region"] = question.region
    if question.value is not None:
        values = _values(question.value, scope.get(question.value.link, []))
        value = values[0] if values else None
        if question.gate and asked and value != question.gate:
            raise _unusable("contradicting-value", question, "what is asked only of something present is answered")
        if value in (None, NOT_EXAMINED):
            if value is None and asked:
                raise _unusable("unusable-answer", question, "has no result")
            if value is not None:
                yield Said(name, fact, withheld=True)
            return
        if value is False:
            return
        fact |= value if isinstance(value, dict) else {"v": "done" if value is True else value}
    several: list[Json] = [{}]
    stated = False
    for part, values in parts.values():
        told = [_component(part, value) for value in values if value != NOT_EXAMINED]
        stated |= bool(told) and part.name not in ("muscle", "side")
        if told:
            several = [one | more for one in several for more in told]
    if question.value is None and not stated:
        return
    for more in several:
        if region := terminology.region_of(str(more.get("muscle", ""))):
            more["region"] = region
        each = [str(more[part.name]) for part, _ in parts.values() if part.repeats and part.name in more]
        yield Said("~".join([name, *each]), {**fact, **more})


def _component(part: Field, value: Any) -> Json:
    if isinstance(value, dict):  # a quantity: the unit is that of the component
        return {part.name: value["v"]}
    yes_no = {"present": True, "absent": False}
    return {part.name: yes_no.get(value, value) if isinstance(value, str) else value}


def _values(field: Field, answers: list[Json]) -> list[Any]:
    """The values of the answers; [] = unanswered. Raises UnusableError."""
    found: list[Any] = []
    for answer in answers:
        names = [name for name in answer if name.startswith("value")]
        if not names:
            continue
        if names != [_VALUE[field.kind]]:
            raise _unusable("unusable-answer", field, "is answered with a value of another type")
        value = _READERS[field.kind](field, answer[names[0]])
        if (field.repeats or len(found) < 2) and value not in found:  # two are a contradiction, more are no other
            found.append(value)
    if len(found) > 1 and not field.repeats:
        raise _unusable("contradicting-value", field, "is answered in several ways")
    return found


def _choice(field: Field, value: object) -> str:
    coding = obj(value)
    at = (text(coding.get("system")), text(coding.get("code")))
    for option in field.options:
        if (option.system, option.code) == at:
            return option.value
    raise _unusable("unusable-answer", field, "is answered with something that it does not offer")


def _quantity(field: Field, value: object) -> Json:
    said = obj(value)
    number = said.get("value")
    unit = text(said.get("code")) or text(said.get("unit"))
    comparator = said.get("comparator")
    if not _is_number(number):
        raise _unusable("unusable-answer", field, "is answered with a quantity that has no number")
    if unit not in field.units or text(said.get("system")) not in ("", UCUM):
        raise _unusable("unusable-answer", field, "is answered in a unit that it does not offer, or in none")
    if comparator is not None and comparator not in _COMPARATORS:
        raise _unusable("unusable-answer", field, "is answered with a comparator that is not known")
    return {"v": number, "u": unit, **({"cmp": comparator} if comparator else {})}


def _integer(field: Field, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    raise _unusable("unusable-answer", field, "is answered with something that is no whole number")


def _date(field: Field, value: object) -> str:
    if isinstance(value, str) and len(value) <= 10 and resolve_day(value, date.max) is not None:
        return value
    raise _unusable("unusable-answer", field, "is answered with something that is no date")


def _boolean(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _unusable("unusable-answer", field, "is answered with something other than yes or no")


def _is_number(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value) < 10**12
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**12


_READERS: dict[str, Any] = {
    "choice": _choice, "quantity": _quantity, "integer": _integer, "date": _date, "boolean": _boolean,
}  # fmt: skip


def _unusable(code: str, of: Question | Field, message: str) -> UnusableError:
    return UnusableError(code, f"question `{of.link}` {message}; it was not used")

