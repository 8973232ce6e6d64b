"""The base facts of a ruleset: what they are, and all of them for one record.

Only definitions that the record touches (a concept, an ingredient, or a fact that has a value because of one) are
computed; every other fact is unknown because nothing is recorded. The definitions stand in the order of their needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property

import msgspec

from engine.facts.definition import Definition
from engine.facts.kinds import Kind
from engine.facts.medication import TAKING_DAYS, current
from engine.facts.parameter import Parameter
from engine.facts.view import Tables, View
from engine.model.fact import UNKNOWN, Fact, Reason
from engine.model.record import Medication, Record

ORDER = "order."                          # facts of the order program

Failed = Callable[[str, Exception], None]
"""Is told of a definition that could not be computed."""


class FactInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What rules, documentation and the catalogue need to know of one fact (a member of a family, or a whole)."""

    name: str
    definition: str                       # the definition that gives it
    kind: str
    title: str
    ask_for: str
    shown: str
    values: tuple[str, ...]               # closed set, `unknown` included
    sets: Mapping[str, tuple[str, ...]]   # named sets that fit its values
    common: bool
    common_values: frozenset[str]
    prevalence: float
    current: bool                         # a known value speaks of now
    order: bool                           # of the current order
    concepts: tuple[str, ...]
    drugs: tuple[str, ...]
    needs: tuple[str, ...]
    parameters: tuple[str, ...]           # numbers that it reads, those of its concepts included


class FactBase(msgspec.Struct, frozen=True, dict=True):
    """All definitions of a ruleset with the tables that they read. Encodable with msgspec (the compiled cache)."""

    definitions: tuple[Kind, ...] = ()
    tables: Tables = Tables()
    parameters: Mapping[str, Parameter] = {}
    used: Mapping[str, tuple[str, ...]] = {}       # definition, or `concept NAME` -> parameters that it reads

    def values(self) -> dict[str, tuple[str, ...]]:
        """Every fact with its closed set, `unknown` included."""
        return {name: (*values, UNKNOWN) for d in self.definitions for name, values in d.values().items()}

    def info(self) -> dict[str, FactInfo]:
        """Every fact with all that is said of it."""
        return {name: self._info(d, name, values) for d in self.definitions for name, values in d.values().items()}

    def read_parameters(self) -> frozenset[str]:
        """Parameters that a definition or a concept reads."""
        return frozenset(name for names in self.used.values() for name in names)

    def compute(self, record: Record, failed: Failed | None = None) -> dict[str, Fact]:
        """The facts of a record that it touches, by name; for all others `unknown()` says why.

        With `failed` a definition whose computation fails is told to it and leaves its facts unknown.
        """
        facts: dict[str, Fact] = {}
        view = View(record, self.tables, lambda name: facts.get(name) or self.unknown(name, record))
        definitions = self.definitions
        for index in sorted(self._touched(record)):
            for fact in _computed(definitions[index], view, failed):
                facts[fact.name] = fact
        return facts

    def again(
        self, record: Record, earlier: Record, facts: Mapping[str, Fact], concepts: Collection[str]
    ) -> dict[str, Fact]:
        """The facts of a record that only has more results of these concepts than an earlier one with these facts."""
        again = dict(facts)
        view = View(record, self.tables, lambda name: again.get(name) or self.unknown(name, record))
        before = View(earlier, self.tables, lambda name: facts.get(name) or self.unknown(name, earlier))
        index = self._index
        for position in sorted(set(self._always).union(*(index.get(name, ()) for name in concepts))):
            definition = self.definitions[position]
            if definition.stays(before, view, concepts) and all(
                again.get(name) == facts.get(name) for name in definition.needs()
            ):
                continue
            for name in definition.values():
                again.pop(name, None)
            again |= {fact.name: fact for fact in definition.compute(view)}
        return again

    def reaches_orders(self, concepts: Collection[str], facts: Collection[str]) -> bool:
        """Whether facts of orders read results of these concepts, or one of these facts."""
        return any(not d.reads().isdisjoint(concepts) or not d.needs().isdisjoint(facts) for d in self._of_order)

    def compute_order(
        self,
        record: Record,
        medication: Medication,
        patient_facts: Mapping[str, Fact],
        failed: Failed | None = None,
    ) -> dict[str, Fact]:
        """The `order.*` facts of one medication entry of the record and its ingredient; `failed` as for `compute`."""
        facts: dict[str, Fact] = {}

        def known(name: str) -> Fact:
            return facts.get(name) or patient_facts.get(name) or self.unknown(name, record)

        view = View(record, self.tables, known, medication)
        for definition in self._of_order:
            for fact in _computed(definition, view, failed):
                facts[fact.name] = fact
        return facts

    def unknown(self, name: str, record: Record) -> Fact:
        """The fact that nothing in the record gave a value: nothing recorded, or nobody was asked."""
        asked = record.asked
        reads = self._basis.get(name, frozenset()) if asked is not None else frozenset()
        reason = Reason.NOT_REQUESTED if reads and asked is not None and not reads & asked else Reason.NOTHING_RECORDED
        return Fact(name, UNKNOWN, reason)

    def current_orders(self, record: Record) -> tuple[Medication, ...]:
        """The entries for which the order program runs: active, on hold or draft, and supplies that ended so late that
        they count as taken (clinical specification 1.8)."""
        taking_days = self._taking_days
        return tuple(entry for entry in record.medications if current(entry, record.as_of, taking_days))

    def title(self, name: str) -> str:
        """What a base fact is called; the name itself if it has no title."""
        return self._texts.get(name, ("", ""))[0] or name

    def ask_for(self, name: str) -> str:
        """What to ask for so that a base fact becomes known."""
        return self._texts.get(name, ("", ""))[1] or self.title(name)

    @cached_property
    def _texts(self) -> dict[str, tuple[str, str]]:
        return {name: (info.title, info.ask_for) for name, info in self.info().items()}

    @cached_property
    def _taking_days(self) -> int:
        parameter = self.parameters.get(TAKING_DAYS)
        return int(parameter.value) if parameter is not None else 0

    def within_reach(self, concepts: Iterable[str], ingredients: Iterable[str]) -> frozenset[str]:
        """The facts that can have a value in a record that holds no other concepts and ingredients than these."""
        ingredients = frozenset(ingredients)
        positions = set(self._always).union(*(self._index.get(n, frozenset()) for n in {*concepts, *ingredients}))
        reached = [self.definitions[position] for position in positions]
        if ingredients:
            reached += [d for d in self._of_order if not d.drugs() or d.drugs() & ingredients]
        return frozenset(name for definition in reached for name in definition.values())

    def touched_concepts(self) -> frozenset[str]:
        """Concepts and ingredients that any definition reads."""
        return frozenset(self._index)

    def _info(self, definition: Definition, name: str, values: tuple[str, ...]) -> FactInfo:
        owners = (definition.name, *(f"concept {concept}" for concept in sorted(definition.reads())))
        return FactInfo(
            name=name,
            definition=definition.name,
            kind=str(definition.__struct_config__.tag),
            title=definition.title,
            ask_for=definition.ask_for,
            shown=definition.shown,
            values=(*values, UNKNOWN),
            sets={key: members for key, members in definition.sets.items() if set(members) <= {*values, UNKNOWN}},
            common=definition.common,
            common_values=definition.common_values(),
            prevalence=definition.prevalence,
            current=definition.current(),
            order=name.startswith(ORDER),
            concepts=tuple(sorted(definition.reads())),
            drugs=tuple(sorted(definition.drugs())),
            needs=tuple(sorted(definition.needs())),
            parameters=tuple(dict.fromkeys(name for owner in owners for name in self.used.get(owner, ()))),
        )

    def _touched(self, record: Record) -> set[int]:
        index = self._index
        touched = set(self._always)
        for names in (record.results, record.diagnoses):
            for name in names:
                touched.update(index.get(name, ()))
        for ingredient in {medication.ingredient for medication in record.medications}:
            touched.update(index.get(ingredient, ()))
        return touched

    @cached_property
    def _of_order(self) -> tuple[Definition, ...]:
        return tuple(definition for definition in self.definitions if definition.name.startswith(ORDER))

    @cached_property
    def _of_patient(self) -> tuple[tuple[int, Definition], ...]:
        return tuple((i, d) for i, d in enumerate(self.definitions) if not d.name.startswith(ORDER))

    @cached_property
    def _followers(self) -> tuple[frozenset[int], ...]:
        """Definition -> itself and those that may have a value because it has one."""
        giver = {name: index for index, definition in enumerate(self.definitions) for name in definition.values()}
        closed: list[set[int]] = [{index} for index in range(len(self.definitions))]
        for index, definition in reversed(self._of_patient):     # a follower stands later and is complete
            for name in definition.follows():
                if name in giver:
                    closed[giver[name]] |= closed[index]
        return tuple(frozenset(indices) for indices in closed)

    @cached_property
    def _index(self) -> dict[str, frozenset[int]]:
        """Concept or ingredient -> definitions that it touches."""
        index: dict[str, set[int]] = {}
        for position, definition in self._of_patient:
            for name in self._with_sources(definition.reads()) | definition.drugs():
                index.setdefault(name, set()).update(self._followers[position])
        return {name: frozenset(positions) for name, positions in index.items()}

    def _with_sources(self, concepts: frozenset[str]) -> frozenset[str]:
        """The concepts, and those of which a computed one is made."""
        computed = (self.tables.concepts[name].computed for name in concepts if name in self.tables.concepts)
        return concepts.union(*((made.source, made.per) for made in computed if made is not None))

    @cached_property
    def _always(self) -> frozenset[int]:
        """Definitions that read the patient or the record as a whole, and those that follow them."""
        free = [p for p, d in self._of_patient if not (d.reads() or d.drugs() or d.follows())]
        return frozenset[int]().union(*(self._followers[position] for position in free))

    @cached_property
    def _basis(self) -> dict[str, frozenset[str]]:
        """Fact -> the concepts (for a fact about drugs alone: ingredients) of which somebody must have been asked."""
        basis: dict[str, frozenset[str]] = {}
        for definition in self.definitions:
            own = self._with_sources(definition.reads()) or definition.drugs()
            followed: Iterable[frozenset[str]] = (basis.get(name, frozenset()) for name in definition.follows())
            reads = own.union(*followed)
            basis.update((name, reads) for name in definition.values())
        return basis


def _computed(definition: Definition, view: View, failed: Failed | None) -> Iterable[Fact]:
    """The facts of a definition. A defect of ours costs these alone if somebody is told of it."""
    if failed is None:
        return definition.compute(view)
    try:
        return tuple(definition.compute(view))
    except MemoryError:
        raise
    except Exception as error:
        failed(definition.name, error)
        return tuple(Fact(name, UNKNOWN, Reason.NOT_USABLE) for name in definition.values())
