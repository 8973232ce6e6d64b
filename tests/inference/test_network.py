from __future__ import annotations

from house_alarm import HOUSE, all_, any_, at_least, derived, is_, is_not, issue, plain, unknown

from engine.inference.network import MAX_PREMISES, Network, build, off, on
from engine.rules.program import Rule


def strata(*rules: Rule) -> list[list[str]]:
    return [[closing.name for closing in stratum] for stratum in build(rules).strata]


def saturate(network: Network, **values: str) -> set[int]:
    """The atoms that follow from facts alone, without closing any stratum."""
    known = {atom for fact in network.outer for atom in network.decided[fact].of(values.get(fact, "unknown"))}
    grown = True
    while grown:
        before = len(known)
        for premises, conclusions in network.rules:
            if known.issuperset(premises):
                known.update(conclusions)
        grown = len(known) > before
    return known


def test_a_chain_of_plain_facts_stands_in_one_stratum_and_is_derived_without_closing() -> None:
    rules = [plain("c1", is_("c0", "present")), plain("c2", is_("c1", "present")), plain("c3", is_("c2", "absent"))]
    network = build(rules)
    assert strata(*rules) == [["c1", "c2", "c3"]]
    last = network.strata[0][2].cases[0][0]
    assert off(last) in saturate(network, c0="present")
    assert on(last) in saturate(network, c0="absent")
    assert not {on(last), off(last)} & saturate(network)


def test_what_reads_a_plain_fact_by_not_or_unknown_waits_until_it_is_closed() -> None:
    rules = [plain("c1", is_("c0", "present")), plain("c2", is_not("c1", "present")), plain("c3", unknown("c2"))]
    assert strata(*rules) == [["c1"], ["c2"], ["c3"]]


def test_what_reads_a_ranked_fact_waits_until_it_is_closed() -> None:
    ranked = derived("r", ("high", is_("a", "present")), ("low", is_("b", "present")))
    assert strata(ranked, plain("c", is_("r", "low"))) == [["r"], ["c"]]


def test_what_reads_an_issue_that_may_be_held_back_waits_until_it_is_closed() -> None:
    held = issue("i", is_("a", "present"), unless=is_("b", "present"))
    free = issue("j", is_("a", "present"), is_("b", "present"))
    assert strata(held, free, plain("c", is_("i", "present")), plain("d", is_("j", "present"))) == [
        ["i", "j", "d"],
        ["c"],
    ]


def test_a_rule_that_reads_no_other_rule_is_in_the_first_stratum() -> None:
    assert strata(*HOUSE.patient) == [["hot", "signs", "fire"], ["alarm"], ["look"]]


def test_equal_conditions_are_one_node_and_equal_premises_one_rule() -> None:
    both = all_(is_("a", "present"), is_("b", "present"))
    turned = all_(is_("b", "present"), is_("a", "present"))
    network = build([plain("x", both), plain("y", turned), issue("z", both)])
    pairs = [conclusions for premises, conclusions in network.rules if len(premises) == 2]
    assert [len(conclusions) for conclusions in pairs] == [3]


def test_no_engine_rule_has_more_premises_than_allowed() -> None:
    wide = all_(*(is_(f"f{index}", "present") for index in range(100)))
    counted = at_least(7, *(is_(f"f{index}", "present") for index in range(20)))
    network = build([plain("x", wide), plain("y", counted)])
    assert max(len(premises) for premises, _ in network.rules) == MAX_PREMISES


def test_at_least_more_than_there_are_costs_nothing() -> None:
    network = build([plain("x", at_least(10**9, is_("a", "present"))), plain("y", any_())])
    (x, _), (y, _) = (closing.cases[0] for closing in network.strata[0])
    known = saturate(network) | set(network.always)
    for premises, conclusions in network.rules:
        if known.issuperset(premises):
            known.update(conclusions)
    assert {off(x), off(y)} <= known


def test_only_atoms_that_a_rule_reads_are_asserted() -> None:
    network = build(HOUSE.patient)
    read = {atom for premises, _ in network.rules for atom in premises}
    for decided in network.decided.values():
        for atoms in (*decided.by_value.values(), decided.otherwise):
            assert read.issuperset(atoms)
