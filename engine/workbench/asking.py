"""What to ask next: the questions of the forms that stand between the findings and what they wait for.

A question is asked for every finding, and every issue that is neither found nor ruled out, of which an unknown fact is
missing that its answers make known. What each answer would change by itself is found by deciding again with the results
that it gives; what changes only together with others is told as it was proved. First comes what decides most by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import msgspec

from engine.evaluation import Evaluator, Explaining
from engine.explanation.missing import outcome
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.forms.askable import Place, askable
from engine.forms.response import questionnaire_response
from engine.model.finding import SEVERITIES, Evaluation, Missing, Outcome
from engine.model.form import NOT_EXAMINED, Field, Form, Question
from engine.model.record import Result
from engine.outputs.wording import Titles, answer_lines, one_of, outcome_line

MOST_REASONS = 6  # of one question that are told
_MOST_KEPT = 4_000
_PATIENT = "Patient/asked"

Results = Mapping[str, tuple[Result, ...]]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Who waits for an answer: an issue (of an order), found or still open, and what is missing of it."""

    issue: str
    order: str = ""
    found: bool = False
    missing: tuple[Missing, ...] = ()


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer, given alone, changes. `answer`: link of a field -> the chosen word; `said`: in words."""

    answer: Mapping[str, str]
    said: str
    outcome: Outcome

    @property
    def changes(self) -> bool:
        return bool(self.outcome.gained or self.outcome.lost)


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """One question that is asked. `why`: a line for each reason; `alone`: an answer changes something by itself."""

    form: str
    question: Question
    waiting: tuple[Waiting, ...]
    effects: tuple[Effect, ...]
    why: tuple[str, ...]
    alone: bool

    def waits(self, issue: str, order: str = "") -> bool:
        """Whether this finding waits for it."""
        return any((one.issue, one.order) == (issue, order) for one in self.waiting)


class Questions:
    """The questions of a ruleset: which facts they make known, and what their answers would change."""

    def __init__(self, evaluator: Evaluator) -> None:
        ruleset = evaluator.ruleset
        self.forms: Mapping[str, Form] = {form.name: form for form in ruleset.content.forms.values()}
        self.places: Mapping[str, tuple[Place, ...]] = askable(ruleset.facts, self.forms.values())
        self._terminology = ruleset.terminology
        self._kept: dict[tuple[str, date, tuple[tuple[str, str], ...]], Results] = {}

    def asked(
        self, reasoning: Explaining, evaluation: Evaluation, title: Titles, answered: frozenset[str] = frozenset()
    ) -> tuple[Asking, ...]:
        """Every question that is asked of a record, what decides most first. `evaluation`: what the reasoning says,
        with what is missing proved; `answered`: links of questions that need not be asked again."""
        waiting: dict[tuple[str, int], tuple[Place, list[Waiting]]] = {}
        for who in self._waiting(reasoning, evaluation):
            for place, missing in self._missed(who, answered):
                _, held = waiting.setdefault((place.form, place.number), (place, []))
                held.append(msgspec.structs.replace(who, missing=missing))
        before = reasoning.standing()
        order = list(self.forms)
        made = [
            ((order.index(form), number), self._asking(reasoning, before, place, who, title))
            for (form, number), (place, who) in waiting.items()
        ]
        return tuple(one for _, one in sorted(made, key=lambda pair: (_score(pair[1]), pair[0])))

    def beyond(self, missing: Sequence[Missing]) -> list[Missing]:
        """What is missing and no question makes known."""
        return [one for one in missing if one.fact not in self.places]

    def results(self, form: Form, question: Question, answer: Mapping[str, str], day: date) -> Results:
        """The results that one answer of a day gives, by concept."""
        key = form.canonical, day, tuple(sorted(answer.items()))
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._read(form, question, answer, day)
        return self._kept[key]

    def _waiting(self, reasoning: Explaining, evaluation: Evaluation) -> Iterator[Waiting]:
        for one in evaluation.findings:
            yield Waiting(issue=one.issue, order=one.order, found=True, missing=one.missing)
        for issue, order in reasoning.undecided():
            for open_one in reasoning.explanations(issue, "proved", order):
                yield Waiting(issue=issue, order=order.partition(" ")[0], missing=open_one.missing)

    def _missed(self, who: Waiting, answered: frozenset[str]) -> Iterator[tuple[Place, tuple[Missing, ...]]]:
        """The questions that make known what is missing, each with what of it."""
        told: dict[tuple[str, int], tuple[Place, list[Missing]]] = {}
        for missing in who.missing:
            for place in self.places.get(missing.fact, ()):
                if place.question.link not in answered:
                    told.setdefault((place.form, place.number), (place, []))[1].append(missing)
        yield from ((place, tuple(held)) for place, held in told.values())

    def _asking(
        self, reasoning: Explaining, before: frozenset[tuple[str, str, str]], place: Place, who: Sequence[Waiting],
        title: Titles,
    ) -> Asking:  # fmt: skip
        form, question, day = self.forms[place.form], place.question, reasoning.record.as_of
        effects = tuple(
            Effect(
                answer=answer, said=said,
                outcome=outcome(before, reasoning.standing(self.results(form, question, answer, day))),
            )
            for answer, said in ways_to_answer(question)
        )  # fmt: skip
        proved = [missing for one in who for missing in one.missing]
        return Asking(
            form=form.name,
            question=question,
            waiting=tuple(who),
            effects=effects,
            why=_why(proved, effects, title),
            alone=any(effect.changes for effect in effects)
            if effects
            else any(_alone(missing).would_change for missing in proved),
        )

    def _read(self, form: Form, question: Question, answer: Mapping[str, str], day: date) -> Results:
        fact: dict[str, object] = {"c": question.concept, **({"region": question.region} if question.region else {})}
        fact |= {field.name or "v": answer[field.link] for field in question.fields if field.link in answer}
        response = questionnaire_response(form, [fact], patient=_PATIENT, identity="asked", day=day.isoformat())
        person = {"resourceType": "Patient", "id": _PATIENT.partition("/")[2]}
        documents = [Document(one, "answers") for one in (person, response)]
        [record] = read_records(documents, self._terminology, Scope(as_of=day), [])
        return record.results


def ways_to_answer(question: Question) -> Iterator[tuple[dict[str, str], str]]:
    """The answers that can be chosen: of the value, and where that lets in details, with each of them.

    Numbers, dates and tests of single muscles are not among them: there are too many.
    """
    value = question.value
    if value is None or question.repeats:
        return
    if value.kind == "boolean":
        yield {value.link: "done"}, "done"
    for option in value.options:
        if option.value == NOT_EXAMINED:
            continue
        yield {value.link: option.value}, option.display
        for part in question.parts if option.value == question.gate else ():
            yield from _with_part({value.link: option.value}, option.display, part)


def _with_part(answer: dict[str, str], said: str, part: Field) -> Iterator[tuple[dict[str, str], str]]:
    told = part.title[:1].lower() + part.title[1:]
    for option in part.options:
        if option.value != NOT_EXAMINED:
            yield {**answer, part.link: option.value}, f"{said} ({told}: {option.display})"


def _why(proved: Iterable[Missing], effects: Sequence[Effect], title: Titles) -> tuple[str, ...]:
    """What each answer changes by itself; where none does, what is known to change together with others."""
    lines: dict[str, list[str]] = {}
    for effect in effects:
        said = lines.setdefault(outcome_line(effect.outcome, title), []) if effect.changes else []
        if not any(effect.said.startswith(f"{shorter} (") for shorter in said):  # the detail makes no difference
            said.append(effect.said)
    if lines:
        return tuple(f"{one_of(answers)}: {line}" for line, answers in lines.items())
    proved = list(proved)
    alone = [one for one in map(_alone, proved) if one.would_change]
    told = (f"{one.ask_for or one.fact}: {line}" for one in alone or proved for line in answer_lines(one, title))
    return tuple(dict.fromkeys(told))[:MOST_REASONS]


def _alone(missing: Missing) -> Missing:
    """With the answers alone that need no company."""
    changes = {value: told for value, told in missing.would_change.items() if value not in missing.with_answers}
    return msgspec.structs.replace(missing, would_change=changes, with_answers={})


def _score(asking: Asking) -> tuple[int, ...]:
    """Smaller decides more: alone before together, then how many issues of each severity come or go."""
    if asking.effects and asking.alone:
        changed = [(effect.said, effect.outcome) for effect in asking.effects]
    else:
        changed = [
            (f"{missing.fact} {value}", told)
            for one in asking.waiting
            for missing in (map(_alone, one.missing) if asking.alone else one.missing)
            for value, told in missing.would_change.items()
        ]
    entries = {(answer, entry) for answer, told in changed for entry in (*told.gained, *told.lost)}
    severities = [entry.rpartition(" ")[2] for _, entry in entries]
    return 0 if asking.alone else 1, *(-severities.count(severity) for severity in SEVERITIES)
