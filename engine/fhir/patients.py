"""The person of a record out of the Patient resource."""

from __future__ import annotations

from engine.fhir.context import Context
from engine.fhir.elements import code_words, flag
from engine.model.record import Person

_SEXES = frozenset({"male", "female", "other", "unknown"})


def read_person(reference: str, context: Context) -> Person:
    """Sex, birth date, whether deceased (any deceased[x] but `false`), whether the record is active."""
    patient = context.person
    sexes = code_words(patient.get("gender")) & _SEXES
    birth = context.day(patient.get("birthDate"))
    if birth is not None and birth > context.as_of:
        context.note("unreadable-date", "has a birth date after the evaluation date; it counts as unknown")
        birth = None
    dead = patient.get("deceasedBoolean")
    return Person(
        reference=reference,
        sex=next(iter(sexes)) if len(sexes) == 1 else "",
        birth=birth,
        deceased=bool(patient.get("deceasedDateTime")) or (dead is not None and flag(dead) is not False),
        active=flag(patient.get("active")) is not False,
    )
