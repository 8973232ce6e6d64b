"""Findings that were told, deliveries, and who is decided on again."""

from alembic import op
from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Text

from engine.store.tables.base import NUMBER

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _table("finding", "identifier", "patient issue severity status", "version at")
    words = "patient kind issue ruleset severity display evidence missing status reason"
    _table("finding_history", "identifier", words, "first_at at", number_key="version", data="content")
    _table("sweep", "name", "cause patient", "done at")
    op.create_table(
        "delivery",
        Column("seq", NUMBER, nullable=False, autoincrement=True),
        *_columns("lane target patient identifier kind state error claimed_by", Text()),
        *_columns("version number attempts next_at claimed_until at", NUMBER),
        PrimaryKeyConstraint("seq", name="delivery_pkey"),
    )
    op.add_column("work", Column("attempts", NUMBER, nullable=False, server_default="0"))
    for table, name, columns in (
        ("finding", "finding_patient", "patient"),
        ("finding", "finding_at", "at"),
        ("finding_history", "finding_history_patient", "patient"),
        ("delivery", "delivery_due", "state lane next_at"),
        ("delivery", "delivery_turn", "patient target state seq"),
        ("delivery", "delivery_number", "target number"),
        ("delivery", "delivery_of", "identifier target version"),
        ("delivery", "delivery_at", "at"),
    ):
        op.create_index(name, table, columns.split())


def _table(name: str, key: str, words: str, numbers: str, *, number_key: str = "", data: str = "") -> None:
    op.create_table(
        name,
        *_columns(f"{key} {words}", Text()),
        *_columns(f"{number_key} {numbers}", NUMBER),
        *([Column(data, LargeBinary(), nullable=False)] if data else []),
        PrimaryKeyConstraint(*key.split(), *number_key.split(), name=f"{name}_pkey"),
        sqlite_with_rowid=False,
    )


def _columns(names: str, kind: object) -> list[Column]:  # type: ignore[type-arg]
    return [Column(name, kind, nullable=False) for name in names.split()]  # type: ignore[arg-type]
