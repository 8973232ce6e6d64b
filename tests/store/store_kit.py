"""Rows for the store."""

from __future__ import annotations

from typing import Any

from engine.store import Given, Kept, Shown


def shown(**fields: Any) -> Shown:
    usual = {
        "card": "c", "finding": "f", "evidence": "e", "issue": "i", "severity": "high", "client": "ehr", "user": "u",
        "encounter": "n", "evaluation": "v", "at": 0,
    }  # fmt: skip
    return Shown(**usual | fields)


def given(**fields: Any) -> Given:
    usual = {
        "card": "c", "client": "ehr", "outcome": "overridden", "stamped": "t", "system": "s", "code": "planned",
        "comment": "", "suggestions": ("a", "b"), "at": 1,
    }  # fmt: skip
    return Given(**usual | fields)


def kept(**fields: Any) -> Kept:
    return Kept(**{"id": "p", "content": b"page", "until": 100, "patient": "Patient/x", "at": 0} | fields)
