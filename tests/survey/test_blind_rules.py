"""A rule that is called blind never fires: in no record without what was never met, and for no values of facts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import msgspec
import pytest
from effort import SOAK
from survey_kit import CONTENT, DAY, ROOT, ruleset, surveyed

from engine import vignettes
from engine.evaluation import Evaluator
from engine.fhir.decode import read_documents
from engine.fhir.record import Scope, read_records
from engine.inference.backends import make_backend
from engine.model.fact import ABSENT, UNKNOWN
from engine.model.record import Record
from engine.rules.program import Issue
from engine.survey.reach import blind


@cache
def ready() -> Evaluator:
    return Evaluator(ruleset(), make_backend("plain", ruleset().program))


@cache
def records() -> tuple[Record, ...]:
    """The small patients of the ruleset: between them every rule fires."""
    cases = vignettes.cases_in(CONTENT)
    return tuple(vignettes.record_of(ready(), case) for case, _ in cases)


def kept(record: Record, concepts: frozenset[str], drugs: frozenset[str]) -> Record:
    """The record without what was never met."""
    return msgspec.structs.replace(
        record,
        results={name: found for name, found in record.results.items() if name in concepts},
        diagnoses={name: found for name, found in record.diagnoses.items() if name in concepts},
        medications=tuple(one for one in record.medications if one.ingredient in drugs),
    )


def fired(record: Record) -> Iterator[str]:
    """Every rule that holds in a record, whether it is shown or not."""
    evaluation = ready().evaluate(record, "listed")
    yield from (found.issue for found in (*evaluation.findings, *evaluation.held_back))
    yield from (name for name, value in evaluation.conclusions.items() if value not in (ABSENT, UNKNOWN))


def met(seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """A feed at random: some of the concepts and drugs that the small patients have."""
    pick = random.Random(seed)
    concepts = sorted({name for record in records() for name in (*record.results, *record.diagnoses)})
    drugs = sorted({one.ingredient for record in records() for one in record.medications})
    share = pick.choice((0.2, 0.5, 0.8, 0.95))
    return (
        frozenset(name for name in concepts if pick.random() < share),
        frozenset(name for name in drugs if pick.random() < share),
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
def test_no_blind_rule_fires_in_any_record_of_such_a_feed(seed: int) -> None:
    concepts, drugs = met(seed)
    named = {one.rule for one in blind(ruleset(), concepts, drugs)}
    pick = random.Random(seed)
    for record in pick.sample(records(), 1000 if SOAK else 100):
        assert not named & {*fired(kept(record, concepts, drugs))}


@pytest.mark.parametrize("seed", range(6))
def test_no_blind_rule_holds_for_any_values_of_the_facts_that_can_be_known(seed: int) -> None:
    concepts, drugs = met(seed)
    program = ruleset().program
    named = {one.rule for one in blind(ruleset(), concepts, drugs)}
    reached = ruleset().facts.within_reach(concepts, drugs)
    of_drugs = {"order.ingredient"} & program.base.keys()
    pick = random.Random(seed)
    for _ in range(150):
        values = {}
        for fact in sorted(reached & program.base.keys()):
            free = [v for v in program.base[fact] if fact not in of_drugs or v in drugs or v == UNKNOWN]
            values[fact] = pick.choice(free)
        concluded = ready().backend.infer(values).conclusions.values
        if drugs:
            concluded = {**concluded, **ready().backend.infer({**values, **concluded}, "order").conclusions.values}
        assert not named & {name for name, value in concluded.items() if value not in (ABSENT, UNKNOWN)}


@pytest.mark.parametrize("name", ["primary", "alt", "messy"])
def test_a_survey_meets_every_concept_and_drug_that_the_records_hold(name: str) -> None:
    """What was never met is therefore in no record."""
    path = ROOT / f"tests/vectors/{name}.ndjson.gz"
    survey = surveyed(path)
    concepts = {one.concept for one in survey.concepts}
    drugs = {one.drug for one in survey.drugs}
    number = 0
    for record in read_records(read_documents(path), ruleset().terminology, Scope(as_of=DAY), []):
        number += 1
        assert {*record.results, *record.diagnoses} <= concepts
        assert {one.ingredient for one in record.medications} <= drugs
    assert number > 20
    assert len(concepts) > 50


def test_a_feed_without_anything_leaves_only_what_needs_nothing() -> None:
    seen = {rule.name for rule in (*ruleset().program.patient, *ruleset().program.order)}
    seen -= {one.rule for one in blind(ruleset(), frozenset(), frozenset())}
    assert {name for name in seen if not name.startswith("dq-")} == set()


def test_a_feed_with_everything_blinds_no_rule() -> None:
    terminology = ruleset().terminology
    assert blind(ruleset(), terminology.concept_names, terminology.ingredients) == ()


def test_a_blind_rule_says_what_would_open_it() -> None:
    """Whatever is named is needed: with one of the wants of each rule met, fewer rules are blind, and never more."""
    concepts, drugs = met(3)
    found = blind(ruleset(), concepts, drugs)
    for one in found[:10]:
        assert one.wants
        assert all({*want.concepts} - concepts or {*want.drugs} - drugs or want.fact for want in one.wants)
        more = concepts.union(*(want.concepts for want in one.wants))
        after = {other.rule for other in blind(ruleset(), more, drugs | {d for w in one.wants for d in w.drugs})}
        assert after <= {other.rule for other in found}
    issues = {rule.name for rule in ruleset().program.patient if isinstance(rule, Issue)}
    assert {one.rule for one in found if one.kind == "issue"} & issues
