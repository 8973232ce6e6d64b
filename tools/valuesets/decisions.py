"""What is decided about single codes and classes, each line with its reason. Nothing here is computed."""

from __future__ import annotations

# Codes that the tables attach to a concept with a note that they are too wide to state the fact.
TOO_WIDE = {
    ("umn-sign", "icd10cm", "R29.2"): "any abnormal reflex",
    ("umn-sign", "icd10", "R29.2"): "any abnormal reflex",
    ("areflexia", "icd10cm", "R29.2"): "any abnormal reflex",
    ("areflexia", "icd10", "R29.2"): "any abnormal reflex",
    ("areflexia", "hpo", "HP:0001265"): "hyporeflexia is not areflexia",
    ("areflexia", "sct", "405946002"): "hyporeflexia is not areflexia",
    ("niv-in-use", "icd10cm", "Z99.89"): "dependence on any other device",
    ("edx-study", "sct", "252754006"): "surface recording is no needle examination",
    ("edx-study", "sct", "252742006"): "any peripheral neurophysiology",
    ("edx-study", "pcs", "4A0F33Z"): "descriptive match only, not verified",
    ("umn-sign", "sct", "91365008"): "a plantar reflex that is present is no sign",
    ("umn-sign", "sct", "246584007"): "the normal response: its denial says nothing",
    ("umn-sign", "sct", "397790002"): "name not seen",
    ("sfemg", "hpo", "HP:0030006"): "any abnormality",
    ("ache-response", "hpo", "HP:0030203"): "an unfavourable response: its denial says nothing",
    ("mri-cspine", "sct", "241645008"): "level not stated",
    ("mri-cspine", "pcs", "B03BZZZ"): "level not stated",
}

# What a code says beyond its concept: the answer when affirmed and when denied, the region, the type of the sign.
FIXED: dict[tuple[str, str, str], dict[str, str]] = {
    ("umn-sign", "hpo", "HP:0003487"): {"answer": "present", "region": "lumbosacral", "sign": "babinski"},
    ("umn-sign", "hpo", "HP:0031993"): {"answer": "present", "region": "cervical", "sign": "hoffmann"},
    ("umn-sign", "hpo", "HP:0033683"): {"answer": "present", "region": "bulbar", "sign": "jaw-jerk"},
    ("umn-sign", "hpo", "HP:0001347"): {"sign": "hyperreflexia"},
    ("umn-sign", "hpo", "HP:0001348"): {"sign": "hyperreflexia"},
    ("umn-sign", "hpo", "HP:0001257"): {"sign": "spasticity"},
    ("umn-sign", "sct", "246586009"): {"region": "lumbosacral", "sign": "babinski"},
    ("umn-sign", "sct", "246588005"): {"region": "lumbosacral", "sign": "babinski"},
    ("umn-sign", "sct", "74229007"): {"region": "cervical", "sign": "hoffmann"},
    ("umn-sign", "sct", "86854008"): {"sign": "hyperreflexia"},
    ("umn-sign", "sct", "221360009"): {"sign": "spasticity"},
    ("umn-sign", "hpo", "HP:0002169"): {"sign": "clonus"},
    ("sfemg", "hpo", "HP:0030205"): {"answer": "abnormal", "denied": "normal"},
    ("ncs-conduction-block", "hpo", "HP:0012078"): {"answer": "probable", "denied": "none"},
    ("ncs-conduction-block", "sct", "251566000"): {"answer": "probable", "denied": "none"},
    ("ncs-sensory", "obs", "ncs-sensory-normal"): {"answer": "normal", "denied": "abnormal"},
}  # fmt: skip

# Exclusion concepts beyond `excludes` of concept_overlaps.csv: further facts that the same finding must not feed.
ALSO_EXCLUDES = {
    "observations:achr-ganglionic-ab": ["achr-cba", "achr-modulating"],
    "observations:achr-other-exclude": ["achr-cba", "achr-modulating"],
    "observations:inspiratory-pressure-exclude": ["mep", "snip"],
    "observations:pco2-other": ["paco2"],
    "observations:troponin-exclude": ["troponin"],
    "observations:ncs-exclude": ["edx-study"],
    "conditions:ocular-weakness-exclude": ["ocular-weakness", "symmetric-nonfluctuating-ptosis"],
}

# Ventilator pressures beyond the tables. Seen in the ICU test patient of the German Medical Informatics Initiative
# (mii-testdata, Bundle-mii-exa-test-data-bundle-icu-1), which codes the peak airway pressure of a ventilated patient as
# SNOMED CT 27913002, Maximum inspiratory pressure: only its other codings and its category tell it from the strength of
# a patient.
VENTILATED = ["mip", "mep", "snip"]
VENTILATOR = {
    ("sct", "40617009"): "Artificial ventilation (regime/therapy)",  # category of every value of a ventilated patient
    ("loinc", "76531-3"): "Pressure.max Respiratory system airway --on ventilator",
    ("loinc", "76530-5"): "Mean pressure Respiratory system airway --on ventilator",
    ("loinc", "76248-4"): "PEEP Respiratory system --on ventilator",
    ("loinc", "76154-4"): "Airway pressure delta --on ventilator",
    ("loinc", "20079-0"): "Pressure support setting Ventilator",
    # Da Vinci test EHR, o2teddy_observation_mip: its title is MIP
    ("loinc", "19976-0"): "Maximum [Pressure] Respiratory system airway opening --during inspiration on ventilator",
    ("mdc", "151973"): "MDC_VENT_PRESS_AWAY_MAX",
    ("mdc", "151975"): "MDC_VENT_PRESS_AWAY_MEAN",
    ("mdc", "151976"): "MDC_VENT_PRESS_AWAY_END_EXP_POS",
    ("mdc", "152720"): "MDC_VENT_PRESS_AWAY_DELTA",
}

# Codes by which a sender says, in place of a value, that there is none; none of them is ever a result. Seen in FHIR R4
# examples (blood-pressure-cancel), AU Core (bodyheight-cancelled, smokingstatus-notasked, gram-stain,
# bloodpressure-missing, condition-masked), mCODE (tnm-pathologic-distant-metastases: not-applicable), MIMIC-IV
# (MimicObservationMicroTest: MSK), IPS connectathon (US_Epic: UNK), MII rare diseases (bundle-sma-complete: 261665006).
NOT_DONE = {
    ("absent", "not-performed"): "Not Performed",
    ("absent", "not-asked"): "Not Asked",
    ("absent", "not-applicable"): "Not Applicable",
    ("absent", "asked-declined"): "Asked But Declined",
    ("absent", "masked"): "Masked",
    ("absent", "error"): "Error",
    ("absent", "unknown"): "Unknown",
    ("null", "UNK"): "Unknown",
    ("null", "MSK"): "masked",
    ("sct", "261665006"): "Unknown",
}

# Routes and dose forms by code, for senders who give no display. Each was seen with its name: EDQM codes in the IPS
# connectathon and guide, ISiK and MII, SNOMED CT codes in the FHIR R4 and R5 examples, the IPS connectathon, AU Core,
# NHS EPS, Cumulus and the Da Vinci test EHR.
ROUTE_CODES = {
    ("oral", "sct"): "26643006 260548002 394899003 385057009 385055001 421026006 420692007 387048002",
    ("iv", "sct"): "47625008 255560000",
    ("im", "sct"): "78421000 255559005",
    ("sc", "sct"): "34206005 263887005",
    ("parenteral", "sct"): "385219001 385221006 421637006",
    ("topical", "sct"): "6064005 448598008 359540000 385101003",
    ("ophthalmic", "sct"): "54485002 75359005",
    ("inhaled", "sct"): "447694001 18679011000001101",
    ("nasal", "sct"): "385157007",
    ("vaginal", "sct"): "16857009",
    ("oral", "edqm"): "20053000 10219000 10221000 10210000",
    ("iv", "edqm"): "20045000",
    ("im", "edqm"): "20035000",
    ("sc", "edqm"): "20066000",
    ("nasal", "edqm"): "20049000",
    ("parenteral", "edqm"): "11210000 11201000 50021000 50043000",
}

VACCINES = [  # product of the rules <- words of the standard name or of the brand
    ("yellow-fever-vaccine", r"yellow fever|stamaril|yf-vax"),
    ("zoster-live-vaccine", r"zoster.*live|live.*zoster|zostavax"),
    ("varicella-vaccine", r"^varicella|chickenpox|varivax|varilrix"),
    ("mmr-vaccine", r"measles|mumps|rubella|m-m-r|mmr|priorix|proquad"),
    ("live-influenza-vaccine", r"influenza|flumist|fluenz"),
    ("oral-typhoid-vaccine", r"typh|vivotif"),
    ("bcg-vaccine", r"bcg|calmette|tuberculosis"),
]
ROUTES = {"oral-mineral": "oral", "unknown": "", "": ""}

MUSCLE_REGIONS = {  # clinical specification 1.6; trapezius counts as cervical
    "bulbar": "tongue masseter nasalis orbicularis-oculi frontalis orbicularis-oris",
    "cervical": "deltoid biceps triceps edc pronator-teres fdi adm apb eip trapezius",
    "thoracic": "thoracic-paraspinal",
    "lumbosacral": "iliopsoas vastus-lateralis ta ehl gastrocnemius biceps-femoris gluteus-medius",
}

COMPONENT_CONCEPTS = {  # component of a sign or of a muscle test <- concepts of the tables
    "weakness": ["conditions:muscle-weakness"],
    "atrophy": ["conditions:muscle-atrophy"],
    "fasc": ["conditions:fasciculation", "observations:exam-fasciculation"],
    "hyporeflexia": ["conditions:hyporeflexia-areflexia"],
    "chronic": ["observations:needle-emg-chronic-denervation", "conditions:emg-chronic-denervation"],
    "fib_psw": ["observations:needle-emg-active-denervation", "conditions:emg-fibrillation-positive-sharp-waves"],
    "fasc_pot": ["observations:needle-emg-fasciculation-potentials"],
}

STUDY_TYPES = ("panel", "DiagnosticReport", "Procedure", "done")
GENE_TESTS = frozenset({"sod1-pathogenic", "c9orf72", "fus", "tardbp", "als-gene-panel"})
PREFIX_DRUGS = {"M03AB": "suxamethonium"}  # the only drug of its ATC group
PREFIX_ROUTES = {"S01ED": "ophthalmic", "A06AD04": "oral"}
SKIPPED_DRUGS = frozenset({"sulfite-allergen", "live-vaccine-review"})  # an allergen; a code that may not be live

CLASSES: dict[str, list[str]] = {  # class of the rules <- rows of medication_classes.csv
    "contraindicated": ["ketolide", "cinchona-alkaloid", "chelator-penicillamine", "botulinum-toxin"],
    "fluoroquinolone": ["fluoroquinolone"],
    "aminoglycoside": ["aminoglycoside"],
    "macrolide": ["macrolide"],
    "beta-blocker": ["beta-blocker"],
    "class-1a": ["antiarrhythmic-procainamide", "antiarrhythmic-quinidine", "als-symptomatic-dmq"],
    "checkpoint-inhibitor": ["immune-checkpoint-inhibitor"],
    "caution": [
        "statin", "aminoquinoline", "lithium", "anticonvulsant-hydantoin", "calcium-channel-blocker-nondhp",
        "chelator-deferoxamine", "polymyxin", "lincosamide", "iodinated-contrast", "interferon-alfa",
        "aminoglycoside-poorly-absorbed",
    ],
    "non-depolarising-blocker": ["neuromuscular-blocker-nondepolarising"],
    "sedative": ["benzodiazepine", "opioid", "z-drug"],
    "live-vaccine": ["live-vaccine", "live-vaccine-yellow-fever"],
    "immunosuppressant": ["systemic-immunosuppressant"],
    "immunotherapy": ["immunotherapy"],
    "anticholinergic": ["anticholinergic"],
    "cyp1a2-inhibitor": ["cyp1a2-inhibitor"],
    "dmq-contraindicated": ["dmq-contraindicated-partner"],
    "xanthine-oxidase-inhibitor": ["xanthine-oxidase-inhibitor"],
    "als-symptomatic-hazard": ["als-symptomatic-hazard"],
    "mg-drug": ["disease-drug-mg"],
    "als-drug": ["disease-drug-als"],
    "ms-drug": ["disease-drug-ms"],
    "polymyxin": ["polymyxin"],
    "lincosamide": ["lincosamide"],
}  # fmt: skip


FIXED_CLASSES = {  # places and routes that the facts read by these names
    "topical-route": ["ophthalmic", "ophthalmic/otic", "otic", "topical", "vaginal"],
    "parenteral-route": ["im", "iv", "parenteral"],
    "facial-muscle": ["frontalis", "nasalis", "orbicularis-oculi", "orbicularis-oris"],
    "limb-region": ["cervical", "lumbosacral"],
}

NOT_THE_SIGN = ("disuse", "benign")  # disuse atrophy, benign fasciculation: not the sign meant

ANSWER_CONCEPTS = {  # concept of an answer or a flag -> the answer that its codes state when they stand as a value
    "answer-pos": "positive", "answer-pos-weak": "positive", "answer-neg": "negative", "answer-ind": "equivocal",
    "interpretation-pos": "positive", "interpretation-pos-weak": "positive", "interpretation-neg": "negative",
    "interpretation-ind": "equivocal", "interpretation-pos-antibody-exam": "abnormal",
}  # fmt: skip
ANSWERS_BY_NAME = {"DET": "detected", "ND": "not-detected", "N": "normal"}
