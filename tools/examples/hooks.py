from __future__ import annotations


def requests(bundles): return {}
