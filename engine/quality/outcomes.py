"""What a program says of a patient, in clauses: for each issue, the rails of every way in which it may be shown.

Two programs are the same to a reader when no values of the base facts make these differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import msgspec

from engine.findings import stands
from engine.quality.clauses import FALSE, Clauses
from engine.rules.program import Issue, IssueCase


class Shown(msgspec.Struct, frozen=True, order=True):
    """How an issue is shown. Without words two cases that differ in their texts alone are the same."""

    severity: str
    display: str
    words: tuple[str, ...] = ()


Outcomes = Mapping[Shown, int]


def outcomes(issue: Issue, clauses: Clauses, draft: int, *, words: bool = False) -> Outcomes:
    """Each way in which an issue that stands is shown -> when it is. `draft`: the order is one."""
    ways: dict[Shown, list[int]] = {}
    stays = (-clauses.unless[issue.name], -clauses.muted(issue))
    for case, selected in zip(issue.cases, clauses.selected[issue.name], strict=True):
        said = (case.summary, *case.advice, *case.suggest) if words else ()
        for severity, display, when in _of_case(issue, case, clauses, draft):
            way = ways.setdefault(Shown(severity, display, said), [])
            way.append(clauses.all((selected, *stays, *when)))
    return {shown: clauses.any(way) for shown, way in ways.items()}


def _of_case(
    issue: Issue, case: IssueCase, clauses: Clauses, draft: int
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    program = clauses.program
    conditions = list(dict.fromkeys(program.adjustments[name].when for name in case.adjust))
    for *holds, is_draft in product((True, False), repeat=len(conditions) + 1):
        holding = [condition for condition, held in zip(conditions, holds, strict=True) if held]
        how = stands(issue, case, program, holding.__contains__, draft=is_draft)
        rails = [clauses.truth(condition)[0] for condition in conditions]
        when = [rail if held else -rail for rail, held in zip(rails, holds, strict=True)]
        yield how.severity, how.display, (*when, draft if is_draft else -draft)


def difference(one: Mapping[str, Outcomes], other: Mapping[str, Outcomes], clauses: Clauses) -> int:
    """A literal: some issue is shown in one program and not, or otherwise, in the other. `clauses`: those of both."""
    return clauses.any(
        clauses.differ(one.get(name, {}).get(shown, FALSE), other.get(name, {}).get(shown, FALSE))
        for name in sorted({*one, *other})
        for shown in sorted({*one.get(name, {}), *other.get(name, {})})
    )
