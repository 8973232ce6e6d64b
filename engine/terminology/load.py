"""From folders of value-set files to a Terminology."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import Fault, RulesetError
from engine.terminology.builder import Builder
from engine.terminology.content import Content
from engine.terminology.rows import Row, read_folder
from engine.terminology.terminology import Terminology


def load_terminology(folder: Path, extra: Sequence[Path] = (), base: str = "urn:endplate") -> Terminology:
    """The value sets of a ruleset, with a site's own folders and `site.yaml` files added to them.

    `base` replaces `{base}` in the URIs of local code systems. Raises RulesetError with every fault found. Files of a
    code system may be missing: its codes are then not known, and nothing else changes.
    """
    faults: list[Fault] = []
    rows = rows_of(folder, extra, faults)
    content = build(rows, base, faults)
    if faults:
        raise RulesetError(faults)
    return Terminology(content)


def rows_of(folder: Path, extra: Sequence[Path], faults: list[Fault]) -> list[Row]:
    """The rows of all files; what cannot be read is a fault."""
    sites = [each for each in extra if is_site(each)]
    rows = [row for each in (folder, *extra) if each not in sites for row in read_folder(each, faults)]
    if sites:
        from engine.terminology.site import known_of, read_site  # noqa: PLC0415 - a start from the cache reads no YAML

        known = known_of(rows)
        rows += [row for each in sites for row in read_site(each, known, faults)]
    return rows


def is_site(path: Path) -> bool:
    """Whether a path names a `site.yaml` (under whatever name) and no folder of value sets."""
    return path.suffix.lower() in (".yaml", ".yml") and not path.is_dir()


def build(rows: Sequence[Row], base: str, faults: list[Fault]) -> Content:
    """The content of all rows; faults are appended."""
    builder = Builder(base, faults)
    by_form: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_form[row.form].append(row)
    steps: list[tuple[str, Callable[[Row], None]]] = [
        ("system", builder.system),
        ("overlap", builder.overlap),
        ("concept", builder.concept),
        ("ingredient", builder.drug),
        ("name", builder.name),
        ("answer", builder.answer),
        ("codeset", builder.codeset),
        ("word", builder.word),
        ("unit", builder.unit),
        ("context", builder.context),
        ("family", builder.family),
        ("range", builder.range),
    ]
    for form, step in steps:
        for row in by_form[form]:
            step(row)
    return builder.content()
