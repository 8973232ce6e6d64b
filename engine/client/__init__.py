"""Calls to other servers: HTTP within bounds, tokens and sign-ins of SMART, the FHIR Bulk Data client."""
