"""Templates of HTML pages: every value is escaped and free of control characters, and a name that is missing fails."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.outputs.markdown import plain


def page_templates(package: str) -> Environment:
    """The templates of a package."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda shown: plain(shown) if type(shown) is str else shown,  # Markup is ours; all else may be hostile
        trim_blocks=True,
        lstrip_blocks=True,
    )
