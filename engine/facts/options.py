"""What the options of a kind may hold, said in the types of its fields: the loader reads these, no kind parses YAML.

The YAML key of an option is the field's encoded name (`msgspec.field(name=...)`), the kind's YAML name is its tag. A
field with a default is optional. A type below says how the YAML value is resolved and checked:

| type         | YAML                                        | resolved to                                     |
|--------------|---------------------------------------------|-------------------------------------------------|
| Number, Days | the name of a parameter                     | its value (Decimal; whole days)                 |
| ConceptName  | the name of a concept                       | itself                                          |
| Concepts     | `concept: x` or `concepts: [x, y]`          | a tuple of names                                |
| Drugs        | an ingredient, a class, or a list of these  | ingredients, classes expanded                   |
| FactName     | the name of a fact or family                | itself                                          |
| ValueName    | a word that the fact may take as its value  | itself                                          |
| Component    | the name of a component of a result         | itself                                          |
| Where        | `{muscle: TABLE, COMPONENT: true or false}` | muscle -> members of the table, component -> bool|
| Table        | the name of a class in tables               | its members                                     |
| Bands        | `[{value: {test: parameter}}, ...]`         | Band values, strongest first                    |
| Since        | a fact, or `{fact: F, dated: required}`     | Since                                           |
| Literal, bool| itself                                      | itself                                          |
| a Struct     | a mapping with its fields as keys           | the Struct, resolved by the types of its fields |
| tuple[X,...] | a list (a single X is a list of one)        | each item by X                                  |
| Mapping[K,V] | a mapping                                   | each key by K and value by V                    |
| str          | a word                                      | itself                                          |
| Codes        | a list of words; left out: the codes that the loader was given for the field `field` | words  |
| Regions      | no key: the ruleset's tables                | all regions, rostral to caudal                  |
| Ingredients  | no key: the terminology and the tables      | every ingredient of the ruleset                 |
| EndedConflicts | no key: the `condition` definitions       | concept -> fact where `ended_conflicts` is set  |

Checks that types cannot say stand in `Definition.check()`; names that a kind reads in every ruleset (`topical-route`,
`taking-days` ...) in `Definition.fixed()`. Give every field a default but those that YAML must state.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from engine.facts.definition import Band


class Means(msgspec.Struct, frozen=True):
    """The mark in an annotated type: what a name in the YAML stands for."""

    what: Literal[
        "parameter", "concept", "concepts", "drugs", "fact", "value", "component", "table", "bands",
        "where", "codes", "regions", "ingredients", "ended-conflicts",
    ]


Number = Annotated[Decimal, Means("parameter")]
Days = Annotated[int, Means("parameter")]
ConceptName = Annotated[str, Means("concept")]
Concepts = Annotated[tuple[str, ...], Means("concepts")]
Drugs = Annotated[frozenset[str], Means("drugs")]
FactName = Annotated[str, Means("fact")]
ValueName = Annotated[str, Means("value")]
Component = Annotated[str, Means("component")]
Table = Annotated[frozenset[str], Means("table")]
Bands = Annotated[tuple[Band, ...], Means("bands")]
Where = Annotated[Mapping[str, bool | frozenset[str]], Means("where")]
Codes = Annotated[tuple[str, ...], Means("codes")]
Regions = Annotated[tuple[str, ...], Means("regions")]
Ingredients = Annotated[tuple[str, ...], Means("ingredients")]
EndedConflicts = Annotated[Mapping[str, str], Means("ended-conflicts")]


class Since(msgspec.Struct, frozen=True):
    """Only entries dated on or after the day from which `fact` is present (an undated start sets no limit, unless
    `dated` is required: then nothing counts)."""

    fact: FactName
    dated: Literal["", "required"] = ""


class After(msgspec.Struct, frozen=True):
    """While `fact` has `value`, only entries later than that statement; else all."""

    fact: FactName
    value: ValueName
