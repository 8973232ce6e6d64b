"""Checking what we emit with fhir.resources. It is slow to import and never on the read path: imported when first used.

It checks structure and types, not value sets and references; R4 is checked as R4B, which is
equal for everything that is emitted here.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

from engine.errors import OutputError


def check_output(resource: dict[str, Any], version: Literal["R4", "R5"] = "R4") -> None:
    """Raises OutputError, which names the first fault and its place, if a resource (or Bundle) is not valid FHIR."""
    from pydantic import ValidationError  # noqa: PLC0415 - late, as fhir.resources

    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        raise OutputError("the output has no resourceType; this is a fault of Endplate: report it with the input")
    try:
        _model(kind, version).model_validate(resource)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in (kind, *first["loc"]))
        raise OutputError(
            f"the output is no valid FHIR {version}: `{place}`: {first['msg'].lower()}; this is a fault of Endplate: "
            "report it with the input"
        ) from None


@lru_cache(maxsize=64)
def _model(kind: str, version: str) -> Any:
    package = "fhir.resources.R4B" if version == "R4" else "fhir.resources"
    try:
        module = import_module(f"{package}.{kind.lower()}")
        return getattr(module, kind)
    except (ImportError, AttributeError):
        raise OutputError(f"FHIR {version} has no resource `{kind}`") from None
