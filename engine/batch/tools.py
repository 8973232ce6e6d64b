"""What the stages of a batch work with: the rules of a setup, and all that is made of them once in each process."""

from __future__ import annotations

from engine.batch.compare import second_of
from engine.batch.drift import Alikes
from engine.batch.meanings import Meanings
from engine.batch.pieces import Numbers
from engine.batch.records import Records
from engine.batch.relevance import Relevance
from engine.batch.setup import Setup, load
from engine.batch.skim import Skim
from engine.evaluation import Evaluator
from engine.fhir.lookup import lookup_for
from engine.fhir.record import Scope
from engine.outputs.needs import fact_resources


class Tools:
    """The tools of one run. `evaluator`: the rules of its setup, where they are loaded already."""

    def __init__(self, setup: Setup, evaluator: Evaluator | None = None) -> None:
        self.setup = setup
        self.evaluator = evaluator or load(setup)
        ruleset = self.evaluator.ruleset
        lookup = lookup_for(ruleset.terminology)
        self.names = [source.name for source in setup.sources]
        self.scope = Scope(
            as_of=setup.as_of, at_bundle_time=setup.at_bundle_time, complete=True if setup.complete else None
        )
        self.second = second_of(self.evaluator, setup.compare, setup.valuesets, setup.cache, setup.only)
        self.records = Records(self.names, self.scope, lookup, self.second)
        self.alikes = Alikes(ruleset)
        self.relevance = Relevance(ruleset, lookup, self.alikes)
        kept = lookup                      # by whose meanings rows are kept
        if self.second:
            self.relevance = self.second.relevance_of_both(self.relevance)
            kept = self.second.lookup_of_both()
        self.meanings = Meanings(kept, self.relevance)
        self.skim = Skim(self.meanings, self.relevance)
        self.types = fact_resources(ruleset)
        self.numbers = Numbers()
