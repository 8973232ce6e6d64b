"""What a command says when it cannot do what was asked: one line that names the thing and the way on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import explain
from engine.errors import InputError

PATIENT = Path(__file__).resolve().parent.parent / "fhir_examples" / "patients" / "typical-als.json"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("mimic-lem", "`mimic-lem` is no rule; did you mean `mimic-lems`?"),
        ("zzzzzz", "`zzzzzz` is no rule; see `endplate rules list`"),
    ],
)
def test_a_rule_that_does_not_exist_is_named_with_the_nearest_one(rule: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        explain.run(PATIENT, rule, as_of="bundle", complete=False, output="text", folder=None, valuesets=())

    assert str(error.value) == says
