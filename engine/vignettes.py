"""Vignettes: small patients with the findings that a clinician expects; run through the same reading and evaluation.

A vignette is read from YAML, composed into FHIR, read back and evaluated. It passes closed-world: every issue of `must`
with its severity, every display, words that a summary `says`, every derived value, nothing of `must_not`, and nothing
outside `must` and `may`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from engine.document import load_document
from engine.errors import InputError, Place
from engine.evaluation import Evaluator
from engine.fhir.compose import compose_bundle
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.model.finding import Evaluation, Finding
from engine.model.problem import Problem
from engine.model.record import Record

Case = Mapping[str, Any]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One vignette and what is wrong with its result; no `wrong` means that it passed."""

    id: str
    title: str
    place: Place
    wrong: tuple[str, ...] = ()


def cases_in(folder: Path) -> Iterator[tuple[Case, Place]]:
    """Every vignette of a ruleset's folder, with the place where it stands."""
    for path in sorted((folder / "vignettes").glob("**/*.yaml")):
        document = load_document(path)
        for index, case in enumerate(document.data or ()):
            yield case, document.place((index,))


def run(evaluator: Evaluator, cases: Iterator[tuple[Case, Place]]) -> Iterator[Outcome]:
    """Run vignettes, one outcome each."""
    for case, place in cases:
        try:
            wrong = tuple(differences(case, evaluate(evaluator, case)))
        except (InputError, ValueError) as error:
            wrong = (f"cannot be run: {error}",)
        yield Outcome(id=str(case.get("id", "?")), title=str(case.get("title", "")), place=place, wrong=wrong)


def evaluate(evaluator: Evaluator, case: Case) -> Evaluation:
    """The evaluation of one vignette at its own date."""
    return evaluator.evaluate(record_of(evaluator, case))


def record_of(evaluator: Evaluator, case: Case) -> Record:
    """The record of one vignette at its own date: composed into FHIR and read back."""
    bundle = compose_bundle(case, evaluator.ruleset.terminology)
    problems: list[Problem] = []
    scope = Scope(as_of=date.fromisoformat(str(case["now"])))
    document = Document(bundle, str(case.get("id", "vignette")))
    records = list(read_records([document], evaluator.ruleset.terminology, scope, problems))
    if len(records) != 1:
        raise InputError(f"it is the record of {len(records)} patients, not of one")
    return records[0]


def differences(case: Case, evaluation: Evaluation) -> Iterator[str]:
    """What differs from the expectation, in words."""
    found = strongest(evaluation.findings)
    must: Mapping[str, str] = case.get("must") or {}
    for issue, severity in must.items():
        if issue not in found:
            yield f"`{issue}` {severity} is expected and does not fire"
        elif found[issue].severity != severity:
            yield f"`{issue}` is {found[issue].severity}, expected {severity}"
    for issue in found:
        if issue not in must and issue not in (case.get("may") or ()):
            yield f"`{issue}` {found[issue].severity} fires and is not expected"
    for issue, display in (case.get("display") or {}).items():
        if issue in found and found[issue].display != display:
            yield f"`{issue}` is shown as {found[issue].display}, expected {display}"
    for issue, words in (case.get("says") or {}).items():
        if issue in found and str(words) not in found[issue].summary:
            yield f"`{issue}` says `{found[issue].summary}`, expected in it: `{words}`"
    for fact, value in (case.get("derived") or {}).items():
        is_value = value_of(fact, evaluation)
        if not fits(is_value, value):
            yield f"`{fact}` is {is_value}, expected {value}"


def strongest(findings: Sequence[Finding]) -> dict[str, Finding]:
    """One finding an issue: over several orders the highest severity, then the most prominent display."""
    best: dict[str, Finding] = {}
    for finding in findings:
        other = best.get(finding.issue)
        if other is None or finding.rank < other.rank:
            best[finding.issue] = finding
    return best


def value_of(fact: str, evaluation: Evaluation) -> str:
    """The value of a base or derived fact of an evaluation."""
    if fact in evaluation.conclusions:
        return evaluation.conclusions[fact]
    return evaluation.facts[fact].value if fact in evaluation.facts else UNKNOWN


def fits(value: str, expected: object) -> bool:
    """true: present; false: not present; null: none or unknown; else the value itself."""
    match expected:
        case True:
            return value == PRESENT
        case False:
            return value != PRESENT
        case None:
            return value in (ABSENT, UNKNOWN, "none")
        case _:
            return value == str(expected)
