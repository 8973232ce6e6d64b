"""What each kind of result fact declares: its values, what it reads and needs,
    and options that contradict each other."""

from __future__ import annotations

import msgspec
import pytest
from result_kit import bands, dec

from engine.facts.definition import Definition
from engine.facts.kinds import KINDS
from engine.facts.kinds.change import ChangeFact
from engine.facts.kinds.coded import CodedFact
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

AFTER, SINCE = After(fact="judged", value="refuted"), Since(fact="start")
LOW = bands(("low", "below", 50), ("reduced", "below", 60))
ENOUGH = Way(muscle_test="needle", components=(("old",),), muscles="enough")
PLAIN = Way(sign="down", components=(("thin",),))

DECLARED: list[tuple[Definition, dict[str, tuple[str, ...]], set[str], set[str]]] = [
    (ResultFact(name="f", concepts=("a", "b"), after=AFTER), {"f": ("present", "absent")}, {"a", "b"}, {"judged"}),
    (ResultFact(name="f", concepts=("a",)), {"f": ("present", "absent")}, {"a"}, set()),
    (CodedFact(name="f", concepts=("a",), codes=("x", "y"), otherwise="z"), {"f": ("x", "y", "z")}, {"a"}, set()),
    (CodedFact(name="f", concepts=("a",), codes=("x", "y")), {"f": ("x", "y")}, {"a"}, set()),
    (
        QuantityFact(name="f", concepts=("a",), bands=LOW, since=SINCE),
        {"f": ("low", "reduced", "normal")}, {"a"}, {"start"},
    ),
    (QuantityFact(name="f", concepts=("a",), bands=LOW, otherwise="fine"), {"f": ("low", "reduced", "fine")}, {"a"},
    set()),
    (OwnRangeFact(name="f", concepts=("a",), since=SINCE), {"f": ("high", "normal", "low")}, {"a"}, {"start"}),
    (OwnRangeFact(name="f", concepts=("a",), flag_or_limit=True), {"f": ("high", "normal")}, {"a"}, set()),
    (
        SerialResultFact(name="f", concept="a", other_assays=("b",), negative_by=("c",), apart=28),
        {"f": ("confirmed", "single", "conflicting", "later-negative", "transient", "equivocal", "negative")},
        {"a", "b", "c"}, set(),
    ),
    (ChangeFact(name="f", concept="a", over=9, points=dec(1)), {"f": ("present", "absent")}, {"a"}, set()),
    (
        ContradictedFact(name="f", concept="a", below=dec(1), contradicted_by={"b": dec(1)}),
        {"f": ("present", "absent")}, {"a", "b"}, set(),
    ),
    (SiteResultFact(name="f", concept="a", above=dec(1)), {"f": ("abnormal", "normal")}, {"a"}, set()),
    (SiteResultFact(name="f", concept="a", codes={"x": "odd", "y": "fine", "z": "fine"}), {"f": ("odd", "fine")},
    {"a"}, set()),
    (SiteCountFact(name="f", concept="a", sites=("x",)), {"f.x": ("several", "one", "none")}, {"a"}, set()),
    (
        RegionSignsFact(name="f", sign="a", regions=("x", "y"), after=AFTER),
        {
            "f": ("present", "denied", "absent"), "f.x": ("present", "denied", "absent"),
            "f.y": ("present", "denied", "absent"), "f.count": ("one", "two"),
        },
        {"a"}, {"judged"},
    ),
    (
        RegionSignsFact(name="f", ways=((PLAIN,), (ENOUGH,)), regions=("x",)),
        {"f": ("present",), "f.x": ("present",), "f.count": ("one",), "f.limbs": ("one", "several")},
        {"down", "needle"}, set(),
    ),
    (
        RegionRelationFact(name="f", upper="u", lower="l", regions=("x", "y")),
        {"f.shared": ("one", "two"), "f.upper-rostral": ("present",), "f.lower-above": ("present",)},
        set(), {"u", "l"},
    ),
    (RecordedFact(name="f", concepts=("a",)), {"f": ("present",)}, {"a"}, set()),
    (EventFact(name="f", concepts=("a",), since=SINCE, after=AFTER), {"f": ("present",)}, {"a"}, {"start", "judged"}),
    (
        DataQualityFact(name="f", reasons=("unit-missing",), ended={"disease": "judged"}),
        {"f.unit-missing": ("present",)}, set(), {"judged"},
    ),
]


@pytest.mark.parametrize(("definition", "values", "reads", "needs"), DECLARED)
def test_a_kind_declares_its_values_and_what_it_reads_and_needs(
    definition: Definition, values: dict[str, tuple[str, ...]], reads: set[str], needs: set[str]
) -> None:
    assert dict(definition.values()) == values
    assert definition.reads() == reads
    assert definition.needs() == needs
    assert definition.check() == ()
    assert KINDS[str(definition.__struct_config__.tag)] is type(definition)


@pytest.mark.parametrize("definition", [declared[0] for declared in DECLARED])
def test_a_definition_survives_the_compiled_file(definition: Definition) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(definition), type=type(definition)) == definition


def test_names_that_a_kind_reads_in_every_ruleset_are_declared_where_they_are_read() -> None:
    explained = Explained(taken=frozenset({"drug"}), lookback=9)
    serial = SerialResultFact(name="f", concept="a", apart=28, explained_by=explained)
    assert serial.fixed() == (("class", "topical-route", "explained_by"),)
    assert serial.drugs() == {"drug"}
    assert SerialResultFact(name="f", concept="a", apart=28).fixed() == ()
    assert RegionSignsFact(name="f", sign="a").fixed() == (("class", "limb-region", "sign"),)
    assert RegionSignsFact(name="f", ways=((PLAIN,),)).fixed() == ()
    assert [name for _, name, _ in RegionSignsFact(name="f", ways=((ENOUGH,),)).fixed()] == ["limb-region",
        "limb-muscles"]


def test_data_quality_is_computed_for_every_record() -> None:
    quality = DataQualityFact(name="f", ended={"disease": "judged"})
    assert not quality.reads()
    assert not quality.follows()


@pytest.mark.parametrize("definition", [
    QuantityFact(name="f", concepts=("a",), bands=LOW, pick="worst-fresh"),
    QuantityFact(name="f", concepts=("a",), bands=LOW, worst_of=1),
    QuantityFact(name="f", concepts=("a",), bands=LOW, pick="highest", older_than=3),
    ChangeFact(name="f", concept="a", over=9, points=dec(1), percent=dec(1)),
    SiteResultFact(name="f", concept="a", above=dec(1), codes={"x": "odd"}),
    RegionSignsFact(name="f", sign="a", ways=((PLAIN,),)),
    RegionSignsFact(name="f", ways=((Way(sign="a", muscle_test="b", components=(("c",),)),),)),
    DataQualityFact(name="f", reasons=("unheard-of",)),
])
def test_options_that_contradict_each_other_are_named(definition: Definition) -> None:
    assert len(definition.check()) == 1
