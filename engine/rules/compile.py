"""From rules as files say them to a Program: conditions over closed sets, dependency order, strata, anchors.

The compiler knows base facts only by `BaseFact`: their values, sets, and what anchors need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from engine.document import Document
from engine.errors import Fault
from engine.rules.anchors import Cover, rarity
from engine.rules.conditions import Reader, all_of
from engine.rules.policies import Policies, read_policies
from engine.rules.program import Condition, Derived, DerivedCase, Issue, IssueCase, Literal, Program, Rule
from engine.rules.shape import Node, quoted
from engine.rules.source import RuleSource
from engine.rules.strata import DEPTH, arranged, chain, cycles
from engine.rules.texts import with_parameters
from engine.rules.vocabulary import BaseFact, Vocabulary, Word, word_of

Listed = tuple[tuple[str, Condition], ...]


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A program with everything that the checker asks about it."""

    program: Program
    rules: Mapping[str, Rule]                      # by fact or issue, in dependency order
    sources: Mapping[str, RuleSource]              # the same, as written
    vocabulary: Vocabulary
    base: Mapping[str, BaseFact]
    policies: Policies
    listed: Mapping[str, Listed]                   # issue -> conditions of its `list`, each with the fact that tells it
    sets: frozenset[tuple[str, str]]               # named sets that a condition uses: (fact, set)


def compile_program(
    sources: Iterable[RuleSource],
    base: Mapping[str, BaseFact],
    faults: list[Fault],
    *,
    policies: Document | None = None,
    parameters: Mapping[str, str] | None = None,
    lost: Collection[str] = (),
) -> Compiled | None:
    """The program of the rules. None, and faults, if a condition cannot be read, names clash or rules form a cycle.

    `policies` is ruleset.yaml; `parameters` are filled into texts; `lost` are facts of rules that could not be read.
    """
    before = len(faults)
    named = _named(sources, base, faults)
    vocabulary = {name: Word((), open=True) for name in lost} | {name: word_of(fact) for name, fact in base.items()}
    vocabulary |= {name: source.word for name, source in named.items()}
    rules: dict[str, Rule] = {}
    listed: dict[str, Listed] = {}
    sets: set[tuple[str, str]] = set()
    for name, source in named.items():
        reader = Reader(source.document, vocabulary, faults)
        rule = _derived(source, reader) if source.kind == "derived" else _issue(source, reader, parameters or {})
        listed[name] = _listed(source, reader)
        sets |= reader.sets
        if rule is not None:
            rules[name] = rule
    shared = read_policies(policies, vocabulary, faults) if policies is not None else Policies()
    for cycle in cycles(rules):
        faults.append(Fault(
            named[cycle[0]].place(), f"rules read each other in a circle: {' -> '.join((*cycle, cycle[0]))}",
            "split one of them",
        ))  # fmt: skip
    if len(faults) == before and len(longest := chain(rules)) > DEPTH:
        faults.append(Fault(named[longest[-1]].place(), f"{len(longest)} rules read each other in one chain",
                            f"keep it within {DEPTH}"))  # fmt: skip
    if len(faults) > before or lost or any(source.open for source in named.values()):
        return None
    rules = _anchored(arranged(rules), base)
    program = Program(
        patient=tuple(rule for rule in rules.values() if not rule.order),
        order=tuple(rule for rule in rules.values() if rule.order),
        base={name: base[name].values for name in sorted(base)},
        gates=shared.gates,
        adjustments=shared.adjustments,
    )
    return Compiled(
        program=program,
        rules=rules,
        sources={name: named[name] for name in rules},
        vocabulary=vocabulary,
        base=base,
        policies=shared,
        listed=listed,
        sets=frozenset(sets | shared.sets),
    )


def _named(sources: Iterable[RuleSource], base: Mapping[str, BaseFact], faults: list[Fault]) -> dict[str, RuleSource]:
    """Rules by the fact that they conclude, in order of its name; a name stands once."""
    named: dict[str, RuleSource] = {}
    for source in sorted(sources, key=lambda source: (source.name, source.document.file, source.path)):
        key = "issue" if source.kind == "issue" else "conclude"
        other = named.get(source.name)
        if other is None and source.name not in base:
            named[source.name] = source
            continue
        where = f"concluded in {other.place()}" if other is not None else "a base fact"
        faults.append(Fault(source.place(key), f"{quoted(source.name)} is already {where}", "give it another name"))
    return named


def _derived(source: RuleSource, reader: Reader) -> Derived | None:
    cases = [
        DerivedCase(case.value, when) for case in source.cases if (when := _together(case.when, reader)) is not None
    ]
    if not cases or len(cases) < len(source.cases):
        return None
    return Derived(name=source.name, rule=source.id, cases=tuple(cases), values=source.word.values)


def _issue(source: RuleSource, reader: Reader, parameters: Mapping[str, str]) -> Issue | None:
    cases = [
        IssueCase(
            severity=case.value, when=when, display=case.display, adjust=case.adjust, suggest=case.suggest,
            summary=with_parameters(case.summary, parameters),
            advice=tuple(with_parameters(text, parameters) for text in case.advice),
        )
        for case in source.cases
        if (when := _together(case.when, reader)) is not None
    ]  # fmt: skip
    unless = reader.read(source.unless) if source.unless is not None else None
    if not cases or len(cases) < len(source.cases) or (unless is None) != (source.unless is None):
        return None
    return Issue(name=source.name, rule=source.id, cases=tuple(cases), unless=unless, group=source.group)


def _together(paths: Sequence[tuple[str | int, ...]], reader: Reader) -> Condition | None:
    parts = [reader.read(path) for path in paths]
    known = [part for part in parts if part is not None]
    return all_of(known) if known and len(known) == len(parts) else None


def _listed(source: RuleSource, reader: Reader) -> Listed:
    listed = []
    for path in source.listed:
        condition, node = reader.read(path), Node(source.document, path, reader.faults)
        if condition is None:
            continue
        fact = next(iter(node.value))
        if fact in reader.vocabulary:
            listed.append((fact, condition))
        else:
            node.fault("the first entry of a listed condition is the fact whose text it shows")
    return tuple(listed)


def _anchored(rules: Iterable[Rule], base: Mapping[str, BaseFact]) -> dict[str, Rule]:
    by_name = {rule.name: rule for rule in rules}
    cover = Cover(by_name, base, rarity(base))
    for name, rule in by_name.items():
        if isinstance(rule, Issue):
            anchors = sorted(cover.of_issue(rule) or (), key=_by_fact)
            by_name[name] = msgspec.structs.replace(rule, anchors=tuple(anchors))
    return by_name


def _by_fact(literal: Literal) -> str:
    return literal.fact
