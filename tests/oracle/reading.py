"""Results as they are read: dates, numbers with comparators, units, ranges, yes-no answers (sections 1.1 to 1.4).

A second reading of the clinical specification (docs/clinical). Nothing here comes from the engine. Answers are
three-valued: True, False, and None for unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

Compact = Mapping[str, Any]
Answer = bool | None

YEAR = Fraction("365.25")

HIGH = {"H", "HH", "HU", "HX"}
LOW = {"L", "LL", "LU", "LX"}
POSITIVE = {"POS", "DET", "RR", "A", "AA", "WR"} | HIGH
NEGATIVE = {"NEG", "ND", "NR", "N"}
INDETERMINATE = {"IND", "E", "I"}

YES = {"present", "positive", "detected"}
NO = {"absent", "negative", "not-detected"}

PRESSURES = {"cm[H2O]": "1", "kPa": "10.19716", "mm[Hg]": "1.35951", "mbar": "1.01972"}
ENZYME = {"U/L": "1", "[IU]/L": "1", "ukat/L": "60"}

# concept -> factor of each accepted unit, lowest and highest plausible value
QUANTITIES: dict[str, tuple[dict[str, str], str, str]] = {
    "achr-binding": ({"nmol/L": "1", "pmol/mL": "1", "pmol/L": "0.001"}, "0", "5000"),
    "ck": (ENZYME, "0", "500000"),
    "alt": (ENZYME, "0", "20000"),
    "ast": (ENZYME, "0", "20000"),
    "mip": (PRESSURES, "0", "300"),
    "mep": (PRESSURES, "0", "300"),
    "snip": (PRESSURES, "0", "300"),
    "vc-mlkg": ({"mL/kg": "1"}, "0", "120"),
    "fvc-pct": ({"%": "1"}, "1", "200"),
    "fvc-l": ({"L": "1", "mL": "0.001"}, "0", "10"),
    "spo2": ({"%": "1"}, "30", "100"),
    "bicarbonate": ({"mmol/L": "1", "meq/L": "1"}, "1", "80"),
    "paco2": ({"mm[Hg]": "1", "kPa": "7.50062"}, "5", "200"),
    "rns": ({"%": "1"}, "0", "100"),
    "rns-increment": ({"%": "1"}, "0", "2000"),
    "csf-protein": ({"g/L": "1", "mg/dL": "0.01", "mg/L": "0.001"}, "0", "20"),
    "csf-wbc": ({"/uL": "1", "10*6/L": "1"}, "0", "100000"),
    "anc": ({"10*9/L": "1", "10*3/uL": "1", "/uL": "0.001"}, "0", "100"),
    "body-weight": ({"kg": "1", "[lb_av]": "0.45359237"}, "1", "400"),
    "ice-pack": ({"mm": "1", "cm": "10"}, "0", "20"),
    "weight-loss-pct": ({"%": "1"}, "0", "80"),
}
MAGNITUDES = {"mip", "mep", "snip", "rns", "rns-increment"}
NOT_DONE_AT_ZERO = {"mip", "mep", "snip", "vc-mlkg", "fvc-pct", "fvc-l"}

ANTIBODIES = {
    "achr-binding", "achr-cba", "achr-modulating", "musk-ab", "lrp4-ab", "vgcc-ab", "gm1-ab", "mag-ab", "cn1a-ab",
    "hu-ab", "myositis-ab",
}  # fmt: skip
YES_NO = (ANTIBODIES - {"achr-binding"}) | {
    "ache-response", "edrophonium", "csf-ocb", "monoclonal-protein", "lead", "hexa-deficiency", "hiv", "lyme",
    "syphilis", "hcv", "sod1-pathogenic", "c9orf72", "fus", "tardbp", "als-gene-panel", "ncs-demyelination",
    "fatigability", "ocular-weakness", "symmetric-nonfluctuating-ptosis", "proximal-leg-weakness", "areflexia",
    "autonomic-symptoms", "dm-rash", "gynecomastia", "testicular-atrophy", "perioral-fasciculation", "sensory-loss",
    "sphincter", "sustained-remission", "nonfluctuating-progression", "progression", "als-alternatives-excluded",
    "gd-enh-and-nonenh", "new-t2-lesion", "resp-symptom", "niv-in-use", "niv-declined", "gastrostomy",
    "gastrostomy-declined", "dysphagia", "sulfite-allergy", "genetic-testing-declined", "invasive-ventilation",
    "tracheostomy", "thymectomy",
}  # fmt: skip

def exact(value: object) -> Fraction:
    return Fraction(str(value))


def is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


@dataclass(frozen=True)
class Number:
    """A value with its comparator; a question that the comparator leaves open is answered by None."""

    value: Fraction
    comparator: str = ""

    def above(self, limit: Fraction | int) -> Answer:
        match self.comparator:
            case "<" | "<=":
                return False if self.value <= limit else None
            case ">":
                return True if self.value >= limit else None
            case ">=":
                return True if self.value > limit else None
        return self.value > limit

    def at_least(self, limit: Fraction | int) -> Answer:
        match self.comparator:
            case "<":
                return False if self.value <= limit else None
            case "<=":
                return False if self.value < limit else None
            case ">" | ">=":
                return True if self.value >= limit else None
        return self.value >= limit

    def below(self, limit: Fraction | int) -> Answer:
        return negated(self.at_least(limit))

    def at_most(self, limit: Fraction | int) -> Answer:
        return negated(self.above(limit))

    def times(self, factor: Fraction) -> Number:
        return Number(self.value * factor, self.comparator)

    def over(self, other: Number) -> Number | None:
        """The quotient; none if the two comparators pull apart, strict if one of them is."""
        sides = {self.comparator, TURNED[other.comparator]} - {""}
        bounds = {side[:1] for side in sides}
        if not other.value or len(bounds) > 1:
            return None
        strict = bool(sides & {"<", ">"})
        return Number(self.value / other.value, "".join(bounds) + ("" if strict or not bounds else "="))


TURNED = {"": "", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def negated(answer: Answer) -> Answer:
    return None if answer is None else not answer


def all_of(*answers: Answer) -> Answer:
    if False in answers:
        return False
    return None if None in answers else True


def any_of(*answers: Answer) -> Answer:
    if True in answers:
        return True
    return None if None in answers else False


def day_of(written: object, now: date) -> date | None:
    """A date as written; of a bare year 1 July, of a month the 15th, but not after `now` once they have begun."""
    if written is None:
        return None
    parts = [int(part) for part in str(written)[:10].split("-")]
    if len(parts) == 3:
        return date(*parts)
    begun = date(parts[0], parts[1] if len(parts) == 2 else 1, 1)
    assumed = date(parts[0], parts[1], 15) if len(parts) == 2 else date(parts[0], 7, 1)
    return now if begun <= now < assumed else assumed


class Result:
    """One usable Observation (or what stands for one)."""

    def __init__(self, fact: Compact, day: date | None) -> None:
        self.fact = fact
        self.concept = str(fact["c"])
        self.day = day
        self.flag = str(fact.get("interp") or "")
        self.number, self.defect = self._measured()

    def get(self, key: str) -> Any:
        return self.fact.get(key)

    def without_comparator(self) -> Result:
        return Result({key: value for key, value in self.fact.items() if key != "cmp"}, self.day)

    @property
    def value(self) -> object:
        return self.fact.get("v")

    def _raw(self) -> Number | None:
        if not is_number(self.value):
            return None
        value, comparator = exact(self.value), str(self.fact.get("cmp") or "")
        if self.concept in MAGNITUDES and value < 0:
            return Number(-value, TURNED[comparator])
        return Number(value, comparator)

    def _measured(self) -> tuple[Number | None, str]:
        """The number in its canonical unit, and what is wrong with it."""
        raw = self._raw()
        if raw is None or self.concept not in QUANTITIES:
            return raw, ""
        if self.concept in NOT_DONE_AT_ZERO and raw.value == 0:
            return None, ""
        units, lowest, highest = QUANTITIES[self.concept]
        unit = self.fact.get("u")
        if not unit:
            return None, "dq-unit-missing"
        if unit not in units:
            return None, "dq-unit-unconvertible"
        number = raw.times(exact(units[unit]))
        if not exact(lowest) <= number.value <= exact(highest):
            return None, "dq-implausible-value"
        return number, ""

    @cached_property
    def yes(self) -> Answer:
        """present, positive, detected; a value that says neither gets its meaning from the flag."""
        if self.value in YES:
            return True
        if self.value in NO:
            return False
        if self.flag in POSITIVE:
            return True
        return False if self.flag in NEGATIVE else None

    def limit(self, end: str) -> tuple[Number, Fraction] | None:
        """The number and a limit of the result's own range, in one unit; none if they cannot be compared."""
        bound, unit, raw = self.fact.get(f"ref_{end}"), self.fact.get("u"), self._raw()
        if bound is None or raw is None or not unit:
            return None
        of_bound = self.fact.get("ref_u") or unit
        units = QUANTITIES[self.concept][0] if self.concept in QUANTITIES else {}
        if unit in units and of_bound in units:
            return (self.number, exact(bound) * exact(units[of_bound])) if self.number else None
        return (raw, exact(bound)) if unit == of_bound else None

    def times_upper(self, factor: int) -> Answer:
        """Above so many times the upper limit of its own range?"""
        pair = self.limit("high")
        return pair[0].above(pair[1] * factor) if pair else None

    @property
    def is_high(self) -> Answer:
        if self.flag in HIGH:
            return True
        return False if self.flag in LOW | NEGATIVE else self.times_upper(1)

    @property
    def above_own_range(self) -> Answer:
        """A high or normal flag, else the upper limit of its own range, whatever else the flag says."""
        if self.flag in HIGH:
            return True
        return False if self.flag in NEGATIVE else self.times_upper(1)

    @property
    def is_low(self) -> Answer:
        if self.flag in LOW:
            return True
        if self.flag in HIGH | NEGATIVE:
            return False
        pair = self.limit("low")
        return pair[0].below(pair[1]) if pair else None
