"""What the service asks an EHR for: prefetch templates compiled from what the rules read.

CDS Hooks 2.0.1 recommends templates of search by patient, category, status and date alone; codes are filtered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.outputs.needs import DRUG_RESOURCE, concept_resources, read_by
from engine.rules.program import Issue
from engine.rules.ruleset import Ruleset
from engine.views import NEVER_ON_CARDS

PATIENT = "patient"
_KEYS = {
    "Observation": "observations",
    "DiagnosticReport": "reports",
    "Condition": "conditions",
    "Procedure": "procedures",
    "AllergyIntolerance": "allergies",
    DRUG_RESOURCE: "medications",
    "MedicationStatement": "statements",
    "MedicationDispense": "dispenses",
    "Immunization": "immunizations",
}
# where a drug is found besides the orders; an order alone counts as having been asked for it
_ALSO_DRUGS = ("MedicationStatement", "MedicationDispense", "Immunization")


class Needs(msgspec.Struct, frozen=True):
    """`templates`: prefetch key -> template. `asked`: prefetch key -> concepts and ingredients that it would bring."""

    templates: Mapping[str, str]
    asked: Mapping[str, frozenset[str]]


def needs_of(ruleset: Ruleset, observation_categories: Sequence[str]) -> Needs:
    """The needs of every issue that a hook may show, through all the rules that it chains on."""
    concepts, drugs = _read(ruleset)
    carriers = concept_resources(ruleset)
    wanted: dict[str, set[str]] = {}
    for concept in concepts:
        for number, kind in enumerate(carriers.get(concept, ())):
            wanted.setdefault(kind, set()).update([concept] if number == 0 else [])
    if drugs:
        wanted.setdefault(DRUG_RESOURCE, set()).update(drugs)
        for kind in _ALSO_DRUGS:
            wanted.setdefault(kind, set())
    templates = {PATIENT: "Patient/{{context.patientId}}"}
    for kind, key in _KEYS.items():
        if kind in wanted:
            templates[key] = f"{kind}?patient={{{{context.patientId}}}}"
    if observation_categories and "Observation" in wanted:
        templates[_KEYS["Observation"]] += f"&category={','.join(observation_categories)}"
    return Needs(templates, {key: frozenset(wanted[kind]) for kind, key in _KEYS.items() if kind in wanted})


def _read(ruleset: Ruleset) -> tuple[frozenset[str], frozenset[str]]:
    """Concepts and ingredients that the shown issues read."""
    rules = (*ruleset.program.patient, *ruleset.program.order)
    shown = [rule.name for rule in rules if isinstance(rule, Issue) and rule.group not in NEVER_ON_CARDS]
    return read_by(ruleset, shown)
