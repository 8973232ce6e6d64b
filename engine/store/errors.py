"""What can go wrong with the store, told without statements, parameters or values of rows."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from engine.errors import EndplateError

_CONFLICTS = {"40001", "40P01"}  # serialization failure, deadlock (PostgreSQL, appendix A)


class StoreError(EndplateError):
    """The store cannot be read or written."""


class ConflictError(StoreError):
    """The transaction lost against another one and changed nothing: the same again may succeed."""


def told(doing: str, error: Exception) -> StoreError:
    """The error as users see it. Messages of PostgreSQL that have a code may quote values: the code stands for them."""
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if code := getattr(origin, "sqlstate", None):
        kind = ConflictError if code in _CONFLICTS else StoreError
        return kind(f"the store cannot be {doing}: {type(origin).__name__} (SQLSTATE {code})")
    if isinstance(error, PoolTimeoutError):
        return StoreError(
            f"the store cannot be {doing}: no connection is free; raise `ENDPLATE_DATABASE_CONNECTIONS` or look for "
            "what holds them"
        )
    if isinstance(origin, SQLAlchemyError):
        return StoreError(f"the store cannot be {doing}: {type(origin).__name__}")
    return StoreError(f"the store cannot be {doing}: {str(origin).strip().partition(chr(10))[0]}")
