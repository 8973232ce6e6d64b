"""The source tables, and the files that are written."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Row = dict[str, str]

SYSTEMS = {
    "http://snomed.info/sct": "sct",
    "http://loinc.org": "loinc",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm",
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    "http://www.cms.gov/Medicare/Coding/ICD10": "pcs",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "hcpcs",
    "http://www.ama-assn.org/go/cpt": "cpt",
    "http://human-phenotype-ontology.org": "hpo",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rx",
    "http://www.whocc.no/atc": "atc",
    "http://hl7.org/fhir/sid/cvx": "cvx",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation": "v3int",
    "http://www.genenames.org": "hgnc",
    "urn:endplate:nmd-observation": "obs",
    "urn:endplate:nmd-condition": "cond",
    "urn:endplate:nmd-medication": "med",
    "urn:endplate:nmd-answer": "ans",
    "urn:endplate:mgfa-class": "mgfa",
}
UNSEEN = re.compile(r"not seen|see conditions\.csv", re.IGNORECASE)  # no name of the publisher
NO_DISPLAY = {"cpt", "icd10"}  # their publishers license the descriptors


def read(folder: Path, name: str) -> list[Row]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: list[str], rows: list[Row]) -> None:
    used = [c for c in columns if any(row.get(c) for row in rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, used, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size // 1024} kB")


class Tables:
    """The source tables, indexed by `table:concept`."""

    def __init__(self, folder: Path, representation: Path) -> None:
        self.map = read(folder, "concept_map.csv")
        self.overlaps = read(folder, "concept_overlaps.csv")
        self.rxnorm = read(folder, "rxnorm_map.csv")
        self.names = read(folder, "medication_names.csv")
        self.classes = read(folder, "medication_classes.csv")
        self.representation: Any = YAML(typ="safe").load(representation.read_text(encoding="utf-8"))
        self.rows: dict[str, list[Row]] = defaultdict(list)
        for table in ("conditions", "observations", "medications"):
            for row in read(folder, f"{table}.csv"):
                row["short"] = SYSTEMS.get(row["system"], "")
                self.rows[f"{table}:{row['concept_id']}"].append(row)

    def facts(self, kind: str) -> list[Row]:
        return [row for row in self.map if row["kind"] == kind]


def usable(row: Row) -> bool:
    return bool(row["code"]) and "USE:review" not in row["notes"]
