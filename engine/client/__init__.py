"""Calls to other servers: HTTP within bounds, tokens of SMART Backend Services, the FHIR Bulk Data client."""
