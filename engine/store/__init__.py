"""What the service remembers: cards that were shown, what users did with them, pages of evaluations."""

from engine.store.database import Database
from engine.store.errors import ConflictError, StoreError
from engine.store.model import Acknowledged, Given, Kept, Shown
from engine.store.store import Store

__all__ = ["Acknowledged", "ConflictError", "Database", "Given", "Kept", "Shown", "Store", "StoreError"]
