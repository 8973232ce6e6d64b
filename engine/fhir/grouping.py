"""Which data belong to which patient: by what the references resolve to, never by the Bundle they came in.

Another patient's data never count, and data of nobody are set aside and reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.fhir.bundle import Entry, is_newer, parts_of
from engine.fhir.elements import EMPTY, Json, codings, obj, objects, text
from engine.fhir.lookup import Lookup
from engine.fhir.problems import problem
from engine.fhir.references import Identifier, Target, identifier_of, identifiers_of, target_of
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
_KINDS = frozenset(CARRIERS) | MEDICATION_KINDS | SUPPORT_KINDS


class Patient:
    """One patient of a group and the entries that belong to them."""

    __slots__ = ("entries", "entry", "reference", "resource")

    def __init__(self, reference: str, entry: Entry | None, resource: Json) -> None:
        self.reference = reference
        self.entry = entry  # None: no Patient resource, or a contained one
        self.resource = resource
        self.entries: list[Entry] = []


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

    # ------------------------------------------------------------ filling

    def add_bundle(self, bundle: Json, where: str) -> None:
        """All resources of a Bundle (or Parameters)."""
        newest_first = bundle.get("type") == "history"

        def note(code: str, message: str) -> None:
            self._problems.append(problem(code, where, message))

        for number, resource, full_url, method in parts_of(bundle, note):
            self.add(resource, f"{where}: entry {number}", full_url, method == "DELETE", newest_first)

    def add(
        self, resource: Json, where: str, full_url: str = "", deleted: bool = False, newest_first: bool = False
    ) -> None:
        """One resource; of several versions the newest stays."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in _KINDS:
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
            if entry.kind == "Encounter" and text(resource.get("status")).lower() != "in-progress":
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
        if entry.reference != entry.key:
            self._by_id.setdefault(entry.reference, entry)

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
                if entry is not None and (target.key in self._ambiguous or _elsewhere(target, entry)):
                    return None
        return None if entry is None or entry.dead else entry

    def is_ambiguous(self, target: Target) -> bool:
        """Whether several resources have that type and id."""
        return target.key in self._ambiguous

    # ------------------------------------------------------------ patients

    def patients(self, only: str = "") -> list[Patient]:
        """The patients in the order of the data, each with the living entries that belong to them.

        Without any Patient resource, those whom the entries name. `only` ("Patient/x"): just that one.
        """
        return Patients(self, only).patients()

    def aside(self, entry: Entry, code: str, message: str) -> None:
        """Sets an entry aside, with the reason."""
        self._problems.append(problem(code, entry.where, message))


class Patients:
    """Sorts the entries of a group by patient."""

    def __init__(self, group: Group, only: str) -> None:
        self._group = group
        self._only = only
        self._found: dict[str, Patient] = {}
        self._by_identifier: dict[Identifier, str] = {}
        self._memo: dict[tuple[str, str], tuple[str, str]] = {}
        self._contained: dict[str, Json] = {}
        for entry in group.entries:
            if entry.kind == "Patient" and not entry.dead:
                self._add(entry)
        if only and not any(patient.reference == only for patient in self._found.values()):
            self._found[only] = Patient(only, None, EMPTY)
        self._given = bool(self._found)

    def _add(self, entry: Entry) -> None:
        name = entry.url or entry.key or entry.reference
        self._found[name] = Patient(entry.reference, entry, entry.resource)
        for identifier in identifiers_of(entry.resource):
            if self._by_identifier.setdefault(identifier, name) != name:
                self._by_identifier[identifier] = ""  # shared by two: says nothing

    def patients(self) -> list[Patient]:
        named: list[tuple[str, Entry]] = []
        for entry in self._group.entries:
            if entry.dead or entry.resource is EMPTY or (entry.kind in SUPPORT_KINDS and entry.kind != "Encounter"):
                continue
            name, message = self._patient_of(entry)
            if name:
                named.append((name, entry))
            elif entry.kind != "Encounter":
                self._group.aside(entry, message.partition(":")[0], message.partition(":")[2].strip())
        if not self._given:
            named = self._one_name_each(named)
        for name, entry in named:
            patient = self._found.get(name)
            if patient is None:
                patient = self._found[name] = Patient(*self._unlisted(name))
            patient.entries.append(entry)
        return self._wanted()

    def _wanted(self) -> list[Patient]:
        if not self._only:
            return list(self._found.values())
        return [patient for patient in self._found.values() if patient.reference == self._only][:1]

    def _unlisted(self, name: str) -> tuple[str, None, Json]:
        contained = self._contained.get(name)
        return (name, None, contained if contained is not None else EMPTY)

    # ------------------------------------------------------------ one entry

    def _patient_of(self, entry: Entry) -> tuple[str, str]:
        """(name of the patient, "") or ("", "code: message")."""
        subject = obj(entry.resource.get("subject") or entry.resource.get("patient"))
        string = text(subject.get("reference"))
        if string and string[0] != "#":
            key = (string, entry.base)
            found = self._memo.get(key)
            if found is None:
                found = self._memo[key] = self._named(target_of(string), entry)
            if not found[0] and (identified := self._identified(subject)):
                return identified, ""
            return found
        if string:
            return self._from_contained(string[1:], entry)
        if identified := self._identified(subject):
            return identified, ""
        if entry.container is not None and not subject:
            return self._patient_of(entry.container)
        if not self._given and (identifier := identifier_of(subject.get("identifier"))):
            return _searchable(identifier), ""
        return "", "no-patient: names no patient and was set aside"

    def _named(self, target: Target, entry: Entry) -> tuple[str, str]:
        if target.identifier is not None:
            if target.type != "Patient":
                return "", "no-patient: is not about a patient and was set aside"
            known = self._by_identifier.get(target.identifier, "")
            return (known or ("" if self._given else _searchable(target.identifier))), _UNKNOWN
        found = self._group.at(target, entry)
        if found is not None:
            if found.kind != "Patient":
                return "", "no-patient: is not about a patient and was set aside"
            return found.url or found.key or found.reference, ""
        if target.type not in ("Patient", ""):
            return "", "no-patient: is not about a patient and was set aside"
        if self._given:
            if target.key and target.key in self._found:  # asked for, and not given itself
                return target.key, ""
            return "", _AMBIGUOUS if self._group.is_ambiguous(target) else _UNKNOWN
        if target.url:
            return target.url, ""
        return (f"{entry.base}/{target.key}" if entry.base else target.key), ("" if target.key else _UNKNOWN)

    def _identified(self, subject: Json) -> str:
        identifier = identifier_of(subject.get("identifier")) if "identifier" in subject else None
        return self._by_identifier.get(identifier, "") if identifier else ""

    def _from_contained(self, identity: str, entry: Entry) -> tuple[str, str]:
        """A patient inside the entry: one of the patients if an identifier says so, else a patient of its own."""
        resource = self._group.contained(identity, entry)
        if resource is None or resource.get("resourceType") != "Patient":
            return "", "unknown-patient: its contained patient is not there; it was set aside"
        for identifier in identifiers_of(resource):
            if known := self._by_identifier.get(identifier, ""):
                return known, ""
        name = f"{entry.reference}#{identity}"
        self._contained[name] = resource
        return name, ""

    def _one_name_each(self, named: list[tuple[str, Entry]]) -> list[tuple[str, Entry]]:
        """Without Patient resources: an absolute and a relative name of one patient are one; names as "Patient/x"."""
        urls: dict[str, set[str]] = {}
        for name, _ in named:
            key = _key_of(name)
            if key and key != name:
                urls.setdefault(key, set()).add(name)
        short = {name: key for key, names in urls.items() if len(names) == 1 for name in names}
        return [(short.get(name, name), entry) for name, entry in named]


_AMBIGUOUS = "ambiguous-patient: names a patient whose id two patients have, and was set aside"
_UNKNOWN = "unknown-patient: names a patient who is not in the data and was set aside"


def _key_of(name: str) -> str:
    return target_of("https://" + name).key if "/" in name and "#" not in name and "?" not in name else ""


def _searchable(identifier: Identifier) -> str:
    return f"Patient?identifier={identifier[0]}|{identifier[1]}"


def _elsewhere(target: Target, entry: Entry) -> bool:
    """Whether an absolute target lies on another server than the entry, which has the same id."""
    return bool(target.url and entry.base and target.url != entry.url)


def encounters_of(entries: list[Entry]) -> Iterator[Entry]:
    """The encounters that are in progress: no others are kept."""
    return (entry for entry in entries if entry.kind == "Encounter")
