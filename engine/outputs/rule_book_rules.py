"""What the rule book says of each rule, as values: for its pages in Markdown and for those in the browser."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.outputs.rule_book_facts import (
    DrugsText,
    FactText,
    ParameterText,
    ValueSetText,
    drugs_text,
    fact_texts,
    parameter_texts,
    value_sets,
)
from engine.outputs.rule_book_vignettes import Vignette
from engine.quality.files import Files, Point
from engine.quality.wording import Wording
from engine.rules.catalogue import Card, card
from engine.rules.info import RuleInfo
from engine.rules.program import Issue, Rule, conditions, literals
from engine.rules.ruleset import Ruleset
from engine.rules.strata import chain, reads
from engine.rules.texts import number
from engine.terminology.rows import Row

MARKS = {
    "verified": "verified in a source",
    "from-memory": "written from memory, not verified",
    "engineering-choice": "an engineering choice",
}


def mark(evidence: str) -> str:
    """What the evidence mark of a rule means."""
    return MARKS.get(evidence, evidence)


class CaseText(msgspec.Struct, frozen=True, kw_only=True):
    """One case: what it gives, and its condition as an outline of (depth, text)."""

    gives: str
    notes: str
    when: tuple[tuple[int, str], ...]
    summary: str = ""
    advice: tuple[str, ...] = ()
    suggest: tuple[str, ...] = ()


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page of a rule shows."""

    name: str
    info: RuleInfo
    card: Card
    mark: str
    severities: tuple[str, ...]
    cases: tuple[CaseText, ...]
    common: CaseText | None                    # texts that all cases share; then no case repeats them
    unless: tuple[tuple[int, str], ...]
    chain: tuple[str, ...]                     # the longest one that leads to it; () = it reads base facts only
    below: int                                 # rules that it rests on, directly or through others
    fires: tuple[Vignette, ...]
    silent: tuple[Vignette, ...]
    points: tuple[Point, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What rules read: definitions of facts, the numbers behind them or in texts, and codes."""

    facts: tuple[FactText, ...]
    parameters: tuple[ParameterText, ...]
    value_sets: tuple[ValueSetText, ...]
    drugs: tuple[DrugsText, ...]


class Book:
    """One ruleset, looked at for its pages. `folder`: where its facts are written, `rows`: of its value sets."""

    def __init__(
        self, ruleset: Ruleset, folder: Path, files: Files, rows: Iterable[Row], vignettes: Iterable[Vignette]
    ) -> None:
        self.ruleset = ruleset
        self.files = files
        self.words = Wording(ruleset)
        self.rules: dict[str, Rule] = {r.name: r for r in (*ruleset.program.patient, *ruleset.program.order)}
        self.facts = fact_texts(folder, ruleset)
        self.parameters = parameter_texts(ruleset)
        self.value_sets = value_sets(rows, ruleset)
        self._fires: dict[str, list[Vignette]] = {}
        self._silent: dict[str, list[Vignette]] = {}
        for one in vignettes:
            for names, by_issue in ((one.must, self._fires), (one.must_not, self._silent)):
                for issue in names:
                    by_issue.setdefault(issue, []).append(one)

    def reading(self, texts: Iterable[RuleText]) -> Reading:
        """What some rules read, directly."""
        texts = list(texts)
        names = [text.name for text in texts]
        info = self.ruleset.fact_info
        read = {fact for text in texts for fact in text.info.reads}
        facts = tuple(self.facts[name] for name in sorted({info[fact].definition for fact in read if fact in info}))
        concepts = {concept for fact in facts for concept in fact.concepts}
        used = {name for fact in facts for name in fact.parameters} | _in_texts(texts, self.ruleset)
        return Reading(
            facts=facts,
            parameters=tuple(self.parameters[name] for name in sorted(used)),
            value_sets=tuple(self.value_sets[name] for name in sorted(concepts) if name in self.value_sets),
            drugs=tuple(drugs_text(*named, self.value_sets) for named in sorted(self._drugs(names, facts).items())),
        )

    def _drugs(self, names: Iterable[str], facts: Iterable[FactText]) -> dict[str, frozenset[str]]:
        """The drugs that rules and facts name: by class where they name one, else by the fact."""
        info = self.ruleset.fact_info
        found = {fact.name: frozenset(fact.drugs) for fact in facts if fact.drugs}
        tests = [
            test for name in names if name in self.rules for condition in conditions(self.rules[name])
            for test in literals(condition) if test.fact in info and info[test.fact].order and info[test.fact].sets
        ]
        for test in tests:
            for name in self.words.values(test.fact, test.values):
                found[name] = frozenset(info[test.fact].sets.get(name, (name,)))
        return found

    def rule(self, name: str) -> RuleText:
        info = self.ruleset.info[name]
        rule = self.rules.get(name)
        unless = rule.unless if isinstance(rule, Issue) else None
        cases = tuple(self._cases(rule)) if rule is not None else ()
        below = self._rests_on(name)
        longest = chain(below)
        return RuleText(
            name=name,
            info=info,
            card=card(self.ruleset, name),
            mark=mark(info.evidence),
            severities=tuple(dict.fromkeys(case.severity for case in rule.cases)) if isinstance(rule, Issue) else (),
            cases=tuple(_without(case, cases) for case in cases),
            common=_shared(cases),
            unless=tuple(self.words.tree(unless)) if unless is not None else (),
            chain=tuple(longest) if len(longest) > 1 else (),
            below=len(below) - 1,
            fires=tuple(self._fires.get(name, ())),
            silent=tuple(self._silent.get(name, ())),
            points=tuple(p for p in self.files.points if name in p.rules or info.id in p.rules),
        )

    def _cases(self, rule: Rule) -> Iterable[CaseText]:
        if not isinstance(rule, Issue):
            for case in rule.cases:
                yield CaseText(gives=case.value, notes="", when=tuple(self.words.tree(case.when)))
            return
        info = self.ruleset.info[rule.name]
        for step in rule.cases:
            notes = [f"shown as {step.display}"] if step.display else []
            notes += [f"adjusted by {', '.join(step.adjust)}"] if step.adjust else []
            yield CaseText(
                gives=step.severity,
                notes="; ".join(notes),
                when=tuple(self.words.tree(step.when)),
                summary=step.summary or info.summary,
                advice=step.advice or info.advice,
                suggest=tuple(s.title for s in info.suggestions if s.name in step.suggest),
            )

    def _rests_on(self, name: str) -> dict[str, Rule]:
        """A rule and those that it reads, directly or through others."""
        found: dict[str, Rule] = {}
        todo = [name]
        while todo:
            fact = todo.pop()
            if fact in self.rules and fact not in found:
                found[fact] = self.rules[fact]
                todo += reads(found[fact])
        return found


TEXTS = ("summary", "advice", "suggest")


def _shared(cases: tuple[CaseText, ...]) -> CaseText | None:
    """The texts that all of several cases have in common."""
    if len(cases) < 2:
        return None
    same = {name: getattr(cases[0], name) for name in TEXTS if len({getattr(case, name) for case in cases}) == 1}
    return CaseText(gives="", notes="", when=(), **same)


def _without(case: CaseText, cases: tuple[CaseText, ...]) -> CaseText:
    shared = _shared(cases)
    same = {name: type(getattr(case, name))() for name in TEXTS if shared is not None and getattr(shared, name)}
    return msgspec.structs.replace(case, **same)


def _in_texts(texts: Iterable[RuleText], ruleset: Ruleset) -> set[str]:
    """Parameters whose number stands in a text alone (facts name those that they read)."""
    by_fact = {name for names in ruleset.facts.used.values() for name in names}
    return {
        name for name, parameter in ruleset.facts.parameters.items() if name not in by_fact
        for text in texts for case in (*text.cases, *filter(None, (text.common,)))
        if any(number(parameter.value) in words.split() for words in (case.summary, *case.advice))
    }
