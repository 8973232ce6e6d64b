"""What a card offers to do: orders that an EHR can take over as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.model.finding import Evaluation, Finding
from engine.outputs.detected_issue import detected_issue, stable_uuid
from engine.outputs.markdown import plain
from engine.outputs.references import reference
from engine.rules.info import RuleInfo, Suggestion

_PROVISIONAL = re.compile(r"[A-Za-z]+/(new-|_)\d+")  # named by us: no EHR knows it


def suggestions(
    finding: Finding, evaluation: Evaluation, rule: RuleInfo, *, instance: str = "", removable: bool = False
) -> list[dict[str, Any]]:
    """One suggestion for each order that the case of the finding names.

    Removing the order at hand is offered only if it is a draft (`removable`): an EHR deletes what an action names.
    """
    return [
        _suggestion(offer, finding, evaluation, instance)
        for offer in rule.suggestions
        if offer.name in finding.suggest and (removable or not offer.replaces)
    ]


def _suggestion(offer: Suggestion, finding: Finding, evaluation: Evaluation, instance: str) -> dict[str, Any]:
    if offer.replaces:
        action: dict[str, Any] = {"type": "delete", "description": offer.title, "resourceId": finding.order}
    else:
        action = {"type": "create", "description": offer.title, "resource": order(offer, finding, evaluation)}
    name = f"suggestion {finding.identifier} {finding.evidence_hash} {offer.name} {instance}"
    return {"label": offer.title, "uuid": stable_uuid(name), "actions": [action]}


def order(offer: Suggestion, finding: Finding, evaluation: Evaluation) -> dict[str, Any]:
    """A proposed ServiceRequest or MedicationRequest, R4; `status` draft: the clinician decides."""
    code: dict[str, Any] = {"text": offer.title}
    if offer.code:
        coding = {"system": offer.system, "code": offer.code}
        code["coding"] = [coding | ({"display": offer.display} if offer.display else {})]
    element = "code" if offer.resource == "ServiceRequest" else "medicationCodeableConcept"
    return {
        "resourceType": offer.resource,
        "status": "draft",
        "intent": "proposal",
        element: code,
        "subject": reference(evaluation.patient),
        "note": [{"text": f"Proposed by Endplate rule {finding.issue} {finding.version}"}],
    }


def issue_suggestion(
    finding: Finding,
    evaluation: Evaluation,
    info: Mapping[str, RuleInfo],
    *,
    base: str,
    instance: str = "",
    mitigation: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The finding itself as a DetectedIssue that the EHR may create (HL7 PDDI-CDS: an action of type create).

    The EHR gives the id. What the EHR cannot resolve, a draft without an id of its own, is not referred to.
    """
    issue = detected_issue(finding, evaluation, info, base=base, mitigation=mitigation)
    del issue["id"]
    known = [one for one in issue.pop("implicated", ()) if not _PROVISIONAL.fullmatch(str(one.get("reference", "")))]
    seen = [one for part in issue.pop("evidence", ()) for one in part["detail"]]
    seen = [one for one in seen if not _PROVISIONAL.fullmatch(str(one.get("reference", "")))]
    issue |= {"implicated": known} if known else {}
    issue |= {"evidence": [{"detail": seen}]} if seen else {}
    title = f"Record as a detected issue: {plain(info[finding.issue].title)}"
    name = f"issue {finding.identifier} {finding.evidence_hash} {instance}"
    action = {"type": "create", "description": title, "resource": issue}
    return {"label": title, "uuid": stable_uuid(name), "actions": [action]}
