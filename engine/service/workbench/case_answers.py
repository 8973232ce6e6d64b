"""What a page of a case shows of questions and answers: what is asked, what is tried, and what that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import msgspec

from engine.evaluation import Evaluator
from engine.fhir import decode_json
from engine.fhir.answers import RESPONSE
from engine.fhir.elements import obj
from engine.model.finding import Finding
from engine.model.form import Form, Question
from engine.model.problem import Problem
from engine.outputs.wording import titles
from engine.service.workbench.chart import may_save
from engine.workbench.answers import UNIT, Entered, Fault, control, entered_of, link_of, links_of, rows_of
from engine.workbench.asking import Asking, Questions
from engine.workbench.case import Case
from engine.workbench.changes import Changes, changes

if TYPE_CHECKING:
    from engine.service.workbench.case_page import Opened

BESIDE = 3  # questions beside a finding
FIRST = 6  # questions that are shown at once
FEW = 5  # answers that are shown side by side

Tone = Literal["", "bad", "doubt"]
_known: WeakKeyDictionary[Evaluator, Questions] = WeakKeyDictionary()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was sent: a message for the head of the page, and what could not be applied.

    `typed`: form -> its entries as they were sent, if there are `faults` or another window was faster.
    """

    status: int = 200
    message: str = ""
    tone: Tone = ""
    faults: tuple[Fault, ...] = ()
    typed: Mapping[str, Entered] = {}


NOTHING = Told()


class Answering:
    """The questions of an opened case."""

    def __init__(self, opened: Opened, told: Told) -> None:
        self.opened = opened
        self.case: Case = opened.case
        self.told = told
        self.faults = {fault.control: fault.message for fault in told.faults}
        self.questions = questions_of(opened.evaluator)
        self.forms = self.questions.forms

    # -- what is tried --------------------------------------------------------------------------------------------

    @cached_property
    def entered(self) -> Mapping[str, Entered]:
        """Form -> what stands in its controls."""
        return {name: self._standing(name, form) for name, form in self.forms.items()}

    def _standing(self, name: str, form: Form) -> Entered:
        return self.told.typed[name] if name in self.told.typed else entered_in(self.case, form)

    @cached_property
    def answered(self) -> list[tuple[Form, Question]]:
        """The questions whose answers are tried, in their order."""
        found = []
        for form in self.forms.values():
            of = links_of(form)
            links = {of.get(link_of(one)) for one in entered_in(self.case, form)}
            found += [(form, question) for question in form.questions if question.link in links]
        return found

    @cached_property
    def hypothetical(self) -> bool:
        """Whether the page shows answers that are not saved."""
        return bool(self.case.answers)

    @property
    def state(self) -> str:
        """A name of the answers that are tried."""
        return state_of(self.case)

    @cached_property
    def changes(self) -> Changes:
        """What the answers that are tried change."""
        data = self.opened.data.judged
        return changes(data.reasoning, data.evaluation, self.opened.reasoning, self.opened.evaluation)

    @property
    def may_save(self) -> bool:
        """Whether the answers can be written where the patient was read."""
        return may_save(self.opened.service, self.opened.user, self.case)

    @cached_property
    def unused(self) -> list[Problem]:
        """What could not be used of forms that the data hold."""
        return [one for one in self.opened.record.problems if RESPONSE in one.where]

    # -- what is asked --------------------------------------------------------------------------------------------

    @cached_property
    def asked(self) -> tuple[Asking, ...]:
        """What decides most, first; what is answered already is not asked again."""
        links = frozenset(question.link for _, question in self.answered)
        title = titles(self.opened.ruleset.info)
        return self.questions.asked(self.opened.reasoning, self.opened.evaluation, title, links)

    def beside(self, finding: Finding) -> list[Asking]:
        """The questions for which a finding waits."""
        return [one for one in self.asked if one.waits(finding.issue, finding.order)]

    @cached_property
    def upper(self) -> list[tuple[Form, Question, Asking | None]]:
        """The questions that stand above the forms: those with answers, then what decides most."""
        first = [(self.forms[one.form], one.question, one) for one in self.asked]
        return [*((form, question, None) for form, question in self.answered), *first]

    def rest(self, form: Form) -> list[tuple[str, list[tuple[Question, bool]]]]:
        """Title of each section of a form -> its questions, and whether they stand above already."""
        above = {question.link for of, question, _ in self.upper if of.name == form.name}
        return [
            (section.title, [(question, question.link in above) for question in section.questions])
            for section in form.sections
        ]

    # -- controls -------------------------------------------------------------------------------------------------

    def rows(self, form: Form, question: Question) -> list[int]:
        """The rows of a question: 0 for one that is answered once, else those that are filled and an empty one."""
        if not question.repeats:
            return [0]
        filled = rows_of(form.name, question, self.entered[form.name])
        return [*filled, (filled[-1] if filled else 0) + 1]

    def name(self, form: Form, link: str, row: int = 0, part: str = "") -> str:
        """The name of a control."""
        return control(form.name, link, row, part)

    def held(self, form: Form, link: str, row: int = 0, part: str = "") -> tuple[str, ...]:
        """What stands in a control."""
        return self.entered[form.name].get(control(form.name, link, row, part), ())

    unit, few, first, most_beside = UNIT, FEW, FIRST, BESIDE


def questions_of(evaluator: Evaluator) -> Questions:
    """The questions of the ruleset of an evaluator, made once."""
    found = _known.get(evaluator)
    if found is None:
        found = _known[evaluator] = Questions(evaluator)
    return found


def entered_in(case: Case, form: Form) -> dict[str, tuple[str, ...]]:
    """What was entered in a form so that the answers came of it that are tried."""
    held = case.answers.get(form.name)
    return entered_of(form, obj(decode_json(held))) if held else {}


def state_of(case: Case) -> str:
    """A name of the answers that are tried: another one as soon as any of them is."""
    parts = [f"{name} {hashlib.sha256(held).hexdigest()}" for name, held in sorted(case.answers.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
