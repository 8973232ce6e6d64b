"""FHIR DetectedIssue and what it needs, R4 and R5, as plain dictionaries.

The link from an issue to its rule is `evidence.detail -> GuidanceResponse(moduleCanonical)` as HL7's DEQM gaps-in-care
does; what is missing stands there as `data-required` with one dataRequirement for each fact. No extension is used: the
standard ones that name a rule are not allowed on DetectedIssue.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from engine import __version__
from engine.model.finding import Evaluation, Finding, Missing
from engine.outputs.detail import detail_markdown, detail_text
from engine.outputs.markdown import plain
from engine.outputs.references import reference
from engine.outputs.settings import uri
from engine.outputs.wording import titles
from engine.rules.info import RuleInfo

Version = Literal["R4", "R5"]
Resource = dict[str, Any]

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NAMESPACE = uuid.UUID("6f1a8f0e-5a53-5d0e-9b1b-3f6f0f1f7a10")
AUTHOR = "endplate"


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
    mitigation: Sequence[Resource] = (),
    status: str = "preliminary",
    unlinked: Collection[str] = (),
) -> Resource:
    """The DetectedIssue of one finding. `guidance` is the reference of its GuidanceResponse, `mitigation` what was
    done about it (`DetectedIssue.mitigation`), `unlinked` are resources that are no more: they are named in words.

    `status` is preliminary as long as the finding stands: no person has verified it. `identifiedDateTime` is the
    evaluation's date: the time of day plays no part in an evaluation. `detail` is Markdown in R5 and plain text in R4.
    """
    rule = info[finding.issue]
    detail = detail_text if version == "R4" else detail_markdown
    names = [name for name in finding.references if name != evaluation.patient]

    def named(name: str) -> Resource:
        return {"type": name.partition("/")[0], "display": name} if name in unlinked else reference(name)

    evidence = [named(name) for name in names if not name.startswith("Medication")]
    evidence += [{"reference": guidance}] if guidance else []
    issue: Resource = {
        "resourceType": "DetectedIssue",
        "id": finding.identifier,
        "meta": {"source": uri(base, "engine"), "tag": [_tag(evaluation, base)]},
        "contained": [device(version)],
        "identifier": [{"system": uri(base, "detected-issue"), "value": finding.identifier}],
        "status": status,
        "code": _code(finding, rule, base),
        "severity": finding.severity,
        "patient" if version == "R4" else "subject": reference(evaluation.patient),
        "identifiedDateTime": evaluation.as_of.isoformat(),
        "author": {"reference": f"#{AUTHOR}"},
        "detail": detail(finding, rule, titles(info)),
        "reference": uri(base, "rule", finding.issue),
    }
    if names:
        issue["implicated"] = [named(name) for name in names]
    if evidence:
        issue["evidence"] = [{"detail": evidence}]
    if mitigation:
        issue["mitigation"] = list(mitigation)
    return issue


def device(version: Version) -> Resource:
    """The engine as the author."""
    named: Resource = (
        {"deviceName": [{"name": "Endplate", "type": "manufacturer-name"}]}
        if version == "R4"
        else {"name": [{"value": "Endplate", "type": "registered-name"}]}
    )
    return {"resourceType": "Device", "id": AUTHOR, **named, "version": [{"value": __version__}]}


def guidance_response(
    finding: Finding,
    evaluation: Evaluation,
    info: Mapping[str, RuleInfo],
    *,
    base: str,
    version: Version = "R4",
    types: Mapping[str, str] | None = None,
) -> Resource:
    """The GuidanceResponse behind an issue: which rule and version, and which data are still required.

    `types`: fact -> the resource type that would make it known (`engine.outputs.needs.fact_resources`).
    """
    rule = info[finding.issue]
    response: Resource = {
        "resourceType": "GuidanceResponse",
        "id": stable_uuid(f"guidance {finding.identifier}"),
        "contained": [device(version)],
        "moduleCanonical": f"{uri(base, 'rule', finding.issue)}|{rule.version}",
        "status": "data-required" if finding.missing else "success",
        "subject": reference(evaluation.patient),
        "occurrenceDateTime": evaluation.as_of.isoformat(),
        "performer": {"reference": f"#{AUTHOR}"},
    }
    if finding.missing:
        response["dataRequirement"] = [_requirement(missing, base, types or {}) for missing in finding.missing]
        reasons = dict.fromkeys(missing.reason for missing in finding.missing if missing.reason)
        response["note"] = [{"text": f"Data required: {', '.join(reasons)}."}] if reasons else []
    return {key: value for key, value in response.items() if value}


def _requirement(missing: Missing, base: str, types: Mapping[str, str]) -> Resource:
    coding = {"system": uri(base, "fact"), "code": missing.fact, "display": plain(missing.ask_for) or missing.fact}
    return {"type": types.get(missing.fact, "Observation"), "codeFilter": [{"path": "code", "code": [coding]}]}


def _code(finding: Finding, rule: RuleInfo, base: str) -> Resource:
    codings = [{"system": uri(base, "nm-issue"), "code": finding.issue, "display": rule.title}]
    if rule.category:
        codings.append({"system": ACT_CODE, "code": rule.category})
    return {"coding": codings, "text": plain(finding.summary)}


def _tag(evaluation: Evaluation, base: str) -> Resource:
    ruleset = evaluation.ruleset
    code = f"{ruleset.id}|{ruleset.version}"
    return {"system": uri(base, "ruleset"), "version": ruleset.hash[:12], "code": code}


def issue_bundle(
    evaluation: Evaluation,
    info: Mapping[str, RuleInfo],
    *,
    base: str,
    version: Version = "R4",
    types: Mapping[str, str] | None = None,
    mitigations: Mapping[str, Sequence[Resource]] | None = None,
) -> Resource:
    """A collection Bundle of every DetectedIssue of an evaluation, each with its GuidanceResponse.

    `mitigations`: identifier of a finding -> what was done about it. The Bundle has no timestamp beyond the date of
    evaluation, so that the same input gives the same bytes.
    """
    entries: list[Resource] = []
    for finding in evaluation.findings:
        guidance = guidance_response(finding, evaluation, info, base=base, version=version, types=types)
        url = f"urn:uuid:{guidance['id']}"
        done = (mitigations or {}).get(finding.identifier, ())
        issue = detected_issue(finding, evaluation, info, base=base, version=version, guidance=url, mitigation=done)
        entries.append({"fullUrl": f"urn:uuid:{stable_uuid(finding.identifier)}", "resource": issue})
        entries.append({"fullUrl": url, "resource": guidance})
    bundle: Resource = {
        "resourceType": "Bundle",
        "identifier": {"system": uri(base, "evaluation"), "value": evaluation_id(evaluation)},
        "type": "collection",
    }
    if entries:
        bundle["entry"] = entries
    return bundle


def evaluation_id(evaluation: Evaluation) -> str:
    """The same for the same patient, date and content."""
    return stable_uuid(f"{evaluation.patient} {evaluation.as_of} {evaluation.ruleset.hash}")
