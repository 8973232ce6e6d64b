"""Which status lets a resource count (clinical specification 1.2). Read by code, whatever its system."""

from __future__ import annotations

from collections.abc import Mapping

from engine.fhir.elements import Json, code_words, flag, obj, objects, text
from engine.fhir.problems import Note

USED, PRELIMINARY, UNUSED = "used", "preliminary", "unused"
PRESENT, ABSENT = "present", "absent"

_OBSERVATION: Mapping[str, str] = {
    "final": USED, "amended": USED, "corrected": USED, "appended": USED, "modified": USED,
    "preliminary": PRELIMINARY, "partial": PRELIMINARY,
    "registered": UNUSED, "specimen-in-process": UNUSED, "cancelled": UNUSED, "entered-in-error": UNUSED,
    "unknown": UNUSED,
}  # fmt: skip
_PROCEDURE: Mapping[str, str] = {
    "completed": PRESENT, "in-progress": PRESENT, "not-done": ABSENT,
    "preparation": UNUSED, "on-hold": UNUSED, "suspended": UNUSED, "aborted": UNUSED, "stopped": UNUSED,
    "entered-in-error": UNUSED, "unknown": UNUSED,
}  # fmt: skip
_MARK = "-diagnosesicherheit"
_MARKS = {"a": "refuted", "v": "provisional"}
# verificationStatus, the most careful reading first
_VERIFICATION = ("entered-in-error", "refuted", "differential", "provisional", "unconfirmed", "presumed", "confirmed")


def observation_status(resource: Json, note: Note) -> str:
    """USED, PRELIMINARY or UNUSED, for an Observation or DiagnosticReport."""
    return _status(_OBSERVATION, resource, note)[0]


def procedure_status(resource: Json, note: Note) -> tuple[str, str]:
    """(PRESENT, ABSENT or UNUSED; the status as coded) of a Procedure; STU3: notDone."""
    if flag(resource.get("notDone")):
        return ABSENT, "not-done"
    return _status(_PROCEDURE, resource, note)


def verification(resource: Json, note: Note) -> str:
    """The verificationStatus, "" if there is none; of contradicting codes the most careful one.

    One that FHIR does not know is `unconfirmed`. German senders mark the certainty at the coding of the diagnosis.
    """
    found = code_words(resource.get("verificationStatus")) | _marked(resource.get("code"))
    known = next((word for word in _VERIFICATION if word in found), "")
    if not known and found:
        note("unknown-status", "has a verification status that is not known; it counts as unconfirmed")
        return "unconfirmed"
    return known


def _marked(concept: object) -> frozenset[str]:
    """What an extension of a coding says of the certainty: A excluded, V suspected."""
    return frozenset(
        _MARKS[code]
        for coding in objects(obj(concept).get("coding"))
        if "extension" in coding
        for extension in objects(coding["extension"])
        if text(extension.get("url")).endswith(_MARK)
        for code in code_words(extension.get("valueCoding"))
        if code in _MARKS
    )


def _status(table: Mapping[str, str], resource: Json, note: Note) -> tuple[str, str]:
    stated = resource.get("status")
    if isinstance(stated, str) and (known := table.get(stated)):
        return known, stated
    found = code_words(stated)
    if not found:
        note("no-status", "has no status and was not used")
        return UNUSED, ""
    word = next(iter(found)) if len(found) == 1 else ""
    if word not in table:
        note("unknown-status", "has a status that is not known and was not used")
        return UNUSED, ""
    return table[word], word
