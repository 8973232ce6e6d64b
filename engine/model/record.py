"""One patient's record as the rules see it: what was read, by concept, without any FHIR element name.

`engine.fhir` builds it, `engine.facts` reads it. All of it is frozen; dates are resolved against `Record.as_of` (a
partial date: YYYY = 1 July, YYYY-MM = the 15th; if that day is after `as_of` but the year or month has begun, `as_of`).
Numbers are exact decimals as written in the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from engine.model.problem import Problem

Comparator = Literal["", "<", "<=", ">", ">="]


class Quantity(msgspec.Struct, frozen=True):
    """A number with its unit. `unit` is the UCUM code, or "" when the source states none."""

    value: Decimal
    unit: str = ""
    comparator: Comparator = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One usable-by-status datum of a concept: from an Observation, a DiagnosticReport, a Procedure, an
    AllergyIntolerance, or a Condition that carries a finding (all are read the same way).

    Resources that clinical specification 1.2 does not use (cancelled, entered-in-error, dataAbsentReason, after `as_of`
    ...) never become a Result.
    """

    concept: str
    reference: str                       # "Observation/x"
    day: date | None = None              # calendar day as written; None = undated
    written: str = ""                    # the date as the source writes it, for texts
    preliminary: bool = False            # Observation.status preliminary
    quantity: Quantity | None = None     # valueQuantity, valueInteger, or a number read from valueString
    answer: str = ""                     # of the answer list (present, absent, positive, negative, equivocal, normal,
                                         #   abnormal, compression ...) or of the concept's own list (definite, IIb ...)
    flag: str = ""                       # Observation.interpretation, the v3 code in upper case (H, NEG, IND ...)
    date_value: date | None = None       # valueDateTime
    low: Quantity | None = None          # the result's own reference range; unit "" = not stated
    high: Quantity | None = None
    region: str = ""                     # bulbar cervical thoracic lumbosacral any; "" = none or unmapped
    muscle: str = ""
    nerve: str = ""
    site: str = ""                       # lesion site
    side: str = ""                       # R, L
    sign: str = ""                       # sign type (hoffmann ...)
    parts: Mapping[str, bool | Quantity] = {}   # components by name (fluctuating, hz ...); no key = not stated
    laboratory: str = ""                 # key of the performing Organization; "" = unknown, never the same
    method: str = ""                     # key of the method; "" = unknown, never the same
    current_encounter: bool = False      # belongs to the present encounter
    done_only: bool = False              # proves that the study was done and says nothing about its result
    evidence: tuple[str, ...] = ()       # further references that this reading rests on


Certainty = Literal["confirmed", "suspected", "refuted"]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One Condition of a diagnosis concept (clinical specification 1.7); entered-in-error never becomes one."""

    concept: str
    reference: str
    certainty: Certainty                 # no verificationStatus is confirmed; a suspected-only code is suspected
    recorded: date | None = None
    onset: date | None = None
    ended: bool = False                  # clinicalStatus inactive, resolved or remission
    encounter_only: bool = False         # category encounter-diagnosis and not problem-list-item
    written: str = ""                    # recordedDate (else onset) as written


MedicationStatus = Literal["active", "on-hold", "draft", "completed", "stopped"]


class Medication(msgspec.Struct, frozen=True, kw_only=True):
    """One active ingredient of an order, statement, supply, vaccination or plasma exchange (clinical spec. 1.8).

    Never built from doNotPerform, cancelled, entered-in-error, not-taken ..., nor for a minor ingredient.
    """

    ingredient: str                      # medication name of the rules, e.g. `ciprofloxacin`
    reference: str                       # the order: "MedicationRequest/x"
    status: MedicationStatus
    supply: bool = False                 # MedicationStatement, MedicationDispense, Immunization or Procedure
    start: date | None = None
    end: date | None = None
    written: str = ""
    route: str = ""                      # iv im sc parenteral oral ophthalmic otic topical vaginal ...; "" = not stated
    reason: str = ""                     # chest-imaging, palliative-dyspnoea, malaria, muscarinic-side-effect
    initiation: bool = False             # coded as initiation
    course: str = ""                     # induction, maintenance
    single_mg: Decimal | None = None     # largest single dose
    daily_mg: Decimal | None = None      # sum over the dosages of one day
    course_g: Decimal | None = None      # total over the course
    per_kg: Mapping[str, Decimal] = {}   # doses given per body weight: single-mg, daily-mg, course-g -> amount per kg
    found_by_name: bool = False          # no code was known, the name decided


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """The patient under evaluation."""

    reference: str                       # "Patient/x"
    sex: str = ""                        # male, female, other, unknown, ""
    birth: date | None = None
    deceased: bool = False
    active: bool = True


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one patient at `as_of`."""

    person: Person
    as_of: date
    complete: bool = False                                     # declared complete by the sender or the caller
    results: Mapping[str, tuple[Result, ...]] = {}             # concept -> its results
    diagnoses: Mapping[str, tuple[Diagnosis, ...]] = {}        # concept -> its Conditions
    medications: tuple[Medication, ...] = ()
    problems: tuple[Problem, ...] = ()
    asked: frozenset[str] | None = None                        # concepts that the sender was asked for; None = all
