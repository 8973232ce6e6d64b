"""forms.yaml and the facts of a ruleset -> its forms.

    forms:
      neuromuscular-examination:
        title: Neuromuscular examination
        purpose: what it is for
        category: procedure                      # of the Observations that are made of its answers; else exam
        earlier: [version]                       # versions that mean the same
        sections: [{title: ..., facts: motor-signs, without: [concept]}]     # a file of facts/
    answers: {concept: [answer]}                 # which answers are offered, where that does not follow from the facts
    labels: {word: words}                        # how an answer, a muscle or a component is called

Every concept that a fact of the file reads is asked in the section, with all that any fact needs of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from engine.document import Document
from engine.errors import Fault, Place
from engine.facts.base import FactBase
from engine.facts.concept import Concept
from engine.forms.asked import COUNT, Asked, asked, concepts_of
from engine.model.form import CATEGORIES, DATE, NOT_EXAMINED, Category, Field, Form, Kind, Option, Question, Section
from engine.terminology.content import Coding
from engine.terminology.terminology import Terminology

YES_NO = ("present", "absent")
_TAG = re.compile(r" \((?:qualifier value|finding|disorder)\)$")  # of a SNOMED name
_DIGITS = 12


def read_forms(
    document: Document,
    facts: FactBase,
    terminology: Terminology,
    files: Mapping[str, Sequence[str]],
    faults: list[Fault],
) -> dict[str, Form]:
    """The forms by their address. `files`: the names of the facts in each file. Faults are added, with their place."""
    planner = _Planner(document, facts, terminology, files, faults)
    return {form.url: form for form in planner.forms()}


class _Planner:
    def __init__(
        self,
        document: Document,
        facts: FactBase,
        terminology: Terminology,
        files: Mapping[str, Sequence[str]],
        faults: list[Fault],
    ) -> None:
        self._document = document
        self._facts = facts
        self._terminology = terminology
        self._files = files
        self._faults = faults
        self._asked = asked(facts.definitions)
        self._definitions = {definition.name: definition for definition in facts.definitions}
        data = document.data if isinstance(document.data, dict) else {}
        self._answers = {concept: [str(w) for w in _list(of)] for concept, of in _mapping(data.get("answers")).items()}
        self._labels: Mapping[str, str] = {
            word: said for word, said in _mapping(data.get("labels")).items() if isinstance(said, str)
        }
        self._forms = _mapping(data.get("forms"))
        for key in data:
            if key not in ("forms", "answers", "labels"):
                self._fault((key,), f"`{key}` is no key of forms.yaml", "use forms, answers, labels")

    # ------------------------------------------------------------ reading

    def forms(self) -> Iterator[Form]:
        """All forms that can be made; what cannot is a fault."""
        if not self._forms:
            self._fault((), "there are no `forms`")
        used: dict[str, str] = {}
        for name, body in self._forms.items():
            path = ("forms", name)
            if not isinstance(body, dict) or not isinstance(body.get("title"), str):
                self._fault(path, f"the form `{name}` needs a `title` and `sections`")
                continue
            for key in body:
                if key not in ("title", "purpose", "category", "earlier", "sections"):
                    self._fault((*path, key), f"`{key}` is no key of a form")
            sections = [
                section
                for number, one in enumerate(_list(body.get("sections")))
                if (section := self._section(one, (*path, "sections", number), used)) is not None
            ]
            if not sections:
                self._fault(path, f"the form `{name}` asks for nothing")
            yield _versioned(
                Form(
                    name=name,
                    url=f"{self._terminology.content.base}:form:{name}",
                    title=body["title"],
                    purpose=str(body.get("purpose") or ""),
                    category=self._category(body.get("category", "exam"), (*path, "category")),
                    earlier=tuple(str(one) for one in _list(body.get("earlier"))),
                    sections=tuple(sections),
                )
            )

    def _category(self, given: object, path: tuple[str | int, ...]) -> Category:
        for category in CATEGORIES:
            if given == category:
                return category
        self._fault(path, f"`{given}` is no category of Observations", f"use one of {', '.join(CATEGORIES)}")
        return "exam"

    def _section(self, body: object, path: tuple[str | int, ...], used: dict[str, str]) -> Section | None:
        body = _mapping(body)
        title, file = body.get("title"), body.get("facts")
        if not isinstance(title, str) or not isinstance(file, str):
            self._fault(path, "a section needs `title` and `facts`, a file of facts/")
            return None
        if file not in self._files:
            self._fault((*path, "facts"), f"there is no file `facts/{file}.yaml`")
            return None
        without = [str(one) for one in _list(body.get("without"))]
        names = [name for name in self._files[file] if name in self._definitions]
        concepts = dict.fromkeys(c for name in names for c in concepts_of(self._definitions[name]))
        for one in without:
            if one not in concepts:
                self._fault((*path, "without"), f"no fact of `facts/{file}.yaml` reads `{one}`")
        questions: list[Question] = []
        for concept in concepts:
            if concept in without:
                continue
            if concept in used:
                self._fault(path, f"`{concept}` is asked in `{used[concept]}` already", "name it under `without`")
                continue
            used[concept] = title
            questions += self._questions(concept, path)
        return Section(f"{file}", title, tuple(questions))

    def _fault(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        place: Place = self._document.place(path)
        self._faults.append(Fault(place, message, hint))

    # ------------------------------------------------------------ one concept

    def _questions(self, name: str, path: tuple[str | int, ...]) -> Iterator[Question]:
        need = self._asked[name]
        concept = self._facts.tables.concepts.get(name) or Concept(name=name)
        if self._terminology.preferred(name, "observation") is None:
            self._fault(path, f"`{name}` has no code of an Observation, so no form can ask for it", "use `without`")
            return
        kind = self._kind(need, concept)
        if kind is None:
            self._fault(path, f"`{name}` is read in a way that no form can ask for", "name it under `without`")
            return
        said = "; ".join(need.own or need.help)
        plain = Question(
            link=name,
            concept=name,
            title=concept.title or self._label(name),
            help=said[:1].upper() + said[1:],
            value=self._value(f"{name}.result" if need.muscles else name, kind, need, concept),
            parts=(*(self._places(name) if need.muscles else ()), *self._parts(name, need, concept)),
            repeats=need.muscles,
        )
        if kind == "choice" and concept.reading != "coded" and name not in self._answers and not need.muscles:
            plain = msgspec.structs.replace(plain, gate=YES_NO[0])
        for region in self._facts.tables.regions if need.regions else ("",):
            yield self._in_region(plain, region) if region else plain

    def _kind(self, need: Asked, concept: Concept) -> Kind | str | None:
        """How the value is asked; "" = the concept has components only, None = not at all."""
        if need.sites:
            return None
        match concept.reading:
            case "yes-no" | "sign" | "coded":
                return "choice"
            case "quantity":
                return "quantity" if concept.unit else "integer"
            case "date":
                return "date"
            case None if need.muscles and need.components:
                return ""
            case None if not need.whole:
                return "boolean"
            case _:
                return None

    def _in_region(self, plain: Question, region: str) -> Question:
        """The question for one body region, under links of its own."""

        def here(field: Field) -> Field:
            return msgspec.structs.replace(field, link=f"{plain.link}/{region}{field.link[len(plain.link) :]}")

        return msgspec.structs.replace(
            plain,
            link=f"{plain.link}/{region}",
            title=f"{plain.title}: {self._label(region)}",
            region=region,
            value=here(plain.value) if plain.value else None,
            parts=tuple(here(part) for part in plain.parts),
        )

    def _value(self, link: str, kind: Kind | str, need: Asked, concept: Concept) -> Field | None:
        if not kind:
            return None
        title = concept.title or self._label(need.concept)
        if kind == "choice":
            words = self._answers.get(need.concept) or (need.answers if concept.reading == "coded" else YES_NO)
            return Field(link=link, title=title, options=self._options(need.concept, words))
        units = (concept.unit, *concept.also) if kind == "quantity" else ()
        return Field(link=link, title=title, kind=kind, units=units)  # type: ignore[arg-type]

    def _parts(self, link: str, need: Asked, concept: Concept) -> Iterator[Field]:
        for name in need.components:
            yield self._part(link, name, self._options(name, YES_NO))
        if need.counted:
            yield Field(link=f"{link}.{COUNT}", name=COUNT, title=self._label(COUNT), kind="integer")
        if need.types and (signs := self._terminology.values("sign")):
            options = self._options("sign", signs, unknown=False)
            yield Field(link=f"{link}.sign", name="sign", title=self._label("sign"), options=options, repeats=True)
        if concept.needs is not None:
            name, units = concept.needs.component, (concept.needs.unit,) if concept.needs.unit else ()
            kind: Kind = "quantity" if units else "integer"
            yield Field(link=f"{link}.{name}", name=name, title=self._label(name), kind=kind, units=units)

    def _places(self, link: str) -> Iterator[Field]:
        muscles = [one for one in self._terminology.values("muscle") if one in self._facts.tables.muscles]
        yield self._part(link, "muscle", self._options("muscle", muscles, unknown=False))
        sides = self._terminology.values("laterality")
        yield self._part(link, "side", self._options("laterality", sides, unknown=False))

    def _part(self, link: str, name: str, options: tuple[Option, ...]) -> Field:
        return Field(link=f"{link}.{name}", name=name, title=self._label(name), options=options)

    # ------------------------------------------------------------ words

    def _options(self, codeset: str, words: Sequence[str], *, unknown: bool = True) -> tuple[Option, ...]:
        """The words with their codings: of the code set itself, else of the answers that all share."""
        found = []
        for word in words:
            coding = self._terminology.preferred(word, codeset) or self._terminology.preferred(word, "answer")
            if coding is None:
                self._fault((), f"`{word}` of `{codeset}` has no code, so no form can offer it")
            else:
                found.append(self._option(word, coding))
        nothing = self._terminology.preferred(NOT_EXAMINED, "not-done")
        if unknown and nothing is None:
            self._fault((), f"`{NOT_EXAMINED}` is missing in the code set `not-done`, so no form can offer it")
        return (*found, self._option(NOT_EXAMINED, nothing)) if unknown and nothing else tuple(found)

    def _option(self, word: str, coding: Coding) -> Option:
        said = self._labels.get(word) or _TAG.sub("", coding.display) or word
        return Option(word, coding.system, coding.code, said)

    def _label(self, word: str) -> str:
        said = self._labels.get(word) or word.replace("-", " ").replace("_", " ")
        return said[:1].upper() + said[1:]


def _versioned(form: Form) -> Form:
    """The form under a version that is made of all that it asks."""
    asked_for = msgspec.structs.replace(form, earlier=(), category="exam")  # neither changes what an answer means
    digest = hashlib.sha256(msgspec.json.encode((asked_for, DATE))).hexdigest()
    return msgspec.structs.replace(form, version=digest[:_DIGITS])


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def definitions_of(document: Document) -> tuple[str, ...]:
    """The names of the facts in a file, in its order."""
    return tuple(document.data) if isinstance(document.data, dict) else ()

