"""What is missing behind an outcome, proved by asking again with the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from engine.explanation.answers import Answers, Ways
from engine.model.fact import Fact
from engine.model.finding import Missing, Outcome

Outcomes = frozenset[tuple[str, str, str]]      # (issue, severity, display) of everything that stands
Ask = Callable[[Mapping[str, str]], Outcomes]   # re-evaluates with answers added to what is known


def listed(ways: Ways, fact: Callable[[str], Fact], ask_for: Callable[[str], str]) -> tuple[Missing, ...]:
    """The facts that some answer set names, unproved, the narrowest sets first."""
    names = dict.fromkeys(name for way in ways for name in sorted(f for f, _ in way))
    return once(_missing(name, fact, ask_for) for name in names)


def proved(
    ways: Ways,
    fact: Callable[[str], Fact],
    ask_for: Callable[[str], str],
    *,
    ask: Ask,
    concerns: Callable[[Outcomes], object],
    most: int = 400,
) -> tuple[Missing, ...]:
    """The facts of which an answer, alone or with the others of its set, changes what `concerns` picks of the outcome.

    Every set is tried by evaluating again; at most `most` evaluations are spent.
    """
    before = ask({})
    answers: dict[str, dict[str, Outcome]] = {}
    company: dict[str, dict[str, Mapping[str, str]]] = {}
    for way in ways[:most]:
        if len(way) > 1 and any(fact_name in answers and value in answers[fact_name] and not
                                company.get(fact_name, {}).get(value) for fact_name, value in way):
            continue                           # one answer of the set changes the outcome by itself
        after = ask(dict(way))
        if concerns(after) == concerns(before):
            continue
        _note(way, outcome(before, after), answers, company)
    names = dict.fromkeys(name for way in ways for name in sorted(fact_name for fact_name, _ in way))
    found = (_missing(name, fact, ask_for, answers[name], company.get(name, {})) for name in names if name in answers)
    return once(found)


def once(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    """Each question once: facts that ask for the same thing with the same effect (newest and recent) are one."""
    kept: list[Missing] = []
    for one in missing:
        same = (other for other in kept if (other.ask_for, other.would_change) == (one.ask_for, one.would_change))
        if next(same, None) is None:
            kept.append(one)
    return tuple(kept)


def outcome(before: Outcomes, after: Outcomes) -> Outcome:
    """What newly stands and what is gone, as `issue severity`."""
    return Outcome(gained=_worded(after - before), lost=_worded(before - after))


def _worded(outcomes: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    return tuple(sorted(f"{issue} {severity}" for issue, severity, _ in outcomes))


def _note(
    way: Answers,
    changed: Outcome,
    answers: dict[str, dict[str, Outcome]],
    company: dict[str, dict[str, Mapping[str, str]]],
) -> None:
    for name, value in sorted(way):
        if value in answers.get(name, {}):
            continue                           # a narrower set said it already
        answers.setdefault(name, {})[value] = changed
        others = {other: given for other, given in sorted(way) if other != name}
        if others:
            company.setdefault(name, {})[value] = others


def _missing(
    name: str,
    fact: Callable[[str], Fact],
    ask_for: Callable[[str], str],
    would_change: Mapping[str, Outcome] | None = None,
    with_answers: Mapping[str, Mapping[str, str]] | None = None,
) -> Missing:
    reason = fact(name).reason
    return Missing(
        fact=name,
        reason=str(reason) if reason else "",
        ask_for=ask_for(name),
        would_change=would_change or {},
        with_answers=with_answers or {},
    )
