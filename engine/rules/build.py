"""From the files of a folder to a Ruleset, or to all of its faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

import msgspec

from engine.document import Document, load_document
from engine.errors import Fault, Place, RulesetError
from engine.facts.base import FactBase, FactInfo
from engine.facts.limits import with_limits
from engine.facts.load import load_definitions
from engine.facts.options import Since
from engine.forms.plan import definitions_of, read_forms
from engine.model.form import Form
from engine.rules.check import check
from engine.rules.compile import Compiled, compile_program
from engine.rules.declared import declared
from engine.rules.info import RuleInfo, Source, Suggestion
from engine.rules.library import read_orders, read_references
from engine.rules.panels import Panels
from engine.rules.panels_load import read_panels
from engine.rules.policies import read_identity
from engine.rules.program import Issue
from engine.rules.ruleset import Ruleset
from engine.rules.shape import quoted
from engine.rules.source import RuleSource, read_rule
from engine.rules.strata import reads
from engine.rules.texts import number
from engine.rules.vocabulary import BaseFact
from engine.terminology.load import load_terminology
from engine.terminology.terminology import Terminology

HASH = 16                                     # characters of a SHA-256 that people and outputs see


def build(
    folder: Path, extra_valuesets: Sequence[Path], base: str, content: str, *, with_vignettes: bool = True
) -> Ruleset:
    """The ruleset of a folder. `content` is the hash of everything in it. Raises RulesetError with every fault.

    Without its vignettes a ruleset evaluates the same and is read in a third of the time; only the check for rules that
    no vignette fires or keeps silent needs them.
    """
    faults: list[Fault] = []
    terminology = _terminology(folder, extra_valuesets, base, faults)
    facts = _facts(folder, terminology, faults) if terminology is not None else None
    policies = document(folder / "ruleset.yaml", faults, required=True)
    identity = read_identity(policies, faults) if policies is not None else None
    references = read_references(document(folder / "references.yaml", faults), faults)
    orders = read_orders(document(folder / "orders.yaml", faults), faults)
    sources, lost = _rules(folder, references, faults)
    vignettes = documents(sorted((folder / "vignettes").glob("**/*.yaml")), faults) if with_vignettes else None
    fact_files = documents(sorted((folder / "facts").glob("*.yaml")), [])      # their faults are told already
    forms = _forms(folder, fact_files, facts, terminology, faults)
    compiled = None
    if facts is not None:
        numbers = {name: number(parameter.value) for name, parameter in facts.parameters.items()}
        running = [source for source in sources if not _withdrawn(source)]
        compiled = compile_program(
            running, base_facts_of(facts), faults, policies=policies, parameters=numbers, lost=lost
        )
    if compiled is not None and facts is not None:
        faults += check(
            compiled,
            declared=declared(
                fact_files,
                document(folder / "tables" / "classes.yaml", []),
                document(folder / "parameters.yaml", []),
            ),
            needs=[name for definition in facts.definitions for name in definition.needs()],
            parameters=facts.read_parameters(),
            fixed=[name for d in facts.definitions for what, name, _ in d.fixed() if what == "class"],
            orders=orders,
            vignettes=vignettes,
        )
    panels = _panels(folder, compiled, facts, terminology, faults)
    if faults or compiled is None or facts is None or identity is None or terminology is None:
        raise RulesetError(sorted(set(faults), key=_by_place))
    return Ruleset(
        id=identity.id,
        version=identity.version,
        title=identity.title,
        description=identity.description,
        hash=content[:HASH],
        program=compiled.program,
        facts=facts,
        content=msgspec.structs.replace(terminology.content, forms=forms),
        info=_infos(folder, sources, compiled, orders or {}),
        chain=_chain(compiled),
        panels=panels,
    )


def _by_place(fault: Fault) -> tuple[str, int, int, str]:
    return fault.place.file, fault.place.line, fault.place.column, fault.message


# -- documents --------------------------------------------------------------------------------------------------------


def documents(paths: Sequence[Path], faults: list[Fault]) -> list[Document]:
    """The YAML files that can be read; the others are faults."""
    found = []
    for path in paths:
        try:
            found.append(load_document(path))
        except RulesetError as error:
            faults += error.faults
    return found


def document(path: Path, faults: list[Fault], *, required: bool = False) -> Document | None:
    """One YAML file; None if it is missing (a fault if it is required) or cannot be read."""
    if not required and not path.exists():
        return None
    found = documents([path], faults)
    return found[0] if found else None


# -- what lies below rules --------------------------------------------------------------------------------------------


def _terminology(folder: Path, extra: Sequence[Path], base: str, faults: list[Fault]) -> Terminology | None:
    try:
        return load_terminology(folder / "valuesets", extra, base)
    except RulesetError as error:
        faults += error.faults
        return None


def _facts(folder: Path, terminology: Terminology, faults: list[Fault]) -> FactBase | None:
    try:
        facts = load_definitions(
            folder,
            ingredients=_ingredients(folder, terminology),
            concepts=terminology.concept_names,
            codes={"reason": terminology.values("order-reason"), "course": terminology.values("course")},
        )
        return with_limits(facts, terminology.content.ranges)
    except RulesetError as error:
        faults += error.faults
        return None


def _forms(
    folder: Path,
    fact_files: Iterable[Document],
    facts: FactBase | None,
    terminology: Terminology | None,
    faults: list[Fault],
) -> dict[str, Form]:
    written = document(folder / "forms.yaml", faults)
    if written is None or facts is None or terminology is None:
        return {}
    files = {Path(one.file).stem: definitions_of(one) for one in fact_files}
    return read_forms(written, facts, terminology, files, faults)


def _panels(
    folder: Path,
    compiled: Compiled | None,
    facts: FactBase | None,
    terminology: Terminology | None,
    faults: list[Fault],
) -> Panels:
    written = document(folder / "workbench.yaml", faults)
    if compiled is None or facts is None or terminology is None:
        return Panels()
    concepts = terminology.concept_names | facts.tables.concepts.keys()
    return read_panels(written, compiled, facts.tables.regions, concepts, faults)


def _ingredients(folder: Path, terminology: Terminology) -> frozenset[str]:
    """Drugs that a code or a name can state, and members of classes that no code states because the file of a code
    system was left out; a member that is spelled almost like a known drug is a mistake and stays unknown."""
    known = terminology.ingredients
    classes = document(folder / "tables" / "classes.yaml", [])
    members = {
        member
        for of in (classes.data.values() if classes is not None and isinstance(classes.data, dict) else ())
        for member in (of if isinstance(of, list) else ())
        if isinstance(member, str)
    }
    return known | {member for member in members - known if not get_close_matches(member, known, n=1, cutoff=0.9)}


def base_facts_of(facts: FactBase) -> dict[str, BaseFact]:
    """Base facts as the compiler sees them. What counts since something current (a drug now given) is current too."""
    known = facts.info()
    starts = {definition.name: getattr(definition, "since", None) for definition in facts.definitions}
    since = {name: start.fact for name, start in starts.items() if isinstance(start, Since)}

    def current(info: FactInfo) -> bool:
        start = known.get(since.get(info.definition, ""))
        return info.current or (start is not None and start.current)

    return {
        name: BaseFact(
            values=info.values,
            sets=info.sets,
            common=info.common,
            common_values=info.common_values,
            prevalence=info.prevalence,
            current=current(info),
            definition=info.definition,
        )
        for name, info in known.items()
    }


# -- rules ------------------------------------------------------------------------------------------------------------


def _rules(
    folder: Path, references: Mapping[str, Source] | None, faults: list[Fault]
) -> tuple[list[RuleSource], list[str]]:
    """Every rule in rules/<ruleset>/<id>.yaml, and the names of the files that hold none that can be read."""
    lost: list[str] = []
    found: list[RuleSource] = []
    ids: dict[str, Place] = {}
    paths = sorted((folder / "rules").glob("**/*.yaml"))
    if not paths:
        faults.append(Fault(Place((folder / "rules").as_posix()), "the ruleset has no rules", "write rules/*/*.yaml"))
    for path in paths:
        inside = path.relative_to(folder / "rules").parent.as_posix()
        read = document(path, faults, required=True)
        if read is None:
            lost.append(path.stem)
            continue
        hash_ = sha256(path.read_bytes()).hexdigest()[:HASH]
        rule = read_rule(read, faults, references=references, ruleset="" if inside == "." else inside, hash_=hash_)
        if rule is None or rule.header is None:
            lost.append(path.stem)
            continue
        if rule.id and rule.id != path.stem:
            faults.append(Fault(rule.place("id"), f"the id {quoted(rule.id)} is not the file's name", "use one name"))
        if rule.id in ids:
            faults.append(Fault(rule.place("id"), f"the id {quoted(rule.id)} is taken by {ids[rule.id]}", "rename one"))
        ids[rule.id] = rule.place("id")
        found.append(rule)
    return found, lost


def _withdrawn(source: RuleSource) -> bool:
    return source.header is not None and source.header.status == "withdrawn"


def _infos(
    folder: Path, sources: Iterable[RuleSource], compiled: Compiled, orders: Mapping[str, Suggestion]
) -> dict[str, RuleInfo]:
    named = {source.name: source for source in sources}
    return {name: _info(folder, named[name], compiled, orders) for name in sorted(named)}


def _info(folder: Path, source: RuleSource, compiled: Compiled, orders: Mapping[str, Suggestion]) -> RuleInfo:
    assert source.header is not None  # noqa: S101 - only files are read, and they have headers
    rule = compiled.rules.get(source.name)
    first = rule.cases[0] if isinstance(rule, Issue) else None
    suggested = dict.fromkeys(name for case in source.cases for name in case.suggest)
    header = source.header
    place = source.place()
    return RuleInfo(
        id=header.id, ruleset=source.ruleset, kind=source.kind, version=header.version, status=header.status,
        title=header.title, purpose=header.purpose, use=header.use, misuse=header.misuse, evidence=header.evidence,
        hash=source.hash, sources=header.sources, uncomputed=header.uncomputed, group=source.group,
        category=source.category,
        summary=first.summary if first else "",
        advice=first.advice if first else (),
        suggestions=tuple(orders[name] for name in suggested if name in orders),
        listed=compiled.listed.get(source.name, ()),
        names=(source.name,),
        reads=tuple(reads(rule)) if rule is not None else (),
        place=msgspec.structs.replace(place, file=Path(place.file).relative_to(folder).as_posix()),
    )  # fmt: skip


def _chain(compiled: Compiled) -> dict[str, tuple[str, ...]]:
    """Every fact that a rule reads, with the rules that read it."""
    readers: dict[str, list[str]] = {}
    for name in sorted(compiled.rules):
        for fact in reads(compiled.rules[name]):
            readers.setdefault(fact, []).append(name)
    return {fact: tuple(names) for fact, names in sorted(readers.items())}
