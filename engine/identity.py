"""Stable names of findings (design, "One evaluation, four views").

The identifier does not change with evidence, severity or versions: a second screening updates instead of adding.
The evidence hash changes exactly when what was read changes: it drives silence, change detection and updates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from engine.model.finding import Because


def identifier(patient: str, rule: str, order: str = "", tenant: str = "") -> str:
    """Identifier of a finding: SHA-256 over tenant, patient key, rule id and, for order rules, the order."""
    return _digest((tenant, patient, rule, order))


def evidence_hash(because: Iterable[Because]) -> str:
    """Hash over what was read: references, what they said, dates. Order and repetition do not matter."""
    return _digest(sorted({f"{e.reference}\x1f{e.said}\x1f{e.date}" for b in because for e in b.evidence}))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1e".join(parts).encode()).hexdigest()
