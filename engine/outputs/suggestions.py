"""What a card offers to do: orders that an EHR can take over as they are."""

from __future__ import annotations

from typing import Any

from engine.model.finding import Evaluation, Finding
from engine.outputs.detected_issue import stable_uuid
from engine.rules.info import RuleInfo, Suggestion


def suggestions(finding: Finding, evaluation: Evaluation, rule: RuleInfo, *, base: str) -> list[dict[str, Any]]:
    """One suggestion for each order that the rule names; deleting a draft comes first where the rule asks for it."""
    return [_suggestion(offer, finding, evaluation, base) for offer in rule.suggestions if _fits(offer, finding)]


def _fits(offer: Suggestion, finding: Finding) -> bool:
    return not offer.replaces or bool(finding.order)


def _suggestion(offer: Suggestion, finding: Finding, evaluation: Evaluation, base: str) -> dict[str, Any]:
    if offer.replaces:
        action: dict[str, Any] = {"type": "delete", "description": offer.title, "resourceId": finding.order}
    else:
        action = {"type": "create", "description": offer.title, "resource": order(offer, finding, evaluation, base)}
    return {
        "label": offer.title,
        "uuid": stable_uuid(f"suggestion {finding.identifier} {finding.evidence_hash} {offer.name}"),
        "actions": [action],
    }


def order(offer: Suggestion, finding: Finding, evaluation: Evaluation, base: str) -> dict[str, Any]:
    """A proposed ServiceRequest or MedicationRequest, R4; `status` draft: the clinician decides."""
    code: dict[str, Any] = {"text": offer.title}
    if offer.code:
        coding = {"system": offer.system, "code": offer.code}
        code["coding"] = [coding | ({"display": offer.display} if offer.display else {})]
    resource: dict[str, Any] = {
        "resourceType": offer.resource,
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": evaluation.patient},
        "note": [{"text": f"Proposed by Endplate rule {finding.issue} {finding.version}"}],
    }
    resource["code" if offer.resource == "ServiceRequest" else "medicationCodeableConcept"] = code
    return resource
