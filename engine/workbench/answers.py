"""What is entered on a page as the answers to a form: a QuestionnaireResponse, and the way back.

A control of the page is named by its form, the link of its field and, where several results can be told, its row:
`neurophysiology:rns.result#2`, and `...~unit` for the unit beside a number. Nothing is applied by halves: with one
entry that cannot be read there are no answers, and each such entry is told at its control.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from engine.fhir.dates import resolve_day
from engine.fhir.elements import Json, obj, objects, text
from engine.forms.response import questionnaire_response
from engine.model.form import DATE, Field, Form, Question

UNIT = "unit"
YES = "true"
MOST_ROWS = 60
_NUMBER = re.compile(r"(<=|>=|<|>|≤|≥)?\s*([+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?)", re.ASCII)
_COMPARATORS = {"≤": "<=", "≥": ">="}
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?", re.ASCII)

Entered = Mapping[str, tuple[str, ...]]
"""Control -> what is entered there, as it was typed or chosen. A control that is left empty is not in it."""


class Fault(msgspec.Struct, frozen=True):
    """An entry that cannot be used, in words for whoever entered it."""

    control: str
    message: str


class Filled(msgspec.Struct, frozen=True):
    """A form as it was filled in. `response` None: nothing is answered, or something cannot be used."""

    response: Json | None
    faults: tuple[Fault, ...] = ()


def control(form: str, link: str, row: int = 0, part: str = "") -> str:
    """The name of a control. `row`: 1, 2 ... of a question that can be answered several times."""
    return f"{form}:{link}" + (f"#{row}" if row else "") + (f"~{part}" if part else "")


def filled(form: Form, entered: Entered, *, patient: str, as_of: date, encounter: str = "") -> Filled:
    """The answers of one form. They are dated by the day of the examination, else by that of the evaluation.
    `encounter`: the id of the present one."""
    reader = _Reader(form, entered, as_of)
    facts = [fact for question in form.questions for fact in reader.question(question)]
    day = reader.day()
    if reader.faults or not facts:
        return Filled(None, tuple(reader.faults))
    made = questionnaire_response(form, facts, patient=patient, identity=f"tried-{form.name}", day=day)
    return Filled({**made, "encounter": {"reference": f"Encounter/{encounter}"}} if encounter else made)


def entered_of(form: Form, response: Json) -> dict[str, tuple[str, ...]]:
    """What was entered so that these answers came of it."""
    found: dict[str, list[str]] = {}
    repeated = {question.link for question in form.questions if question.repeats}
    fields = {field.link: field for question in form.questions for field in question.fields}
    rows: dict[str, int] = {}

    def walk(items: object, row: int) -> None:
        for item in objects(items):
            link, here = text(item.get("linkId")), row
            if link in repeated:
                here = rows[link] = rows.get(link, 0) + 1
            for answer in objects(item.get("answer")):
                if link == DATE:
                    found[control(form.name, DATE)] = [text(answer.get("valueDate"))]
                elif link in fields:
                    for part, said in _typed(fields[link], answer):
                        found.setdefault(control(form.name, link, here, part), []).append(said)
                walk(answer.get("item"), here)
            walk(item.get("item"), here)

    walk(response.get("item"), 0)
    return {name: tuple(values) for name, values in found.items()}


def merged(form: Form, before: Entered, sent: Entered, links: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What was entered before, with everything that was sent now for the questions of `links` instead."""
    replaced = frozenset(links)
    of = links_of(form)
    kept = {name: held for name, held in before.items() if of.get(link_of(name), "") not in replaced}
    given = {
        name: held
        for name, held in sent.items()
        if name.startswith(f"{form.name}:") and of.get(link_of(name), "") in replaced and any(held)
    }
    return {**kept, **given}


def links_of(form: Form) -> dict[str, str]:
    """Link of a field -> link of its question."""
    fields = {field.link: question.link for question in form.questions for field in question.fields}
    return {**fields, DATE: DATE}


def link_of(name: str) -> str:
    """The link of the field that a control belongs to."""
    return name.partition(":")[2].partition("~")[0].partition("#")[0]


def rows_of(form: str, question: Question, entered: Entered) -> list[int]:
    """The rows of a question in which anything is entered, in their order."""
    links = {field.link for field in question.fields}
    found = set()
    for name, held in entered.items():
        owner, _, rest = name.partition(":")
        link, _, row = rest.partition("~")[0].partition("#")
        if owner == form and link in links and any(held) and row.isascii() and row.isdecimal() and len(row) < 4:
            found.add(int(row))
    return sorted(found)[:MOST_ROWS]


class _Reader:
    """Entries of one form as compact facts (engine/fhir/compose.py)."""

    def __init__(self, form: Form, entered: Entered, as_of: date) -> None:
        self.form = form
        self.entered = entered
        self.as_of = as_of
        self.faults: list[Fault] = []

    def day(self) -> str:
        """The day of the examination."""
        name = control(self.form.name, DATE)
        said = self._held(name)
        if not said:
            return self.as_of.isoformat()
        day = resolve_day(said[0], self.as_of) if _DAY.fullmatch(said[0]) and len(said[0]) == 10 else None
        if day is None:
            self._fault(name, "this is no date: write YYYY-MM-DD")
        elif day > self.as_of:
            self._fault(name, f"this is after the day of the evaluation, {self.as_of}")
        return said[0]

    def question(self, question: Question) -> Iterator[Json]:
        if not question.repeats:
            yield from self._result(question, 0)
            return
        for row in rows_of(self.form.name, question, self.entered):
            yield from self._result(question, row)

    def _result(self, question: Question, row: int) -> Iterator[Json]:
        fact: Json = {"c": question.concept, **({"region": question.region} if question.region else {})}
        if question.value is not None:
            value = self._one(question.value, row)
            if value is None:
                self._without_value(question, question.value, row)
                return
            fact |= value
            if question.gate and fact.get("v") != question.gate:
                yield fact  # what is asked only of something present is not asked now
                return
        several: list[dict[str, Any]] = [{}]
        stated = False
        for part in question.parts:
            if part.repeats:
                told = [{part.name: said} for said in self._words(part, row)]
            else:
                one = self._one(part, row)
                told = [{part.name: one["v"]}] if one else []
            stated |= bool(told) and part.name not in ("muscle", "side")
            several = [one | more for one in several for more in told] if told else several
        if question.value is None and not stated:
            self._fault(control(self.form.name, question.parts[0].link, row), "nothing is said of this muscle yet")
            return
        for more in several:
            yield {**fact, **more}

    def _without_value(self, question: Question, value: Field, row: int) -> None:
        """Details of a result that is not there: told, unless something is wrong with it already."""
        here = control(self.form.name, value.link, row)
        asked = any(self._held(control(self.form.name, part.link, row)) for part in question.parts)
        if asked and not any(fault.control == here for fault in self.faults):
            self._fault(here, "the result itself is missing")

    def _one(self, field: Field, row: int) -> Json | None:
        """The value of a field as a compact fact says it; None: unanswered, or it cannot be used."""
        name = control(self.form.name, field.link, row)
        said = self._held(name)
        if not said:
            return None
        if len(said) > 1:
            self._fault(name, "this is answered in several ways")
            return None
        match field.kind:
            case "choice":
                words = self._words(field, row)
                return {"v": words[0]} if words else None
            case "quantity":
                return self._quantity(field, name, said[0])
            case "integer":
                if _WHOLE.fullmatch(said[0]):
                    return {"v": int(said[0])}
                self._fault(name, "this is no whole number")
            case "date":
                day = resolve_day(said[0], date.max) if _DAY.fullmatch(said[0]) else None
                if day is not None and said[0] <= self.as_of.isoformat():
                    return {"v": said[0]}
                later = "this lies after the day of the evaluation" if day else ""
                self._fault(name, later or "this is no date: write YYYY-MM-DD, YYYY-MM or YYYY")
            case "boolean":
                if said[0] == YES:
                    return {"v": "done"}
                self._fault(name, "this is none of the answers")
        return None

    def _words(self, field: Field, row: int) -> list[str]:
        name = control(self.form.name, field.link, row)
        offered = {option.value for option in field.options}
        said = list(dict.fromkeys(self._held(name)))
        if any(word not in offered for word in said):
            self._fault(name, "this is none of the answers")
            return []
        return said

    def _quantity(self, field: Field, name: str, said: str) -> Json | None:
        found = _NUMBER.fullmatch(said)
        units = self._held(f"{name}~{UNIT}") or field.units[:1]
        if found is None:
            comma = "write a point before the decimals" if "," in said else ""
            self._fault(name, comma or "this is no number, such as 12.5 or < 12")
            return None
        if len(units) != 1 or units[0] not in field.units:
            self._fault(name, "choose one of the units")
            return None
        comparator = _COMPARATORS.get(found[1], found[1]) or ""
        if comparator and field.name:  # a component is read as a plain number
            self._fault(name, "write the number alone")
            return None
        number = Decimal(found[2])
        return {"v": number, "u": units[0], **({"cmp": comparator} if comparator else {})}

    def _held(self, name: str) -> Sequence[str]:
        return [said for one in self.entered.get(name, ()) if (said := one.strip())]

    def _fault(self, name: str, message: str) -> None:
        self.faults.append(Fault(name, message))


def _typed(field: Field, answer: Json) -> Iterator[tuple[str, str]]:
    """(part of the control, what stands there) of one answer."""
    match field.kind:
        case "choice":
            coding = obj(answer.get("valueCoding"))
            at = (coding.get("system"), coding.get("code"))
            yield from (("", one.value) for one in field.options if (one.system, one.code) == at)
        case "quantity":
            said = obj(answer.get("valueQuantity"))
            comparator = text(said.get("comparator"))
            yield "", f"{comparator} {said.get('value')}".strip()
            yield UNIT, text(said.get("code"))
        case "integer":
            yield "", str(answer.get("valueInteger"))
        case "date":
            yield "", text(answer.get("valueDate"))
        case "boolean":
            yield "", YES
