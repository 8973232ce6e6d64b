"""A small made-up ruleset as YAML: two diseases, a few drugs, one laboratory value. Nothing medical."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from engine.errors import RulesetError
from engine.facts.base import FactBase
from engine.facts.load import load_definitions

PARAMETERS = """\
apart-days: 30
taking-days: {value: 90, unit: days, meaning: a completed supply, source: R1, since: 2026-01-01}
recent-days: {value: 90, unit: days}
long-days: 90
new-days: 30
lookback-days: 365
month-days: 30
soon-days: 90
cause-days: 365
weight-days: 365
grown-up: {value: 18, unit: years}
elder: {value: 45, unit: years}
half-year: {value: 6, unit: months}
single-max: 120
daily-start: 90
daily-max: {value: 480, unit: mg/d}
per-kg-max: 0.5
course-max: 2.2
salt-low: 2.5
titre-positive: 0.5
titre-negative: 0.02
"""
CONCEPTS = """\
fog: {title: The fog}
haze: {title: Haze}
salt: {reading: quantity, unit: g/L, also: {mg/L: 0.001}, plausible: [0, 100], worse: lower}
weight: {reading: quantity, unit: kg, plausible: [1, 400], worse: lower}
onset-day: {date: true}
antibody: {unit: nmol/L, titre: {positive_from: titre-positive, negative_to: titre-negative}}
"""
CLASSES = """\
calming: [calmal, calmol]
waking: [wakal]
topical-route: [drops, cream]
parenteral-route: [iv, im]
"""
FACTS = """\
sex: {kind: patient, field: sex}
dead: {kind: patient, field: deceased}
inactive: {kind: patient, field: inactive}
complete: {kind: patient, field: complete}
age:
  kind: elapsed
  from: {birth: patient}
  in: years
  bands: [{child: {below: grown-up}}, {adult: {at_most: elder}}]
  otherwise: old
fog-diagnosis:
  kind: condition
  concept: fog
  title: Fog
  shown: "fog {value} on {date}"
  encounter_only: {apart: apart-days, unless_taken: calming}
  ended_conflicts: true
plain-fog: {kind: condition, concept: fog}
any-disease: {kind: condition, concepts: [fog, haze]}
live-haze: {kind: condition, concept: haze, live_only: true, sets: {over: [refuted, ended]}}
fog-to-haze:
  kind: elapsed
  from: {onset: fog}
  to: {onset: haze}
  in: months
  absolute: true
  bands: [{close: {below: half-year}}]
  otherwise: apart
newest-start:
  kind: elapsed
  from: {newest_of: [{onset: fog}, {fact_since: calm-ever}]}
  in: days
  bands: [{recent: {at_most: recent-days}}]
  otherwise: old
symptoms: {kind: elapsed, from: {value: onset-day}, in: days, bands: [{recent: {at_most: recent-days}}], otherwise: old}
on-wakal: {kind: elapsed, from: {first_taken: wakal}, bands: [{short: {at_most: recent-days}}], otherwise: long}
salt-done: {kind: elapsed, from: {last_result: [salt]}, bands: [{recent: {at_most: recent-days}}], otherwise: old}
salt-usable: {kind: elapsed, from: {last_usable: [salt]}, bands: [{recent: {at_most: recent-days}}], otherwise: old}
salt: {kind: quantity, concept: salt, bands: [{low: {below: salt-low}}], common: true}
salt-on-wakal: {like: salt, since: wakal, common: false}
wakal: {kind: exposure, drugs: wakal, use: taking-or-ordered, ask_for: wakal, prevalence: 0.001}
calm-taking: {kind: exposure, drugs: calming, use: taking, systemic: true}
calm-ordered: {kind: exposure, drugs: calming, use: ordered, except_reason: sleep}
calm-ever: {kind: exposure, drugs: [calmal, calmol], use: ever}
calm-lately: {kind: exposure, drugs: calming, use: ever, last_within: recent-days}
calm-long: {kind: exposure, drugs: calming, use: taking, longer_than: month-days}
calm-to-fog: {kind: exposure-onset, drugs: calming, condition: fog, soon: soon-days, within: cause-days}
wakal-to-fog: {kind: exposure-onset, drugs: wakal, condition: fog, within: cause-days}
order.ingredient: {kind: order, field: ingredient, common_drugs: calming}
order.status: {kind: order, field: status, sets: {current: [active, draft, on-hold]}}
order.route: {kind: order, field: route}
order.reason: {kind: order, field: reason, values: [sleep, pain]}
order.course: {kind: order, field: course}
order.age: {kind: order, field: age, new: new-days, long: long-days}
order.initial: {kind: order, field: initial, lookback: lookback-days}
order.single: {kind: dose, drugs: calming, of: single, bands: [{above-maximum: {above: single-max}}]}
order.daily:
  kind: dose
  drugs: calming
  of: daily
  bands: [{above-maximum: {above: daily-max}}, {above-start: {above: daily-start}}]
order.daily-per-kg:
  kind: dose
  drugs: calming
  of: daily-steroid
  per: weight
  per_within: weight-days
  bands: [{above-start: {above: per-kg-max}}]
order.course-per-kg:
  kind: dose
  drugs: calming
  of: course
  per: weight
  per_within: weight-days
  bands: [{above-maximum: {above: course-max}}]
"""
FILES = {
    "parameters.yaml": PARAMETERS,
    "concepts.yaml": CONCEPTS,
    "tables/classes.yaml": CLASSES,
    "facts/all.yaml": FACTS,
}
CODES = {"course": ("induction", "maintenance")}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """The files in a folder of rulesets."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def load(files: Mapping[str, str] = FILES, **more: Any) -> FactBase:
    """The fact base of a made-up ruleset."""
    with TemporaryDirectory() as folder:
        return load_definitions(write(Path(folder), files), **{"codes": CODES, **more})


@cache
def base() -> FactBase:
    """The fact base of the ruleset above, loaded once."""
    return load()


def faults_of(facts: str = "", *, more: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    """The faults of the ruleset above with further facts, or with other files; each as `line:column: message`."""
    files = {**FILES, **({"facts/more.yaml": facts} if facts else {}), **(more or {})}
    with TemporaryDirectory() as folder:
        root = write(Path(folder), files)
        with pytest.raises(RulesetError) as refused:
            load_definitions(root, **{"codes": CODES, **options})
        return [str(fault).removeprefix(f"{root.as_posix()}/") for fault in refused.value.faults]
