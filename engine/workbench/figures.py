"""What operators see of the service: figures of some days as tables and bars. Nothing of a patient.

Rows come from the store, so they are of all processes and of before the last start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

import msgspec

from engine.model.figure import SENT, Answers, Fetches, Figure, Letters, Voice
from engine.outputs.cards import INDICATOR, OVERRIDE_REASONS
from engine.rules.program import Issue
from engine.rules.ruleset import Ruleset
from engine.views import NEVER_ON_CARDS

PERIODS = (1, 7, 30)  # days
OFTEN = 10  # cards of a rule that is shown often
ANSWERED = 5  # cards without so many answers say nothing of a rule
MOST_TARGETS = 100
_NAMES = {SENT: "sent to us"}
_REASONS = dict(OVERRIDE_REASONS)


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows. `last` is today, `now` in ms; `first`: the first day of which anything is counted."""

    last: date
    days: int
    now: int
    first: str = ""
    figures: Mapping[Figure, int] = {}
    answers: Sequence[Answers] = ()
    letters: Sequence[Letters] = ()
    fetches: Sequence[Fetches] = ()
    voices: Sequence[Voice] = ()
    expected: Mapping[tuple[str, str], int] = {}  # (source, subscription) -> seconds from heartbeat to heartbeat
    beats: int = 2  # that may be missing
    due: int = 0
    oldest: int = 0  # ms
    parked: int = 0


class Day(msgspec.Struct, frozen=True):
    """Evaluations of a day: all, and by entrance in the order of `Overview.entrances`."""

    day: str
    total: int
    numbers: tuple[int, ...]


class RuleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A rule on cards. `rate`: percent of the answered cards that were overridden, None without answers."""

    rule: str
    title: str
    shown: int
    critical: int
    silenced: int
    accepted: int
    overridden: int
    reasons: tuple[tuple[str, int], ...]
    rate: int | None
    noisy: bool


class SourceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A source: its messages by what became of them, and what was and is to be fetched from it."""

    source: str
    taken: int
    refused: int
    failed: int  # more than could be written, or the store failed: sent again
    fetched: int
    not_fetched: int
    waiting: int
    attempts: int


class TargetLine(msgspec.Struct, frozen=True, kw_only=True):
    """A sink or a subscription. `command` delivers again what was refused."""

    target: str
    pending: int
    oldest: str
    dead: int
    command: str


class VoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that a source has of us. `missing`: its heartbeats are."""

    source: str
    subscription: str
    heard: str
    every: str
    status: str
    missing: bool


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The page. Lists are sorted by what deserves to be looked at first."""

    days: int
    first: str
    last: str
    counted_since: str  # where that is within the period, else ""
    entrances: tuple[str, ...]
    evaluations: tuple[Day, ...]
    total: int
    with_cards: int
    rules: tuple[RuleLine, ...]
    silent: tuple[tuple[str, str], ...]  # rule, title
    may_speak: int  # rules that may stand on a card
    reasons: tuple[tuple[str, int], ...]
    unknown_cards: int  # that were answered
    differs: tuple[tuple[str, int], ...]
    sources: tuple[SourceLine, ...]
    problems: tuple[tuple[str, str, int], ...]  # who sent the data, code, how many
    targets: tuple[TargetLine, ...]
    more_targets: int
    deliveries: tuple[tuple[str, int, int, int], ...]  # lane: done, tried again, refused
    changes: tuple[tuple[str, int], ...]
    voices: tuple[VoiceLine, ...]
    due: int
    oldest: str
    parked: int


def overview(rows: Rows, ruleset: Ruleset) -> Overview:
    """The page of some days."""
    first = rows.last - timedelta(days=rows.days - 1)
    counted = _counted(rows.figures)
    entrances = tuple(sorted({name for name, _ in counted["evaluation"]}))
    silent = tuple(rule for rule in on_cards(ruleset) if not any(one == rule for one, _ in counted["card"]))
    letters = sorted(rows.letters, key=lambda one: (-one.dead, one.since or rows.now, one.target))
    title = {name: info.title for name, info in ruleset.info.items()}
    return Overview(
        days=rows.days,
        first=first.isoformat(),
        last=rows.last.isoformat(),
        counted_since=rows.first if rows.first > first.isoformat() else "",
        entrances=tuple(_NAMES.get(name, name) for name in entrances),
        evaluations=_days(rows, first, entrances),
        total=counted["evaluation"].total(),
        with_cards=sum(number for (_, outcome), number in counted["evaluation"].items() if outcome == "cards"),
        rules=_rules(counted, rows.answers, title),
        silent=tuple((rule, title[rule]) for rule in silent),
        may_speak=len(on_cards(ruleset)),
        reasons=_most(_reasons(rows.answers)),
        unknown_cards=sum(one.number for one in rows.answers if not one.issue),
        differs=_most({name: number for (name, _), number in counted["differs"].items()}),
        sources=_sources(counted, rows.fetches),
        problems=_problems(counted["problem"]),
        targets=tuple(_target(one, rows.now) for one in letters[:MOST_TARGETS]),
        more_targets=max(len(letters) - MOST_TARGETS, 0),
        deliveries=_deliveries(counted["delivery"]),
        changes=_most({outcome: number for (_, outcome), number in counted["change"].items()}),
        voices=_voices(rows),
        due=rows.due,
        oldest=lasting(rows.oldest) if rows.due else "",
        parked=rows.parked,
    )


def on_cards(ruleset: Ruleset) -> tuple[str, ...]:
    """The rules whose findings may stand on a card."""
    issues = [rule for rule in (*ruleset.program.patient, *ruleset.program.order) if isinstance(rule, Issue)]
    return tuple(
        sorted(
            issue.name
            for issue in issues
            if issue.group not in NEVER_ON_CARDS
            and issue.name in ruleset.info
            and any(case.adjust or case.display in ("", *INDICATOR) for case in issue.cases)
        )
    )


def lasting(ms: int) -> str:
    """A time in the largest unit that fits it."""
    seconds = max(ms, 0) // 1000
    for unit, size in (("days", 172_800), ("h", 7_200), ("min", 120)):
        if seconds >= size:
            return f"{seconds // (size // 2)} {unit}"
    return f"{seconds} s"


# -- parts


def _counted(figures: Mapping[Figure, int]) -> dict[str, Counter[tuple[str, str]]]:
    """What is counted -> (name, outcome) -> how often, in all days."""
    kinds = ("evaluation", "card", "silenced", "problem", "differs", "message", "fetch", "change", "delivery")
    found = {kind: Counter[tuple[str, str]]() for kind in kinds}
    for figure, number in figures.items():
        if figure.what in found:  # a later version may count more
            found[figure.what][figure.name, figure.outcome] += number
    return found


def _days(rows: Rows, first: date, entrances: Sequence[str]) -> tuple[Day, ...]:
    numbers: Counter[tuple[str, str]] = Counter()
    for figure, number in rows.figures.items():
        if figure.what == "evaluation":
            numbers[figure.day, figure.name] += number
    days = [(first + timedelta(days=one)).isoformat() for one in range(rows.days)]
    every = [(day, tuple(numbers[day, name] for name in entrances)) for day in days]
    return tuple(Day(day, sum(each), each) for day, each in every)


def _rules(
    counted: Mapping[str, Counter[tuple[str, str]]], answers: Iterable[Answers], title: Mapping[str, str]
) -> tuple[RuleLine, ...]:
    shown: Counter[str] = Counter()
    silenced: Counter[str] = Counter()
    for (rule, _), number in counted["card"].items():
        shown[rule] += number
    for (rule, _), number in counted["silenced"].items():
        silenced[rule] += number
    by_rule: dict[str, list[Answers]] = {}
    for one in answers:
        by_rule.setdefault(one.issue, []).append(one)
    names = (shown.keys() | silenced.keys() | by_rule.keys()) - {""}
    lines = [
        _rule(
            rule, by_rule.get(rule, ()), title=title.get(rule, "a rule of another version"), shown=shown[rule],
            critical=counted["card"][rule, "critical"], silenced=silenced[rule],
        )
        for rule in names
    ]  # fmt: skip
    return tuple(sorted(lines, key=lambda line: (-line.noisy, -line.shown, line.rule)))


def _rule(
    rule: str, answers: Sequence[Answers], *, title: str, shown: int, critical: int, silenced: int
) -> RuleLine:
    accepted = sum(one.number for one in answers if one.outcome == "accepted")
    overridden = sum(one.number for one in answers if one.outcome == "overridden")
    answered = accepted + overridden
    return RuleLine(
        rule=rule, title=title, shown=shown, critical=critical, silenced=silenced, accepted=accepted,
        overridden=overridden, reasons=_most(_reasons(answers)),
        rate=round(100 * overridden / answered) if answered else None,
        noisy=shown >= OFTEN and answered >= ANSWERED and 2 * overridden > answered,
    )  # fmt: skip


def _reasons(answers: Iterable[Answers]) -> Mapping[str, int]:
    """Reasons of overrides; what a client has in place of ours may be anything, and is not shown."""
    found: Counter[str] = Counter()
    for one in answers:
        if one.outcome == "overridden":
            found[_REASONS.get(one.code, "another reason" if one.code else "no reason given")] += one.number
    return found


def _sources(counted: Mapping[str, Counter[tuple[str, str]]], fetches: Iterable[Fetches]) -> tuple[SourceLine, ...]:
    told, got = counted["message"], counted["fetch"]
    waiting = {one.source: one for one in fetches}
    names = {name for name, _ in (*told, *got)} | waiting.keys()
    return tuple(
        SourceLine(
            source=name, taken=told[name, "taken"], refused=told[name, "refused"],
            failed=told[name, "full"] + told[name, "failed"], fetched=got[name, "fetched"],
            not_fetched=got[name, "not-fetched"],
            waiting=waiting[name].number if name in waiting else 0,
            attempts=waiting[name].attempts if name in waiting else 0,
        )
        for name in sorted(names)
    )  # fmt: skip


def _problems(counted: Counter[tuple[str, str]]) -> tuple[tuple[str, str, int], ...]:
    found = [(_NAMES.get(name, name or "not authenticated"), code, number) for (name, code), number in counted.items()]
    return tuple(sorted(found, key=lambda one: (-one[2], one[:2])))


def _target(letters: Letters, now: int) -> TargetLine:
    return TargetLine(
        target=letters.target,
        pending=letters.pending,
        oldest=lasting(now - letters.since) if letters.pending else "",
        dead=letters.dead,
        command=f"endplate deliveries replay --target {letters.target}" if letters.dead else "",
    )


def _deliveries(counted: Counter[tuple[str, str]]) -> tuple[tuple[str, int, int, int], ...]:
    lanes = sorted({lane for lane, _ in counted})
    return tuple((lane, counted[lane, "done"], counted[lane, "again"], counted[lane, "dead"]) for lane in lanes)


def _voices(rows: Rows) -> tuple[VoiceLine, ...]:
    """Subscriptions of which heartbeats are expected, or that the source says something of."""
    known = {(one.source, one.subscription): one for one in rows.voices if one.subscription}
    lines = []
    for key in sorted(known.keys() | rows.expected.keys()):
        one = known.get(key, Voice(source=key[0], subscription=key[1]))
        every = rows.expected.get(key, 0) * 1000
        since = rows.now - one.last_heard
        lines.append(
            VoiceLine(
                source=one.source, subscription=one.subscription,
                heard=f"{lasting(since)} ago" if one.last_heard else "never",
                every=lasting(every) if every else "", status=one.status,
                missing=bool(every) and since > rows.beats * every,
            )
        )  # fmt: skip
    return tuple(sorted(lines, key=lambda line: -line.missing))


def _most(counted: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The most frequent first."""
    return tuple(sorted(counted.items(), key=lambda one: (-one[1], one[0])))
