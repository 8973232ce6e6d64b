"""Nothing that a sender can write makes a lookup raise, or makes it answer outside its closed lists."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Fault
from engine.terminology import Terminology
from engine.terminology.load import build
from engine.terminology.rows import read_rows

CARRIERS = ("observation", "report", "condition", "procedure", "allergy", "", "planet")
KNOWN_SYSTEMS = ("http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm", "ATC", "LOINC", "")
KNOWN_CODES = ("91637004", "11034-6", "G70.00", "G12.2", "J01FA15", "HP:0003487", "G", "", "G70.0" * 50)

anything: st.SearchStrategy[Any] = st.one_of(st.none(), st.integers(), st.text(max_size=30), st.binary(max_size=5))
system = st.one_of(st.sampled_from(KNOWN_SYSTEMS), anything)
code = st.one_of(st.sampled_from(KNOWN_CODES), anything)
codings = st.lists(st.tuples(system, code), max_size=6)


@settings(max_examples=150, deadline=None)
@given(codings=codings, carrier=st.sampled_from(CARRIERS))
def test_random_codings_never_raise(neuromuscular: Terminology, codings: Any, carrier: str) -> None:
    assert {meaning.concept for meaning in neuromuscular.concepts(carrier, codings)} <= neuromuscular.concept_names
    assert isinstance(neuromuscular.answer(codings), str)
    assert isinstance(neuromuscular.drugs(codings), tuple)
    assert neuromuscular.known(codings) in (True, False)
    assert neuromuscular.unrecognised(codings) in (True, False)
    for codeset in ("region", "route", "component", "muscle"):
        assert isinstance(neuromuscular.code(codeset, codings), str)


@settings(max_examples=150, deadline=None)
@given(codings=codings, carrier=st.sampled_from(CARRIERS), order=st.randoms())
def test_the_order_of_codings_changes_nothing(
    neuromuscular: Terminology, codings: Any, carrier: str, order: Any
) -> None:
    shuffled = list(codings)
    order.shuffle(shuffled)
    before = {(m.concept, m.suspected) for m in neuromuscular.concepts(carrier, codings)}
    assert before == {(m.concept, m.suspected) for m in neuromuscular.concepts(carrier, shuffled)}


@settings(max_examples=150, deadline=None)
@given(codings=codings, noise=st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=3))
def test_unknown_codings_beside_known_ones_change_nothing(neuromuscular: Terminology, codings: Any, noise: Any) -> None:
    noise = [pair for pair in noise if not neuromuscular.known([pair])]
    assert neuromuscular.concepts("condition", codings) == neuromuscular.concepts("condition", noise + codings + noise)


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=300), st.sampled_from(("/" * 500, "iv " * 500, "ciprofloxacin/" * 300))))
def test_random_texts_never_raise(neuromuscular: Terminology, text: str) -> None:
    assert isinstance(neuromuscular.drugs_named(text), tuple)
    assert neuromuscular.answer_of_text(text) in {"", *neuromuscular.content.answer_words.values()}
    assert neuromuscular.unit(text) in {"", *neuromuscular.content.units.values()}
    assert isinstance(neuromuscular.system(text), str)


@settings(max_examples=200, deadline=None)
@given(
    head=st.sampled_from(("concept,carriers,system,code", "ingredient,system,code", "name,ingredient", "unit,spelling",
                          "system,uri,traits,shape", "word,codeset,value", "overlap,with", "family,system", "", "x")),
    body=st.text(alphabet=st.sampled_from('ab,"\n\r:|. \0é{}['), max_size=80),
)  # fmt: skip
def test_random_files_give_faults_with_their_place_and_never_raise(head: str, body: str) -> None:
    faults: list[Fault] = []
    rows = read_rows(f"{head}\n{body}", "random.csv", faults)
    build(rows, "urn:x", faults)
    assert all(fault.place.file == "random.csv" and fault.message for fault in faults)
