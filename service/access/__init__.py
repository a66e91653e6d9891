"""WHAT a caller may see: panels and roles, built into a Restriction that store/find.py puts into the query."""
