"""The words that every output shares: why, what is missing, what would change.

Each is one line of printable characters, whatever the record holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.model.fact import Evidence
from engine.model.finding import Because, Missing, Outcome
from engine.outputs.markdown import plain
from engine.rules.info import RuleInfo

DISCLAIMER = "Supports clinical judgement and does not replace it; the rules await clinical sign-off."

Titles = Callable[[str], str]
"""Issue -> what it is called."""


def titles(info: Mapping[str, RuleInfo]) -> Titles:
    """The titles of a ruleset; an issue that is not in it keeps its id."""
    return lambda issue: info[issue].title if issue in info else issue


def because_line(because: Because) -> str:
    """`FVC 46 % on 2025-05-20 (Observation/fvc-1)`."""
    references = ", ".join(dict.fromkeys(e.reference for e in because.evidence))
    return plain(f"{because.shown} ({references})" if references else because.shown)


def evidence_line(evidence: Evidence) -> str:
    """`Observation/fvc-1: 46 %, 2025-05-20`."""
    return plain(f"{evidence.reference}: {evidence.said}" + (f", {evidence.date}" if evidence.date else ""))


def missing_line(missing: Missing, title: Titles = str, issue: str = "") -> str:
    """`fatigability on examination (nothing recorded): if present, this becomes high`.

    `issue` is the one that is spoken of: a change of it is told as `this`.
    """
    line = missing.ask_for or missing.fact
    if missing.reason:
        line += f" ({missing.reason})"
    changes = answer_lines(missing, title, issue)
    return plain(f"{line}: {'; '.join(changes)}" if changes else line)


def answer_lines(missing: Missing, title: Titles = str, issue: str = "") -> list[str]:
    """`if two or three together with progression present, this no longer stands`: answers of one effect in one line."""
    values: dict[str, list[str]] = {}
    for value, outcome in missing.would_change.items():
        company = missing.with_answers.get(value, {})
        together = f" together with {', '.join(f'{k} {v}' for k, v in company.items())}" if company else ""
        values.setdefault(f"{together}, {outcome_line(outcome, title, issue)}", []).append(value)
    return [f"if {one_of(answers)}{effect}" for effect, answers in values.items()]


def one_of(words: list[str]) -> str:
    """`one, two or three`."""
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def outcome_line(outcome: Outcome, title: Titles = str, issue: str = "") -> str:
    """What an answer would lead to; an issue that is lost at one severity and gained at another has changed."""
    gained, lost = (dict(entry.rsplit(" ", 1) for entry in entries) for entries in (outcome.gained, outcome.lost))

    def name(found: str) -> str:
        return "this" if found == issue else f"“{title(found)}”"

    own_first = sorted({**lost, **gained}, key=lambda found: found != issue)
    changes = [
        f"{name(found)} no longer stands"
        if found not in gained
        else f"{name(found)} ({gained[found]}) is found"
        if found not in lost
        else f"{name(found)} becomes {gained[found]}"
        if gained[found] != lost[found]
        else f"{name(found)} is shown in another way"
        for found in own_first
    ]
    return ", ".join(changes) or "nothing changes"
