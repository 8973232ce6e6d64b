"""An evaluation as one JSON object: everything that was found, why, what was held back, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.model.fact import Evidence, Fact
from engine.model.finding import Because, Evaluation, Finding, HeldBack, Missing
from engine.rules.info import RuleInfo

Json = dict[str, Any]
_NO_INFO: Mapping[str, RuleInfo] = {}


def evaluation_json(evaluation: Evaluation, info: Mapping[str, RuleInfo] = _NO_INFO) -> bytes:
    """One line of UTF-8 JSON without a line break at its end (see `evaluation_object`)."""
    return msgspec.json.encode(evaluation_object(evaluation, info))


def evaluation_object(evaluation: Evaluation, info: Mapping[str, RuleInfo] = _NO_INFO) -> Json:
    """The evaluation as a plain dictionary.

    `findings` stand; `held_back` are those whose case is true and that something silences (`held_back_by`). `facts` are
    base and derived facts; a reason is null unless the value is unknown and the record says why. `orders` holds the
    facts of each current order. `info` tells issues, which are no facts, from derived facts.
    """
    ruleset = evaluation.ruleset
    derived: dict[str, Json] = {
        name: {"value": value, "reason": None, "evidence": []}
        for name, value in sorted(evaluation.conclusions.items())
        if name not in info or info[name].kind != "issue"
    }
    return {
        "patient": evaluation.patient,
        "as_of": evaluation.as_of.isoformat(),
        "ruleset": {"id": ruleset.id, "version": ruleset.version, "hash": ruleset.hash},
        "complete": evaluation.complete,
        "findings": [_finding(finding) for finding in evaluation.findings],
        "held_back": [_finding(finding) for finding in evaluation.held_back],
        "facts": _facts(evaluation.facts) | derived,
        "orders": {order: _facts(facts) for order, facts in evaluation.orders.items()},
        "problems": [{"code": p.code, "where": p.where, "message": p.message} for p in evaluation.problems],
        "backend": evaluation.backend,
        "disagreements": list(evaluation.disagreements),
        "notes": list(evaluation.notes),
    }


def _finding(finding: Finding) -> Json:
    return {
        "issue": finding.issue,
        "severity": finding.severity,
        "display": finding.display,
        "rule": finding.rule,
        "version": finding.version,
        "hash": finding.hash,
        "summary": finding.summary,
        "because": [_because(because) for because in finding.because],
        "held_back_by": [_held(held) for held in finding.held_back_by],
        "missing": [_missing(missing) for missing in finding.missing],
        "advice": list(finding.advice),
        "order": finding.order or None,
        "ingredient": finding.ingredient or None,
        "adjusted_by": list(finding.adjusted_by),
        "identifier": finding.identifier,
        "evidence_hash": finding.evidence_hash,
    }


def _because(because: Because) -> Json:
    return {
        "fact": because.fact,
        "value": because.value,
        "shown": because.shown,
        "evidence": _evidence(because.evidence),
    }


def _held(held: HeldBack) -> Json:
    return {"by": held.by, "because": [_because(because) for because in held.because]}


def _missing(missing: Missing) -> Json:
    """`with` stands in an outcome that needs further answers beside this one."""
    changes = {}
    for value, outcome in missing.would_change.items():
        change: Json = {"gained": list(outcome.gained), "lost": list(outcome.lost)}
        if company := missing.with_answers.get(value):
            change["with"] = dict(company)
        changes[value] = change
    return {"fact": missing.fact, "reason": missing.reason, "ask_for": missing.ask_for, "would_change": changes}


def _facts(facts: Mapping[str, Fact]) -> dict[str, Json]:
    return {
        name: {
            "value": fact.value,
            "reason": str(fact.reason) if fact.reason else None,
            "evidence": _evidence(fact.evidence),
        }
        for name, fact in facts.items()
    }


def _evidence(evidence: Iterable[Evidence]) -> list[Json]:
    return [{"reference": e.reference, "said": e.said, "date": e.date} for e in evidence]
