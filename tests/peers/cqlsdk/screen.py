"""Screens Bundles (NDJSON) with rule.cql by ms-cql-sdk.

python screen.py FILE -> {cpu_s, patients, positive, memory_mb}
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cql_sdk.api import load_library_from_cql
from cql_sdk.fhir.context import context_from_bundle
from cql_sdk.invocation.toolkit import InvocationToolkit

FIRST = 100                                # of a first round: as in use, loaded

LIBRARY = load_library_from_cql("rule.cql")
TOOLKIT = InvocationToolkit()
TOOLKIT.register(LIBRARY)


def found(line: bytes) -> bool:
    TOOLKIT.clear_cache()                  # else the first patient's answer is that of all
    context = context_from_bundle(json.loads(line))
    return TOOLKIT.invoke(library_identifier=LIBRARY.identifier, definition="Found", context=context) is True


def screened(lines: Sequence[bytes]) -> int:
    return sum(map(found, lines))


def main() -> None:
    lines = Path(sys.argv[1]).read_bytes().splitlines()
    screened(lines[:FIRST])
    start = time.process_time()
    positive = screened(lines)
    spent = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = {"cpu_s": spent, "patients": len(lines), "positive": positive, "memory_mb": memory}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
