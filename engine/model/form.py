"""A form: questions whose answers are results of a patient, without any FHIR element name.

`engine.forms` makes forms of the facts of a ruleset and writes them as Questionnaires; `engine.fhir` reads the answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

NOT_EXAMINED = "not-examined"
"""The answer that says nothing of the patient: neither present nor absent."""

DATE = "date"
"""The link of the one question of every form that is no result: the day of the examination."""

Kind = Literal["choice", "quantity", "integer", "date", "boolean"]
Category = Literal["exam", "procedure", "laboratory", "imaging", "survey", "therapy"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
"""Of FHIR's `observation-category`, those of which answers of a form can be."""


class Option(msgspec.Struct, frozen=True, array_like=True):
    """An answer that may be chosen: its value in the words of the rules, and its coding."""

    value: str
    system: str
    code: str
    display: str


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is asked. `name`: "" = the value of the result, else a component, or `muscle`. `units`: UCUM."""

    link: str
    name: str = ""
    title: str = ""
    kind: Kind = "choice"
    options: tuple[Option, ...] = ()
    units: tuple[str, ...] = ()
    repeats: bool = False


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes one result of a concept, with all that qualifies it; several of them if it `repeats`.

    `region`: of the result. `gate`: the answer to `value` without which nothing else is asked ("" = all is asked).
    `value` None: the result has components only. A part that may have several answers makes a result of each.
    """

    link: str
    concept: str
    title: str
    help: str = ""
    region: str = ""
    gate: str = ""
    value: Field | None = None
    parts: tuple[Field, ...] = ()
    repeats: bool = False

    @property
    def fields(self) -> tuple[Field, ...]:
        """Everything that is asked, the value first."""
        return (self.value, *self.parts) if self.value else self.parts


class Section(msgspec.Struct, frozen=True):
    """Questions under one heading."""

    link: str
    title: str
    questions: tuple[Question, ...]


class Form(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`version` changes with everything that is asked; `earlier` versions mean the same and are still read. `category`:
    of the Observations that its answers become, in FHIR's `observation-category`."""

    name: str
    url: str
    title: str
    version: str = ""
    purpose: str = ""
    category: Category = "exam"
    earlier: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def canonical(self) -> str:
        """Address and version, as answers name the form."""
        return f"{self.url}|{self.version}"

    @property
    def questions(self) -> Iterator[Question]:
        """All questions in their order."""
        return (question for section in self.sections for question in section.questions)
