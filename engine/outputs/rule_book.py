"""The rule book: what a ruleset says, generated as Markdown from the ruleset itself.

One page a folder of rules, an index, and a page of the debatable points. The same ruleset always gives the same pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

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
from engine.quality.files import Files, Point
from engine.quality.wording import Wording
from engine.rules.catalogue import Card, card
from engine.rules.info import RuleInfo
from engine.rules.program import Issue, Rule, conditions, literals
from engine.rules.ruleset import Ruleset
from engine.rules.strata import chain, reads
from engine.rules.texts import number
from engine.vignettes import cases_in

SHOWN = 12                             # vignettes of a rule that are named
MARKS = {
    "verified": "verified in a source",
    "from-memory": "written from memory, not verified",
    "engineering-choice": "an engineering choice",
}


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
    fires: tuple[str, ...]                     # vignettes
    silent: tuple[str, ...]
    points: tuple[Point, ...]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of rules."""

    folder: str
    issues: tuple[RuleText, ...]
    derived: tuple[RuleText, ...]
    facts: tuple[FactText, ...]
    parameters: tuple[ParameterText, ...]
    value_sets: tuple[ValueSetText, ...]
    drugs: tuple[DrugsText, ...]

    @property
    def rules(self) -> tuple[RuleText, ...]:
        return (*self.issues, *self.derived)

    @property
    def open(self) -> int:
        """Rules that no clinician has signed."""
        return sum(rule.info.status != "accepted" for rule in self.rules)


def rule_book(ruleset: Ruleset, folder: Path, files: Files) -> dict[str, str]:
    """File name -> text of each page."""
    book = _Book(ruleset, folder, files)
    pages = [book.page(name) for name in sorted({info.ruleset for info in ruleset.info.values()})]
    environment = _environment(book.where)
    shared: dict[str, Any] = {"ruleset": ruleset, "pages": pages, "words": book.words}
    found = {
        f"{page.folder}.md": environment.get_template("page.md").render(page=page, **shared) for page in pages
    }
    found["index.md"] = environment.get_template("index.md").render(
        chain=book.longest_chain(), properties=files.properties, points=files.points,
        marks=Counter(rule.mark for page in pages for rule in page.rules), references=book.references(), **shared,
    )  # fmt: skip
    if files.points:
        found["debatable.md"] = environment.get_template("debatable.md").render(points=files.points, **shared)
    return found


class _Book:
    """One ruleset, looked at for its pages."""

    def __init__(self, ruleset: Ruleset, folder: Path, files: Files) -> None:
        self.ruleset = ruleset
        self.words = Wording(ruleset)
        self.rules: dict[str, Rule] = {r.name: r for r in (*ruleset.program.patient, *ruleset.program.order)}
        self.where = {name: info.ruleset for name, info in ruleset.info.items()}
        self._files = files
        self._folder = folder
        self._facts = fact_texts(folder, ruleset)
        self._parameters = parameter_texts(ruleset)
        self._value_sets = value_sets(folder, ruleset)
        self._fires: dict[str, list[str]] = {}
        self._silent: dict[str, list[str]] = {}
        for case, _ in cases_in(folder):
            for names, by_issue in ((case.get("must") or {}, self._fires), (case.get("must_not") or (), self._silent)):
                for issue in names:
                    by_issue.setdefault(issue, []).append(str(case.get("id")))

    def page(self, folder: str) -> Page:
        names = sorted(name for name, where in self.where.items() if where == folder)
        texts = [self.rule(name) for name in names]
        info = self.ruleset.fact_info
        read = {fact for name in names for fact in self.ruleset.info[name].reads}
        definitions = sorted({info[fact].definition for fact in read if fact in info})
        facts = tuple(self._facts[name] for name in definitions)
        concepts = {concept for fact in facts for concept in fact.concepts}
        used = {name for fact in facts for name in fact.parameters} | _in_texts(texts, self.ruleset)
        return Page(
            folder=folder,
            issues=tuple(text for text in texts if text.info.kind == "issue"),
            derived=tuple(text for text in texts if text.info.kind != "issue"),
            facts=facts,
            parameters=tuple(self._parameters[name] for name in sorted(used)),
            value_sets=tuple(self._value_sets[name] for name in sorted(concepts) if name in self._value_sets),
            drugs=tuple(drugs_text(*named, self._value_sets) for named in sorted(self._drugs(names, facts).items())),
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
            mark=MARKS.get(info.evidence, info.evidence),
            severities=tuple(dict.fromkeys(case.severity for case in rule.cases)) if isinstance(rule, Issue) else (),
            cases=tuple(_without(case, cases) for case in cases),
            common=_shared(cases),
            unless=tuple(self.words.tree(unless)) if unless is not None else (),
            chain=tuple(longest) if len(longest) > 1 else (),
            below=len(below) - 1,
            fires=tuple(self._fires.get(name, ())),
            silent=tuple(self._silent.get(name, ())),
            points=tuple(p for p in self._files.points if name in p.rules or info.id in p.rules),
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

    def longest_chain(self) -> list[str]:
        """The longest chain of rules that read each other."""
        return chain(self.rules)

    def references(self) -> list[tuple[str, str, str]]:
        """Every reference that a rule cites: key, citation, address."""
        cited = {source.ref: source for info in self.ruleset.info.values() for source in info.sources}
        return [(key, cited[key].citation, cited[key].url) for key in self._files.references if key in cited]


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


def _environment(where: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=PackageLoader("engine.outputs", "templates/rule_book"), autoescape=False,  # noqa: S701 - Markdown
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip

    def links(names: Iterable[str], page: str) -> str:
        return ", ".join(link(name, where, page) for name in names)

    def path(names: Iterable[str], page: str) -> str:
        return " → ".join(link(name, where, page) for name in names)

    environment.filters |= {
        "anchor": anchor, "cell": cell, "links": links, "named": named, "outline": outline, "path": path,
    }  # fmt: skip
    return environment


def cell(text: object) -> str:
    """A text inside a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def outline(lines: Iterable[tuple[int, str]], indent: int = 0) -> str:
    """A condition as nested list items."""
    return "\n".join(f"{' ' * indent}{'  ' * depth}- {_literal(text)}" for depth, text in lines)


def named(names: Iterable[str], most: int = SHOWN) -> str:
    """Names in a line, cut when they are many."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(f"`{name}`" for name in known[:most]) + more


def _literal(text: str) -> str:
    return f"`{text}`" if ":" in text else text


def link(name: str, where: Mapping[str, str], page: str) -> str:
    """A rule as a link to its place in the book, anything else as it is."""
    if name not in where:
        return f"`{name}`"
    return f"[`{name}`]({'' if where[name] == page else where[name] + '.md'}#{anchor(name)})"


def anchor(name: str) -> str:
    """The anchor that Markdown renderers give to a heading of that name."""
    return "".join(char for char in name.lower() if char.isalnum() or char in "-_")
