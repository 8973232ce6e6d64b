from __future__ import annotations

import pytest
from house_alarm import HOUSE, all_, any_, derived, is_, is_not, issue, plain, unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import facts, literals, programs

from engine.inference.plain import PlainBackend, infer
from engine.rules.program import Program, Rule


def decide(rule: Rule, **values: str) -> tuple[str, int | None]:
    conclusions = infer(values, [rule])
    return conclusions.values[rule.name], conclusions.cases.get(rule.name)


RANKED = derived("grade", ("high", is_("a", "present")), ("low", is_("b", "present")), ("high", is_("c", "present")))
HELD = issue("alarm", is_("a", "present"), is_("b", "present"), unless=is_("c", "present"))


def test_the_first_true_case_gives_the_value() -> None:
    assert decide(RANKED, a="present", b="present") == ("high", 0)
    assert decide(RANKED, a="absent", b="present") == ("low", 1)


def test_a_value_may_return_in_a_lower_case() -> None:
    assert decide(RANKED, a="absent", b="absent", c="present") == ("high", 2)


def test_an_earlier_unknown_case_is_passed_over() -> None:
    assert decide(RANKED, b="present") == ("low", 1)


def test_a_derived_fact_is_absent_only_when_every_case_is_false() -> None:
    assert decide(RANKED, a="absent", b="absent", c="absent") == ("absent", None)
    assert decide(RANKED, a="absent", b="absent") == ("unknown", None)


def test_nothing_recorded_is_unknown_and_never_absent() -> None:
    assert decide(RANKED) == ("unknown", None)


def test_an_issue_is_present_while_nothing_is_known_that_holds_it_back() -> None:
    assert decide(HELD, a="present") == ("present", 0)
    assert decide(HELD, a="absent", b="present", c="absent") == ("present", 1)


def test_an_issue_that_is_held_back_is_absent_and_still_tells_its_true_case() -> None:
    assert decide(HELD, a="present", c="present") == ("absent", 0)


def test_an_issue_is_absent_when_all_cases_are_false_or_unless_is_true() -> None:
    assert decide(HELD, a="absent", b="absent") == ("absent", None)
    assert decide(HELD, c="present") == ("absent", None)
    assert decide(HELD, a="absent") == ("unknown", None)


def test_rules_read_derived_facts_and_issues() -> None:
    rules: list[Rule] = [
        HELD,
        plain("quiet", is_not("alarm", "present")),
        plain("silent", is_("alarm", "absent")),
        plain("open", unknown("alarm")),
    ]
    assert infer({"a": "present"}, rules).values == {
        "alarm": "present",
        "quiet": "absent",
        "silent": "absent",
        "open": "absent",
    }
    assert infer({}, rules).values == {"alarm": "unknown", "quiet": "present", "silent": "unknown", "open": "present"}


def test_a_value_for_a_rule_of_the_part_itself_is_ignored() -> None:
    assert infer({"alarm": "present", "a": "absent", "b": "absent"}, [HELD]).values == {"alarm": "absent"}


def test_a_value_outside_the_closed_set_is_just_another_value() -> None:
    assert decide(RANKED, a="unheard-of", b="absent", c="absent") == ("absent", None)


@pytest.mark.parametrize(
    ("values", "fire", "alarm"),
    [
        ({"smoke": "seen", "heat": "present", "cooking": "absent"}, "sure", "present"),
        ({"smoke": "smelt"}, "likely", "present"),
        ({"smoke": "smelt", "cooking": "present"}, "possible", "absent"),
        ({"smoke": "absent", "heat": "absent"}, "absent", "absent"),
        ({"smoke": "smelt", "occupied": "absent"}, "likely", "absent"),
        ({"heat": "absent"}, "unknown", "unknown"),
        ({}, "unknown", "unknown"),
    ],
)
def test_the_house(values: dict[str, str], fire: str, alarm: str) -> None:
    conclusions = PlainBackend(HOUSE).infer(values).conclusions
    assert (conclusions.values["fire"], conclusions.values["alarm"]) == (fire, alarm)


def test_the_order_program_reads_the_conclusions_of_the_patient() -> None:
    backend = PlainBackend(HOUSE)
    patient = {"smoke": "absent", "heat": "absent"}
    concluded = backend.infer(patient).conclusions
    order = {**patient, **concluded.values, "order.water": "much"}
    assert backend.infer(order, "order").conclusions.values == {"flood": "present"}


def test_a_session_decides_both_parts_from_base_facts() -> None:
    session = PlainBackend(HOUSE).session({"smoke": "absent", "heat": "absent", "order.water": "much"})
    assert (session.value("flood"), session.case("flood")) == ("present", 0)
    assert (session.value("fire"), session.case("fire")) == ("absent", None)
    assert session.truth(all_(is_("fire", "absent"), is_not("hot", "present"))) is True
    assert session.truth(any_(is_("occupied", "present"))) is None


def test_a_session_decides_only_what_is_asked_of_it() -> None:
    session = PlainBackend(HOUSE).session({"heat": "present"})
    assert session.value("hot") == "present"
    assert set(session.facts) == {"heat", "cooking", "hot"}


def test_a_session_takes_a_derived_fact_that_is_given_as_it_is() -> None:
    session = PlainBackend(HOUSE).session({"fire": "sure"})
    assert (session.value("alarm"), session.value("fire"), session.case("fire")) == ("present", "sure", None)


def test_a_session_knows_nothing_of_a_name_that_stands_nowhere() -> None:
    session = PlainBackend(HOUSE).session({})
    assert (session.value("nowhere"), session.case("nowhere")) == ("unknown", None)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_session_says_what_a_full_evaluation_says(data: st.DataObject) -> None:
    program = data.draw(programs())
    backend = PlainBackend(program)
    values = data.draw(facts(program))
    patient = backend.infer(values).conclusions
    order = backend.infer({**values, **patient.values}, "order").conclusions
    session = backend.session(values)
    for conclusions, part in ((order, program.order), (patient, program.patient)):
        for rule in part:
            assert session.value(rule.name) == conclusions.values[rule.name]
            assert session.case(rule.name) == conclusions.cases.get(rule.name)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_learning_a_fact_changes_no_conclusion_without_not_unknown_and_ranks(data: st.DataObject) -> None:
    program: Program = data.draw(programs(monotone=True))
    assert all(literal.positive and not literal.closed for rule in program.patient for literal in literals(rule))
    more = data.draw(facts(program))
    less = {name: value for name, value in more.items() if data.draw(st.booleans())}
    before, after = infer(less, program.patient).values, infer(more, program.patient).values
    for name, value in before.items():
        assert value in ("unknown", after[name])
