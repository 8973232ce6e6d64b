"""What the service remembers: cards that were shown, what users did with them, pages of evaluations."""

from engine.store.model import Acknowledged, Given, Shown
from engine.store.store import Store, StoreError

__all__ = ["Acknowledged", "Given", "Shown", "Store", "StoreError"]
