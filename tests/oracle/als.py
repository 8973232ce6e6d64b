"""ALS: progression, exclusion, Gold Coast, El Escorial, Awaji and the level (sections 5.1-5.3; als-*)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from chart import Chart, Diagnosis, Issues
from mimics import mimic_issues
from reading import Answer
from signs import REGIONS, Signs, read_signs

STRONG_ESCORIAL = {"definite", "probable", "probable-laboratory-supported"}
STRONG_AWAJI = {"definite", "probable"}


@dataclass(frozen=True)
class Als:
    level: int | None
    recorded: bool                   # Condition als confirmed or suspected
    refuted: bool                    # Condition als refuted
    refuted_on: date                 # the first day of all if it is not recorded
    gold_coast: Answer
    explicit: bool                   # Gold Coast met with explicit exclusion
    escorial: str
    awaji: str
    mimics: Issues

    @property
    def in_play(self) -> bool:
        return self.level is not None

    def judged(self, chart: Chart, signs: Signs) -> Signs:
        """The signs that an ALS refutation leaves: those dated after it."""
        return read_signs(chart, self.refuted_on) if self.refuted else signs


def read_als(chart: Chart, signs: Signs) -> Als:
    entry = chart.diagnosis("als")
    progressive = chart.yes("progression")
    clinical_only = progressive is True and signs.motor
    stated = chart.yes("als-alternatives-excluded")
    explicit = clinical_only and stated is True
    in_play = entry.held or clinical_only
    if entry.refuted:
        in_play = read_signs(chart, entry.recorded or date.min).motor
    mimics = mimic_issues(chart, signs, in_play=in_play, explicit=explicit, recorded=entry.held)
    exclusion, assumed = _exclusion(chart, signs, stated, any(issue.startswith("mimic-") for issue in mimics))
    escorial = _escorial(signs, progressive, exclusion, assumed)
    awaji = _awaji(signs, progressive, exclusion)
    strong = escorial in STRONG_ESCORIAL or awaji in STRONG_AWAJI
    met: Answer = False
    if clinical_only:
        met = exclusion
    elif signs.motor and progressive is None and exclusion is not False:
        met = None
    return Als(
        level=_level(entry, in_play=in_play, met=met is True, explicit=met is True and not assumed, strong=strong),
        recorded=entry.held,
        refuted=entry.refuted,
        refuted_on=entry.recorded or date.min,
        gold_coast=met,
        explicit=met is True and not assumed,
        escorial=escorial,
        awaji=awaji,
        mimics=mimics,
    )


def _level(entry: Diagnosis, *, in_play: bool, met: bool, explicit: bool, strong: bool) -> int | None:
    if not in_play:
        return None
    if entry.refuted:
        return 0
    if explicit and strong:
        return 3
    return 2 if met else int(entry.confirmed)


def _exclusion(chart: Chart, signs: Signs, stated: Answer, any_mimic: bool) -> tuple[Answer, bool]:
    """Are other diseases excluded, and is that only assumed?"""
    if stated is not None:
        return stated, False
    if any(chart.confirmed(c) for c in ("sbma", "mmn", "ibm", "polymyositis", "dermatomyositis")):
        return False, False
    myelopathy = chart.confirmed("cervical-myelopathy")
    if myelopathy and not signs.any & {"bulbar", "thoracic", "lumbosacral"}:
        return False, False
    block = any(r.value in ("definite", "probable") for r in chart.results("ncs-conduction-block"))
    sensory = any(r.value == "abnormal" for r in chart.results("ncs-sensory"))
    demyelination = chart.yes("ncs-demyelination") is True
    if myelopathy or block or sensory or demyelination or chart.yes("musk-ab") is True or any_mimic:
        return None, False
    bulbar = "bulbar" in signs.umn | signs.any
    if chart.emg_done and chart.mri("mri-brain" if bulbar else "mri-cspine") == "normal":
        return True, True
    return None, False


def _index(region: str) -> int:
    return REGIONS.index(region)


def _rostral(umn: frozenset[str], lmn: frozenset[str]) -> bool:
    return any(_index(u) < _index(low) for u in umn for low in lmn)


def _possible(umn: frozenset[str], lmn: frozenset[str]) -> bool:
    lmn_above = bool(umn) and any(_index(low) < min(map(_index, umn)) for low in lmn)
    return bool(umn & lmn) or len(umn) >= 2 or lmn_above


def _escorial(signs: Signs, progressive: Answer, exclusion: Answer, assumed: bool) -> str:
    if progressive is False or exclusion is False:
        return "none"
    both = signs.umn & signs.clin
    if len(both) >= 3:
        return "definite"
    if len(both) >= 2 and _rostral(signs.umn, signs.clin):
        return "probable"
    if signs.umn and signs.limbs >= 2 and exclusion is True and not assumed:
        return "probable-laboratory-supported"
    if _possible(signs.umn, signs.clin):
        return "possible"
    return "suspected-lmn-only" if not signs.umn and (signs.clin or signs.emg) else "none"


def _awaji(signs: Signs, progressive: Answer, exclusion: Answer) -> str:
    if progressive is False or exclusion is False:
        return "none"
    both = signs.umn & signs.awaji
    if len(both) >= 3:
        return "definite"
    if len(both) >= 2 and _rostral(signs.umn, signs.awaji):
        return "probable"
    return "possible" if _possible(signs.umn, signs.awaji) else "none"
