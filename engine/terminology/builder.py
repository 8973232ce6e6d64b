"""Gathers rows into the content of a terminology, and tells where two rows contradict each other."""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal, InvalidOperation

from engine.errors import Fault
from engine.terminology.content import Coding, Content, Drug, DrugEntry, Entry, Meaning, Range, System
from engine.terminology.rows import CARRIERS, Row
from engine.terminology.systems import plain_code, plain_text, plain_uri

_TOKENS = frozenset({*CARRIERS, "finding", "any"})


class Builder:
    """Takes rows one by one; what contradicts an earlier row becomes a fault at the later one."""

    def __init__(self, base: str, faults: list[Fault]) -> None:
        self.base = base
        self.faults = faults
        self.systems: dict[str, System] = {}
        self.aliases: dict[str, str] = {}
        self.overlaps: set[frozenset[str]] = set()
        self.entries: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        self.drugs: dict[str, dict[str, list[DrugEntry]]] = defaultdict(lambda: defaultdict(list))
        self.names: dict[str, list[Drug]] = defaultdict(list)
        self.without_meaning: dict[str, set[str]] = defaultdict(set)
        self.families: dict[str, set[str]] = defaultdict(set)
        self.answers: dict[str, dict[str, str]] = defaultdict(dict)
        self.answer_words: dict[str, str] = {}
        self.codesets: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        self.words: dict[str, dict[str, str]] = defaultdict(dict)
        self.phrases: dict[str, dict[str, str]] = defaultdict(dict)
        self.units: dict[str, str] = {}
        self.preferred: dict[str, dict[str, tuple[int, Coding]]] = defaultdict(dict)
        self.minor: set[str] = set()
        self.ranges: dict[str, Range] = {}

    def fault(self, row: Row, message: str, hint: str = "") -> None:
        self.faults.append(Fault(row.place, message, hint))

    # ------------------------------------------------------------ systems

    def system(self, row: Row) -> None:
        name, uri = row["system"], row["uri"].replace("{base}", self.base)
        plain = plain_uri(uri)
        if self.aliases.get(plain, name) != name:
            self.fault(row, f"`{uri}` is already another name of `{self.aliases[plain]}`")
            return
        if name not in self.systems:
            traits = set(row["traits"].split())
            if unknown := traits - {"dotless", "hierarchic"}:
                self.fault(row, f"`{min(unknown)}` is no trait of a system", "use dotless or hierarchic")
            try:
                re.compile(row["shape"])
            except re.error:
                self.fault(row, f"`{row['shape']}` is no pattern")
                return
            self.systems[name] = System(uri, "dotless" in traits, "hierarchic" in traits, row["shape"])
        self.aliases[plain] = self.aliases[uri] = name

    def located(self, row: Row) -> tuple[str, str] | None:
        """(short name, normalised code) of a row; a full URI that is new is a system of its own."""
        name = row["system"]
        if name not in self.systems:
            plain = plain_uri(name)
            if plain in self.aliases:
                name = self.aliases[plain]
            elif ":" in name:
                self.systems[name] = System(name)
                self.aliases[plain] = self.aliases[name] = name
            else:
                self.fault(row, f"`{name}` is no known code system", "name a system of systems.csv or a full URI")
                return None
        return name, plain_code(row["code"], self.systems[name].dotless)

    def overlap(self, row: Row) -> None:
        self.overlaps.add(frozenset((row["overlap"], row["with"])))

    # ------------------------------------------------------------ concepts

    def concept(self, row: Row) -> None:
        tokens = row["carriers"].split()
        if unknown := [token for token in tokens if token not in _TOKENS]:
            self.fault(row, f"`{unknown[0]}` is no carrier", f"use {', '.join(sorted(_TOKENS))}")
            return
        at = self.located(row)
        if at is None:
            return
        system, code = at
        finding = "finding" in tokens
        carriers = (
            CARRIERS if "any" in tokens else tuple(dict.fromkeys("condition" if t == "finding" else t for t in tokens))
        )
        entry = Entry(
            Meaning(
                row["concept"], row["use"] == "suspected", row["answer"], row["region"], row["sign"], row["denied"],
                finding, row["study"] == "y", row["only"],
            ),
            carriers,
            row["use"] == "exclude",
            row["match"] == "prefix",
        )  # fmt: skip
        for other in self.entries[system][code]:
            if set(carriers) & set(other.carriers):
                if _repeats(entry, other):
                    return  # a longer list of a site may hold our rows again: ours stands
                if message := self.collision(entry, other):
                    self.fault(row, f"`{row['system']}|{row['code']}` {message}")
                    return
        self.entries[system][code].append(entry)
        if not entry.exclude and not entry.meaning.suspected and row["confidence"] != "unverified":
            for carrier in carriers:
                self.choose(row, carrier, row["concept"], system)

    def collision(self, entry: Entry, other: Entry) -> str:
        mine, theirs = entry.meaning.concept, other.meaning.concept
        if mine == theirs:
            return f"already stands for `{mine}`, with another use"
        if entry.exclude or other.exclude or frozenset((mine, theirs)) in self.overlaps:
            return ""
        return f"already states `{theirs}`, and no overlap allows `{mine}` beside it"

    # ------------------------------------------------------------ drugs

    def drug(self, row: Row) -> None:
        use = row["use"]
        if not row["ingredient"] and use != "silent":
            self.fault(row, "`ingredient` is empty", "only a silent code names no drug")
            return
        at = self.located(row)
        if at is None:
            return
        system, code = at
        drug = Drug(row["ingredient"], row["route"], use in ("minor", "exclude"), row["strength"])
        if use == "minor":
            self.minor.add(row["ingredient"])
        for entry in self.drugs[system][code]:
            if entry.drug.ingredient == drug.ingredient:
                if entry.drug.minor != drug.minor:
                    self.fault(
                        row, f"`{row['system']}|{row['code']}` already names `{drug.ingredient}`, with another use"
                    )
                return
        self.drugs[system][code].append(DrugEntry(drug, row["match"] == "prefix", use == "silent"))
        if not drug.minor and use != "silent" and row["match"] != "prefix":
            self.choose(row, "medication", drug.ingredient, system)

    def name(self, row: Row) -> None:
        words = plain_text(row["name"])
        if not words:
            self.fault(row, f"`{row['name']}` holds no letter or digit")
            return
        drug = Drug(row["ingredient"], "", row["use"] in ("minor", "exclude"))
        if drug not in self.names[words]:
            self.names[words].append(drug)

    # ------------------------------------------------------------ answers, code sets, words, units

    def answer(self, row: Row) -> None:
        at = self.located(row)
        if at is None:
            return
        system, code = at
        if self.answers[system].setdefault(code, row["answer"]) != row["answer"]:
            self.fault(row, f"`{row['system']}|{row['code']}` already answers `{self.answers[system][code]}`")
            return
        self.choose(row, "answer", row["answer"], system)

    def codeset(self, row: Row) -> None:
        at = self.located(row)
        if at is None:
            return
        system, code = at
        codes = self.codesets[row["codeset"]][system]
        if codes.setdefault(code, row["value"]) != row["value"]:
            self.fault(row, f"`{row['system']}|{row['code']}` already stands for `{codes[code]}`")
            return
        self.choose(row, row["codeset"], row["value"], system)
        if row["system"] == row["codeset"]:  # a code set of ours: its values are words too
            self.words[row["codeset"]].setdefault(plain_text(row["value"]), row["value"])

    def choose(self, row: Row, kind: str, value: str, system: str) -> None:
        """The coding to emit: the marked one, else the first that is no group and has a name, else the first."""
        rank = 0 if row["preferred"] in ("y", kind) else 1 if row["display"] and row["match"] != "prefix" else 2
        chosen = self.preferred[kind]
        if value not in chosen or rank < chosen[value][0]:
            chosen[value] = (rank, Coding(self.systems[system].uri, row["code"], row["display"]))

    def word(self, row: Row) -> None:
        words = plain_text(row["word"])
        if not words:
            self.fault(row, f"`{row['word']}` holds no letter or digit")
            return
        if row["codeset"] == "answer":
            table = self.answer_words
        else:
            table = (self.phrases if row["anywhere"] else self.words)[row["codeset"]]
        if table.setdefault(words, row["value"]) != row["value"]:
            self.fault(row, f"`{row['word']}` already means `{table[words]}`")

    def unit(self, row: Row) -> None:
        unit, spelling = row["unit"], row["spelling"]
        if self.units.setdefault(spelling, unit) != unit:
            self.fault(row, f"`{spelling}` already means `{self.units[spelling]}`")
        self.units.setdefault(unit, unit)

    def context(self, row: Row) -> None:
        at = self.located(row)
        if at is not None:
            self.without_meaning[at[0]].add(at[1])

    def family(self, row: Row) -> None:
        self.families[row["system"]].add(plain_code(row["family"], dotless=True))

    def range(self, row: Row) -> None:
        concept = row["range"]
        if concept in self.ranges:
            self.fault(row, f"`{concept}` already has a range in {self.ranges[concept].place}", "keep one of them")
            return
        numbers: dict[str, Decimal | None] = {}
        for column in ("low", "high", "plausible_low", "plausible_high"):
            try:
                numbers[column] = Decimal(row[column]) if row[column] else None
            except InvalidOperation:
                self.fault(row, f"`{row[column]}` is no number")
                return
        low, high = numbers["low"], numbers["high"]
        lowest, highest = numbers["plausible_low"], numbers["plausible_high"]
        given = [number for number in numbers.values() if number is not None]
        if not given or not all(number.is_finite() for number in given) or (lowest is None) != (highest is None):
            self.fault(row, "a range states `low`, `high`, or both plausible limits")
        elif any(a is not None and b is not None and a >= b for a, b in ((low, high), (lowest, highest))):
            self.fault(row, "the lower limit must lie below the upper one")
        else:
            plausible = (lowest, highest) if lowest is not None and highest is not None else None
            self.ranges[concept] = Range(row["unit"], low, high, plausible, row.place)

    def fold_units(self) -> None:
        """Spellings without spaces, in capitals and in small letters; where the case decides, none is added."""
        folded: dict[str, set[str]] = defaultdict(set)
        for spelling, unit in self.units.items():
            bare = "".join(spelling.split())
            for form in (bare, bare.lower(), bare.upper()):
                if len(form) > 1:
                    folded[form].add(unit)
        for spelling, units in folded.items():
            if len(units) == 1:
                self.units.setdefault(spelling, next(iter(units)))

    # ------------------------------------------------------------ result

    def content(self) -> Content:
        self.fold_units()
        tables = (self.entries, self.drugs)
        context = {
            system: frozenset(c for c in codes if not any(c in table.get(system, ()) for table in tables))
            for system, codes in self.without_meaning.items()
        }
        return Content(
            base=self.base,
            systems=self.systems,
            aliases=self.aliases,
            entries={s: {c: tuple(rows) for c, rows in codes.items()} for s, codes in self.entries.items()},
            drugs={s: {c: tuple(rows) for c, rows in codes.items()} for s, codes in self.drugs.items()},
            names={name: tuple(drugs) for name, drugs in self.names.items()},
            context={system: codes for system, codes in context.items() if codes},
            families={system: tuple(sorted(codes)) for system, codes in self.families.items()},
            answers=dict(self.answers),
            answer_words=self.answer_words,
            codesets={name: dict(systems) for name, systems in self.codesets.items()},
            words=dict(self.words),
            phrases=dict(self.phrases),
            units=self.units,
            preferred={kind: {v: c for v, (_, c) in chosen.items()} for kind, chosen in self.preferred.items()},
            minor_of_many=frozenset(self.minor),
            ranges=self.ranges,
        )


def _repeats(entry: Entry, other: Entry) -> bool:
    a, b = entry.meaning, other.meaning
    return (a.concept, a.suspected, entry.exclude) == (b.concept, b.suspected, other.exclude)
