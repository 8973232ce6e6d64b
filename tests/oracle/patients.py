"""Random compact patients, by seed, biased to be interesting: near thresholds, at the borders of windows, contradictory.

A patient is a mixture of themes (ALS, MG, antibodies, breathing, drugs ...) with noise; or a known vignette with a few
facts dropped, doubled, shifted or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

Fact = dict[str, Any]

DAYS = (
    0, 0, 1, 1, 2, 3, 3, 4, 5, 7, 8, 10, 20, 26, 27, 28, 29, 30, 31, 35, 36, 60, 89, 90, 91, 92, 93, 100, 101, 119, 120,
    121, 150, 182, 183, 184, 190, 191, 200, 300, 364, 365, 366, 367, 400, 500, 730, 731, 1000, 1461, 2000, 4000,
)  # fmt: skip
NOWS = (date(2025, 6, 1), date(2025, 6, 10), date(2024, 2, 29), date(2025, 12, 31), date(2026, 1, 1), date(2025, 3, 20))
PRESSURE = {"cm[H2O]": 1, "kPa": 10.19716, "mm[Hg]": 1.35951, "mbar": 1.01972}
ENZYME = {"U/L": 1, "[IU]/L": 1, "ukat/L": 60}

# concept -> accepted units with factors, values of interest in the canonical unit, a foreign unit
MEASURES: Mapping[str, tuple[Mapping[str, float], Sequence[float], str]] = {
    "ck": (ENZYME, (150, 640, 1000, 1001, 999, 3000, 3001, 4500), "mg/dL"),
    "alt": (ENZYME, (30, 40, 41, 119, 120, 121, 199, 200, 201, 240), "mg/dL"),
    "ast": (ENZYME, (30, 40, 41, 119, 120, 121, 199, 200, 201, 240), "mg/dL"),
    "mip": (PRESSURE, (15, 29, 30, 31, 39, 40, 41, 50, 59, 60, 61, 80, 0), "L"),
    "mep": (PRESSURE, (20, 39, 40, 41, 70, 0), "L"),
    "snip": (PRESSURE, (20, 39, 40, 41, 70, 0), "L"),
    "vc-mlkg": ({"mL/kg": 1}, (10, 15, 19.9, 20, 20.1, 25, 30, 29.9, 45, 0), "L"),
    "fvc-pct": ({"%": 1}, (30, 45, 49.9, 50, 55, 59.9, 60, 65, 70, 75, 79, 80, 81, 85, 95, 100, 0), "L"),
    "fvc-l": ({"L": 1, "mL": 0.001}, (0.8, 1.2, 1.59, 1.6, 1.61, 2.4, 3.5, 0), "%"),
    "spo2": ({"%": 1}, (85, 91, 92, 93, 98), "kPa"),
    "bicarbonate": ({"mmol/L": 1, "meq/L": 1}, (24, 29.9, 30, 30.1, 33), "g/L"),
    "paco2": ({"mm[Hg]": 1, "kPa": 7.50062}, (38, 44.9, 45, 46, 55, 59.9, 60, 64), "%"),
    "rns": ({"%": 1}, (0, 4, 9.9, 10, 10.1, 15, 22), "mV"),
    "rns-increment": ({"%": 1}, (20, 59.9, 60, 80, 99.9, 100, 180), "mV"),
    "csf-protein": ({"g/L": 1, "mg/dL": 0.01, "mg/L": 0.001}, (0.4, 0.99, 1, 1.01, 2), "mmol/L"),
    "csf-wbc": ({"/uL": 1, "10*6/L": 1}, (0, 2, 5, 6, 20), "g/L"),
    "anc": ({"10*9/L": 1, "10*3/uL": 1, "/uL": 0.001}, (0.3, 0.49, 0.5, 1.2, 1.49, 1.5, 3), "g/L"),
    "body-weight": ({"kg": 1, "[lb_av]": 0.45359237}, (50, 75, 80, 90, 91, 120), "cm"),
    "ice-pack": ({"mm": 1, "cm": 10}, (0, 1.9, 2, 2.1, 4), "kg"),
    "weight-loss-pct": ({"%": 1}, (0, 4.9, 5, 7, 9.9, 10, 12), "kg"),
    "achr-binding": ({"nmol/L": 1, "pmol/mL": 1, "pmol/L": 0.001}, (0.01, 0.02, 0.03, 0.3, 0.4, 0.41, 0.5, 1.1, 6), "[iU]/mL"),
}  # fmt: skip
SIGNED = {"mip", "mep", "snip", "rns"}
RANGES = {"ck": (200, 170, 70), "alt": (40, 40, 35), "ast": (40,), "achr-binding": (0.4, 0.4, 0.02, 0.5)}
FLAGS = ("POS", "NEG", "H", "N", "L", "A", "IND", "E", "HH", "LL", "ND", "DET")
DISEASES = (
    "als", "mg", "ms", "ppms", "rrms", "pls", "sbma", "mmn", "ibm", "polymyositis", "dermatomyositis",
    "cervical-myelopathy", "lems",
)  # fmt: skip
OTHER_CONDITIONS = (
    "ptosis", "diplopia", "dysphagia-dx", "resp-failure-acute", "hospice", "long-qt", "ild", "gynecomastia", "gbs",
    "thymoma", "autoimmune-disease", "pma",
)  # fmt: skip
REGIONS = ("bulbar", "cervical", "thoracic", "lumbosacral")
UMN_SIGNS = ("hoffmann", "babinski", "jaw-jerk", "hyperreflexia", "spasticity", "clonus", "snout", "crossed-adductor")
ARM = ("deltoid", "biceps", "triceps", "edc", "pronator-teres", "fdi", "adm", "apb", "eip", "trapezius")
LEG = ("iliopsoas", "vastus-lateralis", "ta", "ehl", "gastrocnemius", "biceps-femoris", "gluteus-medius")
HEAD = ("tongue", "masseter")
FACE = ("nasalis", "orbicularis-oculi", "frontalis", "orbicularis-oris")
MUSCLES = {"bulbar": HEAD, "cervical": ARM, "thoracic": ("thoracic-paraspinal",), "lumbosacral": LEG}
CLASSED = (
    "telithromycin", "quinine", "penicillamine", "botulinum-toxin", "magnesium", "ciprofloxacin", "levofloxacin",
    "gentamicin", "tobramycin", "neomycin", "azithromycin", "erythromycin", "procainamide", "quinidine",
    "dextromethorphan-quinidine", "metoprolol", "timolol", "propranolol", "atorvastatin", "hydroxychloroquine",
    "deferoxamine", "iodinated-contrast", "lithium", "phenytoin", "verapamil", "interferon-alfa", "colistin",
    "polymyxin-b", "clindamycin", "interferon-beta", "nivolumab", "pembrolizumab", "ipilimumab", "rocuronium",
    "vecuronium", "suxamethonium", "lorazepam", "morphine", "zolpidem", "oxycodone",
)  # fmt: skip
PAIRED = (
    "riluzole", "fluvoxamine", "ciprofloxacin", "mexiletine", "enoxacin", "zileuton", "vemurafenib", "tizanidine",
    "azathioprine", "allopurinol", "febuxostat", "dextromethorphan-quinidine", "quinine", "quinidine", "mefloquine",
    "linezolid", "selegiline", "pyridostigmine", "glycopyrrolate", "amitriptyline", "atropine", "hyoscine", "edaravone",
    "tofersen", "sertraline",
)  # fmt: skip
IMMUNO = (
    "prednisone", "prednisolone", "azathioprine", "mycophenolate", "tacrolimus", "rituximab", "ivig", "eculizumab",
    "efgartigimod", "dexamethasone", "methotrexate", "ciclosporin",
)  # fmt: skip
VACCINES = ("yellow-fever-vaccine", "mmr-vaccine", "zoster-live-vaccine", "live-influenza-vaccine", "varicella-vaccine")
ROUTES = ("oral", "iv", "im", "sc", "topical", "ophthalmic", "otic", "inhaled", "transdermal", "vaginal", "nasal")
REASONS = ("chest-imaging", "palliative-dyspnoea", "malaria", "muscarinic-side-effect")
MGFA = ("I", "II", "IIa", "IIb", "III", "IIIa", "IIIb", "IV", "IVa", "IVb", "V")
AS_CONDITION = (
    "fatigability", "sensory-loss", "areflexia", "niv-in-use", "gastrostomy", "tracheostomy", "invasive-ventilation",
    "sulfite-allergy",
)  # fmt: skip
AS_PROCEDURE = (
    "edx-study", "nmj-study", "tracheostomy", "thymectomy", "invasive-ventilation", "gastrostomy", "niv-in-use",
)  # fmt: skip
YES_NO = (
    "achr-cba", "achr-modulating", "musk-ab", "lrp4-ab", "vgcc-ab", "gm1-ab", "mag-ab", "cn1a-ab", "hu-ab",
    "myositis-ab", "ache-response", "edrophonium", "csf-ocb", "monoclonal-protein", "lead", "hexa-deficiency", "hiv",
    "lyme", "syphilis", "hcv", "sod1-pathogenic", "c9orf72", "fus", "tardbp", "als-gene-panel", "ncs-demyelination",
    "fatigability", "ocular-weakness", "symmetric-nonfluctuating-ptosis", "proximal-leg-weakness", "areflexia",
    "autonomic-symptoms", "dm-rash", "gynecomastia", "testicular-atrophy", "perioral-fasciculation", "sensory-loss",
    "sphincter", "sustained-remission", "nonfluctuating-progression", "progression", "als-alternatives-excluded",
    "gd-enh-and-nonenh", "new-t2-lesion", "resp-symptom", "niv-in-use", "niv-declined", "gastrostomy",
    "gastrostomy-declined", "dysphagia", "sulfite-allergy", "genetic-testing-declined", "invasive-ventilation",
    "tracheostomy", "thymectomy",
)  # fmt: skip


class Maker:
    """Makes the facts of one patient from one source of chance."""

    def __init__(self, rng: Random, now: date) -> None:
        self.rng, self.now = rng, now
        self.shared = [rng.choice(DAYS) for _ in range(4)]  # days on which much happens

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, options: Sequence[Any]) -> Any:
        return self.rng.choice(options)

    def day(self, most: int = 4000) -> str | None:
        """A date: often one of the shared days, now and then partial, missing or in the future."""
        dice = self.rng.random()
        if dice < 0.03:
            return None
        if dice < 0.045:
            return (self.now + timedelta(days=self.pick((1, 2, 14, 40)))).isoformat()
        near = [d for d in DAYS if d <= most] or [0]
        chosen = self.pick(self.shared) if dice < 0.5 else self.pick(near)
        written = (self.now - timedelta(days=chosen if chosen <= most else self.pick(near))).isoformat()
        return written if dice < 0.95 else written[:7] if dice < 0.985 else written[:4]

    def dated(self, fact: Fact, most: int = 4000) -> Fact:
        day = self.day(most)
        return fact if day is None else {**fact, "d": day}

    def status(self, fact: Fact) -> Fact:
        if self.chance(0.05):
            states = ("amended", "corrected", "preliminary", "registered", "cancelled", "entered-in-error", "final")
            return {**fact, "status": self.pick(states)}
        return fact

    def yes_no(self, concept: str, share: float = 0.7, most: int = 4000) -> Fact:
        """present or absent; sometimes neither, sometimes by flag alone, sometimes as a Procedure or a Condition."""
        positive = self.chance(share)
        if concept in AS_PROCEDURE and self.chance(0.3):
            state = {"status": "in-progress"} if concept == "niv-in-use" and positive else {}
            answer = "present" if positive else "absent"
            return self.dated({"r": "Procedure", "c": concept, "v": answer, **state}, most)
        if concept in AS_CONDITION and self.chance(0.2):
            certainty = self.pick(("confirmed", None, "provisional")) if positive else "refuted"
            fact = self.dated({"r": "Condition", "c": concept}, most)
            if "d" in fact:
                fact["rec"] = fact.pop("d")
            return {**fact, "ver": certainty} if certainty else fact
        words = ("positive", "negative") if concept.endswith("-ab") else ("present", "absent")
        if self.chance(0.15):
            words = self.pick((("detected", "not-detected"), ("positive", "negative"), ("present", "absent")))
        fact: Fact = {"r": "Observation", "c": concept, "v": words[0] if positive else words[1]}
        if self.chance(0.04):
            fact["v"] = "equivocal"
        if self.chance(0.05):
            fact["interp"] = self.pick(FLAGS)
            if self.chance(0.6):
                del fact["v"]
        if concept == "ocular-weakness" and positive and self.chance(0.8):
            fact["fluctuating"] = self.chance(0.75)
        if concept == "invasive-ventilation" and self.chance(0.5):
            fact["enc"] = self.pick(("current", "current", "finished"))
        return self.dated(self.status(fact), most)

    def measured(self, concept: str, most: int = 4000) -> Fact:
        """A quantity near one of its thresholds, in any unit, sometimes unusable or with a comparator."""
        units, values, foreign = MEASURES[concept]
        unit: str | None = self.pick(list(units))
        value = float(self.pick(values)) if self.chance(0.85) else float(self.pick(values)) * self.pick((0.5, 1.5, 100))
        value = round(value / units[str(unit)], self.pick((2, 3)))
        if concept in SIGNED and self.chance(0.2):
            value = -value
        fact: Fact = {"r": "Observation", "c": concept}
        dice = self.rng.random()
        if dice < 0.03:
            unit = None
        elif dice < 0.06:
            unit = foreign
        fact["v"] = int(value) if value == int(value) and self.chance(0.7) else value
        if unit:
            fact["u"] = unit
        if self.chance(0.08):
            fact["cmp"] = self.pick(("<", "<=", ">", ">="))
        if concept in RANGES and self.chance(0.85):
            self._with_range(fact, concept, units, unit)
        if self.chance(0.08 if concept in RANGES else 0.02):
            fact["interp"] = self.pick(FLAGS)
        if concept == "rns":
            fact["muscle"] = self.pick((*FACE, *FACE, "trapezius", "adm"))
            if self.chance(0.92):
                fact["hz"] = self.pick((3, 3, 3, 2, 5, 1, 6, 10))
            if self.chance(0.2):
                fact["denervated"] = self.chance(0.5)
        if concept == "achr-binding" and self.chance(0.5):
            fact |= {"lab": self.pick(("a", "a", "b")), "method": self.pick(("ripa", "ripa", "elisa"))}
        return self.dated(self.status(fact), most)

    def _with_range(self, fact: Fact, concept: str, units: Mapping[str, float], unit: str | None) -> None:
        of_range = unit if self.chance(0.9) else self.pick(list(units))
        factor = units.get(str(of_range), 1)
        fact["ref_high"] = round(self.pick(RANGES[concept]) / factor, 4)
        if of_range != unit and of_range:
            fact["ref_u"] = of_range

    def flagged(self, concept: str, most: int = 400) -> Fact:
        """TSH, calcium, chloride, bilirubin, troponin: own range or flag decide."""
        low, high, unit, other = {
            "tsh": (0.4, 4.0, "m[IU]/L", "u[IU]/mL"),
            "calcium": (2.1, 2.6, "mmol/L", "mg/dL"),
            "chloride": (98, 107, "mmol/L", "meq/L"),
            "bilirubin": (0, 20, "umol/L", "mg/dL"),
            "troponin": (0, 14, "ng/L", "ng/L"),
        }[concept]
        value = self.pick((low, high, low * 0.9, high * 1.05, high * 2, high * 2.1, (low + high) / 2))
        fact: Fact = {"r": "Observation", "c": concept, "v": round(value, 3), "u": unit}
        if self.chance(0.85):
            fact |= {"ref_low": low, "ref_high": high}
            if self.chance(0.1):
                fact["ref_u"] = other
        if self.chance(0.2):
            fact["interp"] = self.pick(("H", "L", "N", "HH", "LL", "A", "POS"))
        if self.chance(0.08):
            fact["cmp"] = self.pick(("<", ">", "<=", ">="))
        return self.dated(self.status(fact), most)

    def condition(self, concept: str, certain: float = 0.7) -> Fact:
        fact: Fact = {"r": "Condition", "c": concept}
        dice = self.rng.random()
        if dice < certain:
            if self.chance(0.8):
                fact["ver"] = "confirmed"
        else:
            fact["ver"] = self.pick(
                ("provisional", "differential", "unconfirmed", "refuted", "refuted", "entered-in-error"),
            )
        if self.chance(0.8):
            fact["clin"] = self.pick(("active",) * 6 + ("inactive", "resolved", "remission", "relapse"))
        if self.chance(0.15):
            fact["cat"] = self.pick(("encounter-diagnosis", "encounter-diagnosis", "problem-list-item"))
        if self.chance(0.4) and (onset := self.day()):
            fact["onset"] = onset
        if recorded := self.day():
            fact["rec"] = recorded
        return fact

    def order(self, drug: str) -> Fact:
        kind = "MedicationRequest"
        if self.chance(0.2):
            kind = self.pick(("MedicationStatement", "MedicationDispense"))
        states = {
            "MedicationRequest": ("active", "active", "draft", "draft", "on-hold", "completed", "stopped", "cancelled"),
            "MedicationStatement": ("active", "completed", "on-hold", "stopped", "not-taken", "intended"),
            "MedicationDispense": ("completed", "completed", "on-hold", "stopped", "in-progress"),
        }[kind]
        fact: Fact = {"r": kind, "c": drug, "status": self.pick(states)}
        start = self._full_day()
        if start is not None and self.chance(0.75):
            fact["start"] = (self.now - timedelta(days=start)).isoformat()
            if self.chance(0.5 if fact["status"] in ("completed", "stopped") else 0.1):
                supply = 365 if kind == "MedicationDispense" else start
                end = self.pick([d for d in (*DAYS, start) if start - supply <= d <= start])
                fact["end"] = (self.now - timedelta(days=end)).isoformat()
        if self.chance(0.35):
            fact["route"] = self.pick(ROUTES)
        if kind == "MedicationRequest" and self.chance(0.03):
            fact["doNotPerform"] = True
        if kind != "MedicationDispense" and self.chance(0.15):
            fact["reason"] = self.pick(REASONS)
        return fact

    def _full_day(self) -> int | None:
        if self.chance(0.1):
            return None
        return self.pick(self.shared) if self.chance(0.4) else self.pick(DAYS)


# ---- themes

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
            seen("lmn-sign", v="present", region=r, weakness=True, atrophy=make.chance(0.85), muscles=count) for r in regions
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
        facts.append({"r": "Condition", "c": "als", "ver": make.pick(("confirmed", "provisional", "refuted")), "rec": day["d"]})
    if make.chance(0.25):
        facts.append(seen("ncs-conduction-block", v=make.pick(("none", "definite"))))
    return [fact for fact in facts if make.chance(0.93)]


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
    return facts


def mg_theme(make: Maker) -> list[Fact]:
    facts: list[Fact] = []
    if make.chance(0.75):
        facts.append(make.condition("mg", 0.65))
    if make.chance(0.15):
        facts.append(make.condition("mg", 0.4))
    for concept, share, yes in (
        ("fatigability", 0.6, 0.6), ("ocular-weakness", 0.5, 0.65), ("ache-response", 0.3, 0.7), ("edrophonium", 0.1, 0.6),
        ("symmetric-nonfluctuating-ptosis", 0.06, 0.8), ("nonfluctuating-progression", 0.1, 0.8),
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
        ("niv-in-use", 0.2), ("niv-in-use", 0.08), ("niv-declined", 0.07), ("tracheostomy", 0.06), ("resp-symptom", 0.25),
        ("invasive-ventilation", 0.15), ("invasive-ventilation", 0.07), ("dysphagia", 0.2), ("gastrostomy", 0.08),
        ("gastrostomy-declined", 0.05),
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


THEMES: Sequence[tuple[Callable[[Maker], list[Fact]], float]] = (
    (als_theme, 0.5), (mg_theme, 0.45), (antibody_theme, 0.45), (breathing_theme, 0.3), (drug_theme, 0.3),
    (dose_theme, 0.12), (riluzole_theme, 0.18), (pair_theme, 0.12), (checkpoint_theme, 0.12), (mimic_theme, 0.3),
    (ms_theme, 0.12), (workup_theme, 0.2), (noise_theme, 0.3), (signs_theme, 0.1),
    (criteria_theme, 0.15), (seronegative_theme, 0.05), (repeated_theme, 0.08),
)  # fmt: skip


def random_patient(seed: int) -> dict[str, Any]:
    """A compact patient of mixed themes."""
    rng = Random(seed)
    make = Maker(rng, rng.choice(NOWS))
    facts = [fact for theme, share in THEMES if make.chance(share) for fact in theme(make)]
    for fact in list(facts):
        if make.chance(0.03):
            facts.append(dict(fact))
    rng.shuffle(facts)
    case = {"id": f"random-{seed}", "now": make.now.isoformat(), "patient": _patient(make), "facts": facts}
    return {**case, "scope": "full"} if make.chance(0.4) else case


def _patient(make: Maker) -> dict[str, Any]:
    patient: dict[str, Any] = {}
    if make.chance(0.95):
        patient["sex"] = make.pick(("male", "male", "female", "other"))
    days = make.pick((20000, 20000, 23000, 25000, 16436, 16437, 9131, 9132, 6574, 6575, 4000))
    if make.chance(0.95):
        born = (make.now - timedelta(days=days)).isoformat()
        patient["birth"] = born if make.chance(0.95) else born[:7] if make.chance(0.5) else born[:4]
    if make.chance(0.02):
        patient["active"] = make.chance(0.5)
    if make.chance(0.005):
        patient["deceased"] = True
    return patient


# ---- vignettes, changed

def changed(case: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A vignette with one to three of its facts dropped, doubled, shifted or changed, and now and then a new theme."""
    rng = Random(seed)
    now = date.fromisoformat(str(case["now"]))
    make = Maker(rng, now)
    facts = [dict(fact) for fact in case["facts"]]
    for _ in range(rng.randint(1, 3)):
        if facts:
            _change(make, facts, rng.randrange(len(facts)))
    if make.chance(0.35):
        theme = rng.choice([theme for theme, _ in THEMES])
        facts += theme(make)
    patient = dict(case["patient"]) if make.chance(0.85) else _patient(make)
    result = {"id": f"{case['id']}-{seed}", "now": case["now"], "patient": patient, "facts": facts}
    scope = case.get("scope") if make.chance(0.7) else make.pick((None, "full"))
    return {**result, "scope": scope} if scope else result


SWAPS = {
    "present": "absent", "absent": "present", "positive": "negative", "negative": "positive", "normal": "abnormal",
    "abnormal": "normal", "compression": "normal", "definite": "probable", "I": "V", "V": "IIb",
}  # fmt: skip


def _change(make: Maker, facts: list[Fact], index: int) -> None:
    fact = facts[index]
    match make.rng.randint(0, 6):
        case 0:
            del facts[index]
        case 1:
            facts.append(dict(fact))
            _change_value(make, facts[-1])
        case 2 | 3:
            _shift(make, fact)
        case 4:
            _change_value(make, fact)
        case 5 if fact["r"] == "Condition":
            fact["ver"] = make.pick(("confirmed", "provisional", "refuted", "refuted", "entered-in-error"))
        case 5 if fact["r"] == "MedicationRequest":
            fact["status"] = make.pick(("active", "draft", "on-hold", "completed", "stopped"))
        case 5 if fact["r"] == "Observation":
            fact["status"] = make.pick(("final", "amended", "preliminary", "entered-in-error"))
        case _:
            facts.append(dict(fact))
            _shift(make, facts[-1])


def _shift(make: Maker, fact: Fact) -> None:
    for key in ("d", "rec", "start"):
        if fact.get(key) is None or len(str(fact[key])) < 10:
            continue
        old = date.fromisoformat(str(fact[key]))
        new = old + timedelta(days=make.pick((-400, -91, -30, -28, -2, -1, 1, 2, 27, 28, 30, 90)))
        if make.chance(0.3):
            new = make.now - timedelta(days=make.pick(DAYS))
        end = fact.get("end")
        longest = 365 if fact["r"] == "MedicationDispense" else 100000
        if key != "start" or end is None or 0 <= (date.fromisoformat(str(end)) - new).days <= longest:
            fact[key] = new.isoformat()
        if make.chance(0.06) and key != "start":
            del fact[key]


def _change_value(make: Maker, fact: Fact) -> None:
    value = fact.get("v")
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if fact["c"] not in ("ar-cag", "ms-attacks"):
            fact["v"] = round(float(value) * make.pick((0.5, 0.98, 1.02, 2, 10)), 3)
            if fact.get("u") and make.chance(0.1):
                fact["cmp"] = make.pick(("<", ">", "<=", ">="))
    elif value in SWAPS and not (fact["c"] == "mgfa-class" and value == "V" and make.chance(0.5)):
        fact["v"] = SWAPS[str(value)]
