"""One made-up finding with its rule, to be varied by the tests of outputs."""

from __future__ import annotations

from datetime import date
from typing import Any

from engine.model.fact import Evidence
from engine.model.finding import Because, Evaluation, Finding, Missing, Outcome, RulesetId
from engine.rules.info import RuleInfo, Suggestion

BASE = "urn:endplate"
AS_OF = date(2026, 3, 1)


def rule(name: str = "lantern", **fields: Any) -> RuleInfo:
    texts = {"purpose": "p", "use": "u", "misuse": "m", "evidence": "expert"}
    return RuleInfo(
        **{
            "id": name,
            "ruleset": "toy",
            "kind": "issue",
            "version": "0.2.0",
            "status": "draft",
            "title": f"The {name} rule",
            "hash": "c0ffee",
            "category": "COND",
            **texts,
            **fields,
        }
    )


def because(shown: str = "glow 4 lx on 2026-02-01", reference: str = "Observation/glow", **fields: str) -> Because:
    evidence = Evidence(reference, fields.get("said", "4 lx"), fields.get("date", "2026-02-01"))
    return Because("glow", "bright", shown, (evidence,))


def missing(**fields: Any) -> Missing:
    change = {"present": Outcome(gained=("lantern high",), lost=("lantern low",))}
    return Missing(
        **{"fact": "hum", "reason": "nothing recorded", "ask_for": "the hum", "would_change": change, **fields}
    )


def finding(issue: str = "lantern", **fields: Any) -> Finding:
    default = {
        "severity": "high",
        "display": "warning",
        "group": "diagnostic",
        "rule": issue,
        "version": "0.2.0",
        "hash": "c0",
        "summary": f"The {issue} glows.",
        "case": 0,
        "advice": ("Look again.",),
        "because": (because(),),
        "identifier": issue.encode().hex().rjust(64, "0"),
        "evidence_hash": "e" * 64,
    }
    return Finding(issue=issue, **{**default, **fields})


def evaluation(*findings: Finding, **fields: Any) -> Evaluation:
    default = {
        "patient": "Patient/p",
        "as_of": AS_OF,
        "ruleset": RulesetId("toy", "0.1.0", "abcdef0123456789"),
        "complete": False,
        "findings": findings,
    }
    return Evaluation(**{**default, **fields})


OFFER = Suggestion(name="scan", title="Scan of the lantern", system="http://example.org/orders", code="scan")
REMOVE = Suggestion(name="remove", title="Remove this order", replaces=True)
