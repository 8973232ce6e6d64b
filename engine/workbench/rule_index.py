"""The rule book as a list that can be searched: every rule, fact and parameter with all words that are said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

import msgspec

from engine.outputs.rule_book_rules import mark
from engine.quality.wording import Wording
from engine.rules.catalogue import severities
from engine.rules.info import RuleInfo
from engine.rules.program import Issue, Rule, conditions, literals
from engine.rules.ruleset import Ruleset
from engine.rules.texts import number

FACTS, PARAMETERS = "Facts", "Parameters"
SIGNED = "accepted"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list. `path`: its address below `/rules/`; `words`: where a search looks, by what it is."""

    path: str
    title: str
    name: str
    kind: str  # issue, derived fact, the kind of a fact, or a value with its unit
    severities: tuple[str, ...] = ()
    status: str = ""
    mark: str = ""
    words: Mapping[str, str]


class Group(msgspec.Struct, frozen=True):
    """A folder of rules, or all facts or parameters."""

    title: str
    entries: tuple[Entry, ...]


class Hit(msgspec.Struct, frozen=True):
    """An entry and the kinds of words in which it was found, beside its name and title."""

    entry: Entry
    inside: tuple[str, ...] = ()


def groups_of(ruleset: Ruleset) -> tuple[Group, ...]:
    """Every folder of rules (issues before derived facts, each by title), then the facts and the parameters."""
    maker = _Maker(ruleset)
    folders: dict[str, list[tuple[tuple[bool, str, str], Entry]]] = {}
    for name, info in ruleset.info.items():
        rank = (info.kind != "issue", info.title.casefold(), name)
        folders.setdefault(info.ruleset, []).append((rank, maker.rule(name, info)))
    rules = [Group(title, tuple(entry for _, entry in sorted(found))) for title, found in sorted(folders.items())]
    return (*rules, Group(FACTS, tuple(maker.facts())), Group(PARAMETERS, tuple(maker.parameters())))


def words_of(query: str) -> tuple[str, ...]:
    """The words of a search, each once; every one of them must be found."""
    return tuple(dict.fromkeys(query.casefold().split()))


def matching(groups: Iterable[Group], query: str) -> Iterator[tuple[str, tuple[Hit, ...]]]:
    """The groups with those of their entries that hold every word of a query; all, if it has none."""
    wanted = words_of(query)
    for group in groups:
        if hits := tuple(hit for entry in group.entries if (hit := _hit(entry, wanted)) is not None):
            yield group.title, hits


def _hit(entry: Entry, wanted: tuple[str, ...]) -> Hit | None:
    inside: dict[str, None] = {}
    head = f"{entry.title} {entry.name}".casefold()
    for word in wanted:
        if word in head:
            continue
        found = [label for label, text in entry.words.items() if word in text]
        if not found:
            return None
        inside |= dict.fromkeys(found)
    return Hit(entry, tuple(inside))


class _Maker:
    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.wording = Wording(ruleset)
        self.rules: dict[str, Rule] = {r.name: r for r in (*ruleset.program.patient, *ruleset.program.order)}
        self.concepts = ruleset.facts.tables.concepts
        self.facts_by_definition: dict[str, list[str]] = {}
        for name, fact in ruleset.fact_info.items():
            self.facts_by_definition.setdefault(fact.definition, []).append(name)

    def rule(self, name: str, info: RuleInfo) -> Entry:
        rule = self.rules.get(name)
        texts = rule.cases if isinstance(rule, Issue) else ()
        names = [fact for fact in info.reads if fact in self.ruleset.fact_info]
        return Entry(
            path=quote(info.id),
            title=info.title,
            name=info.id,
            kind="issue" if info.kind == "issue" else "derived fact",
            severities=severities(rule),
            status=info.status,
            mark=mark(info.evidence),
            words=_words(
                purpose=(info.purpose, info.use, info.misuse, *info.uncomputed),
                logic=self._logic(rule) if rule is not None else (),
                texts=[line for case in texts for line in (case.summary, *case.advice)]
                + [suggestion.title for suggestion in info.suggestions],
                facts=[f"{fact} {self.ruleset.title_of(fact)}" for fact in info.reads],
                parameters=self._parameters(names),
                **{"value sets": self._codes(names)},
                sources=[f"{source.ref} {source.says} {source.citation}" for source in info.sources],
                header=(name, info.ruleset, info.group, info.category, info.status, mark(info.evidence),
                        *severities(rule)),
            ),
        )  # fmt: skip

    def facts(self) -> Iterator[Entry]:
        """One entry a definition; a family of facts is found by each of its members."""
        info = self.ruleset.fact_info
        for definition, names in sorted(self.facts_by_definition.items()):
            first = info[names[0]]
            yield Entry(
                path=f"facts/{quote(definition)}", title=first.title or definition, name=definition, kind=first.kind,
                words=_words(
                    asked=[first.ask_for], values=[value for name in names for value in info[name].values],
                    members=names, parameters=self._parameters(names[:1]), **{"value sets": self._codes(names[:1])},
                ),
            )  # fmt: skip

    def parameters(self) -> Iterator[Entry]:
        for name, parameter in sorted(self.ruleset.facts.parameters.items()):
            yield Entry(
                path=f"parameters#{quote(name)}", title=parameter.meaning or name, name=name,
                kind=f"{number(parameter.value)} {parameter.unit}".strip(),
                words=_words(sources=[parameter.source], note=[parameter.note]),
            )  # fmt: skip

    def _logic(self, rule: Rule) -> Iterator[str]:
        for condition in conditions(rule):
            yield from (self.wording.test(literal) for literal in literals(condition))

    def _parameters(self, facts: Iterable[str]) -> list[str]:
        known = self.ruleset.facts.parameters
        names = dict.fromkeys(name for fact in facts for name in self.ruleset.fact_info[fact].parameters)
        return [f"{name} {number(known[name].value)} {known[name].unit} {known[name].meaning}" for name in names]

    def _codes(self, facts: Iterable[str]) -> list[str]:
        info = self.ruleset.fact_info
        names = dict.fromkeys(name for fact in facts for name in (*info[fact].concepts, *info[fact].drugs))
        return [f"{name} {self.concepts[name].title}" if name in self.concepts else name for name in names]


def _words(**said: Iterable[str]) -> dict[str, str]:
    """What is said, by its label, on one line each and ready to be compared; what is empty is left out."""
    lines = {label: " ".join(dict.fromkeys(text for text in texts if text)).casefold() for label, texts in said.items()}
    return {label: line for label, line in lines.items() if line.strip()}
