"""The durable backend: forward chaining by durable-rules, used only in the one way in which it is safe.

Its C module is driven directly: positive rules over small integers, one session that is re-used, facts asserted and
retracted in batches. No host and no threads of its own, no negation, no session is ever deleted, no FHIR, number or
text of a patient enters it. What it sees is the network of `engine.inference.network`: an asserted fact is an atom, a
firing concludes further atoms, and after each stratum this driver reads the values of its rules and asserts what they
decide.

The only module that imports durable-rules, and only when a backend is made.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import count
from types import ModuleType
from typing import NamedTuple

from engine.errors import BackendError
from engine.inference.network import Atom, Premises, build
from engine.inference.port import Inference, Part
from engine.model.fact import UNKNOWN
from engine.rules.program import Conclusions, Program, Rule

BASE, TOP = 12, 400                       # an atom's number is tested digit by digit: x and y below BASE, z below TOP
MAX_USES = 250                            # of one engine fact in rules; the engine refuses 257
MAX_RULES = 4000                          # of one ruleset; the engine refuses 4097
_RESERVED = ("sid-0", "$pulse")           # ids of the engine's own messages


def load_engine() -> ModuleType:
    """The C module of durable-rules."""
    try:
        return import_module("durable_rules_engine")
    except ImportError as cause:
        raise BackendError(
            "the durable backend is not installed: install `endplate[durable]` with Python 3.11 or 3.12 and a"
            " C compiler, or use the backend `plain`"
        ) from cause


class DurableBackend:
    """A program compiled for durable-rules: two engines, one for each part. Threads take turns."""

    name = "durable"

    def __init__(self, program: Program) -> None:
        self._engines = {"patient": _Engine(program.patient), "order": _Engine(program.order)}

    def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference:
        """Decide every rule of a part (see `port.Backend`). After a failure the next call has a fresh engine."""
        return Inference(self._engines[part].infer(values))

    def ask(self, values: Mapping[str, str], part: Part = "patient") -> Callable[[], Inference]:
        """The question is answered when the answer is asked for."""
        return partial(self.infer, values, part)

    def close(self) -> None:
        """Give back the rulesets. (The engine never frees a session: make few backends, and use them long.)"""
        for engine in self._engines.values():
            engine.close()

    def leftovers(self) -> list[object]:
        """Facts that the engines still hold between evaluations: none, unless something is wrong."""
        return [fact for engine in self._engines.values() for fact in engine.leftovers()]


class _Engine:
    """The rules of one part: as many rulesets as they need, which tell each other what they conclude."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._network = build(rules)
        found = self._network.rules
        parts = [found[start : start + MAX_RULES] for start in range(0, len(found), MAX_RULES)] or [()]
        self._rulesets = [_Ruleset(_wire(part)) for part in parts]
        self._lock = threading.Lock()
        self._open()

    def infer(self, values: Mapping[str, str]) -> Conclusions:
        with self._lock:
            try:
                return self._infer(values)
            except BaseException as cause:
                self._open()                      # a session that stopped half way is never used again
                if isinstance(cause, BackendError) or not isinstance(cause, Exception):
                    raise
                raise BackendError(f"durable-rules failed: {cause}; the next evaluation starts afresh") from cause

    def leftovers(self) -> list[object]:
        with self._lock:
            return [fact for ruleset in self._rulesets for fact in ruleset.facts()]

    def close(self) -> None:
        with self._lock:
            for ruleset in self._rulesets:
                ruleset.close()

    def _open(self) -> None:
        for ruleset in self._rulesets:
            ruleset.open()

    def _infer(self, values: Mapping[str, str]) -> Conclusions:
        network = self._network
        known = bytearray(2 * len(network.labels))
        asserted: list[Atom] = []
        concluded: dict[str, str] = {}
        cases: dict[str, int] = {}
        batch = list(network.always)
        for fact in network.outer:
            batch += network.decided[fact].of(values.get(fact, UNKNOWN))
        for stratum in network.strata:
            self._saturate(batch, known, asserted)
            batch = []
            for closing in stratum:
                value, first = closing.read(known)
                concluded[closing.name] = value
                if first is not None:
                    cases[closing.name] = first
                if (decided := network.decided.get(closing.name)) is not None:
                    batch += decided.of(value)
        for ruleset in self._rulesets:
            ruleset.retract(asserted)
        return Conclusions(values=concluded, cases=cases)

    def _saturate(self, batch: Sequence[Atom], known: bytearray, asserted: list[Atom]) -> None:
        """Assert atoms, and what follows from them, until nothing is new."""
        while batch:
            asserted += batch
            found: list[Atom] = []
            for ruleset in self._rulesets:
                ruleset.fire(batch, known, found)
            batch = [atom for atom in found if any(atom in ruleset.wiring.facts for ruleset in self._rulesets)]


class _Ruleset:
    """One ruleset handle with its one session."""

    def __init__(self, wiring: _Wiring) -> None:
        self.wiring = wiring
        self._c = load_engine()
        self._handle: int | None = None
        self._in_session = False                  # the engine makes its session with the first fact

    def open(self) -> None:
        """A new ruleset and with it a new session. The old session is abandoned: deleting one can crash the process."""
        self.close()
        try:
            self._handle = self._c.create_ruleset(f"endplate-{next(_GENERATION)}", self.wiring.rules)
        except Exception as cause:
            raise BackendError(f"durable-rules refuses the ruleset: {cause}; use the backend `plain`") from cause

    def close(self) -> None:
        if self._handle is not None:
            with suppress(Exception):
                self._c.delete_ruleset(self._handle)
        self._handle, self._in_session = None, False

    def facts(self) -> list[object]:
        """What the session holds."""
        found: list[object] = json.loads(self._c.get_facts(self._handle, "0")) if self._in_session else []
        return found

    def fire(self, batch: Sequence[Atom], known: bytearray, found: list[Atom]) -> None:
        """Assert those atoms that a rule reads; what follows from them, and is new, is marked in `known` and told."""
        handle, start, step = self._handle, self._c.start_action_for_state, self._c.complete_and_start_action
        conclusions, facts = self.wiring.conclusions, self.wiring.facts
        messages = [facts[atom] for atom in batch if atom in facts]
        if not messages:
            return
        self._in_session = True
        session = self._call(self._c.assert_facts, messages)
        started = start(handle, session)
        fired = started[1] if started else None
        while fired:
            for atom in conclusions[fired[2 : fired.index('"', 2)]]:      # {"rule":{"p0":{...}, ...}}
                if not known[atom]:
                    known[atom] = 1
                    found.append(atom)
            fired = step(handle, session)

    def retract(self, atoms: Sequence[Atom]) -> None:
        """Take back those that a rule reads."""
        self._call(self._c.retract_facts, [self.wiring.ids[atom] for atom in atoms if atom in self.wiring.ids])

    def _call(self, function: Callable[[int | None, str], tuple[int, int]], messages: Sequence[str]) -> int:
        """One batch; the session that it concerns. Every message is read by some rule and is new, so the code is 0."""
        if not messages:
            return 0
        code, session = function(self._handle, f"[{','.join(messages)}]")
        if code != 0:
            raise BackendError(f"durable-rules answered a batch with code {code}; the next evaluation starts afresh")
        return session


class _Wiring(NamedTuple):
    """Rules of the network in the words of the engine."""

    rules: str                                     # JSON for create_ruleset
    conclusions: Mapping[str, tuple[Atom, ...]]    # engine rule -> atoms
    facts: Mapping[Atom, str]                      # atom -> message that asserts it
    ids: Mapping[Atom, str]                        # atom -> message that retracts it


_GENERATION = count()
NetworkRule = tuple[Premises, tuple[Atom, ...]]      # premises -> conclusions


def _wire(network_rules: Sequence[NetworkRule]) -> _Wiring:
    """Number the atoms. One with more uses than the engine allows gets several numbers, asserted together."""
    numbers = _numbers()
    uses: Counter[Atom] = Counter()
    copies: dict[Atom, list[int]] = {}
    rules: dict[str, object] = {}
    conclusions: dict[str, tuple[Atom, ...]] = {}
    for index, (premises, concluded) in enumerate(network_rules):
        patterns = []
        for place, atom in enumerate(premises):
            if uses[atom] % MAX_USES == 0:
                copies.setdefault(atom, []).append(next(numbers))
            uses[atom] += 1
            tests = [{digit: value} for digit, value in _digits(copies[atom][-1]).items()]
            patterns.append({f"p{place}": {"$and": tests}})
        rules[f"q{index}"] = {"all": patterns}
        conclusions[f"q{index}"] = concluded
    return _Wiring(
        rules=json.dumps(rules),
        conclusions=conclusions,
        facts={atom: ",".join(_message(n, _digits(n)) for n in found) for atom, found in copies.items()},
        ids={atom: ",".join(_message(n, {}) for n in found) for atom, found in copies.items()},
    )


def _message(number: int, digits: Mapping[str, int]) -> str:
    return json.dumps({"sid": "0", "id": str(number), **digits}, separators=(",", ":"))


def _digits(number: int) -> dict[str, int]:
    return {"z": number // BASE**2, "y": number // BASE % BASE, "x": number % BASE}


def _numbers() -> Iterator[int]:
    """Numbers whose ids differ in the only thing that the engine compares: a 32-bit hash."""
    seen = {_hash(identity) for identity in _RESERVED}
    for number in range(BASE * BASE * TOP):
        if (found := _hash(str(number))) not in seen:
            seen.add(found)
            yield number
    raise BackendError("too many conditions for the durable backend: use the backend `plain`, or split the ruleset")


def _hash(text: str) -> int:
    """FNV-1a, 32 bits."""
    found = 0x811C9DC5
    for byte in text.encode():
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found
