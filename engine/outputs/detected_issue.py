"""FHIR DetectedIssue and what it needs, R4 and R5, as plain dictionaries (standards: DetectedIssue, GuidanceResponse).

The link from an issue to its rule is `evidence.detail -> GuidanceResponse(moduleUri)` as HL7's DEQM gaps-in-care does;
what is missing stands there as `data-required` with one dataRequirement for each fact. No extension is used: the
standard ones that name a rule are not allowed on DetectedIssue.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal

from engine import __version__
from engine.model.finding import Evaluation, Finding
from engine.outputs.wording import detail_text
from engine.rules.info import RuleInfo

Version = Literal["R4", "R5"]
Resource = dict[str, Any]

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NAMESPACE = uuid.UUID("6f1a8f0e-5a53-5d0e-9b1b-3f6f0f1f7a10")


def stable_uuid(text: str) -> str:
    """A name-based UUID: the same text gives the same id in every run."""
    return str(uuid.uuid5(NAMESPACE, text))


def detected_issue(
    finding: Finding,
    evaluation: Evaluation,
    info: Mapping[str, RuleInfo],
    *,
    base: str,
    version: Version = "R4",
    guidance: str = "",
) -> Resource:
    """The DetectedIssue of one finding. `guidance` is the reference of its GuidanceResponse.

    `identifiedDateTime` is the evaluation's date: the time of day plays no part in an evaluation.
    """
    rule = info[finding.issue]
    references = [{"reference": reference} for reference in finding.references]
    observations = [r for r in references if not r["reference"].startswith("Medication")]
    issue: Resource = {
        "resourceType": "DetectedIssue",
        "id": finding.identifier[:64],
        "meta": {"source": f"{base}/engine", "tag": [_tag(evaluation, base)]},
        "identifier": [{"system": f"{base}/detected-issue", "value": finding.identifier}],
        "status": "preliminary" if finding.missing else "final",
        "code": _code(finding, rule, base),
        "severity": finding.severity,
        "patient" if version == "R4" else "subject": {"reference": evaluation.patient},
        "identifiedDateTime": evaluation.as_of.isoformat(),
        "author": {"reference": "#endplate"},
        "contained": [device(version)],
        "detail": detail_text(finding, rule),
        "reference": f"{base}/rule/{finding.issue}",
    }
    if references:
        issue["implicated"] = references
    evidence = [*observations, *([{"reference": guidance}] if guidance else [])]
    if evidence:
        issue["evidence"] = [{"detail": evidence}]
    return issue


def device(version: Version) -> Resource:
    """The engine as the author."""
    if version == "R4":
        return {
            "resourceType": "Device",
            "id": "endplate",
            "deviceName": [{"name": "Endplate", "type": "manufacturer-name"}],
            "version": [{"value": __version__}],
        }
    return {
        "resourceType": "Device",
        "id": "endplate",
        "name": [{"value": "Endplate", "type": "registered-name"}],
        "version": [{"value": __version__}],
    }


def guidance_response(
    finding: Finding, evaluation: Evaluation, info: Mapping[str, RuleInfo], *, base: str, version: Version = "R4"
) -> Resource:
    """The GuidanceResponse behind an issue: which rule and version, and which data are still required."""
    rule = info[finding.issue]
    response: Resource = {
        "resourceType": "GuidanceResponse",
        "id": stable_uuid(f"guidance {finding.identifier}"),
        "moduleUri": f"{base}/rule/{finding.issue}|{rule.version}",
        "status": "data-required" if finding.missing else "success",
        "subject": {"reference": evaluation.patient},
        "occurrenceDateTime": evaluation.as_of.isoformat(),
        "performer": {"reference": "#endplate"},
        "contained": [device(version)],
    }
    requirements = [_requirement(missing.fact, missing.ask_for, base) for missing in finding.missing]
    if requirements:
        response["dataRequirement"] = requirements
    notes = [*(f"held back by {held.by}" for held in finding.held_back_by), *(m.reason for m in finding.missing)]
    if notes:
        response["note"] = [{"text": "; ".join(dict.fromkeys(notes))}]
    return response


def _requirement(fact: str, ask_for: str, base: str) -> Resource:
    return {
        "type": "Observation",
        "codeFilter": [
            {"path": "code", "code": [{"system": f"{base}/fact", "code": fact, "display": ask_for or fact}]}
        ],
    }


def _code(finding: Finding, rule: RuleInfo, base: str) -> Resource:
    codings = [{"system": f"{base}/nm-issue", "code": finding.issue, "display": rule.title}]
    if rule.category:
        codings.append({"system": ACT_CODE, "code": rule.category})
    return {"coding": codings, "text": finding.summary}


def _tag(evaluation: Evaluation, base: str) -> Resource:
    ruleset = evaluation.ruleset
    return {"system": f"{base}/ruleset", "code": f"{ruleset.id}|{ruleset.version}", "display": ruleset.hash[:12]}


def issue_bundle(
    evaluation: Evaluation, info: Mapping[str, RuleInfo], *, base: str, version: Version = "R4"
) -> Resource:
    """A collection Bundle of every DetectedIssue of an evaluation, each with its GuidanceResponse.

    The Bundle has no timestamp beyond the date of evaluation, so that the same input gives the same bytes.
    """
    entries: list[Resource] = []
    for finding in evaluation.findings:
        guidance = guidance_response(finding, evaluation, info, base=base, version=version)
        url = f"urn:uuid:{guidance['id']}"
        issue = detected_issue(finding, evaluation, info, base=base, version=version, guidance=url)
        entries.append({"fullUrl": f"urn:uuid:{stable_uuid(finding.identifier)}", "resource": issue})
        entries.append({"fullUrl": url, "resource": guidance})
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"system": f"{base}/evaluation", "value": _evaluation_id(evaluation)},
    }
    if entries:
        bundle["entry"] = entries
    return bundle


def _evaluation_id(evaluation: Evaluation) -> str:
    return stable_uuid(f"{evaluation.patient} {evaluation.as_of} {evaluation.ruleset.hash}")
