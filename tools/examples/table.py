"""The table of fhir_examples/README.md, between two marks; the rest of the page is written by hand."""

from __future__ import annotations

from collections.abc import Iterable

from examples.story import Story

HEAD = "| file | story | findings | what Endplate says, and why the example is there | seed |"
BEGIN, END = "<!-- table: made by tools/build_examples.py -->", "<!-- end of table -->"


def readme(page: str, stories: Iterable[Story]) -> str:
    """The page with the table of these stories."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{table(stories)}\n\n{END}{after}"


def table(stories: Iterable[Story]) -> str:
    """File, story, findings, what they say and why the example is there, seed."""
    rows = [HEAD, "|---|---|---|---|---|"]
    for story in stories:
        name = f"[{story.id}](patients/{story.id}.json)" + (" (R5)" if story.fhir == "R5" else "")
        found = ", ".join(f"`{one.issue}` {one.severity}" for one in story.expect) or "none"
        rows.append("| " + " | ".join((name, flat(story.story), found, f"{flat(story.says)} {flat(story.why)}",
                                       flat(story.seed))) + " |")  # fmt: skip
    return "\n".join(rows)


def flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
