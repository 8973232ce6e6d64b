"""All kinds of base facts: one module a kind, found by its tag. Adding a module here adds a kind."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Union

from engine.facts.definition import Definition


def _kinds() -> dict[str, type[Definition]]:
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {str(kind.__struct_config__.tag): kind for kind in Definition.__subclasses__()}


KINDS = _kinds()

if TYPE_CHECKING:
    Kind = Definition
else:
    Kind = Union[tuple(KINDS.values())]  # noqa: UP007
