"""What is said of a whole run: `summary.json`, and the page, which says the same of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine import __version__
from engine.batch.compare import Differs, comparison_summary
from engine.batch.drift import Book
from engine.batch.rates import held_against, run_of
from engine.batch.results import Counts
from engine.batch.setup import Setup
from engine.batch.shown import Shown
from engine.model.finding import SEVERITIES
from engine.outputs.report import Totals, report
from engine.rules.ruleset import Ruleset


def finished(
    shown: Shown,
    setup: Setup,
    ruleset: Ruleset,
    counts: Counts,
    *,
    book: Book,
    differing: Sequence[Differs] = (),
    second: Ruleset | None = None,
) -> tuple[Shown, bytes, str]:
    """What a page or a table shows of a whole run, its summary as JSON, and the page."""
    said = {**summary(setup, ruleset, counts), "unknown_codes": book.summary()}
    if second is not None:
        said["comparison"] = comparison_summary(
            ruleset, second, counts.compared, counts.differing, counts.not_compared
        )
    rates = held_against(run_of(said), setup.earlier) if setup.earlier is not None else None
    if rates is not None:
        said["rates"] = msgspec.to_builtins(rates)
    shown = msgspec.structs.replace(
        shown, comparison=said.get("comparison"), differing=tuple(differing), rates=rates
    )
    page = report(
        shown.evaluations,
        ruleset.info,
        source=", ".join(setup.paths),
        totals=totals(said, shown),
        sections={
            "comparison": shown.comparison, "differing": shown.differing, "rates": rates,
            "unknown_codes": said["unknown_codes"]["codes"],
        },
    )  # fmt: skip
    return shown, msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n", page


def summary(setup: Setup, ruleset: Ruleset, counts: Counts) -> dict[str, Any]:
    """Everything that was counted, and the parameters of the run."""
    return {
        "endplate": __version__,
        "ruleset": {"id": ruleset.id, "version": ruleset.version, "hash": ruleset.hash},
        "run": {
            "sources": list(setup.paths),
            "as_of": "bundle" if setup.at_bundle_time else setup.as_of.isoformat(),
            "complete": setup.complete,
            "backend": setup.backend,
            "only": list(setup.asked),
            "limit": setup.limit or None,
            **({"valuesets": list(setup.valuesets)} if setup.valuesets else {}),
            **({"compare": setup.compare} if setup.compare else {}),
            **({"rates": setup.rates} if setup.rates else {}),
        },
        "input": {"files": len(setup.sources), "bytes": counts.bytes, "documents": counts.documents},
        "patients": {
            "evaluated": counts.patients - counts.failed,
            "relevant": counts.relevant,
            "with_findings": counts.with_findings,
            "not_evaluated": counts.failed,
            "backends_disagree": counts.disagreements,
        },
        "findings": _findings(ruleset, counts),
        "problems": dict(sorted(counts.problems.items())),
        "firing": {
            name: {"records": counts.fired.get(name, 0), "hash": rule.hash}
            for name, rule in sorted(ruleset.info.items())
            if rule.kind == "issue" and (not setup.only or name in setup.only)
        },
    }


def _findings(ruleset: Ruleset, counts: Counts) -> dict[str, Any]:
    """How many there are: in all, by severity, by ruleset and by issue."""
    issues: dict[str, dict[str, int]] = {}
    for key, count in sorted(counts.findings.items()):
        issue, _, severity = key.rpartition(" ")
        issues.setdefault(issue, {})[severity] = count
    by_ruleset: dict[str, dict[str, int]] = {}
    by_severity = dict.fromkeys(SEVERITIES, 0)
    for issue, severities in issues.items():
        held = by_ruleset.setdefault(ruleset.info[issue].ruleset, dict.fromkeys(SEVERITIES, 0))
        for severity, count in severities.items():
            held[severity] += count
            by_severity[severity] += count
    return {
        "total": sum(by_severity.values()),
        "by_severity": by_severity,
        "by_ruleset": dict(sorted(by_ruleset.items())),
        "by_issue": {
            issue: {
                "title": ruleset.info[issue].title,
                "ruleset": ruleset.info[issue].ruleset,
                "version": ruleset.info[issue].version,
                "severities": issues.get(issue, {}),
                "held_back": counts.held_back.get(issue, 0),
            }
            for issue in sorted({*issues, *counts.held_back})
        },
    }


def totals(said: dict[str, Any], shown: Shown) -> Totals:
    """What a report says of the whole batch, of which it shows a part."""
    run = said["run"]
    parameters = (
        ("Date of evaluation", "each Bundle's own" if run["as_of"] == "bundle" else run["as_of"]),
        ("Records complete", "declared by the caller" if run["complete"] else "as each Bundle says"),
        ("Backend", run["backend"]),
        *((("Only", ", ".join(run["only"])),) if run["only"] else ()),
        *((("Limit", f"{run['limit']} patients"),) if run["limit"] else ()),
        *((("Value sets of the site", ", ".join(run["valuesets"])),) if "valuesets" in run else ()),
        ("Input", ", ".join(f"{count} {name}" for name, count in said["input"].items())),
        ("Content", f"{said['ruleset']['id']} {said['ruleset']['version']}, {said['ruleset']['hash'][:12]}"),
        ("Endplate", said["endplate"]),
    )
    return Totals(
        patients=said["patients"]["evaluated"],
        relevant=said["patients"]["relevant"],
        with_findings=said["patients"]["with_findings"],
        not_evaluated=said["patients"]["not_evaluated"],
        counts={
            (issue, severity): count
            for issue, held in said["findings"]["by_issue"].items()
            for severity, count in held["severities"].items()
        },
        problems=said["problems"],
        parameters=parameters,
        more=shown.more,
        silent=shown.silent,
    )
