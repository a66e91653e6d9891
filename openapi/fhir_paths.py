"""A path for each type and interaction that the catalog serves. https://hl7.org/fhir/R4/http.html#summary"""

from typing import Any, NamedTuple

from fhir_profiles.catalog import SearchParameter, TypeEntry, catalog
from openapi.components import BEARER, OAUTH, Json, content, header, parameter, refusals
from openapi.examples import HISTORY, SEARCH, search_form
from service.api.fhir import ROWS, Row, served
from service.errors import Category as C

PREFIX = "/fhir"
FORM = "application/x-www-form-urlencoded"
ALWAYS = (
    *(C.MALFORMED, C.UNAUTHENTICATED, C.FORBIDDEN, C.NOT_ACCEPTABLE, C.TOO_LARGE),
    *(C.TOO_MANY, C.INTERNAL, C.UNAVAILABLE),
)
"""TOO_LARGE: the URL has a limit, whatever the interaction."""
VERSION_HEADERS = ("ETag", "Last-Modified", "X-Request-Id")


class Interaction(NamedTuple):
    """scope: letter of the SMART v2 scope. body: "", "resource" or "form". answers: status -> (sentence, schema).

    schema: "" for no body, "{type}" for the resource itself.
    """

    verb: str
    scope: str
    answers: dict[int, tuple[str, str]]
    refused: tuple[C, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str = ""


_SAME = "Not changed since the version in If-None-Match."
_WRITTEN = (C.CONFLICT, C.STALE, C.UNSUPPORTED_MEDIA, C.RULE)
_FOUND = {200: ("A Bundle of type searchset; its links lead to further pages.", "Bundle")}
_PAGED = ("_count", "_page", "_format", "_pretty")

INTERACTIONS: dict[str, Interaction] = {
    "read": Interaction(
        "Read", "r", {200: ("The current version.", "{type}"), 304: (_SAME, "")}, (C.NOT_FOUND, C.GONE),
        ("If-None-Match", "_format", "_pretty"),
    ),
    "vread": Interaction(
        "Read one version of", "r", {200: ("That version.", "{type}")}, (C.NOT_FOUND, C.GONE), ("_format", "_pretty")
    ),
    "history-instance": Interaction(
        "List the versions of", "r", {200: ("A Bundle of type history, newest first.", "Bundle")}, (C.NOT_FOUND,),
        _PAGED,
    ),
    "search-type": Interaction(
        "Search", "s", _FOUND, (), (*_PAGED, "_sort", "_summary", "_total", "Prefer-handling")
    ),
    "create": Interaction(
        "Create", "c",
        {201: ("Created; the server chose the id.", "{type}"), 200: ("If-None-Exist matched this one.", "{type}")},
        _WRITTEN, ("If-None-Exist", "Prefer-return"), "resource",
    ),
    "update": Interaction(
        "Update", "u", {200: ("The new version, or the same where nothing changed.", "{type}")},
        (C.NOT_FOUND, C.GONE, *_WRITTEN), ("If-Match", "Prefer-return"), "resource",
    ),
    "delete": Interaction(
        "Delete", "d", {204: ("Deleted.", "")}, (C.NOT_FOUND, C.GONE, C.CONFLICT, C.STALE, C.RULE), ("If-Match",)
    ),
    "$validate": Interaction(
        "Check", "c", {200: ("What is wrong with the resource, or that nothing is.", "OperationOutcome")},
        (C.UNSUPPORTED_MEDIA,), (), "resource",
    ),
}  # fmt: skip

AUDIT_PARAMETERS = ("patient", "date")
"""Audit rows are searched by their own columns: service/interactions/audit_events.py."""

_MEANING = {
    "token": "`code`, `system|code` or `system|`",
    "reference": "`Type/id`, `id` or an absolute URL",
    "date": "a date or part of one, perhaps after `eq ne gt ge lt le sa eb ap`",
    "string": "the beginning of a word, whatever its case and accents",
    "uri": "the whole URI",
}


def paths() -> Json:
    """{path: path item} of all that ROWS and the catalog serve together."""
    found: Json = {}
    for entry in catalog().types.values():
        for row in ROWS:
            if served(row, entry):
                path = PREFIX + row.path.replace("{type}", entry.name)
                found.setdefault(path, {})[row.method.lower()] = _operation(row, entry)
    return found


def scopes() -> Json:
    """Every scope that an operation asks for."""
    words = {"c": "create and check", "r": "read", "u": "update", "d": "delete", "s": "search"}
    types = catalog().types.values()
    wanted = {
        (entry.name, INTERACTIONS[row.interaction].scope) for entry in types for row in ROWS if served(row, entry)
    }
    return {f"system/{name}.{letter}": f"{words[letter].capitalize()} {name}" for name, letter in sorted(wanted)}


def _operation(row: Row, entry: TypeEntry) -> Json:
    does, form = INTERACTIONS[row.interaction], row.path.endswith("_search")
    conditional = row.interaction in ("update", "delete")
    refused = {*ALWAYS, *does.refused}
    if conditional and entry.if_match_required:
        refused.add(C.PRECONDITION_REQUIRED)
    if form:
        refused.add(C.UNSUPPORTED_MEDIA)
    operation: Json = {
        "tags": [entry.name],
        "operationId": f"{_words(row.interaction)}{entry.name}" + ("ByPost" if form else ""),
        "summary": f"{does.verb} {entry.name}" + (" by a form" if form else ""),
        "description": _description(row, entry),
        "security": [{OAUTH: [f"system/{entry.name}.{does.scope}"]}, {BEARER: []}],
        "parameters": _parameters(row, entry, does),
    }
    if does.body:
        operation["requestBody"] = {"required": True, "content": content(entry.name, entry.name)}
    if form:
        operation["requestBody"] = _form(entry)
    operation["responses"] = {**_answers(does, entry, row.interaction), **refusals(*refused)}
    return operation


def _examples(schema_name: str, entry: TypeEntry, interaction: str) -> tuple[str, ...]:
    if schema_name == "Bundle":
        return (entry.name + (HISTORY if interaction == "history-instance" else SEARCH),)
    return ("NoProblem", "Problem") if schema_name == "OperationOutcome" else (entry.name,)


def _words(interaction: str) -> str:
    first, _, rest = interaction.removeprefix("$").partition("-")
    return first + rest.capitalize()


def _description(row: Row, entry: TypeEntry) -> str:
    if row.interaction == "search-type":
        return (
            "Repeating a parameter narrows, a comma widens. Modifiers stand behind the name "
            "(`:missing`, `:not`, `:exact`, `:contains` where the type of the parameter has them). "
            "https://hl7.org/fhir/R4/search.html"
        )
    anchor = {"vread": "vread", "history-instance": "history"}.get(row.interaction, row.interaction)
    if row.interaction.startswith("$"):
        return "https://hl7.org/fhir/R4/resource-operation-validate.html"
    return f"https://hl7.org/fhir/R4/http.html#{anchor}"


def _parameters(row: Row, entry: TypeEntry, does: Interaction) -> list[Json]:
    names = [name for name in ("id", "part") if "{" + name + "}" in row.path]
    chosen = list(does.parameters)
    if row.path.endswith("_search"):
        chosen = ["Prefer-handling"]
    if "If-Match" in chosen and entry.if_match_required:
        chosen[chosen.index("If-Match")] = "If-Match-required"
    if entry.name == "AuditEvent":
        chosen = [name for name in chosen if name not in ("_sort", "_summary", "_total", "If-None-Match")]
    found = [parameter(name) for name in (*names, *sorted(chosen), "X-Request-Id")]
    if row.interaction == "search-type" and row.method == "GET":
        found += [*_searched(entry), *_included(entry)]
    return found


def _searched(entry: TypeEntry) -> list[Json]:
    codes = AUDIT_PARAMETERS if entry.name == "AuditEvent" else tuple(sorted(entry.search))
    return [_query(code, _meaning(entry.search[code])) for code in codes]


def _meaning(found: SearchParameter) -> str:
    targets = "any type" if "Any" in found.targets else ", ".join(found.targets)
    kind = f"{found.type} to {targets}" if found.type == "reference" else found.type
    return f"{kind[0].upper()}{kind[1:]}. Takes {_MEANING[found.type]}. {found.canonical}"


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


def _form(entry: TypeEntry) -> Json:
    text = f"The parameters of GET {PREFIX}/{entry.name}, so that they stand in no log of URLs."
    fields = {"type": "object", "additionalProperties": {"type": "string"}}
    return {"description": text, "content": {FORM: {"schema": fields, "example": search_form(entry)}}}


def _answers(does: Interaction, entry: TypeEntry, interaction: str) -> Json:
    found: Json = {}
    for status, (sentence, schema_name) in sorted(does.answers.items()):
        if (entry.name, status) == ("AuditEvent", 304):
            continue
        single = schema_name in ("{type}", "") and not interaction.startswith("$")
        headers = VERSION_HEADERS if single else ("X-Request-Id",)
        if single and interaction in ("create", "update"):
            headers = (*headers, "Location")
        answer: Json = {"description": sentence, "headers": header(*sorted(headers))}
        if schema_name:
            name = schema_name.replace("{type}", entry.name)
            answer["content"] = content(name, *_examples(name, entry, interaction))
        found[str(status)] = answer
    return found
