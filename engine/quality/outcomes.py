"""What a program says of a patient, in clauses: for each issue, the rails of every severity and display that it may
have. Two programs are the same to a reader when no values of the base facts make these differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import product

from engine.findings import stands
from engine.quality.clauses import Clauses
from engine.rules.program import Condition, Issue, IssueCase, Program

Shown = tuple[str, str]                # severity and display


class _Given:
    """Adjustments of which it is given whether they hold; all else is not asked."""

    def __init__(self, holding: Collection[Condition]) -> None:
        self._holding = holding

    def truth(self, condition: Condition) -> bool:
        return condition in self._holding

    def value(self, name: str) -> str:
        raise NotImplementedError

    def case(self, name: str) -> int | None:
        raise NotImplementedError


def outcomes(issue: Issue, program: Program, clauses: Clauses, draft: int) -> dict[Shown, int]:
    """Each severity and display of an issue that stands -> when it has them. `draft`: the order is one."""
    ways: dict[Shown, list[int]] = {}
    stays = (-clauses.unless[issue.name], -clauses.muted(issue.name))
    for case, selected in zip(issue.cases, clauses.selected[issue.name], strict=True):
        for shown, when in _of_case(issue, case, program, clauses, draft):
            ways.setdefault(shown, []).append(clauses.all((selected, *stays, *when)))
    return {shown: clauses.any(way) for shown, way in ways.items()}


def _of_case(
    issue: Issue, case: IssueCase, program: Program, clauses: Clauses, draft: int
) -> Iterator[tuple[Shown, tuple[int, ...]]]:
    conditions = [program.adjustments[name].when for name in dict.fromkeys(case.adjust)]
    for *holds, is_draft in product((True, False), repeat=len(conditions) + 1):
        holding = [condition for condition, held in zip(conditions, holds, strict=True) if held]
        how = stands(issue, case, program, _Given(holding), draft=is_draft)
        rails = [clauses.truth(condition)[0] for condition in conditions]
        when = [rail if held else -rail for rail, held in zip(rails, holds, strict=True)]
        yield (how.severity, how.display), (*when, draft if is_draft else -draft)


def difference(
    one: Clauses, other: Clauses, names: Collection[str], draft: int
) -> int:
    """A literal of `other` (a variant of `one`): some issue of `names` is shown in one program and not, or otherwise,
    in the other."""
    return other.any(
        other.differ(before.get(shown, -1), after.get(shown, -1))
        for name in sorted(names)
        for before, after in [(_outcomes_of(name, one, draft), _outcomes_of(name, other, draft))]
        for shown in sorted({*before, *after})
    )


def _outcomes_of(name: str, clauses: Clauses, draft: int) -> Mapping[Shown, int]:
    rule = next((rule for rule in clauses.rules if rule.name == name), None)
    return outcomes(rule, clauses.program, clauses, draft) if isinstance(rule, Issue) else {}
