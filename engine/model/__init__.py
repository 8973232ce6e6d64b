"""The words all rooms share: records, facts, findings. Frozen values, no I/O, nothing about FHIR or a disease."""
