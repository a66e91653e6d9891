"""Plan files (member information and its siblings) <-> FHIR, by layout packs kept as data.

Source: DHCS "Member-Level Information Sharing Between MCPs and ECM Providers" (facts/california.md B.4).
"""
