"""What a ruleset holds, as plain data: the list of its rules, and all that is known of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from engine.errors import InputError, nearest
from engine.rules.info import RuleInfo
from engine.rules.program import All, Any, AtLeast, Condition, Issue, Literal, Rule
from engine.rules.ruleset import Ruleset
from engine.rules.shape import quoted

MOST = 8                                      # values of a test that are written out


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in a list."""

    id: str
    ruleset: str
    kind: str
    title: str
    version: str
    status: str
    group: str
    severities: tuple[str, ...]
    place: str


class CaseText(msgspec.Struct, frozen=True, kw_only=True):
    """One case in words: the value or severity that it gives, and the lines of its condition."""

    gives: str
    when: tuple[str, ...]
    display: str = ""
    adjust: tuple[str, ...] = ()
    summary: str = ""
    advice: tuple[str, ...] = ()


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one rule."""

    info: RuleInfo
    order: bool                               # belongs to the order program
    stratum: int
    cases: tuple[CaseText, ...]
    unless: tuple[str, ...]
    reads: Mapping[str, str]                  # fact that it reads -> its title
    read_by: tuple[str, ...]                  # rules that read what it concludes
    anchors: tuple[str, ...]


def rows(ruleset: Ruleset, *, folder: str = "", kind: str = "", group: str = "") -> tuple[Row, ...]:
    """The rules, by folder and id; only those of a folder, kind or group if one is named."""
    rules = {rule.name: rule for rule in (*ruleset.program.patient, *ruleset.program.order)}
    listed = [
        Row(
            id=info.id, ruleset=info.ruleset, kind=info.kind, title=info.title, version=info.version,
            status=info.status, group=info.group, severities=severities(rules.get(name)), place=str(info.place),
        )
        for name, info in ruleset.info.items()
        if folder in ("", info.ruleset) and kind in ("", info.kind) and group in ("", info.group)
    ]  # fmt: skip
    return tuple(sorted(listed, key=lambda row: (row.ruleset, row.kind, row.id)))


def severities(rule: Rule | None) -> tuple[str, ...]:
    """The severities of an issue, in the order of its cases."""
    return tuple(dict.fromkeys(case.severity for case in rule.cases)) if isinstance(rule, Issue) else ()


def card(ruleset: Ruleset, name: str) -> Card:
    """All about a rule, by its id or the fact that it concludes. Raises InputError for a name that no rule has."""
    info = ruleset.info.get(name) or next((info for info in ruleset.info.values() if info.id == name), None)
    if info is None:
        hint = nearest(name, [*ruleset.info, *(info.id for info in ruleset.info.values())])
        raise InputError(f"{quoted(name)} is no rule of `{ruleset.id}`" + (f"; {hint}" if hint else ""))
    rules = {rule.name: rule for rule in (*ruleset.program.patient, *ruleset.program.order)}
    rule = rules.get(info.names[0])
    unless = rule.unless if isinstance(rule, Issue) else None
    return Card(
        info=info,
        order=rule.order if rule else False,
        stratum=rule.stratum if rule else 0,
        cases=tuple(_cases(rule)) if rule else (),
        unless=tuple(lines(unless)) if unless is not None else (),
        reads={fact: ruleset.title_of(fact) for fact in info.reads},
        read_by=ruleset.chain.get(info.names[0], ()),
        anchors=tuple(worded(literal) for literal in rule.anchors) if isinstance(rule, Issue) else (),
    )


def _cases(rule: Rule) -> Iterator[CaseText]:
    if not isinstance(rule, Issue):
        yield from (CaseText(gives=case.value, when=tuple(lines(case.when))) for case in rule.cases)
        return
    for case in rule.cases:
        yield CaseText(
            gives=case.severity, when=tuple(lines(case.when)), display=case.display, adjust=case.adjust,
            summary=case.summary, advice=case.advice,
        )  # fmt: skip


# -- conditions in words ----------------------------------------------------------------------------------------------


def lines(condition: Condition, depth: int = 0) -> Iterator[str]:
    """A condition in indented lines, one test each, in the words of the rule language."""
    indent = "  " * depth
    match condition:
        case Literal():
            yield indent + worded(condition)
        case All(parts=parts) if depth == 0:
            for part in parts:
                yield from lines(part)
        case All(parts=parts):
            yield f"{indent}all of"
            yield from _below(parts, depth)
        case Any(parts=parts):
            yield f"{indent}any of"
            yield from _below(parts, depth)
        case AtLeast(count=count, parts=parts):
            yield f"{indent}at least {count} of"
            yield from _below(parts, depth)


def _below(parts: tuple[Condition, ...], depth: int) -> Iterator[str]:
    for part in parts:
        yield from lines(part, depth + 1)


def worded(literal: Literal) -> str:
    """One test: `achr: confirmed or single`, `mg: not refuted`."""
    values = sorted(literal.values)
    shown = values[:MOST] + ([f"{len(values) - MOST} more"] if len(values) > MOST else [])
    return f"{literal.fact}: {'' if literal.positive else 'not '}{' or '.join(shown)}"
