"""The query of a scope, `?category=system|code&status=final`: which parameters may narrow a type, and in which form.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
The specification calls these experimental. Here they are equality on a listed token or reference, nothing else.
"""

import re
from urllib.parse import unquote

from fhir_profiles.catalog import catalog

Pairs = tuple[tuple[str, str], ...]
"""(parameter, value) as written; all hold together."""

NARROWING: dict[str, tuple[str, ...]] = {
    "CarePlan": ("category", "intent", "status"),
    "CareTeam": ("category", "status"),
    "Communication": ("category", "status"),
    "Condition": ("category", "clinical-status", "code"),
    "Consent": ("category", "status"),
    "Coverage": ("status", "type"),
    "DocumentReference": ("category", "status", "type"),
    "Encounter": ("class", "status", "type"),
    "EpisodeOfCare": ("status", "type"),
    "Goal": ("category",),
    "Group": ("code", "type"),
    "List": ("code", "status"),
    "Observation": ("category", "code", "status"),
    "Procedure": ("category", "code", "status"),
    "QuestionnaireResponse": ("status",),
    "ServiceRequest": ("category", "code", "intent", "performer", "requester", "status"),
    "Task": ("code", "intent", "owner", "requester", "status"),
}
"""A type that is absent cannot be narrowed: the directory is open to every client anyway."""

MAX_QUERY = 500
"""Characters of one query: longer ones are refused."""

_PLAIN_NAME = re.compile(r"[a-z][a-z-]{0,39}", re.ASCII)
_TOKEN = re.compile(r"(?:[^|,$\s]*\|)?[^|,$\s]+")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64}", re.ASCII)


class BadQuery(ValueError):
    """The query breaks a rule; the message says which, without repeating the text."""


def read_query(rtype: str, text: str) -> Pairs:
    """The pairs of a query (what stands behind the "?"); raises BadQuery."""
    allowed = NARROWING.get(rtype)
    if allowed is None:
        known = ", ".join(NARROWING)
        raise BadQuery(f"A scope with a query names one of these types: {known}.")
    if len(text) > MAX_QUERY:
        raise BadQuery(f"The query of a scope has at most {MAX_QUERY} characters.")
    pairs: list[tuple[str, str]] = []
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        _check_name(name, rtype, allowed)
        if not equals or not value:
            raise BadQuery("Each parameter of a scope's query has a value: parameter=value.")
        _check_value(rtype, name, meaning(value))
        pairs.append((name, value))
    if len(same(tuple(pairs))) != len(pairs):
        raise BadQuery("A scope's query says each pair of parameter and value once.")
    return tuple(pairs)


def meaning(value: str) -> str:
    """A value without its percent-encoding."""
    return unquote(value, errors="strict") if "%" in value else value


def same(pairs: Pairs) -> frozenset[tuple[str, str]]:
    """What a query says, whatever the order and encoding of its text: for comparing two."""
    return frozenset((name, meaning(value)) for name, value in pairs)


def _check_name(name: str, rtype: str, allowed: tuple[str, ...]) -> None:
    if name in allowed:
        return
    if name.startswith("_"):
        raise BadQuery("A scope's query has no parameter that begins with _ (_has, _filter, _include, _id, ...).")
    if ":" in name:
        raise BadQuery("A scope's query compares by equality: no modifiers behind a colon.")
    if "." in name:
        raise BadQuery("A scope's query asks about the resource itself: no chains over references.")
    if not _PLAIN_NAME.fullmatch(name):
        raise BadQuery("A scope's query reads ?parameter=value&parameter=value.")
    raise BadQuery(f"A scope for {rtype} may be narrowed by {', '.join(allowed)} only.")


def _check_value(rtype: str, name: str, value: str) -> None:
    if not value.isprintable() or any(letter in value for letter in ' "\\'):
        raise BadQuery("The values of a scope's query hold no spaces, quotes, backslashes or control characters.")
    if "," in value:
        raise BadQuery("A scope's query takes one value for a parameter; ask for one scope for each value.")
    form, rule = _TOKEN, "code or system|code"
    if catalog().types[rtype].search[name].type == "reference":
        form, rule = _REFERENCE, "Type/id"
    if not form.fullmatch(value):
        raise BadQuery(f"The parameter {name} of a scope's query takes {rule}.")
