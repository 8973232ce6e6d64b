"""site.yaml with the proposals of a survey, each to be accepted by a person (read by engine/terminology/site.py)."""

from __future__ import annotations

from collections.abc import Iterator

from engine.survey.result import Proposal, Survey
from engine.terminology.site import SECTIONS

_HEAD = """\
# What this site's data call things, as `endplate site survey` proposes it. Nothing counts before somebody who knows the
# site's systems has read the entry and changed its line `accept: no` to `accept: yes`; complete what is empty.
#
# Use it with `--site` or ENDPLATE_SITE. An entry that was never accepted can stay, or be deleted.
"""
_WHAT = {
    "systems": "Other names of code systems: every code of the system is then read as one of the system it is.",
    "codes": "Codes of the site's own: what each stands for, and which kinds of resource carry it.",
    "units": "Spellings of units, as UCUM writes them.",
    "ranges": "Limits for results that state none and have no flag (one range for all patients: leave it out where it\n"
              "# depends on sex or age), and `plausible: [lowest, highest]`, beyond which a number is a mistake.",
}  # fmt: skip
_NUMBERS = ("low", "high")
_WORDS = ("yes", "no", "true", "false", "null")               # that YAML may read as something else


def site_yaml(survey: Survey) -> str:
    """The file as text."""
    parts = [_HEAD, f"# {survey.ruleset} {survey.version} ({survey.hash}), {survey.patients} patients\n"]
    for section in SECTIONS:
        found = [one for one in survey.proposals if one.section == section]
        parts.append(f"\n# {_WHAT[section]}\n{section}:" + ("\n" if found else " []\n"))
        parts += ["\n".join(_entry(one)) + "\n" for one in found]
    return "".join(parts)


def _entry(one: Proposal) -> Iterator[str]:
    yield "- accept: no"
    for key, value in one.values.items():
        if not value and key == "display":
            continue
        yield f"  {key}:" + (f" {value if key in _NUMBERS else quoted(value)}" if value else "")
    yield f"  seen: {quoted(f'{one.entries} entries' if one.entries != 1 else '1 entry')}"
    if one.example:
        yield f"  example: {quoted(one.example)}"
    yield f"  why: {quoted(one.why)}"


def quoted(text: str) -> str:
    """A text as a scalar of YAML on one line: plain where that is safe, else in double quotes."""
    if text.replace("-", "").isalpha() and text.isascii() and text.lower() not in _WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'
