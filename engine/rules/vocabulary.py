"""The words that conditions may use: every fact with its closed set of values and its named sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.model.fact import UNKNOWN


class BaseFact(msgspec.Struct, frozen=True, kw_only=True):
    """What rules need to know of one base fact. The compiler reads nothing else of the room `facts`."""

    values: tuple[str, ...]                      # closed set, `unknown` included
    sets: Mapping[str, tuple[str, ...]] = {}     # named sets of values; drug classes, for the ingredient of an order
    common: bool = False                         # found in the general population: anchors nothing
    common_values: frozenset[str] = frozenset()  # values of which that is true (members of common drug classes)
    prevalence: float = 0.01                     # declared share of patients
    current: bool = False                        # speaks of now: a value in its window, a drug taken or ordered
    definition: str = ""                         # the family that it is a member of; "" = itself


class Word(msgspec.Struct, frozen=True):
    """A fact as conditions see it. `open`: its rule could not be read in full, so that no value of it is refused."""

    values: tuple[str, ...]
    sets: Mapping[str, frozenset[str]] = {}
    open: bool = False

    def expand(self, name: str) -> frozenset[str] | None:
        """The values that a value or a named set stands for."""
        if name in self.values:
            return frozenset((name,))
        return frozenset((name,)) if self.open and name not in self.sets else self.sets.get(name)


Vocabulary = Mapping[str, Word]


def base_facts(
    values: Mapping[str, Sequence[str]], sets: Mapping[str, Mapping[str, Sequence[str]]] | None = None
) -> dict[str, BaseFact]:
    """Base facts out of bare closed sets (`unknown` is added); for tools and tests that have no fact definitions."""
    return {
        name: BaseFact(
            values=tuple(dict.fromkeys((*words, UNKNOWN))),
            sets={key: tuple(members) for key, members in (sets or {}).get(name, {}).items()},
        )
        for name, words in values.items()
    }


def word_of(fact: BaseFact) -> Word:
    """A base fact as a word. A set of a family stands with each member that has all of its values."""
    known = set(fact.values)
    return Word(fact.values, {name: frozenset(of) for name, of in fact.sets.items() if of and known.issuperset(of)})
