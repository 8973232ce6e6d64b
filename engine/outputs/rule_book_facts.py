"""Base facts, parameters and value sets as the rule book shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.document import load_document
from engine.rules.ruleset import Ruleset
from engine.rules.texts import number
from engine.terminology.rows import Row

TEXTS = ("title", "shown", "ask_for", "prevalence", "kind", "like", "common")


class FactText(msgspec.Struct, frozen=True, kw_only=True):
    """One definition: what it is, how it is computed in the words of its file, and the facts that it gives."""

    name: str
    title: str
    kind: str
    settings: tuple[tuple[str, str], ...]  # option of the file -> what it is set to
    values: tuple[str, ...]                # of the fact; of a family those of its whole
    members: tuple[str, ...]               # further facts of a family
    ask_for: str
    common: bool
    concepts: tuple[str, ...]
    drugs: tuple[str, ...]
    parameters: tuple[str, ...]
    place: str

    @property
    def options(self) -> str:
        """The settings on one line."""
        return "; ".join(f"{key}: {value}" for key, value in self.settings)


class ParameterText(msgspec.Struct, frozen=True, kw_only=True):
    """One number and the facts and concepts that read it."""

    name: str
    value: str
    unit: str
    meaning: str
    source: str
    read_by: tuple[str, ...]


class CodeText(msgspec.Struct, frozen=True, array_like=True):
    """One code of a value set: `use` and `match` as its row says them ("" = it is included, exactly)."""

    system: str
    code: str
    display: str
    use: str
    match: str
    file: str

    @property
    def counts(self) -> bool:
        """Whether it says the concept, and does not forbid it."""
        return self.use not in ("exclude", "silent")


class ValueSetText(msgspec.Struct, frozen=True, kw_only=True):
    """The codes of one concept, or of a drug under its ingredient."""

    concept: str
    title: str
    codes: tuple[CodeText, ...]

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """How many codes that count stand in which file."""
        return tuple(sorted(Counter(code.file for code in self.codes if code.counts).items()))


class DrugsText(msgspec.Struct, frozen=True, kw_only=True):
    """Drugs that a rule or fact names together: the members, and how many codes stand for them in which file."""

    name: str
    members: tuple[str, ...]
    files: tuple[tuple[str, int], ...]


def drugs_text(name: str, members: Iterable[str], value_sets: Mapping[str, ValueSetText]) -> DrugsText:
    """A class of drugs, or the drugs of a fact."""
    files: Counter[str] = Counter()
    for member in members:
        if member in value_sets:
            files.update(dict(value_sets[member].files))
    return DrugsText(name=name, members=tuple(sorted(members)), files=tuple(sorted(files.items())))


def fact_texts(folder: Path, ruleset: Ruleset) -> dict[str, FactText]:
    """Every definition by name."""
    written, places = _written(folder)
    info = ruleset.fact_info
    texts: dict[str, FactText] = {}
    for definition in ruleset.facts.definitions:
        names = list(definition.values())
        first = info[names[0]]
        whole = info.get(definition.name, first)
        options = {key: value for key, value in written.get(definition.name, {}).items() if key not in TEXTS}
        texts[definition.name] = FactText(
            name=definition.name,
            title=definition.title,
            kind=first.kind,
            settings=tuple((key, said(value)) for key, value in options.items()),
            values=whole.values,
            members=tuple(name for name in names if name != definition.name),
            ask_for=definition.ask_for,
            common=definition.common,
            concepts=first.concepts,
            drugs=first.drugs,
            parameters=first.parameters,
            place=places.get(definition.name, ""),
        )
    return texts


def parameter_texts(ruleset: Ruleset) -> dict[str, ParameterText]:
    """Every parameter by name."""
    readers: dict[str, list[str]] = {}
    for owner, names in ruleset.facts.used.items():
        for name in names:
            readers.setdefault(name, []).append(owner)
    return {
        name: ParameterText(
            name=name, value=number(p.value), unit=p.unit, meaning=p.meaning, source=p.source,
            read_by=tuple(readers.get(name, ())),
        )
        for name, p in ruleset.facts.parameters.items()
    }  # fmt: skip


def value_sets(rows: Iterable[Row], ruleset: Ruleset) -> dict[str, ValueSetText]:
    """The codes of every concept, and of every drug under its ingredient, out of the rows of value-set files."""
    codes: dict[str, list[CodeText]] = {}
    for row in rows:
        if name := row[row.form] if row.form in ("concept", "ingredient") else "":
            file = Path(row.place.file).name
            codes.setdefault(name, []).append(
                CodeText(row["system"], row["code"], row["display"], row["use"], row["match"], file)
            )
    concepts = ruleset.facts.tables.concepts
    return {
        name: ValueSetText(concept=name, title=concepts[name].title if name in concepts else "", codes=tuple(held))
        for name, held in codes.items()
        if any(code.counts for code in held)
    }


def said(value: Any) -> str:
    """A value of a YAML file on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {said(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(said(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _written(folder: Path) -> tuple[Mapping[str, dict[str, Any]], dict[str, str]]:
    """The options of every fact as its file says them, `like` followed; and where it stands."""
    raw: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for path in sorted((folder / "facts").glob("*.yaml")):
        document = load_document(path, path.relative_to(folder).as_posix())
        for name, options in (document.data or {}).items():
            raw[name] = options
            places[name] = str(document.key_place((name,))).rpartition(":")[0]
    return {name: _resolved(name, raw) for name in raw}, places


def _resolved(name: str, raw: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    own = raw.get(name, {})
    below = _resolved(own["like"], raw) if "like" in own else {}
    if {"concept", "concepts"} & own.keys():
        below = {key: value for key, value in below.items() if key not in ("concept", "concepts")}
    return {**below, **own}
