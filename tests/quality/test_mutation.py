"""Mutation: changes are what they are called, those that a vignette sees are killed, the others are listed."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from quality_kit import (
    TOY,
    all_,
    any_,
    at_least,
    derived,
    folder,  # noqa: F401 - a fixture
    is_,
    is_not,
    issue,
    program,
    rewritten,
    toy,
    toy_examples,
)

from engine.errors import Place
from engine.evaluation import Evaluator
from engine.quality.examples import Judge, examples
from engine.quality.fact_mutants import FactMutant, fact_mutants, moved, of_concept, of_definition
from engine.quality.fact_mutation import FactMutation
from engine.quality.files import Accepted, read_files
from engine.quality.mutants import Mutants
from engine.quality.mutation import Mutation
from engine.quality.proofs import Prover
from engine.quality.survivors import stale, tally
from engine.quality.thorough import check_thoroughly
from engine.quality.wording import Wording
from engine.rules.load import load_ruleset
from engine.rules.program import Adjustment, Gate
from engine.vignettes import cases_in, differences, strongest


def names(*rules, **options) -> set[str]:
    return {mutant.name for mutant in Mutants(program(*rules, **options), Wording(toy())).all()}


def test_every_test_is_dropped_and_read_the_other_way_when_unknown() -> None:
    assert names(issue("x", ("low", all_(is_("a", "present"), is_not("b", "present"))))) == {
        "x: without (a: present)",
        "x: (a: present) also when unknown",
        "x: without (b: not present)",
        "x: (b: not present) only when known",
    }


def test_cases_values_counts_and_the_unless_are_changed() -> None:
    rule = issue(
        "x", ("high", is_("a", "present", "absent")),
        ("low", at_least(2, is_("a", "present"), is_("b", "present"), is_("c", "present"))),
        unless=is_("c", "absent"),
    )  # fmt: skip
    found = names(rule)

    assert {"x, case 1: dropped", "x, case 2: dropped", "x: without its unless"} <= found
    assert {"x, case 1: (a: absent, present) less absent", "x, case 1: (a: absent, present) less present"} <= found
    assert {"x, case 2: at least 1", "x, case 2: at least 3"} <= found
    assert "x, unless: (c: absent) also when unknown" in found


def test_unknown_as_a_value_is_confused_with_absent() -> None:
    closed = is_("a", "unknown")
    closed = type(closed)(closed.fact, closed.values, closed=True)
    assert "x: (a: unknown) or absent" in names(derived("x", ("yes", closed)))


def test_policies_are_changed() -> None:
    gates = (Gate(when=is_("a", "present"), keep=("crisis",)), Gate(when=is_("b", "present"), mute=("care",)))
    mild = Adjustment(name="mild", when=is_("c", "present"), severity="low", display="information")
    found = names(gates=gates, adjustments={"mild": mild})

    assert {"gate 1: dropped", "gate 1: mutes crisis", "gate 2: keeps care"} <= found
    assert {"adjustment mild: leaves the severity", "adjustment mild: leaves the display"} <= found


def test_no_two_mutants_have_one_name() -> None:
    made = [mutant.name for mutant in Mutants(toy().program, Wording(toy())).all()]
    made += [mutant.name for mutant in fact_mutants(toy().facts)]
    assert len(made) == len(set(made)) > 100


def test_the_judge_says_of_the_unchanged_rules_what_the_evaluation_says() -> None:
    judge = Judge(toy().program)
    for example in toy_examples():
        whole = {f.issue: (f.severity, f.display) for f in strongest(example.evaluation.findings).values()}
        bare = {f.issue: (f.severity, f.display) for f in strongest(judge.evaluation(example).findings).values()}
        assert bare == whole
        assert judge.wrong(example) == example.wrong == ()


def test_a_mutant_is_killed_exactly_when_an_evaluation_of_all_vignettes_sees_it() -> None:
    ruleset, runs = toy(), toy_examples()
    mutants = list(Mutants(ruleset.program, Wording(ruleset)).all())
    for mutant, result in zip(mutants, Mutation(ruleset, runs).run(mutants), strict=True):
        seen = [example.id for example in runs if Judge(mutant.program).wrong(example)]
        assert (result.fate == "killed") == bool(seen), mutant.name
        if result.fate == "killed":
            assert result.by in seen
            assert result.said


def test_a_changed_fact_is_killed_exactly_when_an_evaluation_of_all_vignettes_sees_it() -> None:
    ruleset, runs = toy(), toy_examples()
    mutants: list[FactMutant] = list(fact_mutants(ruleset.facts))
    for mutant, result in zip(mutants, FactMutation(ruleset, runs).run(mutants), strict=True):
        changed = Evaluator(msgspec.structs.replace(ruleset, facts=mutant.facts))
        expected = [example.id for example in runs if Judge(ruleset.program).wrong(example) == ()
                    and changed_findings(changed, example)]
        assert (result.fate == "killed") == bool(expected), mutant.name


def changed_findings(evaluator, example) -> bool:
    return bool(list(differences(example.case, evaluator.evaluate(example.record, "none"))))


def test_limits_move_by_one_unit_of_their_last_digit() -> None:
    assert [new for _, new in moved(Decimal(140))] == [139, 141]
    assert [new for _, new in moved(Decimal("0.5"))] == [Decimal("0.4"), Decimal("0.6")]
    assert [new for _, new in moved(Decimal(1))] == [Decimal("0.9"), Decimal("1.1")]
    assert [new for _, new in moved(Decimal("2.20"))] == [Decimal("2.1"), Decimal("2.3")]


def test_bands_move_flip_and_go_and_windows_move() -> None:
    pulse = next(d for d in toy().facts.definitions if d.name == "pulse-fresh")
    found = {what for what, _ in of_definition(pulse)}

    assert {
        "critical at_least pulse-critical 140 -> 139", "critical at_least pulse-critical 140 -> 141",
        "critical at_least pulse-critical -> above", "without band fast", "within 3 -> 2", "within 3 -> 4",
        "without within",
    } <= found  # fmt: skip


def test_an_exclusive_limit_that_no_whole_day_can_be_is_not_flipped() -> None:
    age = next(d for d in toy().facts.definitions if d.name == "age")
    found = {what for what, _ in of_definition(age)}
    assert "under-18 below adult-age 18 -> 17.9973" in found
    assert not any(what.endswith("-> at_most") for what in found)      # 18 years are no whole number of days


def test_a_concept_is_read_otherwise() -> None:
    found = {what for what, _ in of_concept(toy().facts.tables.concepts["pulse"])}
    assert {"plausible 10 -> 9", "plausible 400 -> 401", "also Hz 60 x 1.1", "without time_critical"} <= found


def test_a_vignette_that_fails_notices_nothing_and_is_a_fault(folder) -> None:  # noqa: F811
    rewritten(folder, "vignettes/lantern.yaml", "dark-scan-alone: low, dimol", "dark-scan-alone: high, dimol")
    ruleset = load_ruleset(folder)
    runs = list(examples(Evaluator(ruleset), cases_in(folder)))
    verdict = check_thoroughly(folder, ruleset, runs, read_files(folder, ruleset), every=40)

    assert any("the vignette `T3` fails: `dark-scan-alone` is low, expected high" in str(f) for f in verdict.faults)
    assert all(s.seen != "T3" for s in verdict.tally.survivors)


def test_survivors_are_told_with_a_patient_that_would_notice() -> None:
    ruleset = toy()
    counted = tally(ruleset, toy_examples(), (), prover=Prover(ruleset.program))
    by_name = {survivor.name: survivor for survivor in counted.survivors}

    assert counted.mutants == counted.killed + len(counted.redundant) + len(counted.survivors)
    assert by_name["lantern-fever, case 3: without (glow: present)"].example == {"antibody": "present"}
    assert by_name["dark-scan: without (antibody: not present)"].matters == "findings"
    assert by_name["dark-scan: without (glow: not present)"].seen == "T2"    # has it and expects nothing
    assert by_name["pulse-fresh: within 3 -> 4"].matters == ""                 # of a fact nothing is proved
    assert "lantern-fever, case 4: without (glow: not absent)" in counted.redundant   # glow is present in that case


def test_accepted_survivors_are_set_apart_and_stale_ones_told() -> None:
    ruleset, prover = toy(), Prover(toy().program)
    names_ = [survivor.name for survivor in tally(ruleset, toy_examples(), (), prover=prover).survivors]
    place = Place("accepted-survivors.yaml", 3, 5)
    accepted = (
        Accepted(names=(names_[0], "lantern-fever, case 4: *"), reason="a reason", place=place),
        Accepted(names=("no such change",), reason="a reason", place=place),
    )
    counted = tally(ruleset, toy_examples(), accepted, prover=prover)

    assert names_[0] in counted.accepted
    assert not any(s.name.startswith("lantern-fever, case 4: ") for s in counted.survivors)
    assert [str(fault) for fault in stale(accepted, counted)] == [
        "accepted-survivors.yaml:3:5: no survivor is called `no such change`; it is noticed, or no more: drop it"
    ]


def test_a_condition_is_said_with_the_largest_named_sets() -> None:
    words = Wording(toy())
    assert words.line(is_("scan", "dark", "pale")) == "scan: abnormal"
    assert words.line(any_(is_not("scan", "clear"), all_(is_("a", "present"), is_("b", "absent")))) == (
        "scan: not clear or (a: present and b: absent)"
    )
    assert words.line(at_least(2, is_("a", "present"), is_("b", "absent"), is_("c", "absent"))) == (
        "at least 2 of (a: present; b: absent; c: absent)"
    )
    assert TOY.is_dir()
