"""Rows of concepts: what a code means in an observation, report, condition, procedure or allergy."""

from __future__ import annotations

from collections import defaultdict

from valuesets.decisions import ALSO_EXCLUDES, FIXED, GENE_TESTS, STUDY_TYPES, TOO_WIDE, VENTILATED, VENTILATOR
from valuesets.tables import NO_DISPLAY, SYSTEMS, UNSEEN, Row, Tables, usable

FORMS = {"procedure": "procedure", "condition": "finding", "allergy": "allergy"}


def coded(coding: Row) -> Row:
    """A coding of the representation as a row of the tables."""
    return {"short": SYSTEMS[coding["system"]], "code": coding["code"], "display": coding.get("display", ""),
            "notes": "", "confidence": ""}  # fmt: skip


def concept_row(fact: str, carriers: str, row: Row, use: str = "include", **more: str) -> Row:
    short = row["short"]
    entry = {
        "concept": fact,
        "carriers": carriers,
        "system": short,
        "code": row["code"],
        "display": "" if short in NO_DISPLAY or UNSEEN.search(row["display"]) else row["display"],
        "match": "prefix" if row.get("includes_descendants") == "y" or short == "icd10" else "",
        "use": "" if use == "include" else use,
        "confidence": "" if row["confidence"] in ("verified-2", "local") else row["confidence"],
    }
    return entry | FIXED.get((fact, short, row["code"]), {}) | more


def carriers_of(fact: str, kind: str, source: str, row: Row, conditions: set[tuple[str, str]]) -> str:
    """Which resources may state a fact of kind observation with this code."""
    short, notes, table = row["short"], row["notes"], source.split(":", 1)[0]
    if "OBSERVABLE ENTITY" in notes or fact == "dysphagia":
        return "observation"  # a bare observable is no positive finding; dysphagia as a Condition is a diagnosis
    if "SUBSTANCE" in notes or short == "rx":
        return "allergy"
    if short == "pcs":
        return "procedure"
    if short in ("icd10cm", "icd10"):
        return "finding"
    if short == "cpt":
        return "observation report procedure"
    if short == "hpo":
        return "observation" if ("hpo", row["code"]) in conditions else "observation finding"
    if short == "sct" and (table == "conditions" or "DONE" in notes):
        if kind in ("coded", "done") and fact != "ncs-conduction-block":
            return "observation report procedure"
        if ("sct", row["code"]) in conditions:
            return "observation"
        if fact == "sulfite-allergy":
            return "observation finding allergy"
        if "(finding)" in notes or "(disorder)" in notes:
            return "observation finding"
        if fact in ("gastrostomy", "tracheostomy", "thymectomy", "niv-in-use", "invasive-ventilation"):
            return "observation finding procedure"
        return "observation finding"
    return "observation report" if kind in ("coded", "done", "posneg", "achr") else "observation"


def observation_rows(tables: Tables) -> list[Row]:
    representation = tables.representation["observations"]
    condition_facts = {
        (row["short"], row["code"])
        for fact in tables.facts("condition")
        for source in fact["concepts"].split(";")
        for row in tables.rows[source]
    }
    genes = {
        row["code"]
        for fact in tables.facts("observation")
        if fact["fact"] in GENE_TESTS - {"als-gene-panel"}
        for source in fact["concepts"].split(";")
        for row in tables.rows[source]
    }
    rows: list[Row] = []
    for fact_row in tables.facts("observation"):
        fact = fact_row["fact"]
        kind = representation[fact]["kind"]
        for source in fact_row["concepts"].split(";"):
            for row in tables.rows[source]:
                if not usable(row) or "USE:exclude" in row["notes"] or (fact, row["short"], row["code"]) in TOO_WIDE:
                    continue
                if fact in ("dysphagia", "gynecomastia") and row["short"] in ("icd10cm", "icd10"):
                    continue  # as a Condition they are a diagnosis
                if row["short"] == "hpo" and kind in ("quantity", "integer", "date", "components"):
                    continue  # a finding without its number
                if source == "observations:als-genetic-test-done" and row["code"] in genes:
                    continue  # the test of one gene states its own concept
                carriers = carriers_of(fact, kind, source, row, condition_facts)
                named = row.get("value_type", "").startswith(STUDY_TYPES)
                study = "y" if kind in ("coded", "done") or fact in GENE_TESTS or named else ""
                only = "in-progress" if fact == "niv-in-use" and "procedure" in carriers.split() else ""
                rows.append(concept_row(fact, carriers, row, study=study, only=only))
    have = {(r["concept"], r["system"], r["code"]) for r in rows}
    rows += [  # codes of the representation that the map does not reach
        concept_row(fact, FORMS.get(form, "observation"), coded(c))
        for fact, entry in representation.items()
        for form, c in [(entry.get("form", ""), entry["primary"])]
        + [(a["form"], a["coding"]) for a in entry["alternatives"]]
        if (fact, SYSTEMS[c["system"]], c["code"]) not in have
    ]
    return rows


def condition_rows(tables: Tables) -> list[Row]:
    facts = tables.facts("condition")
    subtype = {
        (row["short"], row["code"])
        for source in ("conditions:ms-primary-progressive", "conditions:ms-relapsing-remitting")
        for row in tables.rows[source]
    }
    rows: list[Row] = []
    for fact_row in facts:
        fact = fact_row["fact"]
        suspected = {tuple(item.split("|")) for item in fact_row["suspected_only"].split(";") if item}
        for source in fact_row["concepts"].split(";"):
            for row in tables.rows[source]:
                if not usable(row) or (row["system"], row["code"]) in suspected:
                    continue
                if fact == "ms" and (row["short"], row["code"]) in subtype:
                    continue  # a subtype code feeds ppms or rrms only
                rows.append(concept_row(fact, "condition", row))
        for system, code in sorted(suspected):
            source = {"short": SYSTEMS[system], "code": code, "display": "", "confidence": "", "notes": ""}
            rows.append(concept_row(fact, "condition", source, "suspected"))
        for item in fact_row["local_codes"].split(";"):
            if item and not any(r["concept"] == fact and r["code"] == item.split("|")[1] for r in rows):
                raise SystemExit(f"local code {item} of {fact} has no row")
    return rows


def exclusion_rows(tables: Tables) -> list[Row]:
    feeds: dict[str, list[str]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for row in tables.map:
        for source in row["concepts"].split(";"):
            feeds[source].append(row["fact"])
        kinds.setdefault(row["fact"], row["kind"])
    excluded: dict[str, list[str]] = defaultdict(list)
    for row in tables.overlaps:
        if row["relation"] == "excludes" and not row["concept_a"].startswith("medications"):
            excluded[row["concept_a"]] += feeds[row["concept_b"]]
    for source, facts in ALSO_EXCLUDES.items():
        excluded[source] += facts
    rows = [
        concept_row(fact, "any", row, "exclude")
        for source, facts in excluded.items()
        for fact in dict.fromkeys(facts)
        for row in tables.rows[source]
        if usable(row)
    ]
    for row in tables.rows["conditions:respiratory-failure"]:
        if usable(row) and ("chronic" in row["display"].lower() or row["code"].startswith("J96.1")):
            rows.append(concept_row("resp-failure-acute", "any", row, "exclude"))
    for (short, code), display in VENTILATOR.items():
        row = {"short": short, "code": code, "display": display, "confidence": "verified-1"}
        rows += [concept_row(fact, "observation", row, "exclude") for fact in VENTILATED]
    return rows


def context_rows(tables: Tables, known: list[Row]) -> list[Row]:
    """Codes that the tables know and no rule reads: they are recognised, and mean nothing here."""
    seen = {(row["system"], row["code"]) for row in known}
    rows: dict[tuple[str, str], Row] = {}
    for source, entries in tables.rows.items():
        for row in entries:
            key = (row["short"], row["code"])
            if source.startswith("medications") or not usable(row) or not row["short"] or key in seen:
                continue
            if source.split(":")[1].startswith(("answer-", "interpretation-", "genomics-")):
                continue
            rows.setdefault(key, {"context": source.split(":")[1], "system": key[0], "code": key[1]})
    return list(rows.values())


def mark_preferred(tables: Tables, rows: list[Row]) -> None:
    """The coding to emit, for all carriers or for the one named: the primary one of the representation. A fact whose
    first form is no Observation travels as an Observation under its local code."""
    marks: dict[tuple[str, str, str], tuple[str, str]] = {}
    for section in ("observations", "conditions"):
        for fact, entry in tables.representation[section].items():
            form = entry.get("form", "")
            mark = form if form in ("procedure", "allergy") else "y"
            codings = [(entry["primary"], mark)]
            if mark != "y":
                codings += [(a["coding"], "observation") for a in entry["alternatives"] if a["form"] == "coded"]
            for c, said in codings:
                marks[fact, SYSTEMS[c["system"]], c["code"]] = (said, c.get("display", ""))
    for row in rows:
        said, display = marks.get((row["concept"], row["system"], row["code"]), ("", ""))
        row["preferred"] = said
        if said and not row["display"] and row["system"] not in NO_DISPLAY:
            row["display"] = display


def merge(rows: list[Row]) -> list[Row]:
    """One row per concept, code and reading; carriers are joined."""
    merged: dict[tuple[str, str, str, str], Row] = {}
    for row in rows:
        key = (row["concept"], row["system"], row["code"], row["use"])
        if key in merged:
            carriers = dict.fromkeys(merged[key]["carriers"].split() + row["carriers"].split())
            merged[key]["carriers"] = " ".join(carriers)
        else:
            merged[key] = row
    excluded = {(r["concept"], r["system"], r["code"]) for r in merged.values() if r["use"] == "exclude"}
    return [
        r for r in merged.values() if r["use"] == "exclude" or (r["concept"], r["system"], r["code"]) not in excluded
    ]


def concept_rows(tables: Tables) -> list[Row]:
    """All rows of concepts, exclusions included, with the codings to emit marked."""
    rows = merge(observation_rows(tables) + condition_rows(tables) + exclusion_rows(tables))
    mark_preferred(tables, rows)
    return rows


def overlap_rows(tables: Tables, rows: list[Row]) -> list[Row]:
    """Pairs of facts that share a code; each must come from a pair that concept_overlaps.csv allows."""
    sources = {row["fact"]: set() for row in tables.map}
    for row in tables.map:
        sources[row["fact"]] |= set(row["concepts"].split(";"))
    allowed = {frozenset((row["concept_a"], row["concept_b"])) for row in tables.overlaps}
    pairs: dict[tuple[str, str], str] = {}
    by_code: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["use"] != "exclude":
            by_code[row["system"], row["code"]].append(row)
    for (system, code), group in by_code.items():
        for i, a in enumerate(group):
            for b in group[i + 1 :]:
                if a["concept"] == b["concept"] or not set(a["carriers"].split()) & set(b["carriers"].split()):
                    continue
                fine = any(
                    x == y or frozenset((x, y)) in allowed for x in sources[a["concept"]] for y in sources[b["concept"]]
                )
                if not fine:
                    raise SystemExit(f"{system}|{code}: {a['concept']} and {b['concept']} may not share a code")
                first, second = sorted((a["concept"], b["concept"]))
                pairs.setdefault((first, second), f"{system}|{code}")
    return [{"overlap": a, "with": b, "example": code} for (a, b), code in sorted(pairs.items())]
