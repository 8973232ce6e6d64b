"""What a person may accept: other names of code systems, local codes, units and ranges, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property

from engine.facts.concept import Concept
from engine.fhir.medication_amount import amount_of
from engine.rules.ruleset import Ruleset
from engine.survey.book import DOSE, Book, ConceptCells, ProductCode
from engine.survey.products import ANY_STRENGTH
from engine.survey.result import Proposal
from engine.survey.showing import Showing

MOST = 500                                 # proposals of one section
_OF_DOSES = "doses in this unit are not understood"
_USUAL = 3                                 # numbers without a range before one is asked for


class Proposals:
    """The proposals of one survey. `rare` and `more` take up what is not shown."""

    def __init__(self, book: Book, showing: Showing, ruleset: Ruleset, rare: Counter[str], more: Counter[str]) -> None:
        self._book = book
        self._showing = showing
        self._ruleset = ruleset
        self._content = ruleset.content
        self._tables = ruleset.facts.tables.concepts
        self._rare = rare
        self._more = more
        self._like: dict[str, str] = {}
        self._units: list[Proposal] = []

    def units(self) -> list[Proposal]:
        """The units that are not understood, once `all` was asked for; those of doses alone are no proposals."""
        return sorted(self._units, key=lambda one: (-one.entries, one.values["spelling"]))

    def opened(self) -> tuple[frozenset[str], frozenset[str]]:
        """The concepts and drugs that accepted systems alone would bring, once `all` was asked for."""
        concepts, drugs = set[str](), set[str]()
        terminology = self._ruleset.terminology
        for uri, like in self._like.items():
            known = self._content.systems[like].uri
            for code in self._book.systems.found[uri].same.get(like, ()):
                drugs |= {drug.ingredient for drug in terminology.drugs(((known, code),)) if not drug.minor}
                for carrier in self._book.unknown[uri, code].carriers if (uri, code) in self._book.unknown else ():
                    concepts |= {meaning.concept for meaning in terminology.concepts(carrier, ((known, code),))}
        return frozenset(concepts), frozenset(drugs)

    def all(self) -> Iterator[Proposal]:
        """Systems, codes, drugs, units, ranges; within each the most frequent first."""
        self._units = list(self._unknown_units())
        for name, found in (
            ("systems", self._systems()),
            ("codes", self._codes()),
            ("products", self._products()),
            ("units", (one for one in self._units if one.values["unit"] or one.why != _OF_DOSES)),
            ("ranges", self._ranges()),
        ):
            ranked = sorted(found, key=lambda one: (-one.entries, list(one.values.values())))
            self._more[f"proposals of {name}"] += max(len(ranked) - MOST, 0)
            yield from ranked[:MOST]

    def _systems(self) -> Iterator[Proposal]:
        for uri, system in self._book.systems.found.items():
            like = system.like
            if not like or not uri or not self._book.enough(system.cell):
                continue
            self._like[uri] = like
            same = sorted(
                system.same.get(like, ()),
                key=lambda code: (not self._book.systems.means(like, code), code),
            )
            said = self._content.systems[like].uri
            yield Proposal(
                section="systems",
                values={"uri": uri, "system": like},
                entries=system.cell.count,
                why=system.why(like),
                example=f"{same[0]} would be read as {said}|{same[0]}" if same else "",
            )

    def _codes(self) -> Iterator[Proposal]:
        for (system, code), one in self._book.unknown.items():
            if not self._showing.shown(one):
                self._rare["codes"] += 1
                continue
            like = self._like.get(system, "")
            if not system or (like and like in one.same):
                continue                                       # nothing to map by, or the system says it all
            by_concept: dict[str, list[str]] = {}
            details: dict[str, dict[str, str]] = {}
            whole = any(match.whole for match in one.matches.values())
            for (concept, carrier), match in one.matches.items():
                if match.whole or not whole:
                    by_concept.setdefault(concept, []).append(match.details.get("in", carrier))
                    details.setdefault(concept, {k: v for k, v in match.details.items() if k != "in"})
            for concept, tokens in sorted(by_concept.items()) or [("", sorted(one.carriers))]:
                values = {"system": system, "code": code, "concept": concept, "in": " ".join(dict.fromkeys(tokens))}
                yield Proposal(
                    section="codes",
                    values=values | details.get(concept, {}) | {"display": self._showing.display_of(one)},
                    entries=one.cell.count,
                    why=self._showing.why(one),
                )

    def _products(self) -> Iterator[Proposal]:
        for (system, code), seen in self._book.products.items():
            drugs = [found for found in seen.drugs if found]
            if not drugs or self._like.get(system, "-") in seen.same:
                continue
            if not self._book.enough(seen.cell):
                self._rare["product codes"] += 1
                continue
            if len(seen.drugs) > 1 or not self._names(seen, drugs[0]):
                continue                                       # a code of several products, or of a class of them
            for drug in drugs[0]:
                route = next(iter(seen.routes)) if len(seen.routes) == 1 else ""
                yield Proposal(
                    section="codes",
                    values={"system": system, "code": code, "drug": drug} | ({"route": route} if route else {}) | {
                        "display": seen.cell.display},
                    entries=seen.cell.count,
                    why="every entry with this code is so called, and its code is not known",
                )  # fmt: skip

    def _names(self, seen: ProductCode, drugs: tuple[str, ...]) -> bool:
        """Whether the displays of a code, if it has any, name the same drugs: one of a class would name others."""
        named = self._ruleset.terminology.drugs_named
        return all(
            {drug.ingredient for drug in named(display) if not drug.minor} == {*drugs} for display in seen.cell.displays
        )

    def _unknown_units(self) -> Iterator[Proposal]:
        by_unit: dict[str, tuple[int, list[str], bool]] = {}
        for (unit, concept), cell in self._book.units.cells.items():
            count, concepts, enough = by_unit.get(unit, (0, [], False))
            by_unit[unit] = (count + cell.count, [*concepts, concept], enough or cell.patients.enough)
        for unit, (count, concepts, enough) in by_unit.items():
            known = self._content.units.get(unit)
            if not unit or known:
                continue                                       # missing, or a unit in which the concept is not read
            if not enough:
                self._rare["units"] += 1
                continue
            accepted = [u for name in sorted(concepts) if (c := self._tables.get(name)) for u in (c.unit, *c.also)]
            if DOSE in concepts:
                accepted += self._masses
            why = _OF_DOSES
            if concepts != [DOSE]:
                names = ", ".join(f"`{name}`" for name in sorted(concepts) if name != DOSE)
                why = f"no table knows this unit of {names}, read in "
                why += ", ".join(f"`{one}`" for one in dict.fromkeys(accepted))
            yield Proposal(
                section="units", values={"spelling": unit, "unit": self._guess(unit, accepted)}, entries=count, why=why
            )

    @cached_property
    def _masses(self) -> list[str]:
        """The units in which a dose is understood."""
        read = self._ruleset.terminology.unit
        units = dict.fromkeys(self._content.units.values())
        return [one for one in units if amount_of({"value": 1, "unit": one}, ANY_STRENGTH, read) is not None]

    def _guess(self, spelling: str, accepted: list[str]) -> str:
        """The accepted unit of which a known spelling is nearly this one; "" if none is near."""
        folded = {
            _folded(known): unit for known, unit in self._content.units.items() if unit in accepted
        } | {_folded(unit): unit for unit in accepted if unit in self._content.units.values()}
        near = get_close_matches(_folded(spelling), folded, n=1, cutoff=0.75)
        return folded[near[0]] if near else ""

    def _ranges(self) -> Iterator[Proposal]:
        own = {
            name for definition in self._ruleset.facts.definitions
            if definition.__struct_config__.tag == "own-range" for name in definition.reads()
        }  # fmt: skip
        for name, cells in self._book.concepts.items():
            concept = self._tables.get(name) or Concept(name=name)
            reads_ranges = name in own or concept.reading in ("own-range", "titre")
            if reads_ranges and cells.without_range >= _USUAL and name not in self._content.ranges:
                yield self._range(name, concept, cells)

    def _range(self, name: str, concept: Concept, cells: ConceptCells) -> Proposal:
        stated = [(key, cell) for key, cell in cells.ranges.ranked() if cell.patients.enough]
        unit, low, high = stated[0][0] if stated else (concept.unit, "", "")
        why = f"{cells.without_range} of {cells.numbers} numbers have neither a flag nor limits"
        if stated:
            why += f"; these limits are the most frequent where some are stated ({stated[0][1].count} times)"
        return Proposal(
            section="ranges",
            values={"concept": name, "unit": unit, "low": low, "high": high},
            entries=cells.without_range,
            why=why,
        )


def _folded(unit: str) -> str:
    return "".join(char for char in unit.lower().replace("µ", "u").replace("μ", "u") if char.isalnum() or char in "/%")


