"""A survey as one self-contained HTML page: it loads nothing and runs no script."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.outputs.markdown import plain
from engine.survey.result import Survey
from engine.survey.text import wanted


def page(survey: Survey) -> str:
    """The page as text; what comes from the feed is escaped by the template engine."""
    environment = Environment(
        loader=PackageLoader("engine.survey"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda shown: plain(shown) if type(shown) is str else shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["wanted"] = wanted
    return environment.get_template("survey.html").render(survey=survey)
