"""The rules as FHIR: a PlanDefinition for each issue, a Library for each rule, and one that holds them together.

`PlanDefinition.url` is what `GuidanceResponse.moduleCanonical` of a finding names. Conditions are in the words of our
rule language: in R5 that is a media type; R4 has no code for it, and its absence is told. A Library holds the rule as
text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Literal

from engine.outputs.detected_issue import Resource, Version
from engine.outputs.needs import fact_resources
from engine.outputs.rule_text import rule_text
from engine.outputs.settings import uri
from engine.rules.catalogue import Card, CaseText, card
from engine.rules.info import RuleInfo, Source
from engine.rules.ruleset import Ruleset
from engine.views import NEVER_ON_CARDS

LANGUAGE = "text/x.endplate-rule"
_NO_CODE = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unsupported"}
_TYPES = "http://terminology.hl7.org/CodeSystem"
_STATUS = {"draft": "draft", "accepted": "active", "deprecated": "retired", "withdrawn": "retired"}


def plan_definitions(ruleset: Ruleset, base: str, version: Version = "R4") -> list[Resource]:
    """One for each issue, by name."""
    types = fact_resources(ruleset)
    issues = sorted(name for name, info in ruleset.info.items() if info.kind == "issue")
    return [_plan(card(ruleset, name), base, version, types) for name in issues]


def libraries(ruleset: Ruleset, base: str, version: Version = "R4") -> list[Resource]:
    """One for each rule, by name, and one of them all."""
    rules = [_library(ruleset, card(ruleset, name), base, version) for name in sorted(ruleset.info)]
    return [*rules, _whole(ruleset, rules, base)]


def _plan(rule: Card, base: str, version: Version, types: dict[str, str]) -> Resource:
    info = rule.info
    plan: Resource = {
        "resourceType": "PlanDefinition",
        **_head(info, uri(base, "rule", info.id)),
        "type": {"coding": [{"system": f"{_TYPES}/plan-definition-type", "code": "eca-rule"}]},
        "description": info.purpose,
        "purpose": info.purpose,
        "usage": f"Use: {info.use}\n\nNot for: {info.misuse}",
        "library": [f"{uri(base, 'library', info.id)}|{info.version}"],
        "action": [_action(rule, types, version)],
    }
    if sources := [_source(one, version) for one in info.sources]:
        plan["relatedArtifact"] = sources
    return plan


def _action(rule: Card, types: dict[str, str], version: Version) -> Resource:
    """The cases in their order, of which the first true one counts."""
    info = rule.info
    action: Resource = {
        "title": info.title,
        "trigger": list(_triggers(rule, types)),
        "selectionBehavior": "at-most-one",
        "action": [_case(case, info, version) for case in rule.cases],
    }
    if info.summary:
        action["description"] = info.summary
    if rule.unless:
        lines = ("unless", *(f"  {line}" for line in rule.unless))
        action["condition"] = [_condition(lines, "It is no finding if this holds.", version)]
    return {key: value for key, value in action.items() if value}


def _case(case: CaseText, info: RuleInfo, version: Version) -> Resource:
    marks = ", ".join((case.gives, *filter(None, (case.display,)), *case.adjust))
    return {
        "title": f"{info.title}: {marks}",
        "description": case.summary or info.summary or info.title,
        "condition": [_condition(case.when, f"It is a finding of severity {case.gives} if this holds.", version)],
    }


def _condition(lines: tuple[str, ...], says: str, version: Version) -> Resource:
    language = {"language": LANGUAGE} if version == "R5" else {"_language": {"extension": [_NO_CODE]}}
    expression = {"description": says, **language, "expression": "\n".join(lines)}
    return {"kind": "applicability", "expression": expression}


def _triggers(rule: Card, types: dict[str, str]) -> Iterator[Resource]:
    """The hooks of CDS Hooks that show it, and the resources whose change makes it be asked again."""
    chart = () if rule.info.group in NEVER_ON_CARDS else ("patient-view",)
    hooks = ("order-select", "order-sign") if rule.order else chart
    yield from ({"type": "named-event", "name": name} for name in hooks)
    if found := sorted({types[fact] for fact in rule.reads if fact in types}):
        yield {"type": "data-changed", "data": [{"type": name} for name in found]}


def _library(ruleset: Ruleset, rule: Card, base: str, version: Version) -> Resource:
    info = rule.info
    others = [ruleset.info[name] for name in rule.reads if name in ruleset.info]
    artifacts = [
        *(_part("depends-on", uri(base, "library", one.id), one.version) for one in others),
        *(_source(one, version) for one in info.sources),
    ]
    data = base64.b64encode(rule_text(rule).encode()).decode()
    library: Resource = {
        "resourceType": "Library",
        **_head(info, uri(base, "library", info.id)),
        "type": {"coding": [{"system": f"{_TYPES}/library-type", "code": "logic-library"}]},
        "description": info.purpose,
        "content": [{"contentType": "text/plain", "data": data, "title": f"The rule in words, content {info.hash}"}],
    }
    return library | ({"relatedArtifact": artifacts} if artifacts else {})


def _whole(ruleset: Ruleset, rules: list[Resource], base: str) -> Resource:
    return {
        "resourceType": "Library",
        "id": ruleset.id,
        "url": uri(base, "library", ruleset.id),
        "version": ruleset.version,
        "name": _name(ruleset.id),
        "title": ruleset.title,
        "status": "draft" if any(rule["status"] == "draft" for rule in rules) else "active",
        "type": {"coding": [{"system": f"{_TYPES}/library-type", "code": "asset-collection"}]},
        "description": ruleset.description or ruleset.title,
        "relatedArtifact": [_part("composed-of", rule["url"], rule["version"]) for rule in rules],
    }


def _head(info: RuleInfo, url: str) -> Resource:
    return {
        "id": info.id,
        "url": url,
        "version": info.version,
        "name": _name(info.id),
        "title": info.title,
        "status": _STATUS.get(info.status, "unknown"),
    }


def _name(identity: str) -> str:
    """As FHIR wants the names of what is computed with: letters and digits, a capital first."""
    return "".join(part.capitalize() for part in identity.replace(".", "-").split("-"))


def _part(kind: Literal["depends-on", "composed-of"], url: str, version: str) -> Resource:
    return {"type": kind, "resource": f"{url}|{version}"}


def _source(source: Source, version: Version) -> Resource:
    artifact: Resource = {"type": "citation", "label": source.ref}
    if source.says:
        artifact["display"] = source.says
    if source.citation:
        artifact["citation"] = source.citation
    if source.url:
        artifact |= {"url": source.url} if version == "R4" else {"document": {"url": source.url}}
    return artifact
