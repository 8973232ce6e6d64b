"""What is to be told to others, and what was. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, TypedColumns

from engine.store.tables.base import NUMBER, metadata, number, words


class DeliveryColumns(TypedColumns):
    """One version of a finding is to be told to one target; `engine.store.outbox` says what the columns mean."""

    seq = Column(NUMBER, primary_key=True, nullable=False)
    lane = words()
    target = words()
    patient = words()
    identifier = words()
    version = number()
    kind = words()
    state = words()
    attempts = number()
    next_at = number()
    error = words()
    claimed_by = words()
    claimed_until = number()
    at = number()
    number = number()


delivery = Table("delivery", metadata, DeliveryColumns)

Index("delivery_due", delivery.c.state, delivery.c.lane, delivery.c.next_at)
Index("delivery_turn", delivery.c.patient, delivery.c.target, delivery.c.state, delivery.c.seq)
Index("delivery_number", delivery.c.target, delivery.c.number)
Index("delivery_of", delivery.c.identifier, delivery.c.target, delivery.c.version)
Index("delivery_at", delivery.c.at)
