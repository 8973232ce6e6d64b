"""Themes of random patients: facts that belong together, of which a patient mixes several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from maker import (
    CLASSED,
    DAYS,
    DISEASES,
    FACE,
    IMMUNO,
    MEASURES,
    MGFA,
    MUSCLES,
    OTHER_CONDITIONS,
    PAIRED,
    REGIONS,
    UMN_SIGNS,
    VACCINES,
    YES_NO,
    Fact,
    Maker,
)


def als_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    if make.chance(0.8):
        facts.append(make.condition("als", 0.75))
    if make.chance(0.12):
        facts.append(make.condition("als", 0.4))
    if make.chance(0.6):
        facts.append(make.yes_no("progression", 0.85))
    if make.chance(0.35):
        facts.append(make.yes_no("als-alternatives-excluded", 0.8))
    return [*facts, *signs_theme(make)]


def signs_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    for _ in range(make.rng.randint(0, 4)):
        umn: Fact = {"r": "Observation", "c": "umn-sign", "v": "present" if make.chance(0.7) else "absent"}
        if make.chance(0.95):
            umn["region"] = make.pick((*REGIONS, "cervical", "lumbosacral", "any"))
        if make.chance(0.5):
            umn["sign"] = make.pick(UMN_SIGNS[:4] if make.chance(0.7) else UMN_SIGNS)
        facts.append(make.dated(make.status(umn)))
    for _ in range(make.rng.randint(0, 4)):
        lmn: Fact = {"r": "Observation", "c": "lmn-sign", "v": "present" if make.chance(0.85) else "absent"}
        if make.chance(0.96):
            lmn["region"] = make.pick((*REGIONS, "cervical", "lumbosacral", "any"))
        for key, share in (("weakness", 0.8), ("atrophy", 0.6), ("fasc", 0.4), ("hyporeflexia", 0.2)):
            if make.chance(share):
                lmn[key] = make.chance(0.9)
        if make.chance(0.6):
            lmn["muscles"] = make.pick((1, 2, 3))
        facts.append(make.dated(make.status(lmn)))
    for _ in range(make.pick((0, 0, 1, 2, 4, 5))):
        region = make.pick((*REGIONS, "cervical", "cervical", "lumbosacral", "lumbosacral"))
        emg: Fact = {"r": "Observation", "c": "emg-muscle", "region": region, "muscle": make.pick(MUSCLES[region])}
        for key, share in (("chronic", 0.9), ("fib_psw", 0.8), ("fasc_pot", 0.4)):
            if make.chance(share):
                emg[key] = make.chance(0.85)
        if make.chance(0.8):
            emg["side"] = make.pick(("R", "L"))
        if make.chance(0.2):
            del emg["region"]
        facts.append(make.dated(make.status(emg)))
    return facts


def criteria_theme(make: Maker) -> list[Fact]:
    """A whole ALS work-up: UMN and LMN, LMN alone, or UMN alone; complete but for what chance leaves out."""
    kind = make.pick(("both", "both", "lower", "upper"))
    day = {"d": (make.now - timedelta(days=make.pick(make.shared))).isoformat()}

    def seen(concept: str, **more: Any) -> Fact:
        return {"r": "Observation", "c": concept, **more, **day}

    facts = [seen("progression", v="present"), seen("sensory-loss", v="absent")]
    regions = make.rng.sample(REGIONS, make.rng.randint(1, 3))
    if kind == "lower":
        absent = make.pick((("any",), ("any",), ("cervical", "lumbosacral"), ("cervical",)))
        facts += [seen("umn-sign", v="absent", region=region) for region in absent]
    else:
        facts += [seen("umn-sign", v="present", region=r) for r in make.rng.sample(REGIONS, make.rng.randint(1, 3))]
        facts.append(_onset(make))
    if kind != "upper":
        count = make.pick((1, 2, 2, 3))
        facts += [
            seen("lmn-sign", v="present", region=region, weakness=True, atrophy=make.chance(0.85), muscles=count)
            for region in regions
        ]
        for region in make.rng.sample(("cervical", "lumbosacral"), make.rng.randint(0, 2)):
            muscles = make.rng.sample(MUSCLES[region], 2)
            active = {"chronic": True, make.pick(("fib_psw", "fib_psw", "fasc_pot")): True}
            facts += [seen("emg-muscle", region=region, muscle=m, side="R", **active) for m in muscles]
    facts.append(seen("edx-study", v="normal"))
    facts += [seen(concept, v="normal") for concept in ("mri-brain", "mri-cspine") if make.chance(0.7)]
    if make.chance(0.3):
        facts.append(seen("als-alternatives-excluded", v="present"))
    if make.chance(0.7):
        certainty = make.pick(("confirmed", "provisional", "refuted"))
        facts.append({"r": "Condition", "c": "als", "ver": certainty, "rec": day["d"]})
    if make.chance(0.25):
        facts.append(seen("ncs-conduction-block", v=make.pick(("none", "definite"))))
    return [fact for fact in facts if make.chance(0.93)]


def overlap_theme(make: Maker) -> list[Fact]:
    """ALS and MG together: phenotype, antibody, junction, drug response, each there by chance."""
    early, late = (make.now - timedelta(days=make.pick(DAYS)) for _ in range(2))
    facts = criteria_theme(make)
    facts += [
        {"r": "Condition", "c": "mg", "ver": "confirmed", "onset": early.isoformat(), "rec": late.isoformat()},
        {"r": "Observation", "c": "achr-binding", "v": "positive", "d": early.isoformat()},
        {"r": "Observation", "c": "achr-binding", "v": "positive", "d": late.isoformat()},
        {"r": "Observation", "c": "fatigability", "v": "present", "d": early.isoformat()},
        {"r": "Observation", "c": "ocular-weakness", "v": "present", "fluctuating": True, "d": late.isoformat()},
        {"r": "Observation", "c": "ache-response", "v": "positive", "d": late.isoformat()},
        make.measured("rns") | {"v": 22, "u": "%"},
    ]
    return [fact for fact in facts if make.chance(0.75)]


def seronegative_theme(make: Maker) -> list[Fact]:
    """MG without antibodies, examined and tested, with what its mimics need."""
    day = {"d": (make.now - timedelta(days=make.pick(make.shared))).isoformat()}
    facts: list[Fact] = [
        {"r": "Condition", "c": "mg", "ver": make.pick(("confirmed", "provisional")), "rec": day["d"]},
        {"r": "Observation", "c": "achr-binding", "v": "negative", **day},
        {"r": "Observation", "c": "musk-ab", "v": "negative", **day},
        {"r": "Observation", "c": "ocular-weakness", "v": make.pick(("absent", "absent", "present")), **day},
        {"r": "Observation", "c": "symmetric-nonfluctuating-ptosis", "v": make.pick(("present", "absent")), **day},
        {"r": "Observation", "c": "sfemg", "v": "normal", "muscle": "edc", "weak": make.chance(0.7), **day},
        {"r": "Observation", "c": "lmn-sign", "v": "present", "region": "bulbar", "atrophy": True, **day},
        make.dated({"r": "Observation", "c": "umn-sign", "v": "present", "region": make.pick(REGIONS)}),
    ]
    return [fact for fact in facts if make.chance(0.75)]


def repeated_theme(make: Maker) -> list[Fact]:
    """AChR results of one laboratory, some weeks apart, with what explains a change."""
    facts: list[Fact] = []
    for _ in range(make.pick((2, 2, 3, 4))):
        fact: Fact = {"r": "Observation", "c": "achr-binding", "v": make.pick(("positive", "negative")), "lab": "a"}
        fact |= {"method": make.pick(("ripa", "ripa", "ripa", "elisa"))}
        facts.append(make.dated(fact, 500))
    if make.chance(0.25):
        facts.append(make.order(make.pick(IMMUNO)))
    if make.chance(0.15):
        facts.append(make.yes_no("thymectomy", 0.8, 500))
    if make.chance(0.15):
        facts.append(make.yes_no("achr-cba", 0.5, 500))
    return facts


def antibody_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    for _ in range(make.pick((1, 1, 2, 2, 3))):
        if make.chance(0.6):
            facts.append(make.measured("achr-binding", 800))
        else:
            coded = make.yes_no("achr-binding", 0.6, 800)
            if make.chance(0.5):
                coded |= {"lab": "a", "method": "ripa"}
            facts.append(coded)
    for concept, share in (("achr-cba", 0.2), ("achr-modulating", 0.12), ("musk-ab", 0.35), ("lrp4-ab", 0.12)):
        if make.chance(share):
            facts.append(make.yes_no(concept, 0.4))
    for concept, share in (("vgcc-ab", 0.12), ("thymectomy", 0.1)):
        if make.chance(share):
            facts.append(make.yes_no(concept, 0.6))
    if make.chance(0.2):
        facts.append(make.order(make.pick((*IMMUNO, "plasma-exchange"))))
    if make.chance(0.05):
        state = make.pick(("completed", "in-progress", "preparation", "not-done", "stopped"))
        exchange = {"r": "Procedure", "c": "plasma-exchange", "status": state}
        facts.append(make.dated(exchange, 800))
        if "d" in facts[-1]:
            facts[-1]["start"] = facts[-1].pop("d")
    return facts


def mg_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    if make.chance(0.75):
        facts.append(make.condition("mg", 0.65))
    if make.chance(0.15):
        facts.append(make.condition("mg", 0.4))
    for concept, share, yes in (
        ("fatigability", 0.6, 0.6), ("ocular-weakness", 0.5, 0.65), ("ache-response", 0.3, 0.7),
        ("edrophonium", 0.1, 0.6), ("symmetric-nonfluctuating-ptosis", 0.06, 0.8),
        ("nonfluctuating-progression", 0.1, 0.8),
    ):  # fmt: skip
        if make.chance(share):
            facts.append(make.yes_no(concept, yes))
        if make.chance(share / 6):
            facts.append(make.yes_no(concept, yes))
    for concept, share in (("ice-pack", 0.15), ("rns", 0.4), ("rns", 0.15), ("rns-increment", 0.12)):
        if make.chance(share):
            facts.append(make.measured(concept))
    if make.chance(0.25):
        facts.append(_sfemg(make))
    if make.chance(0.06):
        facts.append(make.dated({"r": "Observation", "c": "nmj-study", "v": "done"}))
    for _ in range(make.pick((0, 0, 0, 1, 2))):
        facts.append(make.dated(make.status({"r": "Observation", "c": "mgfa-class", "v": make.pick(MGFA)}), 400))
    for concept in ("ptosis", "diplopia", "dysphagia-dx", "thymoma"):
        if make.chance(0.07):
            facts.append(make.condition(concept, 0.8))
    return facts


def _sfemg(make: Maker) -> Fact:
    fact: Fact = {"r": "Observation", "c": "sfemg", "v": make.pick(("normal", "abnormal", "abnormal", "equivocal"))}
    fact["muscle"] = make.pick((*FACE, "edc"))
    for key in ("denervated", "weak"):
        if make.chance(0.5):
            fact[key] = make.chance(0.4)
    return make.dated(make.status(fact))


def breathing_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    concepts = ("vc-mlkg", "mip", "mep", "snip", "paco2", "fvc-pct", "fvc-pct", "fvc-l", "bicarbonate", "spo2")
    for _ in range(make.rng.randint(1, 6)):
        facts.append(make.measured(make.pick(concepts), make.pick((4, 4, 130, 400))))
    if any(fact["c"] == "fvc-l" for fact in facts) and make.chance(0.8):
        facts.append(make.measured("body-weight", 400))
    for concept, share in (
        ("niv-in-use", 0.2), ("niv-in-use", 0.08), ("niv-declined", 0.07), ("tracheostomy", 0.06),
        ("resp-symptom", 0.25), ("invasive-ventilation", 0.15), ("invasive-ventilation", 0.07),
        ("dysphagia", 0.2), ("gastrostomy", 0.08), ("gastrostomy-declined", 0.05),
    ):  # fmt: skip
        if make.chance(share):
            facts.append(make.yes_no(concept, 0.75, make.pick((5, 130, 400))))
    if make.chance(0.2):
        facts.append(make.measured("weight-loss-pct", 400))
    if make.chance(0.12):
        facts.append(make.flagged("chloride", 130))
    for concept, share in (("resp-failure-acute", 0.12), ("hospice", 0.1), ("dysphagia-dx", 0.1)):
        if make.chance(share):
            fact = make.condition(concept, 0.85)
            fact["rec"] = (make.now - timedelta(days=make.pick((0, 1, 3, 4, 40, 91)))).isoformat()
            facts.append(fact)
    return facts


def drug_theme(make: Maker) -> list[Fact]:
    facts = [make.order(make.pick(CLASSED)) for _ in range(make.rng.randint(1, 4))]
    if make.chance(0.1):
        facts.append({"r": "MedicationRequest", "c": "magnesium", "status": "active", "minor": True})
    if make.chance(0.15):
        facts.append(make.order(make.pick(VACCINES)))
    if make.chance(0.15):
        start = (make.now - timedelta(days=make.pick((1, 30, 90, 91)))).isoformat()
        facts.append({"r": "Immunization", "c": make.pick(VACCINES), "status": "completed", "start": start})
    if make.chance(0.25):
        facts.append(make.order(make.pick(IMMUNO)))
    return facts


def dose_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    for _ in range(make.pick((1, 1, 2))):
        pyridostigmine = make.order("pyridostigmine")
        if make.chance(0.85):
            single = make.pick((30, 60, 90, 120, 121, 180))
            pyridostigmine["single_mg"] = single
            if make.chance(0.85):
                pyridostigmine["daily_mg"] = make.pick((single, single * 3, single * 4, single * 5, 480, 90, 91, 481))
        if pyridostigmine["r"] == "MedicationRequest" and make.chance(0.3):
            pyridostigmine["initial"] = True
        facts.append(pyridostigmine)
    steroid = make.order(make.pick(("prednisone", "prednisone", "prednisolone")))
    steroid["dose_mg_day"] = make.pick((10, 39, 40, 41, 45, 60))
    if steroid["r"] == "MedicationRequest" and make.chance(0.4):
        steroid["initial"] = True
    facts.append(steroid)
    if make.chance(0.3):
        facts.append(make.order("prednisone"))
    globulin = make.order("ivig") | {"total_g": make.pick((100, 165, 176, 177, 200))}
    if globulin["r"] == "MedicationRequest" and make.chance(0.8):
        globulin["course"] = make.pick(("induction", "induction", "maintenance"))
    facts.append(globulin)
    facts.append(make.measured("body-weight", 400))
    if make.chance(0.4):
        facts.append(make.measured("body-weight", 400))
    if make.chance(0.4):
        facts.append(make.yes_no("musk-ab", 0.7))
    return facts


def riluzole_theme(make: Maker) -> list[Fact]:
    facts = [make.order("riluzole") for _ in range(make.pick((1, 1, 2)))]
    for concept in ("alt", "alt", "ast", "anc"):
        if make.chance(0.6):
            facts.append(make.measured(concept, make.pick((40, 120, 400))))
    for _ in range(make.pick((0, 1, 2))):
        facts.append(make.flagged("bilirubin", 120))
    if make.chance(0.15):
        facts.append(make.condition("ild", 0.7))
    return facts


def pair_theme(make: Maker) -> list[Fact]:
    facts = [make.order(make.pick(PAIRED)) for _ in range(make.rng.randint(2, 5))]
    if make.chance(0.2):
        facts.append(make.condition("long-qt", 0.7))
    if make.chance(0.3):
        facts.append(make.yes_no("sulfite-allergy", 0.8))
    if make.chance(0.1):
        answer = {"v": make.pick(("present", "present", "absent"))}
        facts.append(make.dated({"r": "AllergyIntolerance", "c": "sulfite-allergy", **answer}))
    if make.chance(0.3):
        facts.append(make.yes_no("sod1-pathogenic", 0.6))
    return facts


def checkpoint_theme(make: Maker) -> list[Fact]:
    drugs = ("nivolumab", "pembrolizumab", "penicillamine", "interferon-alfa")
    facts = [make.order(make.pick(drugs)) for _ in range(make.pick((1, 1, 2)))]
    for concept in ("ptosis", "diplopia", "dysphagia-dx"):
        if make.chance(0.3):
            facts.append(make.condition(concept, 0.85))
    for concept in ("ocular-weakness", "fatigability", "dysphagia"):
        if make.chance(0.25):
            facts.append(make.yes_no(concept, 0.7, 400))
    if make.chance(0.3):
        facts.append(make.measured("ck", 400))
    if make.chance(0.3):
        facts.append(make.flagged("troponin"))
    if make.chance(0.3):
        facts.append(make.condition("mg", 0.6))
    return facts


def mimic_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    coded = {
        "ncs-conduction-block": ("none", "probable", "definite", "definite"),
        "ncs-sensory": ("normal", "abnormal"),
        "mri-cspine": ("normal", "compression", "compression", "abnormal", "other"),
        "mri-brain": ("normal", "abnormal"),
        "edx-study": ("normal", "abnormal"),
        "weakness-pattern": (
            "proximal-symmetric", "finger-flexor-gt-shoulder-abductor", "knee-extensor-ge-hip-flexor",
        ),
    }  # fmt: skip
    for concept, values in coded.items():
        for _ in range(make.pick((0, 0, 1, 1, 2))):
            facts.append(make.dated(make.status({"r": "Observation", "c": concept, "v": make.pick(values)})))
    for concept in (
        "gm1-ab", "sensory-loss", "sphincter", "sustained-remission", "ncs-demyelination", "monoclonal-protein", "lead",
        "hexa-deficiency", "hiv", "lyme", "syphilis", "hcv", "hu-ab", "myositis-ab", "dm-rash", "gynecomastia",
        "testicular-atrophy", "perioral-fasciculation", "proximal-leg-weakness", "areflexia", "autonomic-symptoms",
    ):  # fmt: skip
        if make.chance(0.08):
            facts.append(make.yes_no(concept, 0.75))
    for concept in ("ck", "csf-wbc", "csf-protein"):
        if make.chance(0.25):
            facts.append(make.measured(concept))
    for concept in ("tsh", "calcium"):
        if make.chance(0.15):
            facts.append(make.flagged(concept))
    if make.chance(0.15):
        facts.append(make.dated({"r": "Observation", "c": "ar-cag", "v": make.pick((20, 35, 36, 37, 44))}))
    if make.chance(0.3):
        facts.append(_onset(make))
    for concept in DISEASES[5:]:
        if make.chance(0.05):
            facts.append(make.condition(concept, 0.6))
    if make.chance(0.06):
        facts.append(make.condition("gynecomastia", 0.7))
    return facts


def _onset(make: Maker) -> Fact:
    onset = (make.now - timedelta(days=make.pick((100, 364, 365, 366, 700, 730, 731, 1460, 1461, 3000)))).isoformat()
    return make.dated({"r": "Observation", "c": "symptom-onset", "v": onset})


def ms_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    for concept in ("ms", "ppms", "rrms"):
        if make.chance(0.35):
            facts.append(make.condition(concept, 0.7))
    sites = ("periventricular", "cortical-juxtacortical", "infratentorial", "spinal-cord")
    for _ in range(make.rng.randint(0, 3)):
        lesion = {"r": "Observation", "c": "t2-lesion", "site": make.pick(sites), "count": make.pick((0, 1, 2, 3))}
        facts.append(make.dated(make.status(lesion)))
    for concept, share in (("csf-ocb", 0.4), ("gd-enh-and-nonenh", 0.15), ("new-t2-lesion", 0.15)):
        if make.chance(share):
            facts.append(make.yes_no(concept, 0.7))
    if make.chance(0.3):
        facts.append(make.dated({"r": "Observation", "c": "ms-attacks", "v": make.pick((0, 1, 2, 3))}))
    if make.chance(0.3):
        months = make.pick((6, 11.9, 12, 24))
        facts.append(make.dated({"r": "Observation", "c": "ms-progression-months", "v": months, "u": "mo"}))
    if make.chance(0.3):
        facts.append(_onset(make))
    if make.chance(0.2):
        facts.append(make.order(make.pick(("interferon-beta", "ocrelizumab", "fingolimod", "glatiramer"))))
    return facts


def workup_theme(make: Maker) -> list[Fact]:
    done = (
        "edx-study", "mri-brain", "mri-cspine", "cbc", "hemoglobin", "platelets", "wbc", "electrolytes", "sodium",
        "potassium", "chest-imaging", "monoclonal-protein", "sod1-pathogenic", "c9orf72", "als-gene-panel", "fus",
    )  # fmt: skip
    facts: list[Fact] = []
    for concept in done:
        if make.chance(0.6):
            value: Any = "normal"
            if concept in ("hemoglobin", "platelets", "wbc", "sodium", "potassium"):
                value = 10
            elif concept in ("monoclonal-protein", "sod1-pathogenic", "c9orf72", "als-gene-panel", "fus"):
                value = "negative"
            facts.append(make.dated(make.status({"r": "Observation", "c": concept, "v": value})))
    for concept in ("ck", "anc"):
        if make.chance(0.7):
            facts.append(make.measured(concept))
    if make.chance(0.7):
        facts.append(make.flagged("tsh"))
    if make.chance(0.2):
        facts.append(make.yes_no("genetic-testing-declined", 0.7))
    return facts


def noise_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    for _ in range(make.rng.randint(1, 5)):
        match make.rng.randint(0, 3):
            case 0:
                facts.append(make.yes_no(make.pick(YES_NO), 0.6))
            case 1:
                facts.append(make.measured(make.pick(list(MEASURES))))
            case 2:
                facts.append(make.condition(make.pick((*DISEASES, *OTHER_CONDITIONS)), 0.6))
            case _:
                facts.append(make.order(make.pick((*CLASSED, *PAIRED, *IMMUNO))))
    return facts


CROWDED = (
    "fatigability", "ocular-weakness", "musk-ab", "achr-cba", "achr-modulating", "progression", "niv-in-use",
    "dysphagia",
    "als-alternatives-excluded", "sensory-loss", "invasive-ventilation", "csf-ocb", "ache-response", "thymectomy",
)  # fmt: skip


def crowded_theme(make: Maker) -> list[Fact]:
    """Several results, entries or orders of the same thing, close together."""
    facts: list[Fact] = []
    for _ in range(make.rng.randint(1, 3)):
        count = make.rng.randint(2, 4)
        match make.rng.randint(0, 4):
            case 0 | 1:
                concept = make.pick(CROWDED)
                facts += [make.yes_no(concept, 0.6) for _ in range(count)]
            case 2:
                concept = make.pick(list(MEASURES))
                facts += [make.measured(concept, 400) for _ in range(count)]
            case 3:
                concept = make.pick((*DISEASES, *OTHER_CONDITIONS, "als", "mg", "hospice"))
                facts += [make.condition(concept, 0.6) for _ in range(count)]
            case _:
                drug = make.pick((*CLASSED, *PAIRED, *IMMUNO))
                facts += [make.order(drug) for _ in range(count)]
    return facts


THEMES: Sequence[tuple[Callable[[Maker], list[Fact]], float]] = (
    (als_theme, 0.5), (mg_theme, 0.45), (antibody_theme, 0.45), (breathing_theme, 0.3), (drug_theme, 0.3),
    (dose_theme, 0.12), (riluzole_theme, 0.18), (pair_theme, 0.12), (checkpoint_theme, 0.12), (mimic_theme, 0.3),
    (ms_theme, 0.12), (workup_theme, 0.2), (noise_theme, 0.3), (signs_theme, 0.1),
    (criteria_theme, 0.15), (seronegative_theme, 0.05), (repeated_theme, 0.08), (overlap_theme, 0.05),
    (crowded_theme, 0.15),
)  # fmt: skip
