"""Resources that may refer to each other: what stands in one Bundle, or all that was given singly.

Of several versions of a resource the newest one stays; what means nothing to the rules is let go at once.
"""

from __future__ import annotations

from functools import lru_cache

from engine.fhir.answers import RESPONSE, is_ours
from engine.fhir.bundle import Entry, is_newer, parts_of
from engine.fhir.elements import EMPTY, Json, codings, obj, objects, text
from engine.fhir.lookup import Lookup
from engine.fhir.problems import problem
from engine.fhir.references import Target, target_of
from engine.model.problem import Problem

CARRIERS = {
    "Observation": "observation",
    "DiagnosticReport": "report",
    "Condition": "condition",
    "Procedure": "procedure",
    "AllergyIntolerance": "allergy",
}
MEDICATION_KINDS = frozenset(
    {"MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration", "Immunization"}
)
SUPPORT_KINDS = frozenset({"Patient", "Encounter", "Organization", "Medication"})
KINDS = frozenset(CARRIERS) | MEDICATION_KINDS | SUPPORT_KINDS | {RESPONSE}
"""Every type of resource in which the reader may find something."""


@lru_cache(maxsize=256)
def in_progress(status: str) -> bool:
    """Whether an Encounter with this status is in progress."""
    return status.strip().lower() == "in-progress"


class Group:
    """Resources that may refer to each other: those of one Bundle, or all that were given singly."""

    def __init__(self, lookup: Lookup, problems: list[Problem]) -> None:
        self._lookup = lookup
        self._problems = problems
        self.entries: list[Entry] = []
        self._by_url: dict[str, Entry] = {}
        self._by_key: dict[str, Entry] = {}
        self._by_id: dict[str, Entry] = {}  # ids of entries whose fullUrl says another one
        self._ambiguous: set[str] = set()
        self._contained: dict[int, tuple[Json, dict[str, Json]]] = {}
        self._sources: tuple[int, set[int]] | None = None

    # ------------------------------------------------------------ filling

    def add_bundle(self, bundle: Json, where: str) -> None:
        """All resources of a Bundle (or Parameters)."""
        newest_first = bundle.get("type") == "history"

        def note(code: str, message: str) -> None:
            self._problems.append(problem(code, where, message))

        for number, resource, full_url, deleted in parts_of(bundle, note):
            self.add(resource, f"{where}: entry {number}", full_url, deleted, newest_first)

    def add(
        self, resource: Json, where: str, full_url: str = "", deleted: bool = False, newest_first: bool = False
    ) -> None:
        """One resource; of several versions the newest stays."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in KINDS:
            if not isinstance(kind, str) or not kind:
                self._problems.append(problem("no-resource-type", where, "is no FHIR resource and was skipped"))
            return
        entry = Entry(resource, kind, full_url, where, len(self.entries))
        entry.dead = deleted
        if not deleted:
            self._recognise(entry)
        older = self._same(entry)
        if older is not None:
            if older.dead and deleted:
                return
            newer = self._supersedes(entry, older, newest_first)
            if not newer:
                if entry.url and not deleted:
                    self._by_url.setdefault(entry.url, older)
                return
            older.dead = True
        self._index(entry, older)
        self.entries.append(entry)
        if "contained" in resource and kind in ("DiagnosticReport", "Observation"):
            self._add_contained(entry, resource)

    def _add_contained(self, container: Entry, holder: Json) -> None:
        """Results that a report or panel contains; they belong to its patient."""
        for resource in objects(holder.get("contained")):
            if resource.get("resourceType") == "Observation":
                entry = Entry(resource, "Observation", "", container.place, 0)
                entry.container, entry.reference = container, container.reference
                self._recognise(entry)
                if entry.resource is not EMPTY:
                    container.resource = holder  # its patient and its other contained resources are needed
                    self.entries.append(entry)

    def _recognise(self, entry: Entry) -> None:
        """Looks its codes up; what means nothing is let go."""
        carrier = CARRIERS.get(entry.kind)
        resource = entry.resource
        if carrier is None:
            if entry.kind == "Encounter":
                kept = in_progress(text(resource.get("status")))
            else:
                kept = entry.kind != RESPONSE or is_ours(resource.get("questionnaire"), self._lookup.terminology)
            if not kept:
                entry.slim()
            return
        coded = codings(resource.get("code"))
        entry.known = self._lookup.known(carrier, coded)
        if entry.known.meanings and "category" in resource:
            entry.known = self._lookup.limited(carrier, coded, codings(resource["category"]))
        if not entry.known.kept and not ("component" in resource and self._component_known(resource)):
            entry.slim()

    def _component_known(self, resource: Json) -> bool:
        known = self._lookup.known
        return any(known("observation", codings(part.get("code"))).meanings for part in objects(resource["component"]))

    def _same(self, entry: Entry) -> Entry | None:
        """An earlier entry that is the same resource: the same fullUrl, or the same id where one has no fullUrl."""
        if entry.url and (same := self._by_url.get(entry.url)):
            return same
        if entry.key and (same := self._by_key.get(entry.key)):
            if not entry.url or not same.url or entry.url == same.url or entry.resource == same.resource != EMPTY:
                return same
            self._ambiguous.add(entry.key)
        return None

    def _supersedes(self, entry: Entry, older: Entry, newest_first: bool) -> bool:
        newer = is_newer(entry.version, older.version)
        if newer is None:
            if not older.dead and entry.resource != older.resource and not newest_first and not entry.dead:
                self._problems.append(
                    problem("duplicate", entry.where, "stands twice and differs; the last one counts")
                )
            return not newest_first
        return newer

    def _index(self, entry: Entry, older: Entry | None) -> None:
        if entry.url:
            self._by_url[entry.url] = entry
        if older is not None and older.url:
            self._by_url[older.url] = entry
        if entry.key and (older is not None or entry.key not in self._by_key):
            self._by_key[entry.key] = entry
        if entry.reference != entry.key and self._by_id.setdefault(entry.reference, entry) not in (entry, older):
            self._ambiguous.add(entry.reference)
        elif entry.reference != entry.key:
            self._by_id[entry.reference] = entry

    # ------------------------------------------------------------ references

    def find(self, reference: object, home: Entry) -> Entry | Json | None:
        """What a Reference (the element or its string) means to the entry that holds it: an entry, or the resource
        that the entry contains; None if it is not here or could be several."""
        element = obj(reference)
        string = text(element.get("reference")) if element else text(reference)
        if not string:
            return None
        target = target_of(string)
        if target.contained:
            return self.contained(target.contained, home)
        return self.at(target, home)

    def contained(self, identity: str, home: Entry) -> Json | None:
        """A contained resource of an entry, or of the one that contains it."""
        found = self._inside(home.resource).get(identity)
        return self._inside(home.container.resource).get(identity) if found is None and home.container else found

    def _inside(self, resource: Json) -> dict[str, Json]:
        """Contained resources by id, remembered: one resource may hold many that refer to each other."""
        if "contained" not in resource:
            return EMPTY
        remembered = self._contained.get(id(resource))
        if remembered is None or remembered[0] is not resource:
            held = objects(resource["contained"])
            by_id = {name: one for one in reversed(held) if isinstance(name := one.get("id"), str)}
            remembered = self._contained[id(resource)] = (resource, by_id)
        return remembered[1]

    def at(self, target: Target, home: Entry) -> Entry | None:
        """The living entry at a target."""
        entry = self._by_url.get(target.url) if target.url else None
        if entry is None and target.key:
            base = "" if target.url else home.base
            entry = self._by_url.get(f"{base}/{target.key}") if base else None
            if entry is None:
                entry = self._by_key.get(target.key) or self._by_id.get(target.key)
                if entry is not None and (target.key in self._ambiguous or _elsewhere(target, base, entry)):
                    return None
        return None if entry is None or entry.dead else entry

    def is_source(self, entry: Entry) -> bool:
        """Whether a living Observation of the group is derived from the entry."""
        if self._sources is None or self._sources[0] != len(self.entries):
            found = {
                id(self.find(source, one))
                for one in self.entries
                if one.kind == "Observation" and not one.dead and "derivedFrom" in one.resource
                for source in objects(one.resource["derivedFrom"])
            }
            self._sources = len(self.entries), found
        return id(entry) in self._sources[1]

    def is_ambiguous(self, target: Target) -> bool:
        """Whether several resources have that type and id."""
        return target.key in self._ambiguous

    def aside(self, entry: Entry, code: str, message: str) -> None:
        """Sets an entry aside, with the reason."""
        self._problems.append(problem(code, entry.where, message))


def _elsewhere(target: Target, base: str, entry: Entry) -> bool:
    """Whether the target lies on another server than the entry, which has the same id."""
    return bool(entry.base) and (entry.url != target.url if target.url else base not in ("", entry.base))
