"""Properties that every kind of result fact has, over random records of a made-up ruleset."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from result_kit import AS_OF, bands, dec, facts, record, reduced, references

from engine.facts.definition import Definition
from engine.facts.kinds.change import ChangeFact
from engine.facts.kinds.coded import CodedFact
from engine.facts.kinds.condition import ConditionFact
from engine.facts.kinds.contradicted import ContradictedFact
from engine.facts.kinds.data_quality import DataQualityFact
from engine.facts.kinds.event import EventFact
from engine.facts.kinds.own_range import OwnRangeFact
from engine.facts.kinds.quantity import QuantityFact
from engine.facts.kinds.recorded import RecordedFact
from engine.facts.kinds.region_relation import RegionRelationFact
from engine.facts.kinds.region_signs import RegionSignsFact
from engine.facts.kinds.result import ResultFact
from engine.facts.kinds.serial_result import Explained, SerialResultFact
from engine.facts.kinds.site_count import SiteCountFact
from engine.facts.kinds.site_result import SiteResultFact
from engine.facts.options import After, Since
from engine.facts.signs import Way
from engine.model.fact import UNKNOWN
from engine.model.record import Diagnosis, Medication, Quantity, Record, Result

REGIONS = ("head", "arm", "trunk", "leg")
LOW = bands(("low", "below", 50), ("reduced", "below", 60))
PULL = bands(("critical", "below", 30), ("low", "below", 40))
AFTER = After(fact="disease", value="refuted")
NEEDLE = Way(muscle_test="needle", components=(("old", "new"), ("old", "twitch")), muscles="enough")

DEFINITIONS: tuple[Definition, ...] = (
    ConditionFact(name="disease", concepts=("disease",)),
    ResultFact(name="fog", concepts=("fog",)),
    ResultFact(name="fog-recent", concepts=("fog",), within=5),
    ResultFact(name="fog-open", concepts=("fog",), after=AFTER),
    ResultFact(name="fog-swaying", concepts=("fog",), component="swaying"),
    ResultFact(name="fog-now", concepts=("fog",), encounter="current"),
    ResultFact(name="fog-or-haze", concepts=("fog", "haze")),
    CodedFact(name="stage", concepts=("stage",), codes=("V", "IV", "I")),
    CodedFact(name="stage-recent", concepts=("stage",), codes=("V", "IV"), otherwise="other", within=5),
    CodedFact(name="stage-ever", concepts=("stage",), codes=("V", "IV"), otherwise="other", pick="any"),
    QuantityFact(name="share", concepts=("share",), bands=LOW, otherwise="adequate"),
    QuantityFact(name="share-recent", concepts=("share",), bands=LOW, within=5),
    QuantityFact(name="share-since", concepts=("share",), bands=LOW, since=Since(fact="fog")),
    QuantityFact(name="share-dated", concepts=("share",), bands=LOW, since=Since(fact="fog", dated="required")),
    QuantityFact(name="share-highest", concepts=("share",), bands=bands(("high", "at_least", 50)), pick="highest"),
    QuantityFact(name="pull-fresh", concepts=("pull",), bands=PULL, pick="worst-fresh", worst_of=1, within=3),
    QuantityFact(name="pull-stale", concepts=("pull",), bands=PULL, older_than=3, within=90),
    QuantityFact(name="breath", concepts=("breath",), bands=bands(("critical", "below", 20))),
    QuantityFact(
        name="enzyme-times", concepts=("enzyme", "pigment"), bands=bands(("over-2", "above", 2)),
        measure="times-upper-limit",
    ),
    QuantityFact(
        name="antibody-highest", concepts=("antibody",), bands=bands(("ordinary", "at_least", 1)), otherwise="low",
        pick="highest", reading="positive",
    ),
    OwnRangeFact(name="salt", concepts=("salt",)),
    OwnRangeFact(name="salt-recent", concepts=("salt",), within=5),
    OwnRangeFact(name="pigment-limit", concepts=("pigment",), flag_or_limit=True, since=Since(fact="fog")),
    SerialResultFact(
        name="antibody", concept="antibody", other_assays=("cell-assay", "other-assay"), negative_by=("cell-assay",),
        apart=5, same=("laboratory", "method"),
        explained_by=Explained(taken=frozenset({"drug"}), lookback=5, procedure="operation"),
    ),
    ChangeFact(name="share-drop", concept="share", within=9, over=9, points=dec(15)),
    ChangeFact(name="share-fall", concept="share", to="worst-fresh", worst_of=1, within=3, over=9, percent=dec(30)),
    ContradictedFact(
        name="pull-contradicted", concept="pull", below=dec(30), worst_of=1, within=3,
        contradicted_by={"breath": dec(30), "share": dec(60)},
    ),
    SiteResultFact(
        name="fade-face", concept="fade", above=dec(10), where={"muscle": frozenset({"smile", "blink"}), "hurt": False},
        loose=True,
    ),
    SiteResultFact(
        name="fade-other", concept="fade", above=dec(10), where={"muscle": frozenset({"smile"}), "hurt": False},
        loose=True, negate=True,
    ),
    SiteResultFact(
        name="jitter", concept="jitter", codes={"abnormal": "abnormal", "normal": "normal"}, where={"hurt": False}
    ),
    SiteResultFact(
        name="jitter-weak", concept="jitter", codes={"abnormal": "abnormal", "normal": "normal"},
        where={"hurt": True}, loose=True, rank=("normal", "abnormal"),
    ),
    SiteCountFact(name="spots", concept="spots", sites=("here", "there")),
    RegionSignsFact(name="up", sign="up", regions=REGIONS),
    RegionSignsFact(name="up-open", sign="up", regions=REGIONS, after=AFTER),
    RegionSignsFact(
        name="down", ways=((Way(sign="down", components=(("thin",), ("weak", "twitch"))),), (NEEDLE,)), regions=REGIONS
    ),
    RegionSignsFact(
        name="down-strict", regions=REGIONS, after=AFTER,
        ways=(
            (Way(sign="down", components=(("weak", "thin"),), muscles="enough"),),
            (NEEDLE,),
            (
                Way(sign="down", components=(("weak", "thin"),), muscles="one"),
                Way(muscle_test="needle", components=(("old", "new"),), muscles="one"),
            ),
        ),
    ),
    RegionRelationFact(name="regions", upper="up", lower="down", regions=REGIONS),
    RecordedFact(name="fog-recorded", concepts=("fog", "disease"), conditions=True),
    RecordedFact(name="fade-done", concepts=("fade", "jitter"), usable=True),
    EventFact(name="sign", concepts=("fog", "antibody", "enzyme", "disease"), since=Since(fact="haze-first")),
    EventFact(name="reopened", concepts=("fog", "antibody"), after=AFTER),
    EventFact(name="attack", concepts=("disease",), dated_by="recorded", within=3),
    EventFact(name="assay", concepts=("cell-assay",), undated=True),
    ResultFact(name="haze-first", concepts=("haze",)),
    DataQualityFact(name="dq", regions=REGIONS, ended={"disease": "disease"}),
)

ADVERSE = st.sampled_from([False] * 9 + [True])                 # how often an entry has something odd
days = st.sampled_from([None, 0, 0, 1, 1, 2, 3, 4, 5, 6, 9, 10, 12, 91])
comparator = st.sampled_from(["", "", "", "", "<", "<=", ">", ">="])
FLAGS = ["H", "HH", "L", "N", "NEG", "POS", "A", "IND", "U", "IE"]
UNITS = ["%", "kPa", "mL", "ukat/L", "pmol/L", "", "[pH]"]
OWN_UNIT = {
    "share": "%", "pull": "cm[H2O]", "breath": "mL/kg", "litres": "L", "weight": "kg", "enzyme": "U/L",
    "antibody": "nmol/L", "fade": "%", "pigment": "mg/dL", "salt": "mmol/L", "spots": "", "attacks": "",
}
NUMBERS = {
    "share": [40, 45, 50, 55, 60, 65, 80, 400], "pull": [-40, -28, 0, 20, 28, 30, 35, 40, 60],
        "breath": [15, 20, 30, 45],
    "litres": [1, 2, 0], "weight": [50, 100], "enzyme": [1, 30, 50, 100, 101],
        "antibody": [0, 0.01, 0.02, 0.4, 0.5, 1, 2],
    "fade": [-12, 8, 10, 12], "pigment": [1, 2, 3], "salt": [0.1, 0.4, 1, 60], "spots": [0, 1, 2, 3, -1],
        "attacks": [1],
}
LIMITS = {"enzyme": [30, 50], "antibody": [0.4, 1], "pigment": [1, 0], "salt": [50]}
ANSWERS = {
    "stage": ["V", "IV", "I", "x"], "jitter": ["abnormal", "normal", "x"],
        "antibody": ["positive", "negative", "equivocal"],
}
THEMES = [
    ["fog", "haze", "disease", "share"],
    ["fog", "metal", "stage"],
    ["share", "pull", "breath", "litres", "weight"],
    ["share", "pull", "breath"],
    ["enzyme", "pigment", "salt", "fog"],
    ["antibody", "cell-assay", "other-assay", "operation", "drug", "fog"],
    ["antibody", "antibody", "drug", "disease"],
    ["fade", "jitter"],
    ["spots", "attacks"],
    ["up", "disease"],
    ["up", "down", "needle"],
    ["down", "needle", "disease"],
]


@st.composite
def measured(draw: st.DrawFn, concept: str, **place: object) -> Result:
    unit = draw(st.sampled_from(UNITS)) if draw(ADVERSE) else OWN_UNIT[concept]
    limit = draw(st.sampled_from([None, *LIMITS.get(concept, [])]))
    low = draw(st.sampled_from([None, None, 0.2])) if concept in LIMITS else None
    flagged = concept in LIMITS and draw(st.sampled_from([True, False, False, False]))
    stated = {"hz": Quantity(dec(draw(st.sampled_from([2, 3, 5]))),
        "Hz")} if concept == "fade" and not draw(ADVERSE) else {}
    hurt = draw(st.sampled_from([{}, {"hurt": True}, {"hurt": False}])) if concept == "fade" else {}
    return Result(
        concept=concept,
        quantity=Quantity(dec(draw(st.sampled_from(NUMBERS[concept]))), unit, draw(comparator)),
             # type: ignore[arg-type]
        flag=draw(st.sampled_from(FLAGS)) if flagged or draw(ADVERSE) else "",
        preliminary=draw(ADVERSE),
        high=None if limit is None else Quantity(dec(limit), draw(st.sampled_from(["", OWN_UNIT[concept]]))),
        low=None if low is None else Quantity(dec(low)),
        parts=stated | hurt,
        **place,  # type: ignore[arg-type]
    )


@st.composite
def spoken(draw: st.DrawFn, concept: str, **place: object) -> Result:
    words = ANSWERS.get(concept, ["present", "present", "absent"])
    usual = {"up": [], "down": ["thin", "weak", "twitch"], "needle": ["old", "new", "twitch"], "fog": ["swaying"]}
    parts: dict[str, bool | Quantity] = {
        name: draw(st.sampled_from([True, True, False]))
        for name in usual.get(concept, ["hurt"])
        if draw(st.sampled_from([True, True, False]))
    }
    if concept == "down":
        parts |= draw(st.sampled_from([{}, {"muscles": Quantity(dec(2))}, {"muscles": Quantity(dec(1), "", ">")}]))
    return Result(
        concept=concept,
        answer="" if draw(ADVERSE) else draw(st.sampled_from(words)),
        flag=draw(st.sampled_from(FLAGS)) if draw(ADVERSE) else "",
        current_encounter=draw(st.booleans()),
        parts=parts,
        **place,  # type: ignore[arg-type]
    )


@st.composite
def entry(draw: st.DrawFn, concept: str, index: int) -> Result | Diagnosis | Medication:
    day = draw(days)
    when = None if day is None else AS_OF - timedelta(days=day)
    if concept == "disease":
        certainty = draw(st.sampled_from(["confirmed", "suspected", "refuted", "refuted"]))
        reference = f"Condition/{index}"
        return Diagnosis(
            concept=concept, reference=reference, recorded=when, certainty=certainty, ended=draw(ADVERSE),
                 # type: ignore[arg-type]
        )
    if concept == "drug":
        return Medication(
            ingredient=concept, reference=f"MedicationRequest/{index}", start=when,
            status=draw(st.sampled_from(["active", "on-hold", "draft", "completed", "stopped"])),
                 # type: ignore[arg-type]
            end=draw(st.sampled_from([None, AS_OF - timedelta(days=2), AS_OF - timedelta(days=9)])),
            route=draw(st.sampled_from(["", "oral", "drops"])),
        )
    place = {
        "reference": f"Observation/{index}",
        "day": when,
        "region": draw(st.sampled_from(["arm", "arm", "leg", "head", "trunk", "any", ""])),
        "sign": draw(st.sampled_from(["", "", "tap", "stroke"])),
        "side": draw(st.sampled_from(["", "R", "L"])),
        "muscle": draw(st.sampled_from(["smile", "blink", "push", "grip", "turn", ""])),
        "site": draw(st.sampled_from(["here", "here", "there", ""])),
        "laboratory": draw(st.sampled_from(["a", "a", "b", ""])),
        "method": draw(st.sampled_from(["m", "m", ""])),
    }
    number = concept in OWN_UNIT and not (concept in {"antibody", "spots"} and draw(st.booleans()))
    return draw(measured(concept, **place) if number else spoken(concept, **place))


@st.composite
def entries(draw: st.DrawFn) -> tuple[Result | Diagnosis | Medication, ...]:
    theme = draw(st.sampled_from(THEMES))
    return tuple(draw(entry(draw(st.sampled_from(theme)), index)) for index in range(draw(st.integers(0, 7))))


@pytest.mark.soak
@settings(max_examples=examples(100), deadline=None)
@given(entries(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_entries_never_matters(found: tuple[Result, ...], complete: bool, shuffle: random.Random) -> None:
    shuffled = list(found)
    shuffle.shuffle(shuffled)
    assert facts(record(*shuffled, complete=complete), DEFINITIONS) == facts(record(*found, complete=complete),
        DEFINITIONS)


@pytest.mark.soak
@settings(max_examples=examples(100), deadline=None)
@given(entries(), st.booleans())
def test_the_evidence_of_a_fact_alone_gives_the_same_value(found: tuple[Result, ...], complete: bool) -> None:
    whole = record(*found, complete=complete)
    for name, fact in facts(whole, DEFINITIONS).items():
        again = facts(reduced(whole, references(fact)), DEFINITIONS)[name]
        assert again.value == fact.value, name
        if fact.value != UNKNOWN:
            assert again.since == fact.since, name
            assert fact.evidence, name


@settings(max_examples=200, deadline=None)
@given(entries(), st.booleans())
def test_entries_of_no_known_concept_change_nothing(found: tuple[Result, ...], complete: bool) -> None:
    stranger = Result(concept="weather", reference="Observation/w", day=AS_OF, answer="present", flag="H")
    drug = Medication(ingredient="sugar", reference="MedicationRequest/s", status="active")
    plain = facts(record(*found, complete=complete), DEFINITIONS)
    assert facts(record(*found, stranger, drug, complete=complete), DEFINITIONS) == plain


@settings(max_examples=200, deadline=None)
@given(entries())
def test_every_fact_has_a_value_of_its_closed_set_and_a_reason_exactly_when_unknown(found: tuple[Result, ...]) -> None:
    closed = {name: values for definition in DEFINITIONS for name, values in definition.values().items()}
    for name, fact in facts(record(*found), DEFINITIONS).items():
        assert fact.name == name
        assert fact.value in (*closed[name], UNKNOWN)
        assert (fact.reason is not None) == (fact.value == UNKNOWN)
        assert bool(fact.shown) == (fact.value != UNKNOWN)


HOSTILE = [
    Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("1E+999999"), Decimal("-0"),
    Decimal("1E-999999"), Decimal("9" * 500), Decimal("0E+999999"), Decimal("0." + "3" * 60), Decimal(45),
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_number_text_or_date_makes_a_fact_raise(data: st.DataObject) -> None:
    draw = data.draw
    found = []
    for index, concept in enumerate([*OWN_UNIT, "fog", "stage", "jitter", "up", "down", "needle", "cell-assay"]):
        odd = st.builds(
            Quantity, st.sampled_from(HOSTILE), st.sampled_from([OWN_UNIT.get(concept, ""), "\x00"]), comparator
        )
        found.append(Result(
            concept=concept, reference=f"Observation/{index}", day=draw(st.one_of(st.none(),
                st.dates(max_value=AS_OF))),
            quantity=draw(odd), preliminary=draw(st.booleans()), high=draw(st.one_of(st.none(), odd)),
                low=draw(st.one_of(st.none(), odd)),
            flag=draw(st.sampled_from([*FLAGS, "\u202e"])), answer=draw(st.sampled_from(["", "{value}", "present"])),
            region=draw(st.text(max_size=3)), muscle=draw(st.sampled_from(["push", "\u0000"])),
            parts={"hz": draw(odd), "muscles": draw(odd), "weak": True, "thin": True, "old": draw(odd)},
        ))
    computed = facts(record(*found, complete=draw(st.booleans())), DEFINITIONS)
    assert set(computed) == {name for definition in DEFINITIONS for name in definition.values()}


@pytest.mark.parametrize("as_of", [AS_OF.replace(year=1, month=1, day=1), AS_OF.max])
def test_the_first_and_the_last_of_all_days_are_dates_like_any_other(as_of: object) -> None:
    found = (
        Result(concept="share", reference="Observation/1", day=as_of, quantity=Quantity(dec(45), "%")),
             # type: ignore[arg-type]
        Diagnosis(concept="disease", reference="Condition/1", certainty="refuted", recorded=as_of),
             # type: ignore[arg-type]
        Result(concept="fog", reference="Observation/2", day=as_of, answer="present"),  # type: ignore[arg-type]
    )
    base = record(*found)
    at = Record(person=base.person, as_of=as_of, results=base.results,
        diagnoses=base.diagnoses)  # type: ignore[arg-type]
    computed = facts(at, DEFINITIONS)
    assert computed["share-recent"].value == "low"
    assert computed["fog-open"].value == UNKNOWN
