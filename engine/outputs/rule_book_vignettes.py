"""The vignettes of a ruleset as the rule book names them: which rules each must fire, and which it must keep silent.

Only names are wanted, of thousands of cases: libyaml reads them in a tenth of the time that their places would cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import yaml

_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Vignette(msgspec.Struct, frozen=True, kw_only=True):
    """One small patient and what is expected of it."""

    id: str
    title: str
    must: tuple[str, ...]
    must_not: tuple[str, ...]


class _Texts(_SAFE):  # type: ignore[misc]  # it is one of two
    """Every scalar is text as written; merge keys are followed."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}


def vignettes_in(folder: Path) -> tuple[Vignette, ...]:
    """Every vignette of a ruleset's folder, in the order of writing; a file that is no list of cases has none."""
    return tuple(_all(folder))


def _all(folder: Path) -> Iterator[Vignette]:
    for path in sorted((folder / "vignettes").glob("**/*.yaml")):
        try:
            cases: Any = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Texts)  # noqa: S506 - a safe one
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        for case in cases if isinstance(cases, list) else ():
            if isinstance(case, dict):
                yield Vignette(
                    id=str(case.get("id", "?")),
                    title=str(case.get("title") or ""),
                    must=tuple(map(str, case.get("must") or ())),
                    must_not=tuple(map(str, case.get("must_not") or ())),
                )
