"""What all tables share: the metadata, and columns that mean the same in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, MetaData, Text
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
    }
)
NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # 64 bits in both


class Words(TypeDecorator[str]):
    """Text of any length from anywhere. What one of the databases cannot hold is replaced in both.

    That is NUL in PostgreSQL (by U+FFFD), and half a surrogate pair, which is no text in UTF-8 (by a question mark).
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def key() -> Column[str]:
    """Text that is the primary key, or a part of it."""
    return Column(Words(), primary_key=True, nullable=False)


def words(**options: Any) -> Column[str]:
    """Text; "" where there is none."""
    return Column(Words(), nullable=False, **options)


def number(**options: Any) -> Column[int]:
    """A whole number of 64 bits, such as a time."""
    return Column(NUMBER, nullable=False, **options)


def content() -> Column[bytes]:
    """Bytes."""
    return Column(LargeBinary(), nullable=False)
