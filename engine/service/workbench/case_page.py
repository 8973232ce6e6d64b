"""The page of a case: what was found and why, what is known when, what is missing, and what answers change."""

from __future__ import annotations

from functools import cached_property

from starlette.responses import Response

from engine.evaluation import Evaluator, Explaining
from engine.fhir.elements import obj
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.outputs.wording import titles
from engine.service.call import selected_of
from engine.service.hooks import HOOKS
from engine.service.live import Content
from engine.service.state import Service
from engine.service.workbench.access import User
from engine.service.workbench.before import Before, before_answers
from engine.service.workbench.case_answers import NOTHING, Answering, Told
from engine.service.workbench.web import html
from engine.views import View
from engine.workbench.body_map import BodyMap, body_map
from engine.workbench.cards_view import Findings, findings_of
from engine.workbench.case import Case, drafts_of, record_of, request_of
from engine.workbench.criteria import Column, criteria_of
from engine.workbench.timeline import Timeline, references, timeline

APPLIED = "X-Applied"  # whether what was sent is what the page shows
_VIEWS: dict[str, View] = {hook.hook: hook.view for hook in HOOKS.values()}


class Opened:
    """A case under the rules that answer now. Everything is worked out once, when it is first asked for."""

    def __init__(self, service: Service, content: Content, name: str, case: Case, user: User) -> None:
        self.service = service
        self.content = content
        self.name = name
        self.case = case
        self.user = user
        self.evaluator: Evaluator = content.evaluator
        self.ruleset = content.evaluator.ruleset

    @cached_property
    def record(self) -> Record:
        """With the answers that are tried."""
        return record_of(self.case, self.ruleset.terminology) if self.case.answers else self.data.record

    @cached_property
    def record_before(self) -> Record:
        """As the data say, without any answer."""
        return self.data.record

    @cached_property
    def reasoning(self) -> Explaining:
        """Over the record with the answers that are tried."""
        return self.evaluator.reasoning(self.record)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Of the record with the answers that are tried, what is missing proved."""
        return self.reasoning.evaluation("proved")

    @cached_property
    def before(self) -> Evaluation:
        """As the data say, without any answer."""
        return self.data.judged.evaluation if self.case.answers else self.evaluation

    @cached_property
    def data(self) -> Before:
        """What is known without any answer."""
        return before_answers(self.evaluator, self.case)

    # -- what the page shows --------------------------------------------------------------------------------------

    @cached_property
    def findings(self) -> Findings:
        """The findings as the hook of the case would show them; documents as when the chart is opened."""
        request = request_of(self.case)
        drafts = selected_of(obj(request.get("context")), drafts_of(self.case, request))
        return findings_of(
            self.reasoning,
            self.evaluation,
            hook=self.case.hook,
            view=_VIEWS.get(self.case.hook, "patient-view"),
            base=self.service.settings.base,
            drafts=drafts,
        )

    @cached_property
    def criteria(self) -> tuple[Column, ...]:
        """The sets of criteria that the ruleset shows side by side."""
        return tuple(criteria_of(self.reasoning))

    @cached_property
    def body(self) -> BodyMap | None:
        """The map of the body, if the ruleset describes one."""
        return body_map(self.reasoning, self.record)

    @cached_property
    def timeline(self) -> Timeline:
        """What the record holds, with the answers that are tried marked as such."""
        tried = frozenset(references(self.record)) - frozenset(references(self.record_before))
        return timeline(self.record, self.evaluation, self.ruleset, tried)

    @property
    def age(self) -> int | None:
        """Whole years on the day of the evaluation."""
        birth, day = self.record.person.birth, self.record.as_of
        return None if birth is None else day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def case_page(
    service: Service, content: Content, name: str, case: Case, user: User, *, told: Told = NOTHING, part: bool = False
) -> Response:
    """The whole page, or the `part` of it that answers change; `told`: what became of what was sent."""
    opened = Opened(service, content, name, case, user)
    ruleset = opened.ruleset
    response = html(
        "case_live.html" if part else "case.html",
        200 if part else told.status,  # a script reads the header
        opened=opened,
        answering=Answering(opened, told),
        name=name,
        case=case,
        evaluation=opened.evaluation,
        info=ruleset.info,
        titles=titles(ruleset.info),
    )
    response.headers[APPLIED] = "no" if told.faults else "yes"
    return response
