"""AChR antibodies: positive, confirmed, transient (section 1.5; achr-classify, achr-confirm)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from chart import Chart
from reading import ANTIBODIES, INDETERMINATE, LOW, NEGATIVE, NO, POSITIVE, YES, Result, exact

IMMUNOSUPPRESSANTS = {
    "prednisone", "prednisolone", "methylprednisolone", "dexamethasone", "azathioprine", "mycophenolate",
    "methotrexate", "tacrolimus", "ciclosporin", "rituximab", "inebilizumab", "cyclophosphamide", "eculizumab",
    "ravulizumab", "zilucoplan", "efgartigimod", "rozanolixizumab", "nipocalimab",
}  # fmt: skip
IMMUNOTHERAPY = IMMUNOSUPPRESSANTS | {"ivig", "plasma-exchange"}


def classify(result: Result) -> tuple[str, bool]:
    """positive, negative, equivocal or unknown; and whether flag and range contradict each other."""
    by_flag = (
        "positive" if result.flag in POSITIVE
        else "negative" if result.flag in NEGATIVE
        else "equivocal" if result.flag in INDETERMINATE
        else ""
    )  # fmt: skip
    pair = result.limit("high")
    above = pair[0].above(pair[1]) if pair else None
    by_range = {True: "positive", False: "negative", None: ""}[above]
    if by_flag:
        opposite = {by_flag, by_range} == {"positive", "negative"}
        return ("equivocal", True) if opposite else (by_flag, False)
    if result.value in YES:
        return "positive", False
    if result.value in NO:
        return "negative", False
    if result.value == "equivocal":
        return "equivocal", False
    if result.get("ref_high") is not None:
        return by_range or "unknown", False
    if result.number is None:
        return "unknown", False
    if result.number.at_least(exact("0.5")):
        return "positive", False
    if result.number.at_most(exact("0.02")):
        return "negative", False
    between = result.number.at_least(exact("0.5")) is False and result.number.at_most(exact("0.02")) is False
    return ("equivocal" if between else "unknown"), False


@dataclass(frozen=True)
class Achr:
    recorded: bool
    ever: bool
    transient: bool
    confirmed: bool
    late_negative: bool
    negative: bool
    equivocal: bool
    conflict_only: bool
    other_assay: bool                # a cell-based or modulating assay is positive
    first: date | None
    newest: date | None              # newest dated positive of any assay
    conflict: bool                   # dq-conflicting-results

    @property
    def positive(self) -> bool:
        return self.ever and not self.transient


def read_achr(chart: Chart) -> Achr:
    kinds = [(result, *classify(result)) for result in chart.results("achr-binding")]
    positives = [r for r, kind, _ in kinds if kind == "positive"]
    negatives = [r for r, kind, _ in kinds if kind == "negative"]
    negative_days = {r.day for r in negatives if r.day}
    both_days = {r.day for r in positives if r.day} & negative_days
    plain = [r for r in positives if r.day not in both_days]
    dated = sorted({r.day for r in plain if r.day})
    assays = {
        concept: [r for r in chart.results(concept) if r.yes] for concept in ("achr-cba", "achr-modulating")
    }
    other = any(assays.values())
    late = bool(dated) and not other and any(
        r.day and r.day > dated[-1] and not immunotherapy_explains(chart, r.day) for r in negatives
    )
    ever = bool(positives) or other
    transient = bool(
        chart.full and not both_days and dated and negative_days and not other and _transient(chart, plain, negatives)
    )
    assays_positive = bool(plain) + sum(bool(_uncontradicted(chart, concept)) for concept in assays)
    repeated = bool(dated) and (dated[-1] - dated[0]).days >= 28 and not late
    others = [r for found in assays.values() for r in found]
    days = dated + [r.day for concept in assays for r in _uncontradicted(chart, concept) if r.day]
    return Achr(
        recorded=chart.recorded("achr-binding", "achr-cba", "achr-modulating"),
        ever=ever,
        transient=transient,
        confirmed=ever and not transient and (repeated or assays_positive >= 2),
        late_negative=late,
        negative=not ever and (bool(negatives) or any(r.yes is False for r in chart.results("achr-cba"))),
        equivocal=not ever and any(kind == "equivocal" for _, kind, _ in kinds),
        conflict_only=bool(positives) and not plain and not other,
        other_assay=other,
        first=min(days, default=None),
        newest=max((r.day for r in [*positives, *others] if r.day), default=None),
        conflict=bool(both_days) or any(contradicts for _, _, contradicts in kinds),
    )


def _uncontradicted(chart: Chart, concept: str) -> list[Result]:
    """Positive results that no negative of the same day contradicts."""
    negative_days = {r.day for r in chart.results(concept) if r.yes is False and r.day}
    return [r for r in chart.results(concept) if r.yes and r.day not in negative_days]


def immunotherapy_explains(chart: Chart, negative: date) -> bool:
    for order in chart.orders:
        if order.drug not in IMMUNOTHERAPY or order.topical or not order.given:
            continue
        until_now = order.status in ("active", "on-hold")
        begun = order.start is None or order.start <= negative
        ended = None if until_now else order.end
        if begun and (ended is None or (negative - ended).days <= 365):
            return True
    return False


def _transient(chart: Chart, positives: list[Result], negatives: list[Result]) -> bool:
    first = max(r.day for r in positives if r.day)
    last = max(r.day for r in negatives if r.day)
    if (last - first).days < 28 or immunotherapy_explains(chart, last):
        return False
    thymectomies = [r.day for r in chart.results("thymectomy") if r.yes]
    if any(day is None or first <= day <= last for day in thymectomies):
        return False
    made = {(r.get("lab"), r.get("method")) for r in positives if r.day == first}
    again = {(r.get("lab"), r.get("method")) for r in negatives if r.day == last}
    return made <= again and all(lab and method for lab, method in made)  # each positive is undone by its like


def antibody_flagged_low(chart: Chart) -> bool:
    """`L` on an antibody is a data-quality issue."""
    return any(r.flag in LOW for concept in ANTIBODIES for r in chart.results(concept))
