#!/usr/bin/env python3
"""Write fhir_examples/ from its stories: `python tools/build_examples.py`; `--check` only compares.

    fhir_examples/stories/<id>.yaml  ->  patients/<id>.json, bulk/, site/, hooks/, the table of README.md

Codes come from the value sets of the ruleset through `compose_fact`; what surrounds the facts stands in
tools/examples/surroundings.yaml. The same stories give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from examples.bulk import export  # noqa: E402
from examples.bundle import bundle_of  # noqa: E402
from examples.hooks import requests  # noqa: E402
from examples.site import feed  # noqa: E402
from examples.story import load_stories  # noqa: E402
from examples.table import readme  # noqa: E402
from examples.world import World  # noqa: E402

from engine.terminology.load import load_terminology  # noqa: E402

ROOT = HERE.parent
FOLDER = ROOT / "fhir_examples"
MADE = ("patients", "bulk", "site", "hooks")
_encoder = msgspec.json.Encoder(decimal_format="number")


def built() -> Iterator[tuple[Path, bytes]]:
    """Every file of the folder that is made, with its content."""
    terminology = load_terminology(ROOT / "rulesets/neuromuscular/valuesets")
    world = World()
    stories = list(load_stories(FOLDER / "stories"))
    bundles = {story.id: bundle_of(story, world, terminology) for story in stories}
    for name, bundle in bundles.items():
        yield FOLDER / "patients" / f"{name}.json", pretty(bundle)
    for name, lines in export(bundles).items():
        yield FOLDER / "bulk" / name, b"".join(_encoder.encode(line) + b"\n" for line in lines)
    for name, lines in feed(bundles).items():
        yield FOLDER / "site" / name, b"".join(_encoder.encode(line) + b"\n" for line in lines)
    for name, request in requests(bundles).items():
        yield FOLDER / "hooks" / name, pretty(request)
    page = FOLDER / "README.md"
    yield page, readme(page.read_text("utf-8"), stories).encode()


def pretty(value: object) -> bytes:
    return msgspec.json.format(_encoder.encode(value), indent=2) + b"\n"


def main(arguments: list[str]) -> int:
    made = dict(built())
    stale = [(path, data) for path, data in made.items() if not path.is_file() or path.read_bytes() != data]
    extra = [path for folder in MADE for path in sorted((FOLDER / folder).glob("*")) if path not in made]
    if "--check" in arguments:
        for path in [*(path for path, _ in stale), *extra]:
            print(f"not current: {path.relative_to(ROOT)}; run python tools/build_examples.py")
        return 1 if stale or extra else 0
    for path, data in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"wrote {path.relative_to(ROOT)}")
    for path in extra:
        print(f"no story makes {path.relative_to(ROOT)}: delete it by hand")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
