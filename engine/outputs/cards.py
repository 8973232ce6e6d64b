"""CDS Hooks 2.0.1 cards of an evaluation, as plain dictionaries.

High severity first, at most five; findings of display `information` are merged into one card, `batch-only` is never a
card (clinical specification, "Where each ruleset runs"). Empty lists are left out, as the standard demands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from engine.model.finding import DISPLAYS, SEVERITIES, Evaluation, Finding
from engine.outputs.detail import detail_markdown
from engine.outputs.detected_issue import stable_uuid
from engine.outputs.markdown import bullets, escaped, heading, plain
from engine.outputs.settings import uri
from engine.outputs.suggestions import suggestions
from engine.outputs.wording import titles
from engine.rules.info import RuleInfo
from engine.texts import LIMIT, shorten

Card = dict[str, Any]

MOST = 5
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
) -> Card:
    """The CDS Hooks response `{"cards": [...]}` of one evaluation.

    `pages` is the address of the service's pages ("" = no links), `instance` the call that is answered: cards of two
    calls have different uuids, so that feedback can tell them apart. Only an order among `drafts` (references) may be
    offered for removal. What is beyond the five cards is named in the last.
    """
    maker = _Maker(
        evaluation=evaluation, info=info, base=base, pages=pages.rstrip("/"), instance=instance, drafts=drafts
    )
    shown = sorted((f for f in evaluation.findings if f.display in INDICATOR), key=_rank)
    single = [f for f in shown if f.display != "information"]
    notes = [f for f in shown if f.display == "information"]
    room = MOST - bool(notes)
    cards = [maker.card([finding]) for finding in single[:room]]
    if notes:
        cards.append(maker.card(notes))
    if beyond := single[room:]:
        names = bullets(escaped(f"{f.severity}: {f.summary}") for f in beyond)
        cards[-1]["detail"] += f"\n\n{heading(f'{len(beyond)} further findings have no card of their own')}\n\n{names}"
    return {"cards": cards}


def override_reasons(base: str) -> list[dict[str, str]]:
    """Why a user may dismiss a card; codes of our own system, each with its display as 2.0.1 requires."""
    system = uri(base, "override-reason")
    return [{"code": code, "system": system, "display": text} for code, text in OVERRIDE_REASONS]


def _rank(finding: Finding) -> tuple[int, int]:
    return SEVERITIES.index(finding.severity), DISPLAYS.index(finding.display)


class _Maker(msgspec.Struct, frozen=True, kw_only=True):
    """Cards of one evaluation for one call."""

    evaluation: Evaluation
    info: Mapping[str, RuleInfo]
    base: str
    pages: str
    instance: str
    drafts: Collection[str]

    def card(self, findings: Sequence[Finding]) -> Card:
        """One finding, or several of display `information` together."""
        names = " ".join(f"{f.identifier} {f.evidence_hash}" for f in findings)
        rules = [self.info[f.issue] for f in findings]
        result: Card = {
            "uuid": stable_uuid(f"card {names} {self.instance}"),
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
        if offered:
            result |= {"suggestions": list(offered.values()), "selectionBehavior": "any"}
        if self.pages:
            result["links"] = [
                {"label": plain(rule.title), "url": self._page(rule), "type": "absolute"}
                for rule in {rule.id: rule for rule in rules}.values()
            ]
        return result

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
            parts.append(f"{entries} of the data supplied could not be used.")
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
        return f"{self.pages}/rules/{rule.id}"


def _summary(findings: Sequence[Finding], info: Mapping[str, RuleInfo]) -> str:
    said = [plain(finding.summary) or plain(info[finding.issue].title) for finding in findings]
    return said[0] if len(said) == 1 else f"{len(said)} notes: " + "; ".join(text.rstrip(".") for text in said)
