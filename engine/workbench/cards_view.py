"""The findings of a case as an EHR would show them: which become a card of its hook and in which order, which are for
lists alone, what holds others back, what is not decided and what would decide it, and which data could not be used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from engine.evaluation import Explaining
from engine.explanation.tree import Node
from engine.explanation.verdict import Explanation
from engine.fhir.problems import CODES
from engine.model.finding import SEVERITIES, Evaluation, Finding, Missing
from engine.model.problem import Problem
from engine.outputs.cards import cards_response, grouped
from engine.reasoning import CLOSED_WORLD, QUALITY
from engine.rules.info import RuleInfo
from engine.rules.program import Issue
from engine.views import View, seen, shows

PROVED = 6
"""For so many undecided issues it is worked out what each answer changes; for the others it is listed what is asked."""

EXPLAINED = 25
"""So many findings are proved; nobody reads more of them, and each costs its time."""

_WHY_NOT = {
    "batch-only": "kept for lists of patients: its rule shows no card",
    QUALITY: "kept for lists of patients: it speaks of the data",
    CLOSED_WORLD: "kept for lists of patients: it says that something is missing in the record",
    "elsewhere": "no card of this hook: it does not rest on what is being ordered",
}
_TO_DO = {
    "unrecognised-code": "add the code to the value sets of the site, or send a code that they have",
    "drug-by-name": "check that this is the drug, and send its code",
    "no-status": "send the status of the entry",
    "unknown-status": "send a status of FHIR",
    "unreadable-date": "send the date as FHIR writes it",
    "future-date": "check the date, or evaluate at a later one",
    "unreadable-number": "send the number alone, and its unit beside it",
    "unreadable-site": "send one code of one place",
    "duplicate": "send the resource once, or say by `meta.lastUpdated` which is newer",
    "further-pages": "send all pages of the answer",
    "failed-query": "ask again: the data are not complete",
    "patient-missing": "send the Patient with the data: age and sex are not known",
    "dangling-reference": "send the resource that is referred to",
    "unknown-form": "answer the form in the version that is served now",
    "unfinished-form": "complete the form",
}
_OTHERWISE = "correct the entry where it was written"


class CardHead(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the EHR gets it. `offers`: what it suggests to order or to remove."""

    number: int
    indicator: str
    summary: str
    source: str
    offers: tuple[str, ...]
    merged: bool


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `card`: the number of its card, 0 for none; `fate`: what becomes of it, in words; `tree`: its proof,
    () if it is one of too many."""

    finding: Finding
    rule: RuleInfo
    card: int
    fate: str
    orders: tuple[str, ...]
    tree: tuple[Node, ...]


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that does not stand, because `unless` or a gate holds."""

    finding: Finding
    rule: RuleInfo
    tree: tuple[Node, ...]


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """An issue that would be found if something were known. `severity`: the gravest that is not ruled out."""

    rule: RuleInfo
    severity: str
    order: str
    missing: tuple[Missing, ...]
    tree: tuple[Node, ...] = ()


class Unusable(msgspec.Struct, frozen=True):
    """Problems of the data of one kind: what they are, what to do, and where."""

    code: str
    meaning: str
    to_do: str
    problems: tuple[Problem, ...]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of the findings of a case."""

    hook: str
    cards: tuple[CardHead, ...]
    shown: tuple[Shown, ...]  # the findings with a card in the order of the cards, then the others
    held: tuple[HeldBack, ...]
    undecided: tuple[Undecided, ...]
    unusable: tuple[Unusable, ...]


def findings_of(
    reasoning: Explaining, evaluation: Evaluation, *, hook: str = "", view: View = "patient-view", base: str,
    drafts: Collection[str] = (),
) -> Findings:  # fmt: skip
    """The findings of an evaluation, for a hook ("" = documents, shown as when the chart is opened).

    `drafts`: references of what the user of an order hook is about to write.
    """
    info = reasoning.e.ruleset.info
    of_hook = seen(evaluation, view, drafts)
    groups, beyond = grouped(of_hook)
    heads = tuple(_heads(of_hook, info, groups, base, drafts))
    number = {_key(f): count for count, group in enumerate(groups, 1) for f in group}
    without = {_key(f) for f in beyond}

    def fate(found: Finding) -> str:
        if card := number.get(_key(found)):
            return f"card {card} of {len(heads)}" + (", with other notes" if len(groups[card - 1]) > 1 else "")
        if _key(found) in without:
            return f"no card of its own: named at the end of card {len(heads)}"
        return _why_not(found, view, drafts)

    ranked = sorted(evaluation.findings, key=lambda f: number.get(_key(f), len(heads) + 1))
    return Findings(
        hook=hook or "patient-view",
        cards=heads,
        shown=tuple(
            Shown(
                finding=one, rule=info[one.issue], card=number.get(_key(one), 0), fate=fate(one),
                orders=tuple(_orders(one, info[one.issue], drafts)),
                tree=_tree(reasoning, one) if place < EXPLAINED else (),
            )
            for place, one in enumerate(ranked)
        ),
        held=tuple(
            HeldBack(finding=one, rule=info[one.issue], tree=_tree(reasoning, one)) for one in evaluation.held_back
        ),
        undecided=tuple(undecided(reasoning, evaluation)),
        unusable=tuple(unusable(evaluation.problems)),
    )  # fmt: skip


def undecided(reasoning: Explaining, evaluation: Evaluation) -> Iterator[Undecided]:
    """Issues that could be found if something were known: the gravest first, then those that ask for the least."""
    info, rules = reasoning.e.ruleset.info, reasoning.e.rules
    said = {f.issue for f in (*evaluation.findings, *evaluation.held_back)}
    found: dict[str, tuple[str, Explanation]] = {}
    for name, order in reasoning.undecided():
        rule = rules[name]
        if name in said or name in found or not isinstance(rule, Issue) or rule.group in (QUALITY, CLOSED_WORLD):
            continue
        for one in reasoning.explanations(name, "listed", order):
            if one.verdict == "undetermined" and _about(one, reasoning):
                severities = [rule.cases[index].severity for index in reasoning.open_cases(name, order)]
                found[name] = min(severities, key=SEVERITIES.index), one
    ranked = sorted(found.values(), key=lambda of: (SEVERITIES.index(of[0]), len(of[1].missing), of[1].rule))
    for number, (severity, one) in enumerate(ranked):
        if number >= PROVED:
            yield Undecided(rule=info[one.rule], severity=severity, order=one.order, missing=one.missing)
            continue
        best = next(reasoning.explanations(one.rule, "proved", one.order))
        missing = best.missing or one.missing
        yield Undecided(rule=info[one.rule], severity=severity, order=one.order, missing=missing, tree=best.tree)


def unusable(problems: Sequence[Problem]) -> Iterator[Unusable]:
    """The problems of the data by kind, in the order in which they were met."""
    by_code: dict[str, list[Problem]] = {}
    for one in problems:
        by_code.setdefault(one.code, []).append(one)
    for code, found in by_code.items():
        yield Unusable(code, CODES.get(code, code.replace("-", " ")), _TO_DO.get(code, _OTHERWISE), tuple(found))


def _about(one: Explanation, reasoning: Explaining) -> bool:
    """Whether somebody can be asked: for the patient, or for what the order at hand leaves open (not for what only
    another drug would have)."""
    ingredient = one.order.partition(" ")[2]
    known = reasoning.e.ruleset.fact_info
    return any(not known[m.fact].order or ingredient in known[m.fact].drugs for m in one.missing)


def _heads(
    evaluation: Evaluation, info: Mapping[str, RuleInfo], groups: Sequence[Sequence[Finding]], base: str,
    drafts: Collection[str],
) -> Iterator[CardHead]:  # fmt: skip
    cards = cards_response(evaluation, info, base=base, drafts=drafts)["cards"]
    for number, (card, group) in enumerate(zip(cards, groups, strict=True), 1):
        yield CardHead(
            number=number, indicator=card["indicator"], summary=card["summary"], source=card["source"]["label"],
            offers=tuple(one["label"] for one in card.get("suggestions", ())), merged=len(group) > 1,
        )  # fmt: skip


def _why_not(found: Finding, view: View, drafts: Collection[str]) -> str:
    """Why a finding is no card of a hook."""
    if found.group in (QUALITY, CLOSED_WORLD):
        return _WHY_NOT[found.group]
    return _WHY_NOT["elsewhere" if view == "order" and not shows(found, view, drafts) else "batch-only"]


def _orders(found: Finding, rule: RuleInfo, drafts: Collection[str]) -> Iterator[str]:
    """What the case suggests; that an order be removed only while it is a draft."""
    for offer in rule.suggestions:
        if offer.name in found.suggest and (found.order in drafts or not offer.replaces):
            yield offer.title


def _tree(reasoning: Explaining, found: Finding) -> tuple[Node, ...]:
    """Why a finding stands (or its case holds), down to the resources; of its own order."""
    order = f"{found.order} {found.ingredient}".strip()
    return next((one.tree for one in reasoning.explanations(found.issue, "none", order)), ())


def _key(found: Finding) -> tuple[str, str]:
    return found.issue, found.order
