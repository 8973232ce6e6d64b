"""What became of a resource that somebody relied on, in its own words: its status, where that says it no longer counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.fhir.elements import Json, code_words
from engine.fhir.statuses import verification

ENTERED_IN_ERROR = "entered in error"
REFUTED = "refuted"
CORRECTED = "corrected"
ERRORS = frozenset({ENTERED_IN_ERROR, REFUTED, CORRECTED})
"""What was said before was never true."""

_SAID: Mapping[str, str] = {
    "entered-in-error": ENTERED_IN_ERROR,
    "corrected": CORRECTED,
    **{word: word for word in ("cancelled", "stopped", "completed", "ended", "not-done", "aborted", "on-hold")},
}
_CLINICAL = ("resolved", "inactive", "remission")


def fate(resource: Json) -> str:
    """`entered in error`, `refuted`, `corrected`, `stopped`, `resolved` ...; "" = nothing that its status says.

    Read as the rest reads it: verificationStatus with what German senders mark at the code, then status, then
    clinicalStatus.
    """
    verified = verification(resource, lambda code, message: None)
    stated = code_words(resource.get("status"))
    if verified == "entered-in-error" or "entered-in-error" in stated:
        return ENTERED_IN_ERROR
    if verified == "refuted":
        return REFUTED
    clinical = code_words(resource.get("clinicalStatus"))
    said = [_SAID[word] for word in sorted(stated) if word in _SAID]
    said += [word for word in _CLINICAL if word in clinical]
    return said[0] if said else ""
