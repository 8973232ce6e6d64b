"""Which data belong to which patient: by what the references resolve to, never by the Bundle they came in.

Another patient's data never count, and data of nobody are set aside and reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.fhir.bundle import Entry
from engine.fhir.elements import EMPTY, Json, obj, text
from engine.fhir.grouping import SUPPORT_KINDS, Group
from engine.fhir.references import Identifier, Target, identifier_of, identifiers_of, searched, target_of


class Patient:
    """One patient of a group and the entries that belong to them."""

    __slots__ = ("entries", "entry", "reference", "resource")

    def __init__(self, reference: str, entry: Entry | None, resource: Json) -> None:
        self.reference = reference
        self.entry = entry  # None: no Patient resource, or a contained one
        self.resource = resource
        self.entries: list[Entry] = []


def patients_of(group: Group, only: str = "") -> list[Patient]:
    """The patients of a group in the order of the data, each with the living entries that belong to them.

    Without any Patient resource, those whom the entries name. `only` ("Patient/x"): just that one, even if unknown.
    """
    return _Patients(group, only).patients()


def encounters_of(entries: list[Entry]) -> Iterator[Entry]:
    """The encounters that are in progress: no others are kept."""
    return (entry for entry in entries if entry.kind == "Encounter")


class _Patients:
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
            if found == ("", _UNKNOWN) and (identified := self._identified(subject)):
                return identified, ""
            return found
        if string:
            return self._from_contained(string[1:], entry)
        if identified := self._identified(subject):
            return identified, ""
        if entry.container is not None and not subject:
            return self._patient_of(entry.container)
        if not self._given and (identifier := identifier_of(subject.get("identifier"))):
            return searched("|".join(identifier)), ""
        return "", "no-patient: names no patient and was set aside"

    def _named(self, target: Target, entry: Entry) -> tuple[str, str]:
        if target.identifier is not None:
            if target.type != "Patient":
                return "", "no-patient: is not about a patient and was set aside"
            known = self._by_identifier.get(target.identifier, "")
            return (known or ("" if self._given else searched("|".join(target.identifier)))), _UNKNOWN
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
