"""The checker: everything that a ruleset is refused for, beyond what its files could not be read for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from engine.document import Document
from engine.errors import Fault
from engine.rules.checks.cases import check_cases
from engine.rules.checks.texts import check_texts
from engine.rules.checks.unread import check_unread
from engine.rules.checks.vignettes import check_vignettes
from engine.rules.compile import Compiled
from engine.rules.declared import Declared


def check(
    compiled: Compiled,
    *,
    declared: Declared,
    needs: Collection[str],
    parameters: Collection[str],
    fixed: Collection[str],
    orders: Collection[str] | None,
    vignettes: Iterable[Document] | None,
) -> list[Fault]:
    """All faults of a ruleset whose rules could be compiled (see `checks`). Without `vignettes` these are not asked."""
    return [
        *check_cases(compiled),
        *check_texts(compiled, declared.parameters, orders),
        *check_unread(compiled, declared, needs, parameters, fixed),
        *(check_vignettes(compiled, vignettes) if vignettes is not None else ()),
    ]
