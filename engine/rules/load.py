"""Loading a ruleset: from its compiled form if that is current, else from its files.

`load_ruleset` reads the folder, checks it and refuses it as a whole if anything is wrong; with `cache_dir` the compiled
form is kept under the hash of all content, and a start from it reads no YAML.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.rules import cache
from engine.rules.files import bundled, content_hash
from engine.rules.ruleset import Ruleset

BASE = "urn:endplate"


def load_ruleset(
    folder: Path | None = None,
    *,
    extra_valuesets: Sequence[Path] = (),
    cache_dir: Path | None = None,
    base: str = BASE,
    with_vignettes: bool = False,
) -> Ruleset:
    """The ruleset in `folder` (default: the one that comes with the package).

    `extra_valuesets`: folders of a site's own value sets; `base`: the start of the URIs of local code systems;
    `cache_dir`: where compiled rulesets are kept, None for nowhere; `with_vignettes`: check also that vignettes fire
    and silence every issue (`endplate rules check`). Raises RulesetError with every fault found.
    """
    folder = bundled() if folder is None else folder
    content = content_hash((folder, *extra_valuesets), base)
    key = f"{content}-{cache.fingerprint()}"
    if cache_dir is not None and not with_vignettes and (stored := cache.read(cache_dir, key, Ruleset)) is not None:
        return stored
    from engine.rules.build import build  # noqa: PLC0415 - reading YAML costs half a second, a start from the cache none

    ruleset = build(folder, extra_valuesets, base, content, with_vignettes=with_vignettes)
    if cache_dir is not None:
        cache.write(cache_dir, key, ruleset)
    return ruleset
