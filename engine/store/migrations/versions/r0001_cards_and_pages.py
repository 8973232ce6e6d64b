"""Cards, feedback, pages, names and keys.

A SQLite file of before migrations has these very tables: it is taken over as it is.
"""

from alembic import op
from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Text

from engine.store.tables.base import NUMBER

revision = "0001"
down_revision = None


def upgrade() -> None:
    old = op.get_context().dialect.name == "sqlite"
    _table("shown", ["card", "finding", "evidence", "issue", "severity", "client", "user", "encounter", "evaluation"],
           ["at"], ["client", "card", "finding"], old=old)  # fmt: skip
    op.create_index("shown_finding", "shown", ["finding", "client"], if_not_exists=old)
    op.create_index("shown_at", "shown", ["at"], if_not_exists=old)
    _table("feedback", ["card", "client", "outcome", "stamped", "system", "code", "comment", "suggestions"], ["at"],
           ["client", "card", "outcome", "stamped"], old=old)  # fmt: skip
    _table("page", ["id"], ["until"], ["id"], data="content", old=old)
    op.create_index("page_until", "page", ["until"], if_not_exists=old)
    _table("used", ["name"], ["until"], ["name"], old=old)
    _table("secret", ["name"], [], ["name"], data="value", old=old)


def _table(name: str, words: list[str], times: list[str], key: list[str], *, data: str = "", old: bool) -> None:
    op.create_table(
        name,
        *(Column(word, Text(), nullable=False) for word in words),
        *([Column(data, LargeBinary(), nullable=False)] if data else []),
        *(Column(time, NUMBER, nullable=False) for time in times),
        PrimaryKeyConstraint(*key, name=f"{name}_pkey"),
        sqlite_with_rowid=False,
        if_not_exists=old,
    )
