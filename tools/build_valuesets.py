#!/usr/bin/env python3
"""Write the value sets and drug classes of the neuromuscular ruleset from the terminology tables.

    python tools/build_valuesets.py [TERMINOLOGY_FOLDER] [REPRESENTATION_YAML] [RULESET_FOLDER]

Needed only when the source tables change; the product reads what this script wrote. The script translates the concepts
of the tables into the concepts of the rules (concept_map.csv), keeps no source column, gives every code its carriers
(which resource may hold it) and its reading (include, suspected, exclude), and refuses to write when one code would
state two concepts that concept_overlaps.csv does not let share a code.

What is decided about single codes stands in valuesets/decisions.py, each line with its reason. Kept by hand:
systems.csv, units.csv, words.csv, families.csv, names-other.csv, tables/muscles.yaml and tables/regions.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from valuesets.codesets import answer_rows, codeset_rows
from valuesets.concepts import concept_rows, context_rows, overlap_rows
from valuesets.drugs import drug_classes, drug_rows, name_rows, write_classes
from valuesets.tables import Tables, write

FILES = {
    "loinc": "loinc", "sct": "snomed", "icd10cm": "icd10cm", "icd10": "icd10", "pcs": "pcs", "hcpcs": "hcpcs",
    "cpt": "cpt", "hpo": "hpo", "rx": "allergens", "obs": "local", "cond": "local", "mdc": "mdc",
}  # fmt: skip
DRUG_FILES = {
    "rx": "rxnorm", "atc": "atc", "cvx": "cvx", "sct": "snomed-drugs", "pcs": "pcs-drugs", "med": "local-drugs",
}  # fmt: skip

CONCEPT_COLUMNS = [
    "concept", "carriers", "system", "code", "display", "match", "use", "study", "only", "answer", "denied", "region",
    "sign", "preferred", "confidence",
]  # fmt: skip
DRUG_COLUMNS = ["ingredient", "system", "code", "route", "strength", "match", "use", "preferred", "display"]


def main(arguments: list[str]) -> None:
    here = Path(__file__).resolve().parent.parent
    terminology = Path(arguments[0]) if arguments else here.parent / "shared/terminology"
    representation = Path(arguments[1]) if len(arguments) > 1 else terminology.parent / "vectors/representation.yaml"
    ruleset = Path(arguments[2]) if len(arguments) > 2 else here / "rulesets/neuromuscular"
    tables = Tables(terminology, representation)
    values = ruleset / "valuesets"
    values.mkdir(parents=True, exist_ok=True)

    rows = concept_rows(tables)
    for file in sorted(set(FILES.values())):
        part = [row for row in rows if FILES[row["system"]] == file]
        write(values / f"{file}.csv", CONCEPT_COLUMNS, part)
    write(values / "context.csv", ["context", "system", "code"], context_rows(tables, rows))
    write(values / "overlaps.csv", ["overlap", "with", "example"], overlap_rows(tables, rows))

    drugs = drug_rows(tables)
    for system, file in DRUG_FILES.items():
        write(values / f"{file}.csv", DRUG_COLUMNS, [row for row in drugs if row["system"] == system])
    write(values / "names.csv", ["name", "ingredient", "use"], name_rows(tables))
    write(values / "answers.csv", ["answer", "system", "code", "display", "preferred"], answer_rows(tables))
    columns = ["codeset", "value", "system", "code", "display", "preferred"]
    write(values / "codesets.csv", columns, codeset_rows(tables))
    (ruleset / "tables").mkdir(exist_ok=True)
    write_classes(ruleset / "tables/classes.yaml", drug_classes(tables))


if __name__ == "__main__":
    main(sys.argv[1:])
