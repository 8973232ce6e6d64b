"""A ruleset's folder -> its FactBase: parameters.yaml, concepts.yaml, tables/, facts/*.yaml; all faults at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

from engine.errors import Place, nearest
from engine.facts.base import FactBase
from engine.facts.checks import Checks
from engine.facts.concept_load import load_concepts
from engine.facts.definition import Definition
from engine.facts.kinds import KINDS
from engine.facts.resolve import NAME, Names, Resolver, fields_of, mark_of
from engine.facts.source import Faults, Source, quoted
from engine.facts.tables import ROUTE_CLASSES, drug_classes, load_classes, load_muscles, load_parameters, load_regions
from engine.facts.view import Tables

LAST = frozenset({"ingredients", "ended-conflicts"})      # options that are known once the other facts are

Written = dict[str, Source]                               # the options of one fact, `like` resolved


def load_definitions(
    folder: Path,
    *,
    ingredients: Set[str] = frozenset(),
    concepts: Set[str] | None = None,
    codes: Mapping[str, Sequence[str]] | None = None,
) -> FactBase:
    """The base facts of the ruleset in `folder`.

    `ingredients`: all that the terminology knows (empty: any name is one); `concepts`: likewise (None: any name is
    one); `codes`: the closed sets of coded order fields, `reason` and `course`, where a fact lists no `values`.
    Raises RulesetError with every fault found.
    """
    faults = Faults()
    names = Names(codes={field: tuple(words) for field, words in (codes or {}).items()}, closed=bool(ingredients))
    resolver = Resolver(names, faults)
    names.parameters = load_parameters(faults.mapping(folder / "parameters.yaml"), resolver)
    muscles = _load_tables(folder / "tables", resolver, faults, frozenset(ingredients))
    written = faults.mapping(folder / "concepts.yaml")
    names.concepts = None if concepts is None else frozenset(concepts) | written.keys()
    tables = Tables(
        concepts=load_concepts(written, resolver, faults),
        classes=names.classes,
        muscles=muscles,
        regions=names.regions,
        parameters={name: parameter.value for name, parameter in names.parameters.items()},
    )
    definitions, places = _load_facts(folder, resolver, faults)
    ordered = Checks(definitions, places, resolver, tables, faults).ordered()
    faults.raise_any()
    used = {owner: tuple(sorted(read)) for owner, read in sorted(resolver.used.items())}
    return FactBase(ordered, tables, names.parameters, used)


def _load_tables(
    folder: Path, resolver: Resolver, faults: Faults, ingredients: frozenset[str]
) -> dict[str, tuple[str, frozenset[str]]]:
    """Fills in classes, ingredients and regions; returns the muscles."""
    names = resolver.names
    names.regions = load_regions(faults.read(folder / "regions.yaml", required=False), resolver)
    muscles = load_muscles(faults.mapping(folder / "muscles.yaml", required=False), names.regions, resolver, faults)
    entries = faults.mapping(folder / "classes.yaml")
    names.classes = load_classes(entries, resolver, faults)
    others = frozenset(muscles) | frozenset(names.regions)
    names.drug_classes = drug_classes(names.classes, others, ingredients, entries, faults)
    routes = frozenset[str]().union(*(names.classes.get(name, frozenset()) for name in ROUTE_CLASSES))
    names.ingredients = ingredients.union(*names.drug_classes.values()) - others - routes
    return muscles


def _load_facts(
    folder: Path, resolver: Resolver, faults: Faults
) -> tuple[list[Definition], dict[str, Place]]:
    raw: dict[str, Source] = {}
    files = sorted((folder / "facts").glob("*.yaml"))
    if not files:
        faults.add(Place((folder / "facts").as_posix()), "the ruleset has no facts", "write facts/*.yaml")
    for file in files:
        for name, source in faults.mapping(file).items():
            if name in raw:
                faults.add(source.at_key(), f"the fact `{name}` is already defined in {raw[name].place}", "rename one")
            elif not NAME.fullmatch(name):
                faults.add(source.at_key(), f"{quoted(name)} is no name for a fact", "letters and digits joined by `-`")
            elif not isinstance(source.value, dict):
                faults.add(source, f"the fact `{name}` must be a mapping")
            else:
                raw[name] = source
    written = {name: entries for name in raw if (entries := _liked(name, raw, faults, ())) is not None}
    kinds = {name: kind for name, entries in written.items() if (kind := _kind(raw[name], entries, faults)) is not None}
    definitions: list[Definition] = []
    for name in sorted(kinds, key=lambda name: _is_last(kinds[name])):
        entries = {key: source for key, source in written[name].items() if key not in ("kind", "like")}
        if _is_last(kinds[name]):
            _supply(resolver.names, definitions)
        resolver.owner = name
        definition = resolver.struct(kinds[name], entries, raw[name].at_key(), name=name)
        if definition is not None:
            definitions.append(definition)
    return definitions, {name: source.at_key().place for name, source in raw.items()}


def _liked(name: str, raw: Mapping[str, Source], faults: Faults, above: tuple[str, ...]) -> Written | None:
    """The options of a fact, on top of those of the fact that it is `like`."""
    entries = raw[name].entries()
    like = entries.get("like")
    if like is None:
        return entries
    other = like.value
    if not isinstance(other, str) or other not in raw:
        hint = nearest(other, raw) if isinstance(other, str) else ""
        faults.add(like, f"there is no fact {quoted(other)}", hint)
        return None
    if other in above or other == name:
        faults.add(like, f"`like` goes round in a circle: {' -> '.join((*above, name, other))}")
        return None
    below = _liked(other, raw, faults, (*above, name))
    if below is None:
        return None
    for one, two in (("concept", "concepts"), ("concepts", "concept")):
        if one in entries:
            below = {key: source for key, source in below.items() if key != two}
    return {**below, **entries}


def _kind(source: Source, entries: Written, faults: Faults) -> type[Definition] | None:
    kind = entries.get("kind")
    if kind is None:
        faults.add(source.at_key(), "`kind` is missing", f"one of: {', '.join(sorted(KINDS))}")
        return None
    if isinstance(kind.value, str) and kind.value in KINDS:
        return KINDS[kind.value]
    hint = nearest(kind.value, KINDS) if isinstance(kind.value, str) else ""
    faults.add(kind, f"there is no kind {quoted(kind.value)}", hint or f"one of: {', '.join(sorted(KINDS))}")
    return None


def _is_last(kind: type[Definition]) -> bool:
    return any(mark_of(field.type) in LAST for field in fields_of(kind))


def _supply(names: Names, definitions: Iterable[Definition]) -> None:
    """What the last definitions read of the others: all ingredients, and conditions whose end is a conflict."""
    names.ingredients = names.ingredients.union(*(definition.drugs() for definition in definitions))
    for definition in definitions:
        if getattr(definition, "ended_conflicts", False):
            names.ended_conflicts.update(dict.fromkeys(sorted(definition.reads()), definition.name))
