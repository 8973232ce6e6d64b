"""Endplate: clinical rules over FHIR. Import what you need from the rooms; this module imports none of them."""

__version__ = "0.1.0"
