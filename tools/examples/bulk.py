"""A small bulk export: some of the patients, one NDJSON file for each type of resource, as `$export` writes them."""

from __future__ import annotations

from collections.abc import Mapping

from examples.world import Json

PATIENTS = ("typical-als", "mg-then-als", "fluoroquinolone-in-mg", "ordinary-patient")


def export(bundles: Mapping[str, Json]) -> dict[str, list[Json]]:
    """File name -> its lines. What the patients share (places, people) stands there once."""
    kinds: dict[str, dict[str, Json]] = {}
    for name in PATIENTS:
        for entry in bundles[name]["entry"]:
            resource = entry["resource"]
            kinds.setdefault(resource["resourceType"], {})[resource["id"]] = resource
    return {f"{kind}.ndjson": list(found.values()) for kind, found in sorted(kinds.items())}
