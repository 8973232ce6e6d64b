"""Alert memory: for how long what a user has acknowledged is not shown again (clinical specification 1.9).

It works on what is shown, and changes no finding. Evidence that is new or has changed, and a higher severity, bring a
card back. Where the specification is silent (drugs that are already taken) the period of monitoring holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.fhir.references import ID
from engine.model.finding import SEVERITIES, Finding
from engine.outputs.cards import OVERRIDE_REASONS
from engine.outputs.markdown import plain
from engine.outputs.settings import uri
from engine.store import Acknowledged

HOUR = 3_600
DAY = 24 * HOUR
CRITICAL = 4 * HOUR
SPECIALIST = 90 * DAY
DIAGNOSTIC = 365 * DAY
MONITORING = 30 * DAY
_UNNAMED = re.compile(r"[A-Za-z]+/new-\d+")  # a draft without an id: not to be told from a new one
_CODE = re.compile(r"[!-~]{1,100}")
_SYSTEM = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]{1,200}")
_REFERENCE = re.compile(f"(Practitioner|PractitionerRole)/{ID}")


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Who is looking, where, at which drafts, and when (seconds since 1970)."""

    user: str
    encounter: str
    drafts: Collection[str]
    specialists: Collection[str]
    now: int


def silent(finding: Finding, acknowledged: Iterable[Acknowledged], situation: Situation) -> bool:
    """Whether a card of this finding is kept back."""
    return any(
        one.evidence == finding.evidence_hash
        and SEVERITIES.index(finding.severity) >= SEVERITIES.index(one.severity)
        and situation.now - one.at < _period(finding, one, situation)
        for one in acknowledged
        if one.finding == finding.identifier
    )


def _period(finding: Finding, one: Acknowledged, situation: Situation) -> int:
    drafts = {name for name in (finding.order, *finding.references) if name in situation.drafts}
    loud = finding.severity == "high" or finding.display == "interruptive"
    if drafts and finding.group == "drug-safety" and (loud or any(map(_UNNAMED.fullmatch, drafts))):
        return 0
    if finding.display == "interruptive" or finding.group == "crisis":
        known = bool(one.user and one.encounter)
        same = (one.user, one.encounter) == (situation.user, situation.encounter)
        return CRITICAL if known and same else 0
    if finding.group != "diagnostic":
        return MONITORING
    if finding.severity == "high":
        return SPECIALIST if one.user in situation.specialists else 0
    return DIAGNOSTIC


def mitigations(acknowledged: Sequence[Acknowledged], base: str) -> list[dict[str, Any]]:
    """What was done about one finding, as `DetectedIssue.mitigation` (R4), the oldest first."""
    return [_mitigation(one, base) for one in reversed(acknowledged)]


def _mitigation(one: Acknowledged, base: str) -> dict[str, Any]:
    ours = dict(OVERRIDE_REASONS)
    code, text = (one.outcome, f"Card {one.outcome}") if one.code not in ours else (one.code, ours[one.code])
    system = uri(base, "card-outcome" if one.code not in ours else "override-reason")
    said = f"{text}: {plain(one.comment)}" if plain(one.comment) else text
    coding = [{"system": system, "code": code, "display": text}]
    if one.code not in ours and _CODE.fullmatch(one.code) and _SYSTEM.fullmatch(one.system):
        coding.append({"system": one.system, "code": one.code})  # a reason of the client's own code system
    action = {"coding": coding, "text": said}
    mitigation: dict[str, Any] = {"action": action, "date": _instant(one)}
    if _REFERENCE.fullmatch(one.user):
        mitigation["author"] = {"reference": one.user}
    return mitigation


def _instant(one: Acknowledged) -> str:
    """When it was done: as the client says, else when it came."""
    came = datetime.fromtimestamp(one.at, UTC)
    try:
        said = datetime.fromisoformat(one.stamped)
    except ValueError:
        said = came
    when = said if said.tzinfo is not None and said.year >= 1900 else came
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
