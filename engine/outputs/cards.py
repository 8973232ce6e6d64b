"""CDS Hooks 2.0.1 cards of an evaluation, as plain dictionaries.

High severity first, at most five; findings of display `information` are merged into one card, `batch-only` is never a
card (clinical specification, "Where each ruleset runs"). Empty lists are left out, as the standard demands.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from engine.model.finding import Evaluation, Finding
from engine.outputs.detail import detail_markdown
from engine.outputs.detected_issue import stable_uuid
from engine.outputs.markdown import bullets, escaped, heading, plain
from engine.outputs.settings import uri
from engine.outputs.suggestions import issue_suggestion, suggestions
from engine.outputs.wording import titles
from engine.rules.info import RuleInfo
from engine.texts import LIMIT, shorten

Card = dict[str, Any]

MOST = 5
EXPLAINED = "Why: this evaluation in full"
ANSWER = "Answer what is missing"
INDICATOR = {"interruptive": "critical", "warning": "warning", "information": "info"}
OVERRIDE_REASONS = (
    ("already-considered", "Already considered"),
    ("will-monitor", "Benefit outweighs the risk, will monitor"),
    ("planned", "Will be done or is already planned"),
    ("patient-declined", "Patient declined"),
    ("not-applicable", "Does not apply to this patient"),
    ("data-wrong", "The data behind it are wrong or out of date"),
)


def cards_response(
    evaluation: Evaluation,
    info: Mapping[str, RuleInfo],
    *,
    base: str,
    pages: str = "",
    instance: str = "",
    drafts: Collection[str] = (),
    explained_at: str = "",
    launch_at: str = "",
    askable: Collection[str] = (),
    issues: bool = False,
    mitigations: Mapping[str, Sequence[Card]] | None = None,
) -> Card:
    """The CDS Hooks response `{"cards": [...]}` of one evaluation.

    `pages` is the address of the service's pages ("" = no links), `instance` the call that is answered: cards of two
    calls have different uuids, so that feedback can tell them apart. Only an order among `drafts` (references) may be
    offered for removal. What is beyond the five cards is named in the last. `explained_at` is the page of this
    evaluation; `launch_at` that of the app which asks for missing facts (`askable`: those that it can ask for), linked
    where a card waits for one, with the name of this evaluation and the issue as JSON in `appContext`. `issues`: each
    finding is also offered as a DetectedIssue to create (HL7 PDDI-CDS), with what was
    done about it (`mitigations`, by identifier).
    """
    maker = _Maker(
        evaluation=evaluation, info=info, base=base, pages=pages.rstrip("/"), instance=instance, drafts=drafts,
        explained_at=explained_at, launch_at=launch_at, askable=askable, issues=issues, mitigations=mitigations or {},
    )  # fmt: skip
    groups, beyond = grouped(evaluation)
    cards = [maker.card(findings) for findings in groups]
    if beyond:
        names = bullets(escaped(f"{f.severity}: {f.summary}") for f in beyond)
        cards[-1]["detail"] += f"\n\n{heading(f'{len(beyond)} further findings have no card of their own')}\n\n{names}"
    return {"cards": cards}


def grouped(evaluation: Evaluation) -> tuple[list[list[Finding]], list[Finding]]:
    """The findings of each card, in order; and those that have no card of their own."""
    shown = sorted((f for f in evaluation.findings if f.display in INDICATOR), key=lambda one: one.rank)
    single = [f for f in shown if f.display != "information"]
    notes = [f for f in shown if f.display == "information"]
    room = MOST - bool(notes)
    return [[finding] for finding in single[:room]] + ([notes] if notes else []), single[room:]


def card_uuid(findings: Sequence[Finding], instance: str) -> str:
    """The uuid of the card of some findings in one call."""
    names = " ".join(f"{f.identifier} {f.evidence_hash}" for f in findings)
    return stable_uuid(f"card {names} {instance}")


def override_reasons(base: str) -> list[dict[str, str]]:
    """Why a user may dismiss a card; codes of our own system, each with its display as 2.0.1 requires."""
    system = uri(base, "override-reason")
    return [{"code": code, "system": system, "display": text} for code, text in OVERRIDE_REASONS]


class _Maker(msgspec.Struct, frozen=True, kw_only=True):
    """Cards of one evaluation for one call."""

    evaluation: Evaluation
    info: Mapping[str, RuleInfo]
    base: str
    pages: str
    instance: str
    drafts: Collection[str]
    explained_at: str
    launch_at: str
    askable: Collection[str]
    issues: bool
    mitigations: Mapping[str, Sequence[Card]]

    def card(self, findings: Sequence[Finding]) -> Card:
        """One finding, or several of display `information` together."""
        rules = [self.info[f.issue] for f in findings]
        result: Card = {
            "uuid": card_uuid(findings, self.instance),
            "summary": shorten(_summary(findings, self.info), LIMIT),
            "detail": self._detail(findings),
            "indicator": INDICATOR[findings[0].display],
            "source": self._source(rules),
            "overrideReasons": override_reasons(self.base),
        }
        offered: dict[str, Card] = {}
        for finding, rule in zip(findings, rules, strict=True):
            removable = finding.order in self.drafts
            for offer in suggestions(finding, self.evaluation, rule, instance=self.instance, removable=removable):
                offered.setdefault(offer["label"], offer)
        if self.issues:
            for finding in findings:
                offer = issue_suggestion(
                    finding, self.evaluation, self.info, base=self.base, instance=self.instance,
                    mitigation=self.mitigations.get(finding.identifier, ()),
                )  # fmt: skip
                offered.setdefault(offer["uuid"], offer)
        if offered:
            result |= {"suggestions": list(offered.values()), "selectionBehavior": "any"}
        links = [{"label": EXPLAINED, "url": self.explained_at, "type": "absolute"}] if self.explained_at else []
        links += self._launches(findings)
        if self.pages:
            links += [
                {"label": plain(rule.title), "url": self._page(rule), "type": "absolute"}
                for rule in {rule.id: rule for rule in rules}.values()
            ]
        return result | ({"links": links} if links else {})

    def _launches(self, findings: Sequence[Finding]) -> list[Card]:
        """The link to the form, if one of the findings waits for a fact that a form can ask for."""
        waiting = [f.issue for f in findings if any(missing.fact in self.askable for missing in f.missing)]
        if not self.launch_at or not waiting:
            return []
        name = self._evaluation()
        context = ({"evaluation": name} if name else {}) | {"issue": waiting[0]}
        return [{"label": ANSWER, "url": self.launch_at, "type": "smart", "appContext": json.dumps(context)}]

    def _detail(self, findings: Sequence[Finding]) -> str:
        """Because, not known, consider, rule of each finding; every text that came from the record is escaped."""
        title = titles(self.info)
        parts = []
        for finding in findings:
            if len(findings) > 1:
                parts.append(heading(escaped(_summary([finding], self.info))))
            parts.append(detail_markdown(finding, self.info[finding.issue], title))
        if problems := len(self.evaluation.problems):
            entries = "1 entry" if problems == 1 else f"{problems} entries"
            parts.append(f"{entries} of the data supplied could not be used, or not in full.")
        parts.append(f"As of {self.evaluation.as_of}.")
        return "\n\n".join(parts)

    def _source(self, rules: Sequence[RuleInfo]) -> Card:
        """Label and page; CDS Hooks wants an absolute URL, so there is none without pages."""
        label = f"Endplate: {plain(rules[0].title)}" if len(rules) == 1 else f"Endplate: {len(rules)} rules"
        topic = {"system": uri(self.base, "nm-issue"), "code": rules[0].id, "display": plain(rules[0].title)}
        source: Card = {"label": label, "topic": topic}
        if self.pages:
            source["url"] = self._page(rules[0])
        return source

    def _page(self, rule: RuleInfo) -> str:
        """The page of a rule, with this evaluation if that is kept."""
        name = self._evaluation()
        return f"{self.pages}/rules/{rule.id}" + (f"?evaluation={name}" if name else "")

    def _evaluation(self) -> str:
        """The name under which this evaluation is kept; "" if it is not."""
        return self.explained_at.rpartition("/")[2]


def _summary(findings: Sequence[Finding], info: Mapping[str, RuleInfo]) -> str:
    said = [plain(finding.summary) or plain(info[finding.issue].title) for finding in findings]
    return said[0] if len(said) == 1 else f"{len(said)} notes: " + "; ".join(text.rstrip(".") for text in said)
