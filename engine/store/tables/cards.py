"""Cards that were shown, and feedback on them. Times are whole seconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Index, Table, TypedColumns

from engine.store.tables.base import key, metadata, number, words


class ShownColumns(TypedColumns):
    """One finding on one card that was shown to somebody."""

    client = key()
    card = key()
    finding = key()
    evidence = words()
    issue = words()
    severity = words()
    user = words()
    encounter = words()
    evaluation = words()
    at = number()
    patient = words(server_default="")  # empty: of before 0002


class FeedbackColumns(TypedColumns):
    """What a user did with a card, which leads to the patient."""

    client = key()
    card = key()
    outcome = key()
    stamped = key()
    system = words()
    code = words()
    comment = words()
    suggestions = words()
    at = number()


shown = Table("shown", metadata, ShownColumns, sqlite_with_rowid=False)
feedback = Table("feedback", metadata, FeedbackColumns, sqlite_with_rowid=False)

Index("shown_finding", shown.c.finding, shown.c.client)
Index("shown_at", shown.c.at)
Index("shown_patient", shown.c.patient)
Index("feedback_at", feedback.c.at)
