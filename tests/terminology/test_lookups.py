"""Lookups, on a made-up terminology."""

from __future__ import annotations

import msgspec
import pytest

from engine.terminology import Coding, Content, Drug, Meaning, Terminology

FRUIT, TREE, DRUG = "http://fruit.example/codes", "http://tree.example", "http://drug.example"


def concepts(terminology: Terminology, carrier: str, *codings: tuple[str, str]) -> set[str]:
    return {meaning.concept for meaning in terminology.concepts(carrier, codings)}


@pytest.mark.parametrize(
    "spelling",
    [
        FRUIT, "HTTP://Fruit.Example/codes", "https://fruit.example/codes/", "http://www.fruit.example/codes",
        "http://fruit.example/codes|2024", "http://fruit.example/codes/edition/7", "urn:oid:1.2.3.4.5", "1.2.3.4.5",
        "oid:1.2.3.4.5", " fruit-10 ",
    ],
)  # fmt: skip
def test_a_system_is_known_under_all_its_spellings(small: Terminology, spelling: str) -> None:
    assert small.system(spelling) == FRUIT
    assert concepts(small, "condition", (spelling, "A10.1")) == {"apple"}


def test_an_unknown_system_comes_back_as_it_is(small: Terminology) -> None:
    assert small.system("http://fruit.example") == "http://fruit.example"
    assert small.system("") == ""
    assert concepts(small, "condition", ("http://fruit.example", "A10.1")) == set()


@pytest.mark.parametrize("code", ["A10.1", "A101", "a101", " A10.1 ", "A10.1*"])
def test_codes_are_compared_without_dots_case_space_or_marks(small: Terminology, code: str) -> None:
    assert concepts(small, "condition", (FRUIT, code)) == {"apple"}


def test_the_longest_code_decides(small: Terminology) -> None:
    assert concepts(small, "condition", (FRUIT, "B20")) == {"citrus"}
    assert concepts(small, "condition", (FRUIT, "B20.99")) == {"citrus"}
    assert concepts(small, "condition", (FRUIT, "B20.1")) == {"lemon"}
    assert concepts(small, "condition", (FRUIT, "B20.11")) == {"citrus"}, "B20.1 is a code, not a family"
    assert concepts(small, "condition", (FRUIT, "B2")) == set()


def test_an_exclusion_takes_the_concept_away_whatever_the_other_codings_say(small: Terminology) -> None:
    assert concepts(small, "condition", (FRUIT, "B20.4")) == set()
    assert concepts(small, "condition", (FRUIT, "B20.41")) == set()
    assert concepts(small, "condition", (FRUIT, "B20"), (FRUIT, "B20.41")) == set()
    assert concepts(small, "condition", (FRUIT, "B20.41"), (FRUIT, "A10.1")) == {"apple"}


def test_a_code_counts_only_in_its_carriers(small: Terminology) -> None:
    assert concepts(small, "observation", (FRUIT, "A10.1")) == set()
    assert concepts(small, "procedure", (TREE, "99")) == {"felled"}
    assert concepts(small, "condition", (TREE, "99")) == set()
    assert concepts(small, "no such carrier", (TREE, "99")) == set()


def test_all_codings_are_tried_in_any_position(small: Terminology) -> None:
    unknown = ("http://hospital.example", "1")
    assert concepts(small, "condition", unknown, unknown, (FRUIT, "A10.1"), unknown) == {"apple"}


def test_a_code_that_is_too_wide_makes_its_concepts_suspected(small: Terminology) -> None:
    meanings = small.concepts("condition", [(FRUIT, "A10.9")])
    assert [(m.concept, m.suspected) for m in meanings] == [("pear", True), ("quince", True)]


def test_a_wide_code_beside_one_that_decides_adds_nothing(small: Terminology) -> None:
    meanings = small.concepts("condition", [(FRUIT, "A10"), (TREE, "77")])
    assert [(m.concept, m.suspected) for m in meanings] == [("pear", False)]


def test_a_finding_tells_its_answers_place_and_kind(small: Terminology) -> None:
    (meaning,) = small.concepts("condition", [(TREE, "88")])
    assert meaning == Meaning("ripe", answer="soft", denied="hard", region="north", sign="red", finding=True)


def test_two_codings_of_one_concept_complete_each_other(small: Terminology) -> None:
    (meaning,) = small.concepts("observation", [("urn:endplate:garden", "ripe"), (TREE, "88")])
    assert (meaning.region, meaning.answer) == ("north", "soft")


def test_the_status_that_alone_counts_is_told(small: Terminology) -> None:
    (meaning,) = small.concepts("procedure", [(TREE, "99")])
    assert (meaning.only, meaning.study) == ("done", True)


def test_answers_come_from_any_coding_and_never_from_contradicting_ones(small: Terminology) -> None:
    assert small.answer([("x", "1"), (TREE, "2")]) == "present"
    assert small.answer([(TREE, "2"), (TREE, "3")]) == ""
    assert small.answer([]) == ""


@pytest.mark.parametrize("text", ["PAS TROUVÉ", "pas  trouve", " Not found. "])
def test_a_whole_text_can_be_an_answer(small: Terminology, text: str) -> None:
    assert small.answer_of_text(text) == "absent"


@pytest.mark.parametrize("text", ["", ".", "test not found here", "found"])
def test_a_longer_or_unknown_text_is_no_answer(small: Terminology, text: str) -> None:
    assert small.answer_of_text(text) == ""


def test_code_sets_read_codings_and_whole_words(small: Terminology) -> None:
    assert small.code("side", [("x", "9"), (TREE, "l")]) == "left"
    assert small.code("side", [("", "Links")]) == "left"
    assert small.code("side", [("", "links oben")]) == ""
    assert small.code("side", [("http://hospital.example", "links")]) == "", "a foreign code is no text"
    assert small.code("no such set", [(TREE, "L")]) == ""


def test_a_route_is_found_anywhere_in_a_text_and_under_any_system(small: Terminology) -> None:
    assert small.code("route", [("", "take 2 by mouth daily")]) == "oral"
    assert small.code("route", [("http://hospital.example", "BY MOUTH")]) == "oral"


def test_units_are_read_from_a_closed_list(small: Terminology) -> None:
    assert small.unit("K/uL") == "10*3/uL"
    assert small.unit("k / UL") == "", "mixed case is no listed spelling"
    assert small.unit("K/UL") == "10*3/uL"
    assert small.unit("10*3/uL") == "10*3/uL"
    assert small.unit("KILO") == "kg"
    assert small.unit("stone") == ""


def test_where_the_case_of_a_unit_decides_it_is_read_as_written(small: Terminology) -> None:
    assert (small.unit("mm"), small.unit("Mm"), small.unit("MM")) == ("mm", "Mm", "")


def test_an_exact_drug_code_wins_over_its_group(small: Terminology) -> None:
    assert small.drugs([(DRUG, "C01A9")]) == (Drug("cider", "oral"),)
    assert small.drugs([(DRUG, "C01A5")]) == (Drug("must", "oral"),)
    assert small.drugs([(DRUG, "C0")]) == ()


def test_a_product_that_is_no_exposure_says_so(small: Terminology) -> None:
    assert small.drugs([(DRUG, "C01A6")]) == (Drug("cider", minor=True),)
    assert small.drugs([(DRUG, "C01A7"), (DRUG, "C01A9")]) == (Drug("cider", "topical", minor=True),)


def test_a_silent_code_is_known_and_names_no_drug(small: Terminology) -> None:
    assert small.drugs([(DRUG, "C01A8")]) == ()
    assert small.known([(DRUG, "C01A8")])


def test_names_match_whole_words_the_longest_first(small: Terminology) -> None:
    assert small.drugs_named("Apple-Cider 5 %, by mouth") == (Drug("cider", "oral"),)
    assert small.drugs_named("apple cider vinegar") == (Drug("cider", minor=True),)
    assert small.drugs_named("ciders mustard") == ()
    assert small.drugs_named("must and cider") == (Drug("must"), Drug("cider"))


def test_a_drug_among_more_than_two_ingredients_is_minor_where_the_list_says_so(small: Terminology) -> None:
    assert small.drugs_named("cider / sugar / salt") == (Drug("cider", minor=True),)
    assert small.drugs_named("must / sugar / salt") == (Drug("must"),)
    assert small.minor_of_many == {"cider"}


def test_a_code_of_ours_under_an_unknown_system_is_noticed(small: Terminology) -> None:
    assert small.unrecognised([("http://hospital.example/diagnoses", "A101")])
    assert small.unrecognised([("", "B20.1")])
    assert not small.unrecognised([("http://hospital.example/diagnoses", "C77")])
    assert not small.unrecognised([("http://hospital.example/diagnoses", "88")]), "a short number is no typical code"


def test_an_unlisted_member_of_a_family_is_noticed(small: Terminology) -> None:
    assert small.unrecognised([(FRUIT, "Z9.31")])
    assert not small.unrecognised([(FRUIT, "Z9.31"), (FRUIT, "A10.1")]), "another coding is known"


def test_an_unknown_code_of_our_own_systems_is_noticed(small: Terminology) -> None:
    assert small.unrecognised([("urn:endplate:garden", "no-such-thing")])


def test_a_known_code_without_a_meaning_is_neither_concept_nor_unrecognised(small: Terminology) -> None:
    assert concepts(small, "condition", (TREE, "5")) == set()
    assert small.known([(TREE, "5")]) and not small.unrecognised([(TREE, "5")])


def test_the_coding_to_emit_is_the_marked_one_else_the_first(small: Terminology) -> None:
    assert small.preferred("apple", "condition") == Coding(FRUIT, "A10.1", "Apple")
    assert small.preferred("ripe", "observation") == Coding("urn:endplate:garden", "ripe", "Ripeness")
    assert small.preferred("pear", "condition") == Coding(TREE, "77", "Pear tree"), "never the suspected one"
    assert small.preferred("must", "medication") == Coding(DRUG, "C01A5", "Must")
    assert small.preferred("yes", "answer") == Coding(TREE, "1")
    assert small.preferred("plum", "condition") is None


def test_the_content_survives_a_cache(small: Terminology) -> None:
    content = msgspec.msgpack.decode(msgspec.msgpack.encode(small.content), type=Content)
    assert content == small.content
    assert concepts(Terminology(content), "condition", (FRUIT, "A10.1")) == {"apple"}


def test_the_closed_lists_can_be_asked_for(small: Terminology) -> None:
    assert {"apple", "citrus", "felled"} <= small.concept_names
    assert small.ingredients == {"cider", "must"}
    assert small.values("side") == ("left", "right")
    assert small.values("no such set") == ()
