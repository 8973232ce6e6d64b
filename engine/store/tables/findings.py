"""Findings that were told, in all their versions. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Index, Table, TypedColumns

from engine.store.tables.base import content, key, metadata, number, words


class FindingColumns(TypedColumns):
    """The version that stands of a finding, by what it is looked for."""

    identifier = key()
    version = number()
    patient = words()
    issue = words()
    severity = words()
    status = words()
    at = number()


class FindingHistoryColumns(TypedColumns):
    """One version of a finding; `engine.store.findings.Change` says what the columns mean."""

    identifier = key()
    version = number(primary_key=True)
    patient = words()
    kind = words()
    issue = words()
    ruleset = words()
    severity = words()
    display = words()
    evidence = words()
    missing = words()
    status = words()
    reason = words()
    content = content()
    first_at = number()
    at = number()


finding = Table("finding", metadata, FindingColumns, sqlite_with_rowid=False)
finding_history = Table("finding_history", metadata, FindingHistoryColumns, sqlite_with_rowid=False)

Index("finding_patient", finding.c.patient)
Index("finding_at", finding.c.at)
Index("finding_history_patient", finding_history.c.patient)
