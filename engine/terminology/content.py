"""What a terminology holds: plain frozen values that msgspec encodes and decodes in a few milliseconds."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.errors import Place
from engine.model.form import Form

INCLUDE, SUSPECTED, EXCLUDE = "include", "suspected", "exclude"


class Coding(msgspec.Struct, frozen=True, array_like=True):
    """A coding to emit: canonical system URI, code, display ("" where its publisher licenses the text)."""

    system: str
    code: str
    display: str = ""


class Meaning(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What a coding says in one kind of resource.

    `suspected`: the code is too wide to confirm the concept. `answer` and `denied`: what the resource says when it
    affirms or denies the code, where that is not simply present and absent (increased jitter: abnormal and normal).
    An `answer` of present means that the bare code, without a value, is a positive finding. `region`, `sign`: fixed by
    the code. `finding`: in a Condition, a yes-no result and not a diagnosis. `study`: the code names a study, so
    without a coded answer it proves only that the study was done. `only`: the one status of a Procedure that counts
    ("" = the usual ones).
    """

    concept: str
    suspected: bool = False
    answer: str = ""
    region: str = ""
    sign: str = ""
    denied: str = ""
    finding: bool = False
    study: bool = False
    only: str = ""


class Drug(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """An ingredient as the rules name it, with the route class of the product or of the ATC scope ("" = not stated).

    `strength`: of a product of one ingredient, as its name states it (`60 MG`, `10 MG/ML`); two codes that differ state
    both (`60 MG; 30 MG`).
    `minor`: the product is recognised and is no exposure to the ingredient (a minor ingredient of a solution, an
    ointment of a systemic drug, an inactivated vaccine): never build a medication of it, never look further by name.
    """

    ingredient: str
    route: str = ""
    minor: bool = False
    strength: str = ""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One row of a value set: what a code means to which carriers, and how it is matched."""

    meaning: Meaning
    carriers: tuple[str, ...]
    exclude: bool = False
    prefix: bool = False


class DrugEntry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One row of a drug list; a silent one is known and names no drug."""

    drug: Drug
    prefix: bool = False
    silent: bool = False


class Range(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What a site says of the results of a concept, in `unit`: the limits of those that state none themselves, and the
    limits beyond which a number is a mistake. `place`: where it stands."""

    unit: str
    low: Decimal | None = None
    high: Decimal | None = None
    plausible: tuple[Decimal, Decimal] | None = None
    place: Place = Place("")


class System(msgspec.Struct, frozen=True, array_like=True):
    """A code system: its canonical URI, and how its codes are compared."""

    uri: str
    dotless: bool = False  # dots in codes carry no meaning (ICD)
    hierarchic: bool = False  # a code that begins with another belongs to it, where the row says so
    shape: str = ""  # pattern of a code so typical that it is noticed under any system


class Content(msgspec.Struct, frozen=True):
    """Everything that was loaded. Codes are normalised (see systems.py); systems are short names of `systems`."""

    base: str
    systems: dict[str, System]
    aliases: dict[str, str]  # normalised URI -> short name
    entries: dict[str, dict[str, tuple[Entry, ...]]]  # system -> code -> rows
    drugs: dict[str, dict[str, tuple[DrugEntry, ...]]]
    names: dict[str, tuple[Drug, ...]]  # words of a drug name -> drugs
    context: dict[str, frozenset[str]]  # known codes that no rule reads
    families: dict[str, tuple[str, ...]]  # ICD families whose unknown members are reported
    answers: dict[str, dict[str, str]]
    answer_words: dict[str, str]  # whole normalised text -> answer
    codesets: dict[str, dict[str, dict[str, str]]]  # code set -> system -> code -> value
    words: dict[str, dict[str, str]]  # code set -> whole normalised text -> value
    phrases: dict[str, dict[str, str]]  # code set -> words found anywhere in a text -> value
    units: dict[str, str]  # spelling -> UCUM code
    preferred: dict[str, dict[str, Coding]]  # kind -> concept -> coding to emit
    minor_of_many: frozenset[str]  # ingredients that are minor in a product of more than two
    ranges: dict[str, Range] = {}  # concept -> a site's own limits
    forms: dict[str, Form] = {}  # address -> the form whose answers are read
