"""Rows of drugs and their names, and the drug classes of the rules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from valuesets.decisions import CLASSES, FIXED_CLASSES, PREFIX_DRUGS, PREFIX_ROUTES, ROUTES, SKIPPED_DRUGS, VACCINES
from valuesets.tables import SYSTEMS, Row, Tables

PRODUCTS = frozenset(name for name, _ in VACCINES)
OTHER_LIVE = "other-live-vaccine"
STRENGTH = re.compile(r"(?<![\w.,])\d+(?:\.\d+)? (?:MCG|MG|G)(?:/ML)?(?![\w/])")


@cache
def drug_names(tables: Tables) -> dict[str, str]:
    """Concept of the medication table -> name of the drug in the rules."""
    names = {}
    for row in tables.facts("medication"):
        for source in row["concepts"].split(";"):
            table, concept = source.split(":")
            if table == "medications" and concept != "live-vaccine":
                names[concept] = row["fact"]
    for source in tables.rows:
        table, concept = source.split(":")
        if table == "medications" and concept not in names:
            names[concept] = f"other-{concept.removeprefix('class-')}" if concept.startswith("class-") else concept
    return names


def ingredient_of(concept: str, display: str, names: dict[str, str], code: str = "") -> tuple[str, str]:
    """Drug of the rules and use (exclude, minor: the product names the drug and is no exposure to it)."""
    if concept == "live-vaccine":
        if code in PRODUCTS:
            return code, ""
        return next((n for n, words in VACCINES if re.search(words, display.lower())), OTHER_LIVE), ""
    excluded = {
        "magnesium-minor-ingredient-exclude": ("magnesium", "minor"),
        "tacrolimus-topical-exclude": ("tacrolimus", "exclude"),
        "live-vaccine-exclude": (OTHER_LIVE, "exclude"),
        "opioid-exclude": ("other-opioid", "exclude"),
    }
    if concept in excluded:
        return excluded[concept]
    return names[concept], ""


def drug_row(ingredient: str, system: str, code: str, **more: str) -> Row:
    return {"ingredient": ingredient, "system": system, "code": code, "route": "", "strength": "", "match": "",
            "use": "", "preferred": "", "display": "", **more}  # fmt: skip


def drug_rows(tables: Tables) -> list[Row]:
    rows = rxnorm_rows(tables) + table_rows(tables) + further_rows(tables)
    rows += [
        row | {"code": row["code"].lstrip("0")}
        for row in rows
        if row["system"] == "cvx" and row["code"].startswith("0")  # senders drop the leading zero
    ]
    preferred = preferred_drugs(tables)
    unique: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        row["preferred"] = "y" if (row["system"], row["code"]) in preferred else ""
        if row["system"] == "rx" and not row["preferred"]:
            row["display"] = ""  # thousands of products: the code says which
        key = (row["system"], row["code"], row["ingredient"])
        old = unique.get(key)
        if old is None or (row["use"] and not old["use"]) or (row["route"] and not old["route"]):
            unique[key] = row
    products = {key[:2] for key in unique if key[2] in PRODUCTS}  # a named vaccine is not another live one as well
    return [row for key, row in unique.items() if key[2] != OTHER_LIVE or key[:2] not in products]


def named_row(tables: Tables, concept: str, system: str, code: str, display: str, **more: str) -> Row:
    """The row of a concept of the tables; a skipped concept gives a code that is known and names no drug."""
    if concept in SKIPPED_DRUGS:
        return drug_row("", system, code, use="silent")
    ingredient, use = ingredient_of(concept, display, drug_names(tables), code)
    return drug_row(ingredient, system, code, use=use, display=display, **more)


def rxnorm_rows(tables: Tables) -> list[Row]:
    rows = [row for row in tables.rxnorm if row["concept_id"]]
    return [
        named_row(
            tables, row["concept_id"], "rx", row["rxcui"], row["name"],
            route=ROUTES.get(row["route_class"], row["route_class"]), strength=strength_of(row),
        )
        for row in rows
    ]  # fmt: skip


def strength_of(row: Row) -> str:
    """The strength in the name of a product of one ingredient (`60 MG`, `10 MG/ML`); "" if there is not exactly one."""
    if row["tty"] not in ("SCD", "SBD") or row["multi_ingredient"] != "N":
        return ""
    found = STRENGTH.findall(row["name"])
    return found[0] if len(found) == 1 else ""


def table_rows(tables: Tables) -> list[Row]:
    mapped = {row["rxcui"] for row in tables.rxnorm}
    rows: list[Row] = []
    for source, entries in tables.rows.items():
        for r in entries if source.startswith("medications:") else []:
            concept, short, code = r["concept_id"], r["short"], r["code"]
            prefix = "prefix" if r["tty"] == "ATC-prefix" else ""
            if short == "rx" and code in mapped:
                continue
            if concept == "class-antiarrhythmic-class-ia":  # the group alone decides nothing
                rows.append(drug_row("", short, code, match=prefix, use="silent"))
            elif code in PREFIX_DRUGS:
                rows.append(drug_row(PREFIX_DRUGS[code], short, code, match=prefix, display=r["display"]))
            else:
                route = atc_route(r) if short == "atc" else ""
                rows.append(named_row(tables, concept, short, code, r["display"], route=route, match=prefix))
    return rows


def atc_route(row: Row) -> str:
    """The route scope of an ATC code; a drug of one scope only is systemic."""
    if row["code"] in PREFIX_ROUTES or row["concept_id"] == "class-magnesium-oral":
        return PREFIX_ROUTES.get(row["code"], "oral")
    scope = re.search(r"route scope: ([a-z/-]+)", row["notes"])
    if scope:
        return ROUTES.get(scope.group(1), scope.group(1))
    return "" if row["tty"] == "ATC-prefix" else "systemic"


def further_rows(tables: Tables) -> list[Row]:
    """Plasma exchange, a Procedure in most records, and local drug codes of the representation."""
    rows = [
        drug_row("plasma-exchange", SYSTEMS[c["system"]], c["code"], display=c["display"])
        for c in tables.representation["plasma_exchange"]
    ]
    have = {row["code"] for entries in tables.rows.values() for row in entries if row["short"] == "med"}
    for name, entry in tables.representation["medications"].items():
        coding = entry.get("local")
        if coding and coding["code"] not in have:
            rows.append(drug_row(name, "med", coding["code"], display=coding["display"]))
    return rows


def preferred_drugs(tables: Tables) -> set[tuple[str, str]]:
    """The code that stands for a drug when one is emitted: its ingredient, a vaccine's first CVX code."""
    codings = [
        entry.get("ingredient") or next(iter(entry.get("cvx") or []), None)
        for entry in tables.representation["medications"].values()
    ]
    return {(SYSTEMS[c["system"]], c["code"]) for c in codings if c}


def name_rows(tables: Tables) -> list[Row]:
    names = drug_names(tables)
    rows: dict[tuple[str, str], Row] = {}
    for row in tables.names:
        concepts = row["concept_ids"].split(";")
        if set(concepts) & SKIPPED_DRUGS:
            continue
        pairs = [ingredient_of(c, row["name_lower"], names) for c in concepts]
        if ("yellow-fever-vaccine", "") in pairs:
            pairs = [("yellow-fever-vaccine", "")]
        for ingredient, use in pairs:
            rows[row["name_lower"], ingredient] = {"name": row["name_lower"], "ingredient": ingredient, "use": use}
    have = {row["name"] for row in rows.values()}
    own = {row["fact"]: row["fact"].replace("-", " ") for row in tables.facts("medication")}
    own |= {name: entry["text"] for name, entry in tables.representation["medications"].items()}
    for ingredient, name in own.items():
        if name not in have:
            rows[name, ingredient] = {"name": name, "ingredient": ingredient, "use": ""}
    return sorted(rows.values(), key=lambda row: (row["name"], row["ingredient"]))


def drug_classes(tables: Tables) -> dict[str, list[str]]:
    names = drug_names(tables)
    members = {row["class_id"]: [m for m in row["members"].split(";") if m] for row in tables.classes}
    classes: dict[str, list[str]] = {}
    for name, rows in CLASSES.items():
        drugs: set[str] = set()
        for row in rows:
            for member in members[row]:
                drugs |= {*PRODUCTS, OTHER_LIVE} if member == "live-vaccine" else {names[member]}
        classes[name] = sorted(drugs)
    return classes | FIXED_CLASSES


def write_classes(path: Path, classes: dict[str, list[str]]) -> None:
    lines = ["# Drug classes of the rules. Written by tools/build_valuesets.py from the table of medication classes:",
             "# change it there. `other-...` is a drug of the class that only its ATC group names.", ""]  # fmt: skip
    for name, members in classes.items():
        lines.append(f"{name}:")
        lines += [f"- {member}" for member in members]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
