"""In which FHIR resources the facts of a ruleset are found: what to ask an EHR for, what would make a fact known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.facts.base import FactInfo
from engine.fhir.grouping import CARRIERS
from engine.rules.program import Issue, literals
from engine.rules.ruleset import Ruleset
from engine.rules.strata import reads

DRUG_RESOURCE = "MedicationRequest"
# the kinds of a concept, the one that mostly carries it first
_FIRST = ("allergy", "observation", "report", "procedure", "condition")
_RESOURCE = {carrier: resource for resource, carrier in CARRIERS.items()}


def concept_resources(ruleset: Ruleset) -> dict[str, tuple[str, ...]]:
    """Concept -> resource types that may carry it, the usual one first."""
    carriers: dict[str, set[str]] = {}
    for codes in ruleset.content.entries.values():
        for entries in codes.values():
            for entry in entries:
                if not entry.exclude:
                    carriers.setdefault(entry.meaning.concept, set()).update(entry.carriers)
    return {
        concept: tuple(_RESOURCE[carrier] for carrier in sorted(found, key=_FIRST.index))
        for concept, found in carriers.items()
    }


def fact_resources(ruleset: Ruleset) -> dict[str, str]:
    """Base fact -> the type of resource that would make it known; "Patient" for what the Patient itself says."""
    by_concept = concept_resources(ruleset)
    return {name: _resource(info, by_concept) for name, info in ruleset.fact_info.items()}


def _resource(info: FactInfo, by_concept: Mapping[str, tuple[str, ...]]) -> str:
    if info.concepts:
        return _usual(by_concept[concept][0] for concept in info.concepts if concept in by_concept)
    return DRUG_RESOURCE if info.drugs or info.order else "Patient"


def _usual(types: Iterable[str]) -> str:
    counted = list(types)
    return max(counted, key=counted.count) if counted else "Observation"


def read_by(ruleset: Ruleset, issues: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Concepts and ingredients that issues read, through policies, derived facts and facts that need others.

    No issue named = all.
    """
    program = ruleset.program
    rules = {rule.name: rule for rule in (*program.patient, *program.order)}
    policies = [gate.when for gate in program.gates] + [one.when for one in program.adjustments.values()]
    todo = list(issues) or [rule.name for rule in rules.values() if isinstance(rule, Issue)]
    todo += [literal.fact for condition in policies for literal in literals(condition)]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        todo += reads(rules[name]) if name in rules else ruleset.fact_info[name].needs
    facts = [ruleset.fact_info[name] for name in seen if name in ruleset.fact_info]
    concepts = frozenset(concept for fact in facts for concept in fact.concepts)
    return concepts, frozenset(drug for fact in facts for drug in fact.drugs)
