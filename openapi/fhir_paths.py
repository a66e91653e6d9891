"""A path for each type and interaction that the catalog serves. https://hl7.org/fhir/R4/http.html#summary"""

from collections.abc import Iterator

from fhir_profiles.catalog import TypeEntry, catalog
from openapi.bodies import body_of
from openapi.components import BEARER, FHIR_JSON, OAUTH, Json, content, header, parameter, refusals, schema
from openapi.examples import HISTORY, SEARCH
from openapi.interactions import INTERACTIONS, Interaction, key_of, path_of
from openapi.notifications import EVENTS, STATUS
from openapi.queries import TEXT, searched
from service.api.fhir import ROWS, Row, served
from service.errors import Category as C

PREFIX = "/fhir"
SERVICE = "service"
"""Tag of what is about no type of its own."""
ALWAYS = (
    *(C.MALFORMED, C.UNAUTHENTICATED, C.FORBIDDEN, C.NOT_ACCEPTABLE, C.TOO_LARGE),
    *(C.TOO_MANY, C.INTERNAL, C.UNAVAILABLE),
)
"""TOO_LARGE: the URL has a limit, whatever the interaction."""
MINIMAL = " Empty with `return=minimal`."
VERSION_HEADERS = ("ETag", "Last-Modified", "X-Request-Id")
ON_BOTH = frozenset({"$validate", "$status", "$evaluate-measure", "$get-ws-binding-token"})
"""Operations that stand on a type and on a resource."""
OWN_EXAMPLES = {"transaction": "TransactionResponse", "$status": STATUS, "$events": EVENTS}
"""Of Bundles of what is no resource of the type."""
NOT_OF_AUDIT = frozenset({"_elements", "_sort", "_summary", "_total", "If-None-Match", "If-Modified-Since"})


def missing() -> set[str]:
    """Rows that the document leaves out, for want of an entry in INTERACTIONS: there should be none."""
    return {key_of(row) for row, _ in _rows(known=False)}


def _rows(known: bool = True) -> Iterator[tuple[Row, TypeEntry | None]]:
    for row in ROWS:
        if (key_of(row) in INTERACTIONS) is known:
            for entry in catalog().types.values() if "{type}" in row.path else (None,):
                if served(row, entry):
                    yield row, entry


def paths() -> Json:
    """{path: path item} of all that ROWS and the catalog serve together."""
    found: Json = {}
    for row, entry in _rows():
        item = found.setdefault(PREFIX + path_of(row, entry), {})
        item[row.method.lower()] = _operation(row, entry)
    return found


def scopes() -> Json:
    """Every scope that an operation asks for."""
    words = {"c": "create and check", "r": "read", "u": "update", "d": "delete", "s": "search"}
    wanted = {(entry.name, letter) for row, entry in _rows() if entry for letter in INTERACTIONS[key_of(row)].scope}
    return {f"system/{name}.{letter}": f"{words[letter].capitalize()} {name}" for name, letter in sorted(wanted)}


def _operation(row: Row, entry: TypeEntry | None) -> Json:
    does = INTERACTIONS[key_of(row)]
    kind = "form" if row.path.endswith("_search") else does.body if row.method != "GET" else ""
    name = entry.name if entry else ""
    operation: Json = {
        "tags": [name or SERVICE],
        "operationId": _id(row, name),
        "summary": f"{does.verb} {name}".rstrip() + (" by a form" if kind == "form" else ""),
        "description": _description(row, does),
        "security": [{OAUTH: [f"system/{name}.{letter}" for letter in does.scope]}, {BEARER: []}],
        "parameters": _parameters(row, entry, does),
    }
    body = body_of(kind, entry)
    if body:
        operation["requestBody"] = body
    operation["responses"] = {**_answers(does, row, entry), **refusals(*_refused(does, row, entry, kind))}
    return operation


def _refused(does: Interaction, row: Row, entry: TypeEntry | None, kind: str) -> set[C]:
    found = {*ALWAYS, *does.refused}
    if entry and entry.if_match_required and row.interaction in ("update", "patch", "delete"):
        found.add(C.PRECONDITION_REQUIRED)
    if kind in ("form", "nothing"):
        found.add(C.UNSUPPORTED_MEDIA)
    return found


def _id(row: Row, name: str) -> str:
    """Unique: one operation may stand on a type and on a resource, be asked for by GET and by POST."""
    first, *rest = key_of(row).removeprefix("$").split("-")
    words = first + "".join(word.capitalize() for word in rest)
    one = "One" if "{id}" in row.path and row.interaction in ON_BOTH else ""
    twice = row.method != "GET" and any(
        (other.method, other.interaction) == ("GET", row.interaction) for other in ROWS if other is not row
    )
    return f"{words}{one}{name}" + (f"By{row.method.capitalize()}" if twice else "")


def _description(row: Row, does: Interaction) -> str:
    if row.interaction == "search-type":
        return TEXT
    anchor = does.anchor or row.interaction
    return anchor if anchor.startswith("https:") else f"https://hl7.org/fhir/R4/http.html#{anchor}"


def _parameters(row: Row, entry: TypeEntry | None, does: Interaction) -> list[Json]:
    path = path_of(row, entry)
    chosen = [name for name in does.parameters if name != "compartment"]
    if row.path.endswith("_search"):
        chosen = ["Prefer-handling"]
    if "If-Match" in chosen and entry and entry.if_match_required:
        chosen[chosen.index("If-Match")] = "If-Match-required"
    if entry and entry.name == "AuditEvent":
        chosen = [name for name in chosen if name not in NOT_OF_AUDIT]
    if row.method == "POST" and row.interaction.startswith("$"):
        chosen = [name for name in chosen if name in ("_format", "_pretty")]
    placed = [name for name in ("id", "vid", "compartment") if "{" + name + "}" in path]
    found = [parameter(name) for name in (*placed, *sorted(chosen), "X-Request-Id")]
    if entry and row.interaction == "search-type" and row.method == "GET":
        found += searched(entry)
    return found


def _answers(does: Interaction, row: Row, entry: TypeEntry | None) -> Json:
    found: Json = {}
    for status, (sentence, schema_name) in sorted(does.answers.items()):
        if entry and _never(status, row, entry):
            continue
        single = schema_name in ("{type}", "") and not row.interaction.startswith("$")
        headers = VERSION_HEADERS if single else ("X-Request-Id",)
        if single and row.interaction in ("create", "update", "patch"):
            headers = (*headers, "Location")
        answer: Json = {"description": sentence, "headers": header(*sorted(headers))}
        if schema_name:
            name = schema_name.replace("{type}", entry.name if entry else "")
            answer["content"] = content(name, *_examples(name, row, entry))
            if "Prefer-return" in does.parameters and schema_name == "{type}":
                answer["description"] += MINIMAL
                answer["content"][FHIR_JSON]["schema"] = {"anyOf": [schema(name), schema("OperationOutcome")]}
        found[str(status)] = answer
    return found


def _never(status: int, row: Row, entry: TypeEntry) -> bool:
    if status == 304:
        return entry.name == "AuditEvent"
    return status == 201 and row.path == "/{type}/{id}" and not entry.update_create


def _examples(schema_name: str, row: Row, entry: TypeEntry | None) -> tuple[str, ...]:
    if schema_name == "OperationOutcome":
        return ("NoProblem", "Problem")
    if schema_name != "Bundle":
        return (schema_name,)
    if row.interaction in OWN_EXAMPLES:
        return (OWN_EXAMPLES[row.interaction],)
    return ((entry.name if entry else "Patient") + (HISTORY if row.interaction.startswith("history") else SEARCH),)
