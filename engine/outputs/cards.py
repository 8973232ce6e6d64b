"""CDS Hooks 2.0.1 cards of an evaluation (standards: Response), as plain dictionaries.

High severity first, at most five; findings of display `information` are merged into one card, `batch-only` is never a
card (clinical specification, "Where each ruleset runs"). Empty lists are left out, as the standard demands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.model.finding import SEVERITIES, Evaluation, Finding
from engine.outputs.detected_issue import stable_uuid
from engine.outputs.markdown import bullets, escaped, heading
from engine.outputs.suggestions import suggestions
from engine.outputs.wording import DISCLAIMER, because_line, missing_line
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
    evaluation: Evaluation, info: Mapping[str, RuleInfo], *, base: str, pages: str = "", instance: str = ""
) -> Card:
    """The CDS Hooks response `{"cards": [...]}` of one evaluation.

    `pages` is the address of the service's pages ("" = no links), `instance` the call that is answered: cards of two
    calls have different uuids, so that feedback can tell them apart.
    """
    shown = sorted(
        (f for f in evaluation.findings if f.display != "batch-only"),
        key=lambda f: (SEVERITIES.index(f.severity), f.display != "interruptive"),
    )
    single = [f for f in shown if f.display != "information"]
    merged = [f for f in shown if f.display == "information"]
    room = MOST - bool(merged)
    cards = [card(finding, evaluation, info, base=base, pages=pages, instance=instance) for finding in single[:room]]
    if merged:
        cards.append(_merged(merged, evaluation, info, base=base, pages=pages, instance=instance))
    return {"cards": cards}


def card(
    finding: Finding, evaluation: Evaluation, info: Mapping[str, RuleInfo], *, base: str, pages: str, instance: str
) -> Card:
    """One finding as one card."""
    rule = info[finding.issue]
    result: Card = {
        "uuid": stable_uuid(f"card {finding.identifier} {finding.evidence_hash} {instance}"),
        "summary": shorten(finding.summary, LIMIT),
        "detail": detail(finding, evaluation, rule),
        "indicator": INDICATOR[finding.display],
        "source": _source([rule], base, pages),
        "overrideReasons": override_reasons(base),
    }
    offered = suggestions(finding, evaluation, rule, base=base)
    if offered:
        result |= {"suggestions": offered, "selectionBehavior": "any"}
    if pages:
        result["links"] = [{"label": "Why, and what is missing", "url": f"{pages}/rules/{rule.id}", "type": "absolute"}]
    return result


def detail(finding: Finding, evaluation: Evaluation, rule: RuleInfo) -> str:
    """Card detail: because, not known, consider, rule; every text that came from the record is escaped."""
    parts = []
    if finding.because:
        parts += [heading("Because"), bullets([escaped(because_line(because)) for because in finding.because])]
    if finding.missing:
        parts += [heading("Not known"), bullets([escaped(missing_line(missing)) for missing in finding.missing])]
    if finding.advice:
        parts += [heading("Consider"), bullets([escaped(advice) for advice in finding.advice])]
    if evaluation.problems:
        parts.append(f"{len(evaluation.problems)} entries of the data supplied could not be used.")
    parts.append(f"Rule `{rule.id}` {escaped(rule.version)} ({escaped(rule.status)}), {evaluation.as_of}. {DISCLAIMER}")
    return "\n\n".join(parts)


def override_reasons(base: str) -> list[dict[str, str]]:
    """Why a user may dismiss a card; codes of our own system, each with its display as 2.0.1 requires."""
    return [{"code": code, "system": f"{base}/override-reason", "display": text} for code, text in OVERRIDE_REASONS]


def _merged(
    findings: Sequence[Finding],
    evaluation: Evaluation,
    info: Mapping[str, RuleInfo],
    *,
    base: str,
    pages: str,
    instance: str,
) -> Card:
    if len(findings) == 1:
        return card(findings[0], evaluation, info, base=base, pages=pages, instance=instance)
    text = f"{len(findings)} notes: " + "; ".join(f.summary.rstrip(".") for f in findings)
    return {
        "uuid": stable_uuid(" ".join(["cards", *(f.identifier + f.evidence_hash for f in findings), instance])),
        "summary": shorten(text, LIMIT),
        "detail": "\n\n".join(
            f"{heading(escaped(f.summary))}\n\n{detail(f, evaluation, info[f.issue])}" for f in findings
        ),
        "indicator": "info",
        "source": _source([info[f.issue] for f in findings], base, pages),
        "overrideReasons": override_reasons(base),
    }


def _source(rules: Sequence[RuleInfo], base: str, pages: str) -> Card:
    """Label and page of the rule; CDS Hooks wants an absolute URL, so there is none without pages."""
    label = f"Endplate: {rules[0].title}" if len(rules) == 1 else f"Endplate: {len(rules)} rules"
    source: Card = {
        "label": label,
        "topic": {"system": f"{base}/nm-issue", "code": rules[0].id, "display": rules[0].title},
    }
    if pages:
        source["url"] = f"{pages}/rules/{rules[0].id}"
    return source
