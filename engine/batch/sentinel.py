"""A patient who stands in a group for those who are given, but elsewhere: then a name that leads nowhere is odd."""

from __future__ import annotations

from engine.fhir.grouping import Group
from engine.fhir.lookup import Lookup
from engine.model.problem import Problem

_SENTINEL = {"resourceType": "Patient", "id": "_"}      # an id that no Patient can have


def with_a_patient(lookup: Lookup, problems: list[Problem]) -> Group:
    """A group in which the patients are given, though none of them stands in it."""
    group = Group(lookup, problems)
    group.add(_SENTINEL, "")
    return group


def is_sentinel(reference: str) -> bool:
    """Whether a patient is the one that `with_a_patient` put there."""
    return reference == "Patient/_"
