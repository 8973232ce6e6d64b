"""Who wants to be told of findings. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Index, Table, TypedColumns

from engine.store.tables.base import key, metadata, number, words


class SubscriptionColumns(TypedColumns):
    """One subscription; `engine.store.subscriptions` says what the columns mean. `headers` are secrets."""

    id = key()
    client = words()
    form = words()
    status = words()
    endpoint = words()
    content = words()
    mime = words()
    headers = words()
    heartbeat = number()
    timeout = number()
    most = number()
    severities = words()
    rulesets = words()
    issues = words()
    patient = words()  # who alone is told of; empty: anybody
    reason = words()
    ends_at = number()
    error = words()
    failing_at = number()
    heard_at = number()
    changed_at = number()
    revision = number()
    number = number()  # of its last event


subscription = Table("subscription", metadata, SubscriptionColumns, sqlite_with_rowid=False)

Index("subscription_patient", subscription.c.patient)
