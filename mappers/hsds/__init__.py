"""Open Referral HSDS 3 <-> FHIR: services, organizations, places of a directory as JSON and as CSV tables.

Source: https://docs.openreferral.org/en/3.0/hsds/reference.html; facts/closed-loop.md 6.
"""
