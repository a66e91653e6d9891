"""Which elements belong to a summary (isSummary): https://hl7.org/fhir/R4/elementdefinition-definitions.html#isSummary

The file is written by fhir_profiles/build/definitions.py.
"""

import json
from functools import cache

from fhir_profiles.r4_types import FOLDER


@cache
def _marked() -> dict[str, frozenset[str]]:
    loaded = json.loads((FOLDER / "summaries.json").read_bytes())
    return {structure: frozenset(names) for structure, names in loaded.items()}


def in_summary(structure: str, name: str) -> bool:
    """name: as R4 has it, `value[x]`."""
    return name in _marked().get(structure, ())
