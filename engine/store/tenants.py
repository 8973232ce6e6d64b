"""Whose a store is: it has the patients of one tenant alone.

Ids of resources, patients who wait, letters and subscriptions would mean two things where two hospitals shared tables;
so each has a database, a schema of one, or a file of its own, and a store is refused to everybody but its tenant.
"""

from __future__ import annotations

from sqlalchemy import select

from engine.store.database import Database
from engine.store.errors import StoreError
from engine.store.statements import add
from engine.store.tables import owner

_OWNER = select(owner.c.tenant)


def take(database: Database, tenant: str) -> None:
    """The store is that of a tenant from now on; "" = of nobody in particular. Raises StoreError as `check` does."""
    if tenant:
        with database.read() as connection:
            known = connection.execute(_OWNER).scalar()
        if known is None:
            database.run(lambda connection: add(connection, owner, [{"number": 1, "tenant": tenant}]))
    check(database, tenant)


def check(database: Database, tenant: str) -> None:
    """Raises StoreError if a store is that of another tenant."""
    with database.read() as connection:
        known = connection.execute(_OWNER).scalar()
    if known is not None and known != tenant:
        raise StoreError(
            f"`{database.name}` has the patients of the tenant `{known}`, and `ENDPLATE_TENANT` is `{tenant}`: give "
            "each tenant a folder (`ENDPLATE_DATA`), a database, or a schema of its own (`ENDPLATE_DATABASE`, with "
            "`?options=-csearch_path%3Dname`)"
        )
