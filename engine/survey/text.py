"""A survey as text for a terminal: what was met, what is unknown, what is blind. The files hold the lists in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.outputs.markdown import plain
from engine.survey.reach import Blind, Want
from engine.survey.result import Survey

SHOWN = 15                                 # lines of one list


def survey_text(survey: Survey) -> str:
    """The whole text."""
    return "\n".join(plain_line(line) for line in _lines(survey))


def plain_line(line: str) -> str:
    """A line without what a terminal would obey, its indentation kept."""
    return " " * (len(line) - len(line.lstrip(" "))) + plain(line)


def _lines(survey: Survey) -> Iterator[str]:
    resources = sum(survey.resources.values())
    yield f"{survey.patients} patients, {resources} resources, {survey.files} files"
    if survey.problems:
        yield f"could not be read: {_counts(survey.problems)}"
    yield ""
    yield f"concepts met: {len(survey.concepts)}, not met: {survey.unmet}"
    yield from _some(
        f"  {one.entries:>8}  {one.concept}"
        + (f"  [{', '.join(_unit(u.unit, u.understood) for u in one.units)}]" if one.units else "")
        + (f"  {one.undated} undated" if one.undated else "")
        for one in survey.concepts
    )
    by_name = sum(one.by_name == one.entries for one in survey.drugs)
    yield f"drugs met: {len(survey.drugs)}, found only by name: {by_name}"
    yield from _some(
        f"  {one.entries:>8}  {one.drug}" + (f"  {one.by_name} by name only" if one.by_name else "")
        for one in survey.drugs
    )
    if survey.systems:
        yield f"unknown code systems: {len(survey.systems)}"
        yield from _some(
            f"  {one.entries:>8}  {one.system}" + (f"  may be {one.like}: {one.why}" if one.like else "")
            for one in survey.systems
        )
    if survey.codes:
        yield f"codes that look relevant and are unknown: {len(survey.codes)}"
        yield from _some(
            f"  {one.code.entries:>8}  {one.code.system}|{one.code.code} {one.code.display}: {one.why}"
            for one in survey.codes
        )
    if survey.textual:
        yield f"entries whose code is only a text: {_counts(survey.textual)}"
    if survey.units:
        yield f"units not understood: {len(survey.units)}"
        yield from _some(f"  {one.entries:>8}  {one.values['spelling']}: {one.why}" for one in survey.units)
    if survey.kinds:
        yield "of the entries that concern a rule:"
        yield from (
            f"  {one.resource}: {one.relevant} of {one.entries}, {one.undated} undated, "
            f"{one.without_status} without status, {one.not_used} not used by their status"
            for one in survey.kinds
        )
    yield ""
    yield f"rules that can never fire here: {len(survey.blind)} of {survey.rules}; " + (
        f"{len(survey.opened)} of them could, were every proposal accepted"
    )
    opened = frozenset(survey.opened)
    issues = [one for one in survey.blind if one.kind == "issue"]
    yield from _some(
        f"  {one.rule}{' (opened by the proposals)' if one.rule in opened else ''}: for want of {wanted(one)}"
        for one in issues
    )
    if survey.hidden.rare:
        yield f"not shown, met in fewer than {survey.fewest} patients: {_counts(survey.hidden.rare)}"
    if survey.hidden.more:
        yield f"not listed, for want of room: {_counts(survey.hidden.more)}"
    yield f"proposals: {_counts(_sections(survey))}" if survey.proposals else "proposals: none"


def wanted(one: Blind) -> str:
    """What a blind rule lacks, any of which might open it."""
    names = list(dict.fromkeys(_want(want) for want in one.wants))
    shown = ", or ".join(names[:3])
    return (shown + (f", or {len(names) - 3} more" if len(names) > 3 else "")) or "any order of a drug"


def _want(want: Want) -> str:
    of = [*want.concepts, *want.drugs]
    named = ", ".join(of[:4]) + (" ..." if len(of) > 4 else "")
    return want.title + (f" ({named})" if named else "")


def _unit(unit: str, understood: bool) -> str:
    return (unit or "no unit") + ("" if understood else " (not understood)")


def _sections(survey: Survey) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for one in survey.proposals:
        counts[one.section] = counts.get(one.section, 0) + 1
    return counts


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _some(lines: Iterable[str]) -> Iterator[str]:
    held: Sequence[str] = list(lines)
    yield from held[:SHOWN]
    if len(held) > SHOWN:
        yield f"  and {len(held) - SHOWN} more"
