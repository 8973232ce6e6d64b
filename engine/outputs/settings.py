"""The base of the URIs that outputs name: code systems, rules, identifiers."""

BASE = "urn:endplate"
