"""How many examples a random test tries: some always, many with ENDPLATE_SOAK=1 (`make soak`)."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("ENDPLATE_SOAK"))


def examples(short: int) -> int:
    """`short`, or thirty times as many."""
    return 30 * short if SOAK else short
