"""Makes single facts of a random compact patient: near thresholds, at the borders of windows, now and then unusable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
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
    "achr-binding": (
        {"nmol/L": 1, "pmol/mL": 1, "pmol/L": 0.001}, (0.01, 0.02, 0.03, 0.3, 0.4, 0.41, 0.5, 1.1, 6), "[iU]/mL",
    ),
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
