"""One rule as its file says it: header, texts, cases with the paths of their conditions. Nothing is resolved yet.

A rule is a derived fact (`conclude`) or an issue (`issue`). Its conditions are read later, when all facts are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.document import Document, Path_
from engine.errors import Fault, Place, nearest
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.model.finding import DISPLAYS, SEVERITIES
from engine.rules.conditions import RESERVED
from engine.rules.header import KEYS, NAME, Header, read_header
from engine.rules.info import Source
from engine.rules.shape import Node, quoted
from engine.rules.vocabulary import Word

GROUPS = ("diagnostic", "drug-safety", "crisis", "care", "closed-world", "data-quality")
DERIVED_KEYS = ("conclude", "when", "cases", "sets")
CASE_KEYS = ("severity", "when", "adjust", "display", "summary", "advice", "suggest")
ISSUE_KEYS = ("issue", "group", "cases", "unless", "category", "list", *CASE_KEYS)


class CaseSource(msgspec.Struct, frozen=True, kw_only=True):
    """One case. `value` is the value of a derived fact or the severity of an issue; `when` the paths of the conditions
    that hold together for it. Texts are the case's own, else those of the rule."""

    value: str
    path: Path_
    when: tuple[Path_, ...]
    display: str = ""
    adjust: tuple[str, ...] = ()
    summary: str = ""
    advice: tuple[str, ...] = ()
    suggest: tuple[str, ...] = ()


class RuleSource(msgspec.Struct, frozen=True, kw_only=True):
    """One rule before its conditions are read."""

    document: Document
    path: Path_                               # of the rule in its document
    kind: Literal["derived", "issue"]
    name: str                                 # the fact or issue
    cases: tuple[CaseSource, ...]
    header: Header | None = None
    ruleset: str = ""                         # folder
    hash: str = ""
    sets: Mapping[str, tuple[str, ...]] = {}
    open: bool = False                        # a case or set of it could not be read
    group: str = ""
    category: str = ""
    unless: Path_ | None = None
    listed: tuple[Path_, ...] = ()

    @property
    def id(self) -> str:
        return self.header.id if self.header else self.name

    def place(self, *below: str | int) -> Place:
        return self.document.place((*self.path, *below))

    @property
    def word(self) -> Word:
        """The closed set of the fact that the rule concludes, and its named sets."""
        if self.kind == "issue":
            return Word((PRESENT, ABSENT, UNKNOWN))
        values = tuple(dict.fromkeys((*(case.value for case in self.cases), ABSENT, UNKNOWN)))
        return Word(values, {name: frozenset(of) for name, of in self.sets.items()}, self.open)


def read_rule(
    document: Document, faults: list[Fault], *, references: Mapping[str, Source] | None, ruleset: str, hash_: str
) -> RuleSource | None:
    """The rule of a file; None, and faults, if there is none."""
    node = Node(document, (), faults)
    if not node.is_mapping("a rule"):
        return None
    header = read_header(node, references)
    rule = read_body(node, KEYS)
    if rule is None:
        return None
    if rule.kind == "issue" and header.id not in ("", rule.name):
        node.fault(f"the issue {quoted(rule.name)} stands in the rule {quoted(header.id)}", "use one id", ("issue",))
    return msgspec.structs.replace(rule, header=header, ruleset=ruleset, hash=hash_)


def read_body(node: Node, header: tuple[str, ...] = ()) -> RuleSource | None:
    """A rule without its header, at any path of a document."""
    if not node.is_mapping("a rule"):
        return None
    if ("conclude" in node) == ("issue" in node):
        both = "issue" in node
        node.fault("a rule has one of `conclude` and `issue`" + (", not both" if both else ""))
        return None
    kind: Literal["derived", "issue"] = "issue" if "issue" in node else "derived"
    key = "issue" if kind == "issue" else "conclude"
    keys, what = (ISSUE_KEYS, "an issue") if kind == "issue" else (DERIVED_KEYS, "a derived fact")
    node.only((*keys, *header), what)
    name = node.text(key, required=True)
    if not name:
        return None
    if not NAME.fullmatch(name) or name in RESERVED:
        node.fault(f"{quoted(name)} cannot name a fact", "use small letters, digits, `-` and `.`", (key,))
        return None
    return _issue(node, name) if kind == "issue" else _derived(node, name)


# -- derived facts ----------------------------------------------------------------------------------------------------


def _derived(node: Node, name: str) -> RuleSource:
    common = ((*node.path, "when"),) if "when" in node else ()
    before = len(node.faults)
    if "cases" in node:
        cases = [case for item in node.items("cases", "cases") if (case := _derived_case(item, common))]
    else:
        cases = [CaseSource(value=PRESENT, path=node.path, when=common)] if common else []
        if not common:
            node.fault("a derived fact needs `when` or `cases`")
    rule = RuleSource(document=node.document, path=node.path, kind="derived", name=name, cases=tuple(cases))
    sets = _sets(node, rule.word)
    return msgspec.structs.replace(rule, sets=sets, open=len(node.faults) > before)


def _derived_case(node: Node, common: tuple[Path_, ...]) -> CaseSource | None:
    if not isinstance(node.value, dict) or len(node.value) != 1:
        node.fault("a case is one value and its condition", "write `- value: {fact: value}`")
        return None
    ((value, _),) = node.value.items()
    if value in RESERVED or not NAME.fullmatch(value):
        node.fault_at_key(value, f"{quoted(value)} cannot be concluded", "use small letters, digits and `-`")
        return None
    return CaseSource(value=value, path=(*node.path, value), when=(*common, (*node.path, value)))


def _sets(node: Node, word: Word) -> dict[str, tuple[str, ...]]:
    if "sets" not in node or not node.at("sets").is_mapping("`sets`"):
        return {}
    of = node.at("sets")
    sets = {}
    for name in of.value:
        members = of.texts(name)
        if name in word.values:
            of.fault_at_key(name, f"the set {quoted(name)} is named like a value", "give it another name")
        elif not NAME.fullmatch(name) or name in RESERVED:
            of.fault_at_key(name, f"{quoted(name)} cannot name a set", "use small letters, digits and `-`")
        elif not members:
            of.fault_at_key(name, f"the set {quoted(name)} is empty")
        elif missing := [member for member in members if member not in word.values or member == UNKNOWN]:
            of.fault_at_key(name, f"{quoted(missing[0])} is no value of the fact", nearest(missing[0], word.values))
        else:
            sets[name] = members
    return sets


# -- issues -----------------------------------------------------------------------------------------------------------


def _issue(node: Node, name: str) -> RuleSource:
    common = ((*node.path, "when"),) if "when" in node else ()
    ranked = "cases" in node
    top = _issue_case(node, common, severity=not ranked)
    cases: list[CaseSource] = []
    if ranked:
        if "severity" in node:
            node.fault("`severity` stands in the cases, or there are none", below=("severity",))
        cases = [case for item in node.items("cases", "cases") if (case := _own_case(item, common, top))]
    elif common:
        cases = [top]
    else:
        node.fault("an issue needs `when` or `cases`")
    return RuleSource(
        document=node.document,
        path=node.path,
        kind="issue",
        name=name,
        cases=tuple(cases),
        group=node.word("group", GROUPS) or GROUPS[0],
        category=node.text("category"),
        unless=(*node.path, "unless") if "unless" in node else None,
        listed=tuple(item.path for item in node.items("list", "conditions")),
    )


def _own_case(node: Node, common: tuple[Path_, ...], top: CaseSource) -> CaseSource | None:
    if not node.is_mapping("a case"):
        return None
    node.only(CASE_KEYS, "a case")
    if "when" not in node:
        node.fault("a case needs `when`")
        return None
    case = _issue_case(node, (*common, (*node.path, "when")), severity=True)
    return msgspec.structs.replace(
        case,
        display=case.display or top.display,
        adjust=case.adjust if "adjust" in node else top.adjust,
        summary=case.summary or top.summary,
        advice=case.advice or top.advice,
        suggest=case.suggest or top.suggest,
    )


def _issue_case(node: Node, when: tuple[Path_, ...], *, severity: bool) -> CaseSource:
    return CaseSource(
        value=node.word("severity", SEVERITIES, required=severity),
        path=node.path,
        when=when,
        display=node.word("display", DISPLAYS),
        adjust=node.texts("adjust"),
        summary=node.text("summary"),
        advice=node.texts("advice"),
        suggest=_suggest(node),
    )


def _suggest(node: Node) -> tuple[str, ...]:
    names = []
    for item in node.items("suggest", "suggestions"):
        if not isinstance(item.value, dict):
            item.fault("a suggestion is a mapping", "write `{order: name}`")
            continue
        item.only(("order",), "a suggestion")
        names.append(item.text("order", required=True))
    return tuple(name for name in names if name)
