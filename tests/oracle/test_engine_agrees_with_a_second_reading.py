"""The engine against a second reading of the clinical specification, on random patients and on changed vignettes.

The second reading (oracle.py) is plain code from compact facts to findings. The engine reads the same facts composed
into FHIR. Every finding must agree in severity and display. With ENDPLATE_SOAK=1 (`make soak`) on tens of thousands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from drugs import CLASSES
from oracle import findings
from patients import changed, random_patient

from engine.document import load_document
from engine.evaluation import Evaluator
from engine.inference.backends import make_backend
from engine.rules.load import load_ruleset
from engine.vignettes import evaluate, strongest

VIGNETTES = Path(__file__).parents[2] / "rulesets/neuromuscular/vignettes"
SOAK = bool(os.environ.get("ENDPLATE_SOAK"))
LOT = 200
LOTS = range(100 if SOAK else 2)

# an unusable routine value is a finding only in a patient who is relevant otherwise (docs/rule-language.md)
OF_ROUTINE_VALUES = {"dq-unit-missing", "dq-unit-unconvertible", "dq-implausible-value"}

Case = Mapping[str, Any]
Found = dict[str, tuple[str, str]]


@cache
def evaluator() -> Evaluator:
    ruleset = load_ruleset()
    return Evaluator(ruleset, make_backend("plain", ruleset.program))


@cache
def vignettes() -> list[Case]:
    """The published and reconstructed cases; in the long form also those at borders and those held for the rules."""
    long = () if SOAK else ("boundaries-", "held-")
    files = [path for path in sorted(VIGNETTES.glob("*.yaml")) if not path.stem.startswith(long)]
    return [case for path in files for case in load_document(path).data]


def both(case: Case) -> tuple[Found, Found]:
    """What the engine and the second reading find."""
    evaluation = evaluate(evaluator(), case)
    engine = {issue: (f.severity, f.display) for issue, f in strongest(evaluation.findings).items()}
    second = findings(case)
    if not evaluation.relevant:
        second = {issue: found for issue, found in second.items() if issue not in OF_ROUTINE_VALUES - engine.keys()}
    return engine, second


def smallest(case: Case) -> Case:
    """The case without the facts that its difference does not need."""
    facts = list(case["facts"])
    for fact in list(facts):
        rest = [other for other in facts if other is not fact]
        engine, second = both({**case, "facts": rest})
        if engine != second:
            facts = rest
    return {**case, "facts": facts}


def assert_agreement(case: Case) -> None:
    engine, second = both(case)
    if engine == second:
        return
    case = smallest(case)
    engine, second = both(case)
    issues = sorted(issue for issue in engine.keys() | second.keys() if engine.get(issue) != second.get(issue))
    told = [f"{issue}: engine {engine.get(issue)}, second reading {second.get(issue)}" for issue in issues]
    head = {key: value for key, value in case.items() if key in ("id", "now", "scope", "patient")}
    raise AssertionError("\n".join([*told, str(head), *map(str, case["facts"])]))


@pytest.mark.soak
@pytest.mark.parametrize("lot", LOTS)
def test_they_agree_on_random_patients(lot: int) -> None:
    for seed in range(lot * LOT, (lot + 1) * LOT):
        assert_agreement(random_patient(seed))


@pytest.mark.soak
@pytest.mark.parametrize("lot", LOTS)
def test_they_agree_on_vignettes_with_changed_facts(lot: int) -> None:
    known = vignettes()
    for seed in range(lot * LOT, (lot + 1) * LOT):
        assert_agreement(changed(known[seed * 7 % len(known)], seed))


def test_the_second_reading_passes_the_vignettes() -> None:
    """As the engine does: every `must` with its severity and display, and nothing else."""
    for case in vignettes():
        found, must = findings(case), case.get("must") or {}
        assert {issue: found[issue][0] for issue in must if issue in found} == must, case["id"]
        extra = found.keys() - must.keys() - set(case.get("may") or ())
        # a routine value without unit, in a patient of whom nothing else is known
        assert extra <= (OF_ROUTINE_VALUES if len(case["facts"]) == 1 else set()), (case["id"], extra)
        displays = {issue: found[issue][1] for issue in case.get("display") or {} if issue in found}
        assert displays.items() <= (case.get("display") or {}).items(), case["id"]


def test_random_patients_reach_every_issue() -> None:
    reached: set[str] = set()
    for seed in range(5000):
        reached |= findings(random_patient(seed)).keys()
    for seed, case in enumerate(vignettes()):
        reached |= findings(changed(case, seed)).keys()
    anchors = evaluator().anchors
    assert reached == {issue.name for issue in (*anchors.issues(), *anchors.issues("order"))}


@pytest.mark.parametrize(
    ("drug_class", "named"),
    [
        ("contraindicated", "telithromycin quinine penicillamine botulinum-toxin"),
        (
            "fluoroquinolone",
            "ciprofloxacin levofloxacin moxifloxacin ofloxacin norfloxacin gemifloxacin delafloxacin enoxacin",
        ),
        ("aminoglycoside", "gentamicin tobramycin amikacin streptomycin kanamycin neomycin netilmicin plazomicin"),
        ("macrolide", "azithromycin clarithromycin erythromycin"),
        ("class-1a", "procainamide quinidine dextromethorphan-quinidine"),
        ("beta-blocker", "metoprolol propranolol atenolol bisoprolol carvedilol labetalol nadolol timolol"),
        (
            "caution",
            "atorvastatin simvastatin rosuvastatin pravastatin chloroquine hydroxychloroquine deferoxamine lithium "
            "iodinated-contrast phenytoin verapamil diltiazem interferon-alfa colistin polymyxin-b clindamycin "
            "lincomycin",
        ),
        (
            "checkpoint-inhibitor",
            "nivolumab pembrolizumab ipilimumab atezolizumab durvalumab avelumab cemiplimab",
        ),
        ("non-depolarising-blocker", "rocuronium vecuronium atracurium cisatracurium pancuronium mivacurium"),
        ("sedative", "lorazepam diazepam midazolam morphine oxycodone fentanyl zolpidem zopiclone zaleplon"),
        (
            "live-vaccine",
            "mmr-vaccine varicella-vaccine zoster-live-vaccine live-influenza-vaccine bcg-vaccine oral-typhoid-vaccine "
            "yellow-fever-vaccine",
        ),
        (
            "dmq-contraindicated",
            "quinine quinidine mefloquine phenelzine tranylcypromine isocarboxazid selegiline rasagiline linezolid",
        ),
        ("cyp1a2-inhibitor", "fluvoxamine ciprofloxacin mexiletine enoxacin zileuton vemurafenib"),
        ("xanthine-oxidase-inhibitor", "allopurinol febuxostat"),
        ("anticholinergic", "glycopyrrolate amitriptyline benztropine trihexyphenidyl hyoscine atropine"),
    ],
)
def test_a_drug_of_the_specification_stands_in_its_class(drug_class: str, named: str) -> None:
    assert set(named.split()) <= CLASSES[drug_class]
