"""Who claims work, whose tenant's a store is, and claims of what is to be fetched."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, Text

from engine.store.tables.base import NUMBER

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "holder",
        Column("name", Text(), nullable=False),
        Column("at", NUMBER, nullable=False),
        PrimaryKeyConstraint("name", name="holder_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "owner",
        Column("number", NUMBER, nullable=False),
        Column("tenant", Text(), nullable=False),
        PrimaryKeyConstraint("number", name="owner_pkey"),
        sqlite_with_rowid=False,
    )
    op.add_column("pending_fetch", Column("claimed_by", Text(), nullable=False, server_default=""))
    op.add_column("pending_fetch", Column("claimed_until", NUMBER, nullable=False, server_default="0"))
