"""Resources that hospitals send, how far each source has been heard, what is to be fetched and who to be decided on."""

from alembic import op
from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Text

from engine.store.tables.base import NUMBER

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _table("resource", "type id", "source patient identifier version subscription", "updated number deleted at",
           data="content")  # fmt: skip
    _table("reference", "target type id", "patient")
    _table("identifier", "identifier patient")
    _table("source_state", "source subscription", "status", "last_number last_heard")
    _table("pending_fetch", "source subscription kind what", "patient", "asked attempts since next_at")
    _table("work", "patient", "claimed_by", "dirty available_at claimed_until")
    op.create_index("resource_patient", "resource", ["patient"])
    op.create_index("resource_identifier", "resource", ["identifier"])
    op.create_index("resource_at", "resource", ["at"])
    op.create_index("reference_of", "reference", ["type", "id"])
    op.create_index("reference_patient", "reference", ["patient"])
    op.create_index("identifier_patient", "identifier", ["patient"])
    op.create_index("pending_fetch_next_at", "pending_fetch", ["next_at"])
    op.create_index("pending_fetch_patient", "pending_fetch", ["patient"])
    op.create_index("work_available_at", "work", ["available_at"])


def _table(name: str, key: str, words: str = "", numbers: str = "", *, data: str = "") -> None:
    op.create_table(
        name,
        *(Column(word, Text(), nullable=False) for word in (*key.split(), *words.split())),
        *(Column(number, NUMBER, nullable=False) for number in numbers.split()),
        *([Column(data, LargeBinary(), nullable=False)] if data else []),
        PrimaryKeyConstraint(*key.split(), name=f"{name}_pkey"),
        sqlite_with_rowid=False,
    )
