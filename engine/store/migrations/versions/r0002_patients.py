"""Cards and pages know their patient, so that one can be purged, and pages when they were made."""

from alembic import op
from sqlalchemy import Column, Text

from engine.store.tables.base import NUMBER

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for table in ("shown", "page"):
        op.add_column(table, Column("patient", Text(), nullable=False, server_default=""))
        op.create_index(f"{table}_patient", table, ["patient"])
    op.add_column("page", Column("at", NUMBER, nullable=False, server_default="0"))
