"""A survey as one self-contained HTML page: it loads nothing and runs no script."""

from __future__ import annotations

from engine.outputs.pages import page_templates
from engine.survey.result import Survey
from engine.survey.text import wanted


def page(survey: Survey) -> str:
    """The page as text; what comes from the feed is escaped by the template engine."""
    environment = page_templates("engine.survey")
    environment.filters["wanted"] = wanted
    return environment.get_template("survey.html").render(survey=survey)
