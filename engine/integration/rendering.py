"""A version of a finding as what is told of it: a DetectedIssue, or what stands in for one where that is refused.

Withdrawn: R4 `cancelled`, which readers leave out, and not `final`, which reads as confirmed by a person; R5
`mitigated`; where the evidence was an error `entered-in-error` in both. The reason stands in `mitigation` and in the
text. A DetectedIssue holds its GuidanceResponse: it is written in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.model.finding import Evaluation, Finding
from engine.outputs.detected_issue import AUTHOR, Resource, Version, detected_issue, device, guidance_response
from engine.outputs.markdown import escaped, plain
from engine.outputs.settings import uri
from engine.rules.info import RuleInfo
from engine.store.findings import Change

GUIDANCE = "guidance"
_RESOLVED: Mapping[Version, str] = {"R4": "cancelled", "R5": "mitigated"}
_COMMUNICATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/communication-category"
_FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"


class Told(msgspec.Struct, frozen=True):
    """The content of a version: an evaluation with this finding alone, and without facts. `gone`: references of the
    finding to resources that are no more."""

    evaluation: Evaluation
    gone: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        return self.evaluation.findings[0]


class Rules(msgspec.Struct, frozen=True):
    """What is said of rules: their texts, the types of resources that facts need, and the base of addresses."""

    info: Mapping[str, RuleInfo]
    types: Mapping[str, str]
    base: str


_told = msgspec.json.Decoder(Told)


def packed(finding: Finding, evaluation: Evaluation, gone: tuple[str, ...] = ()) -> bytes:
    """The content of a version."""
    alone = msgspec.structs.replace(
        evaluation, findings=(finding,), held_back=(), facts={}, conclusions={}, orders={}, problems=(), notes=()
    )
    return msgspec.json.encode(Told(alone, gone))


def unpacked(content: bytes) -> Told:
    """What `packed` made."""
    return _told.decode(content)


def issue_of(change: Change, rules: Rules, version: Version) -> Resource:
    """The DetectedIssue; its id is the identifier."""
    told = unpacked(change.content)
    finding, info = told.finding, _with_rule(told.finding, change, rules.info)
    guidance = guidance_response(finding, told.evaluation, info, base=rules.base, version=version, types=rules.types)
    guidance |= {"id": GUIDANCE}
    del guidance["contained"]  # what is contained contains nothing: the author stands beside it
    if change.status == "entered-in-error":
        guidance["status"] = change.status
    issue = detected_issue(
        finding,
        told.evaluation,
        info,
        base=rules.base,
        version=version,
        guidance=f"#{GUIDANCE}",
        mitigation=() if change.stands else [_mitigation(change)],
        status=_RESOLVED[version] if change.status == "resolved" else change.status,
        unlinked=told.gone,
    )
    issue["contained"].append(guidance)
    if not change.stands:
        reason = f"Withdrawn: {plain(change.reason) if version == 'R4' else escaped(change.reason)}"
        issue["detail"] = f"{reason}\n\n{issue['detail']}"
    return issue


def communication_of(change: Change, rules: Rules, version: Version) -> Resource:
    """A message with the same text, for servers that take no DetectedIssue."""
    issue = issue_of(change, rules, version)
    text = issue["detail"]
    message: Resource = {
        **_head(issue, "Communication", version),
        "status": "entered-in-error" if change.status == "entered-in-error" else "completed",
        "category": [{"coding": [{"system": _COMMUNICATION_CATEGORY, "code": "alert"}]}],
        "priority": "urgent" if change.severity == "high" and change.stands else "routine",
        "subject": _subject(issue),
        "topic": issue["code"],
        "sent": instant(change.at),
        "sender": {"reference": f"#{AUTHOR}"},
        "payload": [{"contentString": text} if version == "R4" else {"contentCodeableConcept": {"text": text}}],
    }
    if "implicated" in issue:
        message["about"] = issue["implicated"]
    return message


def flag_of(change: Change, rules: Rules, version: Version) -> Resource:
    """A flag at the patient with the summary, for servers that take no DetectedIssue."""
    issue = issue_of(change, rules, version)
    period = {"start": instant(change.first_at)}
    code = issue["code"]
    if not change.stands:
        period["end"] = instant(change.at)
        code = {**code, "text": f"{code['text']} Withdrawn: {plain(change.reason)}"}
    status = {"preliminary": "active", "resolved": "inactive"}.get(change.status, change.status)
    return {
        **_head(issue, "Flag", version),
        "status": status,
        "category": [{"coding": [{"system": _FLAG_CATEGORY, "code": "clinical"}]}],
        "code": code,
        "subject": _subject(issue),
        "period": period,
        "author": {"reference": f"#{AUTHOR}"},
    }


def identifier_of(change: Change, rules: Rules) -> tuple[str, str]:
    """(system, value) of what is told."""
    return uri(rules.base, "detected-issue"), change.identifier


def instant(at: int) -> str:
    """Milliseconds as FHIR writes an instant."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _head(issue: Resource, kind: str, version: Version) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": issue["id"],
        "meta": issue["meta"],
        "contained": [device(version)],
        "identifier": issue["identifier"],
    }


def _subject(issue: Resource) -> Any:
    return issue.get("patient") or issue.get("subject")


def _mitigation(change: Change) -> Resource:
    return {"action": {"text": f"Withdrawn: {plain(change.reason)}"}, "date": instant(change.at)}


def _with_rule(finding: Finding, change: Change, info: Mapping[str, RuleInfo]) -> Mapping[str, RuleInfo]:
    """The texts of rules, with that of the finding as of its version, even if the ruleset no longer has it."""
    known = info.get(finding.issue)
    if known is None:
        known = RuleInfo(
            id=finding.rule, ruleset=change.ruleset, kind="issue", version=finding.version, status="withdrawn",
            title=finding.issue, purpose="", use="", misuse="", evidence="", hash=finding.hash,
        )  # fmt: skip
    elif known.version != finding.version:
        known = msgspec.structs.replace(known, version=finding.version)
    return {**info, finding.issue: known} if info.get(finding.issue) is not known else info
