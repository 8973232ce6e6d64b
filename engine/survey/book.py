"""What a survey counts, in one place: cells by concept, drug, code, system and unit, all of them capped."""

from __future__ import annotations

from collections import Counter

from engine.survey.feed import Resource, given
from engine.survey.systems import System, Systems
from engine.survey.tally import Cell, Tally
from engine.terminology.names import Match
from engine.terminology.terminology import Terminology

DOSE = ""                                  # in place of a concept: the unit of a dose
_MOST_SHARED = 200_000                     # Medication resources of which it is remembered who refers to them
VERIFIED = ("Condition", "AllergyIntolerance")                # they have a verificationStatus in place of a status
_DATES = {
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "effectiveInstant"),
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate", "assertedDate", "dateRecorded"),
    "Procedure": ("performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod"),
    "AllergyIntolerance": ("recordedDate", "assertedDate"),
    "MedicationRequest": ("authoredOn", "dispenseRequest", "effectiveDosePeriod", "dosageInstruction"),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod"),
    "MedicationDispense": ("whenHandedOver",),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod", "occurrenceDateTime", "occurrencePeriod"),
    "Immunization": ("occurrenceDateTime",),
}


class Kind:
    """The relevant entries of one type of resource, and what they lack."""

    def __init__(self) -> None:
        self.relevant = self.undated = self.without_status = self.unused = 0


class ConceptCells:
    """What was met of one concept."""

    def __init__(self, fewest: int) -> None:
        self.count = self.undated = self.numbers = self.without_range = 0
        self.carriers: Counter[str] = Counter()
        self.codes: Tally[tuple[str, str]] = Tally(fewest, 500)
        self.units: Tally[str] = Tally(fewest, 100)
        self.ranges: Tally[tuple[str, str, str]] = Tally(fewest, 20)


class DrugCells:
    """What was met of one drug."""

    def __init__(self, fewest: int) -> None:
        self.count = self.by_name = 0
        self.codes: Tally[tuple[str, str]] = Tally(fewest, 500)


class ProductCode:
    """One code of products that no table knows: which drugs their names give, and how often none."""

    __slots__ = ("cell", "drugs", "routes", "same")

    def __init__(self, fewest: int) -> None:
        self.cell = Cell(fewest)
        self.same: tuple[str, ...] = ()                       # known systems in which the code means something
        self.drugs: Counter[tuple[str, ...]] = Counter()
        self.routes: set[str] = set()


class Unknown:
    """A code that looks relevant and means nothing: where it is carried, and what it may be."""

    def __init__(self, code: str, fewest: int) -> None:
        self.code = code
        self.cell = Cell(fewest)
        self.carriers: dict[str, Match | None] = {}
        self.matches: dict[tuple[str, str], Match] = {}      # (concept, carrier) -> why
        self.same: tuple[str, ...] = ()                       # known systems in which the code means something
        self.system: System | None = None                     # if no table knows it
        self.family = ""                                      # known system in whose reported families it lies


class Book:
    """All that is counted. `fewest`: patients in whom a local code, display or unit must be met to be shown."""

    def __init__(self, terminology: Terminology, fewest: int) -> None:
        self.fewest = fewest
        self.systems = Systems(terminology, fewest)
        self.kinds: dict[str, Kind] = {}
        self.concepts: dict[str, ConceptCells] = {}
        self.drugs: dict[str, DrugCells] = {}
        self.unknown: dict[tuple[str, str], Unknown] = {}
        self.units: Tally[tuple[str, str]] = Tally(fewest)    # (spelling, concept) that are not understood
        self.products: dict[tuple[str, str], ProductCode] = {}
        self.textual: Counter[str] = Counter()
        self.worded: Counter[str] = Counter()
        self.more: Counter[str] = Counter()                   # what found no room, by list
        self._shared: dict[int, frozenset[int]] = {}

    def concept(self, name: str) -> ConceptCells:
        """The cells of a concept."""
        return self.concepts.setdefault(name, ConceptCells(self.fewest))

    def drug(self, ingredient: str) -> DrugCells:
        """The cells of a drug."""
        cells = self.drugs.get(ingredient)
        if cells is None:
            cells = self.drugs[ingredient] = DrugCells(self.fewest)
        return cells

    def refers(self, patient: int, shared: int) -> None:
        """A patient's order refers to a shared resource."""
        known = self._shared.get(shared, frozenset())
        if patient and len(known) < self.fewest and (known or len(self._shared) < _MOST_SHARED):
            self._shared[shared] = known | {patient}

    def enough(self, cell: Cell) -> bool:
        """Whether something was met in enough patients, those included who refer to a resource that holds it."""
        known = cell.patients.known.union(*(self._shared.get(one, frozenset()) for one in cell.through))
        return len(known) >= self.fewest

    def stated(self, kind: str, resource: Resource, unused: bool) -> bool:
        """Counts what a relevant entry lacks; returns whether it has no date."""
        seen = self.kinds.setdefault(kind, Kind())
        undated = not any(given(getattr(resource, name)) for name in _DATES[kind])
        seen.relevant += 1
        seen.undated += undated
        seen.without_status += not given(resource.verificationStatus if kind in VERIFIED else resource.status)
        seen.unused += unused
        return undated
