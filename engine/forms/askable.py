"""Which questions make a fact known: those that ask for a concept whose results the fact reads.

A definition that reads diagnoses or drugs alone is made known by no answer; one that follows other facts is made known
by whatever makes those known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from engine.facts.base import FactBase
from engine.facts.definition import Definition
from engine.facts.kinds.condition import ConditionFact
from engine.facts.kinds.elapsed import ElapsedFact
from engine.facts.kinds.exposure_onset import ExposureOnsetFact
from engine.facts.kinds.region_signs import RegionSignsFact
from engine.model.form import Form, Question


class Place(msgspec.Struct, frozen=True):
    """A question, and the name of the form in which it stands; `number`: where in it."""

    form: str
    number: int
    question: Question


def askable(facts: FactBase, forms: Iterable[Form]) -> Mapping[str, tuple[Place, ...]]:
    """Fact -> the questions whose answers it reads, in the order of the forms; facts that none reads are left out."""
    places: dict[str, list[Place]] = {}
    for form in forms:
        for number, question in enumerate(form.questions):
            places.setdefault(question.concept, []).append(Place(form.name, number, question))
    found: dict[str, tuple[Place, ...]] = {}
    for definition in facts.definitions:  # what a fact follows stands before it
        own = [place for concept in _of_results(definition, facts) for place in places.get(concept, ())]
        followed = [place for name in sorted(definition.follows()) for place in found.get(name, ())]
        for name in definition.values():
            region = _region(definition, name)
            here = [one for one in own if not region or one.question.region in ("", region)]
            if every := {(one.form, one.number): one for one in (*here, *followed)}:
                found[name] = tuple(every.values())
    return found


def _of_results(definition: Definition, facts: FactBase) -> list[str]:
    """The concepts of which a definition reads results, those included of which a computed one is made."""
    if isinstance(definition, ConditionFact | ExposureOnsetFact):
        return []
    if isinstance(definition, ElapsedFact):
        points = [point for start in (definition.start, definition.end) if start for point in start.every()]
        read = {c for one in points for c in (one.value, *one.last_result, *one.last_usable) if c}
    else:
        read = set(definition.reads())
    computed = (facts.tables.concepts[name].computed for name in read if name in facts.tables.concepts)
    return sorted(read.union(*((made.source, made.per) for made in computed if made is not None)))


def _region(definition: Definition, name: str) -> str:
    """The body region of which a member of a family speaks; "" if of all."""
    if isinstance(definition, RegionSignsFact):
        return next((region for region in definition.regions if name == f"{definition.name}.{region}"), "")
    return ""
