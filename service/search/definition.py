"""What the index rows of a database were made by: a digest of the served search parameters and of how we read them."""

import hashlib
from dataclasses import astuple
from functools import cache

from fhir_profiles.catalog import catalog

RULES = 2
"""Goes up with each change of emitters.py after which the same parameter makes other rows."""


@cache
def digest() -> str:
    """Changes whenever a resource that is not written again would be missed by a search that we state."""
    parameters = {
        name: [astuple(parameter) for _, parameter in sorted(entry.search.items())]
        for name, entry in sorted(catalog().types.items())
    }
    return hashlib.sha256(repr([RULES, parameters]).encode()).hexdigest()[:16]
