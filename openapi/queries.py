"""The parameters of searches in the document, from the catalog. https://hl7.org/fhir/R4/search.html"""

from typing import Any

from fhir_profiles.catalog import SearchParameter, TypeEntry
from openapi.components import Json

AUDIT_PARAMETERS = ("patient", "date")
"""Audit rows are searched by their own columns: service/interactions/audit_events.py."""

_MEANING = {
    "token": "`code`, `system|code` or `system|`",
    "reference": "`Type/id`, `id` or an absolute URL",
    "date": "a date or part of one, perhaps after `eq ne gt ge lt le sa eb ap`",
    "string": "the beginning of a word, whatever its case and accents",
    "uri": "the whole URI",
    "number": "a number, perhaps after `eq ne gt ge lt le sa eb ap`",
    "quantity": "`number|system|code`, perhaps after `eq ne gt ge lt le sa eb ap`",
    "composite": "values joined by `$`",
    "special": "a form of its own",
}
TEXT = (
    "Repeating a parameter narrows, a comma widens. Modifiers stand behind the name "
    "(`:missing`, `:not`, `:exact`, `:contains` where the type of the parameter has them). "
    "https://hl7.org/fhir/R4/search.html"
)


def searched(entry: TypeEntry) -> list[Json]:
    """Its own search parameters, _include and _revinclude."""
    codes = AUDIT_PARAMETERS if entry.name == "AuditEvent" else tuple(sorted(entry.search))
    return [*(_query(code, _meaning(entry.search[code])) for code in codes), *_included(entry)]


def _meaning(found: SearchParameter) -> str:
    targets = "any type" if "Any" in found.targets else ", ".join(found.targets)
    kind = f"{found.type} to {targets}" if found.type == "reference" else found.type
    return f"{kind[0].upper()}{kind[1:]}. Takes {_MEANING.get(found.type, 'a value')}. {found.canonical}"


def _included(entry: TypeEntry) -> list[Json]:
    if entry.name == "AuditEvent":
        return []
    rows = (("_include", entry.includes, "that these lead to"), ("_revinclude", entry.revincludes, "that lead here"))
    return [
        _query(name, f"Adds the resources {words}: {', '.join(sorted(served))}; perhaps with `:Type` behind.")
        for name, served, words in rows
        if served
    ]


def _query(name: str, description: str) -> Json:
    listed: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    return {"name": name, "in": "query", "description": description, "schema": listed}
