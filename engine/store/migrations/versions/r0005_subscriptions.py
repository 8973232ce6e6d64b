"""Subscriptions of others to findings."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, Text

from engine.store.tables.base import NUMBER

revision = "0005"
down_revision = "0004"

WORDS = (
    "id client form status endpoint content mime headers severities rulesets issues patient reason error"
)  # fmt: skip
NUMBERS = "heartbeat timeout most ends_at number failing_at heard_at changed_at revision"


def upgrade() -> None:
    op.create_table(
        "subscription",
        *(Column(name, Text(), nullable=False) for name in WORDS.split()),
        *(Column(name, NUMBER, nullable=False) for name in NUMBERS.split()),
        PrimaryKeyConstraint("id", name="subscription_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("subscription_patient", "subscription", ["patient"])
