"""What an OperationOutcome says, as far as it may be shown."""

from __future__ import annotations

from engine.client.http import Answer
from engine.errors import RemoteError
from engine.fhir.elements import objects, text

_LONGEST = 200


def codes(answer: Answer) -> set[str]:
    """The codes of the issues of an OperationOutcome: words of FHIR, nothing of a patient."""
    try:
        found = {text(issue.get("code")) for issue in objects(answer.json().get("issue"))}
    except RemoteError:
        return set()
    return {code for code in found if code.replace("-", "").isalpha() and code.isascii()}


def reason(answer: Answer) -> str:
    """What a server says of a request that it refuses, which names no patient."""
    try:
        issues = objects(answer.json().get("issue"))
    except RemoteError:
        return ""
    said = " ".join(text(issue.get("diagnostics")) for issue in issues) or ", ".join(sorted(codes(answer)))
    shown = "".join(one if one.isprintable() else " " for one in said).strip()[:_LONGEST]
    return f": {shown}" if shown else ""
