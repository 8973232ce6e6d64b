"""What can only be checked when all definitions of a ruleset are there: names, values, sets, references, circles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from engine.errors import Place, nearest
from engine.facts.base import ORDER
from engine.facts.definition import Definition
from engine.facts.kinds.order import OrderFact
from engine.facts.resolve import Names, Resolver, fields_of, mark_of
from engine.facts.source import Faults
from engine.facts.view import Tables
from engine.model.fact import UNKNOWN

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
SLOTS = ("value", "date", "title")
ORDER_KINDS = ("order", "dose")


class Checks:
    """Checks the definitions and puts them into the order of their needs."""

    def __init__(
        self,
        definitions: Iterable[Definition],
        places: Mapping[str, Place],
        resolver: Resolver,
        tables: Tables,
        faults: Faults,
    ) -> None:
        self.definitions = [self._with_classes(definition, resolver.names) for definition in definitions]
        self.places = places
        self.resolver = resolver
        self.tables = tables
        self.faults = faults
        self.givers: dict[str, Definition] = {}

    def ordered(self) -> tuple[Definition, ...]:
        """The definitions in the order of their needs, after all checks."""
        for definition in self.definitions:
            self._names(definition)
        for definition in self.definitions:
            for check in (self._values, self._sets, self._shown, self._fixed, self._units, self._place_in_program):
                check(definition)
            for message in definition.check():
                self._fault(definition, message)
        self._references()
        return self._by_needs()

    def _fault(self, definition: Definition, message: str, hint: str = "") -> None:
        self.faults.add(self.places[definition.name], f"`{definition.name}`: {message}", hint)

    @staticmethod
    def _with_classes(definition: Definition, names: Names) -> Definition:
        """Drug classes are named sets of the fact that holds the ingredient of the order."""
        if not isinstance(definition, OrderFact) or definition.field != "ingredient":
            return definition
        classes = {name: tuple(sorted(members)) for name, members in sorted(names.drug_classes.items())}
        return msgspec.structs.replace(definition, sets={**classes, **definition.sets})

    def _names(self, definition: Definition) -> None:
        for name in definition.values():
            other = self.givers.setdefault(name, definition)
            if other is not definition:
                self._fault(definition, f"the fact `{name}` is also given by `{other.name}`", "rename one")

    def _values(self, definition: Definition) -> None:
        for name, values in definition.values().items():
            if UNKNOWN in values:
                self._fault(definition, "`unknown` is in every closed set and is not listed")
            for value in dict.fromkeys(values):
                if values.count(value) > 1:
                    self._fault(definition, f"`{name}` has the value `{value}` twice", "keep one of them")
            if not values:
                self._fault(definition, f"`{name}` has no values", "list them under `values`")

    def _sets(self, definition: Definition) -> None:
        values = {value for found in definition.values().values() for value in found}
        for name, members in definition.sets.items():
            if name in values or name == UNKNOWN:
                self._fault(definition, f"the set `{name}` is named like a value", "rename the set")
            for member in members:
                if member not in values and member != UNKNOWN:
                    hint = nearest(member, values)
                    self._fault(definition, f"`{member}` in the set `{name}` is none of its values", hint)

    def _shown(self, definition: Definition) -> None:
        allowed = (*SLOTS, *definition.slots)
        for slot in PLACEHOLDER.findall(definition.shown):
            if slot not in allowed:
                hint = nearest(slot, allowed) or f"allowed: {', '.join(allowed)}"
                self._fault(definition, f"`shown` has no placeholder `{{{slot}}}`", hint)

    def _fixed(self, definition: Definition) -> None:
        self.resolver.owner = definition.name
        for what, name, option in definition.fixed():
            if what == "parameter":
                missing, file = self.resolver.parameter(name) is None, "parameters.yaml"
            else:
                missing, file = name not in self.tables.classes, "tables/classes.yaml"
            if missing:
                self._fault(definition, f"`{option}` needs the {what} `{name}`", f"define it in {file}")
        if any(mark_of(field.type) == "regions" for field in fields_of(type(definition))) and not self.tables.regions:
            self._fault(definition, "the kind needs the regions of the ruleset", "define tables/regions.yaml")

    def _units(self, definition: Definition) -> None:
        unit = definition.limits_in()
        for band in getattr(definition, "bands", ()) if unit else ():
            stated = self.resolver.names.parameters[band.parameter].unit
            if stated not in ("", unit):
                self._fault(definition, f"`{band.parameter}` is in {stated}, but the time is counted in {unit}")

    def _place_in_program(self, definition: Definition) -> None:
        of_order = definition.name.startswith(ORDER)
        kind = str(definition.__struct_config__.tag)
        if of_order != (kind in ORDER_KINDS):
            self._fault(definition, "facts of the kinds order and dose, and no others, are named `order.` and a word")
        if of_order:
            return
        for name in sorted(definition.needs()):
            if name.startswith(ORDER):
                self._fault(definition, f"a fact of the patient cannot read `{name}`", "the order comes afterwards")

    def _references(self) -> None:
        refused = self.places.keys() - {definition.name for definition in self.definitions}
        for owner, fact, value, place in self.resolver.references:
            giver = self.givers.get(fact)
            if giver is not None:
                values = giver.values()[fact]
                if value and value not in values:
                    self.faults.add(place, f"`{owner}`: `{fact}` is never `{value}`", nearest(value, values))
            elif fact not in refused and fact.rpartition(".")[0] not in refused:
                self.faults.add(place, f"`{owner}`: there is no fact `{fact}`", nearest(fact, self.givers))

    def _by_needs(self) -> tuple[Definition, ...]:
        done: dict[str, Definition] = {}
        for definition in sorted(self.definitions, key=lambda definition: definition.name):
            self._visit(definition, (), done)
        return tuple(done.values())

    def _visit(self, definition: Definition, above: tuple[str, ...], done: dict[str, Definition]) -> None:
        if definition.name in done:
            return
        if definition.name in above:
            circle = (*above[above.index(definition.name) :], definition.name)
            self._fault(definition, f"the facts need each other: {' -> '.join(circle)}", "break the circle")
            return
        for name in sorted(definition.needs()):
            if name in self.givers:
                self._visit(self.givers[name], (*above, definition.name), done)
        done[definition.name] = definition


