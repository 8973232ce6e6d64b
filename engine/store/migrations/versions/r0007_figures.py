"""Figures of days, and feedback by its time."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, Text

from engine.store.tables.base import NUMBER

revision = "0007"
down_revision = "0006"

KEY = ("day", "what", "name", "outcome", "detail")


def upgrade() -> None:
    op.create_table(
        "figure",
        *(Column(name, Text(), nullable=False) for name in KEY),
        Column("number", NUMBER, nullable=False),
        PrimaryKeyConstraint(*KEY, name="figure_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("feedback_at", "feedback", ["at"])
