"""The rules that answer now. Others can take their place while calls are being answered: none is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import msgspec

from engine.evaluation import Evaluator
from engine.forms.askable import askable
from engine.integration.rendering import Rules
from engine.outputs.needs import fact_resources
from engine.service.fetch import Fetcher
from engine.service.hooks import discovery
from engine.service.needs import Needs, needs_of
from engine.settings import Settings


class Content:
    """A ruleset made ready for the service: what it asks for, what discovery says."""

    def __init__(self, evaluator: Evaluator, settings: Settings) -> None:
        self.evaluator = evaluator
        self._base = settings.base
        self.needs: Needs = needs_of(evaluator.ruleset, settings.observation_categories)
        self.fetcher = Fetcher(self.needs, settings)
        self.discovery: bytes = msgspec.json.encode(discovery(self.needs, evaluator.ruleset.title))
        self.users = 0
        self.retired = False

    @cached_property
    def askable(self) -> frozenset[str]:
        """The facts that the forms can ask for."""
        ruleset = self.evaluator.ruleset
        return frozenset(askable(ruleset.facts, ruleset.content.forms.values()))

    @cached_property
    def rules(self) -> Rules:
        """The texts of the rules, for what is told of findings."""
        ruleset = self.evaluator.ruleset
        return Rules(ruleset.info, fact_resources(ruleset), self._base)


class Live:
    """Holds the content in use, and closes its backend when the last call that uses it is answered."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._lock = threading.Lock()

    @property
    def content(self) -> Content:
        """What answers now."""
        return self._content

    @contextmanager
    def used(self) -> Iterator[Content]:
        """The content, which stays whole until the block ends."""
        with self._lock:
            content = self._content
            content.users += 1
        try:
            yield content
        finally:
            with self._lock:
                content.users -= 1
                over = content.retired and not content.users
            if over:
                content.evaluator.backend.close()

    def swap(self, load: Callable[[], Content]) -> Content:
        """Puts other content in place. If it cannot be loaded, all stays as it is, and the error is raised."""
        fresh = load()
        with self._lock:
            old, self._content = self._content, fresh
            old.retired = True
            unused = not old.users
        if unused and old.evaluator.backend is not fresh.evaluator.backend:
            old.evaluator.backend.close()
        return fresh
