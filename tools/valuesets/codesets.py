"""Rows of answers and code sets: regions, muscles, components, routes, reasons."""

from __future__ import annotations

from typing import Any

from valuesets.decisions import (
    ANSWER_CONCEPTS,
    ANSWERS_BY_NAME,
    COMPONENT_CONCEPTS,
    MUSCLE_REGIONS,
    NOT_DONE,
    NOT_THE_SIGN,
    ROUTE_CODES,
)
from valuesets.tables import SYSTEMS, Row, Tables, usable


def row(codeset: str, value: str, coding: Row, preferred: str = "y") -> Row:
    return {"codeset": codeset, "answer": value, "value": value, "preferred": preferred, **coding}


def coded(coding: Row) -> Row:
    return {"system": SYSTEMS[coding["system"]], "code": coding["code"], "display": coding["display"]}


def local(system: str, code: str) -> Row:
    return {"system": system, "code": code, "display": code.replace("-", " ")}


def codeset_rows(tables: Tables) -> list[Row]:
    representation = tables.representation
    rows = [
        row(name, code, local("obs" if name == "order-reason" else name, code))
        for name, codes in representation["codesets"].items()
        for code in codes
    ]
    classes = representation["observations"]["mgfa-class"]["answers"]
    rows += [row("mgfa-class", code, local("mgfa", code)) for code in classes]
    rows += [
        row("muscle-region", region, local("muscle", code), "")
        for region, muscles in MUSCLE_REGIONS.items()
        for code in muscles.split()
    ]
    rows += [
        row("course", "induction", local("course-of-therapy", "acute")),
        row("course", "maintenance", local("course-of-therapy", "continuous")),
        row("course", "induction", local("therapy-phase", "induction"), ""),
    ]
    rows += [
        row("route", route, {"system": system, "code": code, "display": ""}, "")
        for (route, system), codes in ROUTE_CODES.items()
        for code in codes.split()
    ]
    rows += [
        row("not-done", "not-done", {"system": system, "code": code, "display": display}, "")
        for (system, code), display in NOT_DONE.items()
    ]
    rows.append(row("not-done", "not-examined", local("ans", "not-examined")))
    for name, entry in representation["components"].items():
        rows += component_rows(tables, name, entry)
    return rows


def component_rows(tables: Tables, name: str, entry: dict[str, Any]) -> list[Row]:
    """The codings of one component: those of the representation, and the finding codes of the tables."""
    primary = coded(entry["coding"])
    rows = {primary["code"]: row("component", name, primary)}
    for coding in entry["alternatives"]:
        rows.setdefault(coding["code"], row("component", name, coded(coding), ""))
    for source in COMPONENT_CONCEPTS.get(name, []):
        for found in tables.rows[source]:
            wrong = any(word in found["display"].lower() for word in NOT_THE_SIGN)
            if usable(found) and found["short"] in ("sct", "hpo", "obs") and not wrong:
                coding = {"system": found["short"], "code": found["code"], "display": found["display"]}
                rows.setdefault(found["code"], row("component", name, coding, ""))
    return list(rows.values())


def answer_rows(tables: Tables) -> list[Row]:
    """Primary codings of the answers; codes that several answers accept keep the word that they are."""
    answers = tables.representation["answers"]
    own = [entry["answers"] for entry in tables.representation["observations"].values() if "answers" in entry]
    rows: dict[tuple[str, str], Row] = {}

    def add(answer: str, coding: Row, preferred: str) -> None:
        rows.setdefault((coding["system"], coding["code"]), row("", answer, coding, preferred))

    for answer, codings in answers.items():
        add(answer, coded(codings[0]), "y")
    for answer, codings in answers.items():
        for coding in codings[1:]:
            add(answer, coded(coding), "")
    for concept, answer in ANSWER_CONCEPTS.items():
        for found in tables.rows[f"observations:{concept}"]:
            coding = {"system": found["short"], "code": found["code"], "display": found["display"]}
            add(ANSWERS_BY_NAME.get(found["code"], answer), coding, "")
    for table in own:
        for answer, codings in table.items():
            for coding in codings:
                add(answer, coded(coding), "y")
    return list(rows.values())
