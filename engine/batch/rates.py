"""How often rules fire, held against an earlier run: which went silent or noisy, and which unknown codes are new.

**The test.** A rule fired in k of n records now and in m of N then. Given k + m, and if nothing changed, k follows the
hypergeometric distribution: Fisher's exact test, two-sided as twice the smaller tail. Records need not be alike: if
each has a chance of its own (Poisson-binomial), their sum varies less than the test assumes, which makes it stricter.
It assumes that records are independent: the same patient in many Bundles weakens it.

**Many rules.** The chance that any rule is called changed though none is stays below `ALPHA` for the whole run
(Bonferroni). Rules so rare that no outcome could be significant do not count among the tests (Tarone 1990), and are
listed as `unjudged`.

**Large runs.** With millions of records every difference is significant; less than `LEAST`-fold is not told.

**Another mix of patients** changes every rate. A rule is therefore held against all records and against those whom the
rules concern; if only the first differs, it is listed as `follows`, and the share of relevant records is told instead.
A rule that fires in none any more is told in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import exp, lgamma
from pathlib import Path
from typing import Literal

import msgspec

from engine.errors import InputError

ALPHA = 0.01
LEAST = 1.5
RELEVANT = "relevant"                      # in place of an issue: the share of records that the rules concern
_NEGLIGIBLE = 1e-17                        # of a tail's sum

Verdict = Literal["silent", "rarer", "noisy", "steady", "follows", "unjudged"]
WARNED = frozenset({"silent", "rarer", "noisy"})


class Fired(msgspec.Struct, frozen=True):
    """In how many records an issue stands, and the hash of its rule."""

    records: int
    hash: str = ""


class Code(msgspec.Struct, frozen=True):
    """An unknown code that looks relevant (engine/batch/drift.py)."""

    carrier: str
    system: str
    code: str
    why: str
    entries: int
    like: tuple[str, ...] = ()


class Unknowns(msgspec.Struct, frozen=True):
    """Those that were met, the most frequent ones; `more`: how many are not listed."""

    codes: tuple[Code, ...] = ()
    rare: int = 0
    more: int = 0


class Content(msgspec.Struct, frozen=True):
    """Which rules."""

    id: str
    version: str
    hash: str


class Patients(msgspec.Struct, frozen=True):
    """The denominators."""

    evaluated: int
    relevant: int


class Parameters(msgspec.Struct, frozen=True):
    """How a run was made, as far as it bears on rates."""

    complete: bool = False
    only: tuple[str, ...] = ()
    as_of: str = ""


class Run(msgspec.Struct, frozen=True):
    """What `summary.json` says of a run, as far as rates need it."""

    ruleset: Content
    run: Parameters
    patients: Patients
    firing: Mapping[str, Fired]
    unknown_codes: Unknowns


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """One issue (or `relevant`) then and now. `p`: of all records; `rule_changed`: its rule is another one."""

    issue: str
    verdict: Verdict
    then: int
    now: int
    p: float
    rule_changed: bool = False
    note: str = ""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run beside this one. `threshold`: below it p is significant."""

    ruleset: Content
    then: Patients
    now: Patients
    threshold: float
    tests: int
    rates: tuple[Rate, ...]
    new_codes: tuple[Code, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[Rate, ...]:
        """What went silent, rarer or noisy, silent ones first."""
        order = ("silent", "rarer", "noisy")                  # of WARNED
        return tuple(sorted((r for r in self.rates if r.verdict in WARNED), key=lambda r: order.index(r.verdict)))


    @property
    def has_drifted(self) -> bool:
        """Whether there is anything to warn of."""
        return bool(self.warnings or self.new_codes)


def read_run(path: Path) -> Run:
    """The summary of an earlier run. Raises InputError: not there, no summary, or of a version that counted less."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {(error.strerror or 'it failed').lower()}") from None
    try:
        return _sound(msgspec.json.decode(data, type=Run))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        said = "is no `summary.json` of a run that counted rates: give that of an earlier `endplate screen`"
        raise InputError(f"`{path}` {said}") from None


def run_of(summary: Mapping[str, object]) -> Run:
    """This run, from what is about to be its summary."""
    return msgspec.convert(summary, Run)


def held_against(now: Run, then: Run) -> Rates:
    """Every issue of either run, the significant ones told apart; and unknown codes that were not met then."""
    asked = sorted(now.firing.keys() & then.firing.keys())
    counts = {RELEVANT: (now.patients.relevant, then.patients.relevant)}
    counts |= {issue: (now.firing[issue].records, then.firing[issue].records) for issue in asked}
    everybody = now.patients.evaluated, then.patients.evaluated
    least = {name: smallest_p(k, everybody[0], m, everybody[1]) for name, (k, m) in counts.items()}
    tests = _tests(least.values())
    threshold = ALPHA / tests
    rates = []
    for name, (k, m) in counts.items():
        p = fisher(k, everybody[0], m, everybody[1])
        verdict = _verdict((k, m), everybody, p, least[name], threshold)
        if verdict in ("rarer", "noisy") and name != RELEVANT:
            concerned = max(now.patients.relevant, k), max(then.patients.relevant, m)
            if fisher(k, concerned[0], m, concerned[1]) > threshold or not _far(k, concerned[0], m, concerned[1]):
                verdict = "follows"
        changed = name != RELEVANT and now.firing[name].hash != then.firing[name].hash
        rates.append(Rate(issue=name, verdict=verdict, then=m, now=k, p=float(f"{p:.3g}"), rule_changed=changed))
    rates += _gone(now, then)
    return Rates(
        ruleset=then.ruleset,
        then=then.patients,
        now=now.patients,
        threshold=float(f"{threshold:.3g}"),
        tests=tests,
        rates=tuple(rates),
        new_codes=tuple(_new_codes(now.unknown_codes, then.unknown_codes)),
        notes=tuple(_notes(now, then)),
    )


def fisher(k: int, n: int, m: int, total: int) -> float:
    """Two-sided p of k of n against m of `total` (Fisher's exact test, twice the smaller tail)."""
    fired = k + m
    if not (n and total and fired) or fired == n + total:
        return 1.0
    expected = fired * n / (n + total)
    step = -1 if k <= expected else 1
    return min(1.0, 2 * _tail(k, n, total, fired, step))


def smallest_p(k: int, n: int, m: int, total: int) -> float:
    """The smallest p that any split of the same k + m could have."""
    fired = k + m
    low, high = max(0, fired - total), min(n, fired)
    return min(fisher(low, n, fired - low, total), fisher(high, n, fired - high, total))


def _tail(k: int, n: int, total: int, fired: int, step: int) -> float:
    """The chance of k or of what lies beyond it in the direction of `step`."""
    low, high = max(0, fired - total), min(n, fired)
    term = whole = exp(
        _log_choose(n, k) + _log_choose(total, fired - k) - _log_choose(n + total, fired)
    )
    while low <= k + step <= high and term > whole * _NEGLIGIBLE:
        if step > 0:
            term *= (n - k) * (fired - k) / ((k + 1) * (total - fired + k + 1))
        else:
            term *= k * (total - fired + k) / ((n - k + 1) * (fired - k + 1))
        k += step
        whole += term
    return whole


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _tests(least: Iterable[float]) -> int:
    """By how many tests ALPHA is divided (Tarone): the smallest m so that at most m could fall below ALPHA/m."""
    ranked = sorted(least)
    tests = 1
    while sum(p <= ALPHA / tests for p in ranked) > tests:
        tests += 1
    return tests


def _verdict(counts: tuple[int, int], of: tuple[int, int], p: float, least: float, threshold: float) -> Verdict:
    (k, m), (n, total) = counts, of
    if least > threshold:
        return "unjudged" if k + m else "steady"
    if p > threshold or not _far(k, n, m, total):
        return "steady"
    if not k:
        return "silent"
    return "rarer" if k * total < m * n else "noisy"


def _far(k: int, n: int, m: int, total: int) -> bool:
    """Whether the rates are LEAST-fold apart."""
    now, then = k * total, m * n
    return now >= LEAST * then or then >= LEAST * now


def _gone(now: Run, then: Run) -> Iterator[Rate]:
    """Rules of then that this run does not have; those that `--only` leaves out are not meant."""
    for issue in sorted(then.firing.keys() - now.firing.keys()):
        fired = then.firing[issue].records
        if fired and not now.run.only:
            yield Rate(issue=issue, verdict="silent", then=fired, now=0, p=0.0, rule_changed=True,
                       note="no longer among the rules")  # fmt: skip


def _new_codes(now: Unknowns, then: Unknowns) -> Iterator[Code]:
    met = {(one.carrier, one.system, one.code) for one in then.codes}
    return (one for one in now.codes if (one.carrier, one.system, one.code) not in met)


def _notes(now: Run, then: Run) -> Iterator[str]:
    """What bears on the comparison."""
    if now.ruleset.hash != then.ruleset.hash:
        yield f"the rules are not the same: {then.ruleset.version} {then.ruleset.hash[:12]} then"
    if now.run.complete != then.run.complete:
        yield f"records were {'' if then.run.complete else 'not '}declared complete then"
    if added := now.firing.keys() - then.firing.keys():
        yield f"{_counted(len(added), 'rule')} of this run not in the earlier one: {_some(sorted(added))}"
    if then.unknown_codes.more:
        yield f"the earlier run lists its most frequent unknown codes; {then.unknown_codes.more} more may seem new now"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _sound(run: Run) -> Run:
    """A run whose counts can be. Raises ValueError."""
    counts = [fired.records for fired in run.firing.values()]
    patients = run.patients
    if not all(0 <= count <= patients.evaluated for count in (*counts, patients.relevant)):
        raise ValueError
    return run
