"""What a run is: its sources, rules and choices, as every worker needs them."""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path

import msgspec

from engine.batch.plan import Part
from engine.batch.rates import Run
from engine.batch.sources import Source
from engine.evaluation import Evaluator
from engine.inference.backends import make_backend
from engine.model.problem import Problem
from engine.rules.load import load_ruleset


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to know; it stands in the folder of the run, so that a later run can go on."""

    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    partitions: int
    as_of: date
    at_bundle_time: bool = False
    complete: bool = False
    backend: str = "plain"
    ruleset: str = ""                      # folder; "" = the one that comes with the package
    valuesets: tuple[str, ...] = ()
    cache: str = ""
    content: str = ""                      # hash of the ruleset
    engine: str = ""                       # version
    only: tuple[str, ...] = ()             # issues that are kept; () = all
    asked: tuple[str, ...] = ()            # as the caller wrote what is kept
    paths: tuple[str, ...] = ()            # as the caller wrote them
    limit: int = 0                         # 0 = none
    thorough: bool = False                 # read also the patients whom no rule can concern
    validate: bool = False                 # hold every output against the FHIR classes
    problems: tuple[Problem, ...] = ()     # of the listing
    compare: str = ""                      # folder of the second version of the rules; "" = there is none
    compared: str = ""                     # its hash
    rates: str = ""                        # file of the earlier run, as the caller wrote it; "" = there is none
    earlier: Run | None = None             # what it says

    def partition(self, key: str) -> int:
        """The partition of a key: the same in every process."""
        return zlib.crc32(key.encode("utf-8", "replace")) % self.partitions


def load(setup: Setup) -> Evaluator:
    """The ruleset of a setup, made ready."""
    loaded = load_ruleset(
        Path(setup.ruleset) if setup.ruleset else None,
        extra_valuesets=tuple(Path(one) for one in setup.valuesets),
        cache_dir=Path(setup.cache) if setup.cache else None,
    )
    return Evaluator(loaded, make_backend(setup.backend, loaded.program))  # type: ignore[arg-type]
