"""What has to be asked of a concept, so that every fact that reads it can be known: collected over all definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from engine.facts.definition import Definition
from engine.facts.kinds.coded import CodedFact
from engine.facts.kinds.elapsed import ElapsedFact
from engine.facts.kinds.recorded import RecordedFact
from engine.facts.kinds.region_signs import RegionSignsFact
from engine.facts.kinds.result import ResultFact
from engine.facts.kinds.site_count import SiteCountFact
from engine.facts.kinds.site_result import SiteResultFact

COUNT = "muscles"  # the component in which a sign states its number of muscles


class Asked(msgspec.Struct, kw_only=True):
    """Of one concept. `components`: qualities that are there or not; `answers`: those that some fact tells apart."""

    concept: str
    help: list[str] = msgspec.field(default_factory=list)  # what to ask for, of all facts that read it
    own: list[str] = msgspec.field(default_factory=list)  # of those that read nothing else
    answers: list[str] = msgspec.field(default_factory=list)
    components: list[str] = msgspec.field(default_factory=list)
    counted: bool = False  # the number of muscles matters
    types: bool = False  # the type of the sign matters
    regions: bool = False  # a result for each body region
    muscles: bool = False  # a result for each muscle
    whole: bool = False  # some fact reads the value and not only that there is a result
    sites: bool = False  # counted by lesion site


def asked(definitions: Iterable[Definition]) -> dict[str, Asked]:
    """Concept -> what its facts need."""
    found: dict[str, Asked] = {}

    def of(concept: str) -> Asked:
        return found.setdefault(concept, Asked(concept=concept))

    for definition in definitions:
        for concept in concepts_of(definition):
            for said in (definition.ask_for,) if definition.ask_for else ():
                _add(of(concept).help, [said])
                _add(of(concept).own, [said] if definition.reads() == {concept} else [])
            of(concept).whole |= not isinstance(definition, RecordedFact)
        _details(definition, of)
    return found


def _details(definition: Definition, of: Any) -> None:
    match definition:
        case ResultFact() if definition.component:
            for concept in definition.concepts:
                _add(of(concept).components, [definition.component])
        case CodedFact():
            more = (*definition.codes, definition.otherwise) if definition.otherwise else definition.codes
            for concept in definition.concepts:
                _add(of(concept).answers, more)
        case SiteResultFact():
            one = of(definition.concept)
            one.muscles = True
            _add(one.answers, definition.codes)
            _add(one.components, (name for name, wanted in definition.where.items() if isinstance(wanted, bool)))
        case SiteCountFact():
            of(definition.concept).sites = True
        case RegionSignsFact():
            if definition.sign:
                of(definition.sign).regions = of(definition.sign).types = True
            for way in (way for together in definition.ways for way in together):
                one = of(way.sign or way.muscle_test)
                one.regions, one.muscles = bool(way.sign), bool(way.muscle_test)
                one.counted |= bool(way.sign and way.muscles)
                _add(one.components, (name for together in way.components for name in together))
        case _:
            pass


def concepts_of(definition: Definition) -> list[str]:
    """The concepts of a definition, in the order in which it names them."""
    if isinstance(definition, ElapsedFact):
        return sorted(definition.reads())
    named = getattr(definition, "concepts", None) or ()
    return list(named) if set(named) == definition.reads() else sorted(definition.reads())


def _add(to: list[str], more: Iterable[str] | Iterator[str]) -> None:
    to += [one for one in dict.fromkeys(more) if one not in to]
