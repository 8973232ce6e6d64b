"""The closed list of problem codes: everything that the reader may find odd in its input.

A problem costs its entry (or only the odd element) and nothing else. Its message never repeats what the entry says,
because that is patient data; it may name a code system or a type of resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.model.problem import Problem

Note = Callable[[str, str], None]
"""Notes a problem of what is being read: (code, message); the receiver knows the place."""

LONGEST_PLACE = 300
CODES: Mapping[str, str] = {
    # files
    "not-readable": "the file or stream broke off, or its compression is damaged",
    "not-json": "a document or line is no JSON",
    "too-large": "a document or line is larger than the reader accepts",
    "too-deep": "a document is nested deeper than the reader follows",
    "not-an-object": "a value stands where an object belongs",
    "no-resource-type": "an object without resourceType: not FHIR",
    # what belongs to whom
    "duplicate": "a resource stands twice, differs, and nothing says which is newer",
    "no-patient": "the entry names no patient",
    "unknown-patient": "the entry names a patient who is not among the patients of the data",
    "ambiguous-patient": "the entry names a patient who cannot be told from another one",
    "patient-missing": "the Patient resource itself was not given",
    "other-focus": "the entry is about something else than its patient",
    "dangling-reference": "a resource that is referred to is not in the data",
    "several-bundles": "a patient has data in several Bundles, which were evaluated apart",
    "defect": "an entry, a fact or a rule could not be worked out: a defect of Endplate",
    "not-evaluated": "a patient could not be evaluated: a defect of Endplate",
    # what a resource says
    "modifier-extension": "an unknown extension may change the meaning of the entry",
    "no-status": "an entry without the status that it must have",
    "unknown-status": "a status that FHIR does not know",
    "unreadable-date": "a date that cannot be read; the entry counts as undated",
    "future-date": "an entry dated after the evaluation date",
    "unreadable-value": "a value that cannot be understood",
    "unreadable-number": "a number that is no number, or absurd",
    "contradicting-value": "an entry that contradicts itself",
    "unreadable-site": "a body site that is not one place",
    "unrecognised-code": "a code that looks relevant, and that no table knows",
    "drug-by-name": "a drug that was found by its name, since no code is known",
    # answers to a form
    "unknown-form": "answers to a form, or to a version of it, that the rules do not have",
    "unfinished-form": "answers that are not completed, or entered in error",
    "unknown-question": "an answer to a question that the form does not have",
    "unusable-answer": "an answer that its question does not allow",
    # answers to queries
    "failed-query": "a query was answered with an error instead of data",
    "further-pages": "a search result has further pages that were not given",
}


def problem(code: str, where: str, message: str) -> Problem:
    """A problem with a code of the list; `where` is cut to a readable length."""
    if code not in CODES:
        raise ValueError(f"`{code}` is no problem code: add it to the list in engine/fhir/problems.py")
    return Problem(code, where if len(where) <= LONGEST_PLACE else where[:LONGEST_PLACE] + "…", message)
