"""The page of a case: what was found and why, what is known when, what is missing, and what answers change."""

from __future__ import annotations

from functools import cached_property

from starlette.responses import Response

from engine.evaluation import Evaluator
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.outputs.wording import titles
from engine.service.live import Content
from engine.service.state import Service
from engine.service.workbench.access import User
from engine.service.workbench.web import html
from engine.workbench.case import Case, record_of


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
        return record_of(self.case, self.ruleset.terminology)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Of the record with the answers that are tried, what is missing proved."""
        return self.evaluator.evaluate(self.record, "proved")

    @cached_property
    def before(self) -> Evaluation:
        """As the data say, without any answer."""
        if not self.case.answers:
            return self.evaluation
        return self.evaluator.evaluate(record_of(self.case, self.ruleset.terminology, hypothetical=False), "none")


def case_page(service: Service, content: Content, name: str, case: Case, user: User) -> Response:
    """The whole page."""
    opened = Opened(service, content, name, case, user)
    ruleset = opened.ruleset
    return html(
        "case.html",
        opened=opened,
        name=name,
        case=case,
        evaluation=opened.evaluation,
        info=ruleset.info,
        titles=titles(ruleset.info),
    )
