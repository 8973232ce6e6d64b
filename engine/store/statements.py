"""Inserting where the key may be there already: the two dialects write it alike and name it differently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

Row = dict[str, Any]
_COUNTED = {"preserve_rowcount": True}


def put(connection: Connection, table: Table[Any], rows: Sequence[Row]) -> None:
    """Inserts rows, in the place of those with the same primary key."""
    if rows:
        connection.execute(_put(table, connection.dialect.name), rows)


def add(connection: Connection, table: Table[Any], rows: Sequence[Row]) -> int:
    """Inserts rows, but for those whose primary or unique key is there; how many were inserted."""
    statement = _add(table, connection.dialect.name)
    return connection.execute(statement, rows, execution_options=_COUNTED).rowcount if rows else 0


@cache
def _put(table: Table[Any], dialect: str) -> Insert:
    insert = inserting(table, dialect)
    key = [column.name for column in table.primary_key]
    values = {column.name: insert.excluded[column.name] for column in table.c if column.name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=values)


@cache
def _add(table: Table[Any], dialect: str) -> Insert:
    return inserting(table, dialect).on_conflict_do_nothing()


def inserting(table: Table[Any], dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An insert that can be told what to do where the key is there."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
