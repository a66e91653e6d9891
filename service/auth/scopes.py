"""The scopes of a token: what a text of them asks for, and which rights it gives. Pure; one scope is scope_syntax.py,
what is within what scope_sets.py. https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Iterable
from functools import lru_cache

from service.auth.scope_queries import meaning
from service.auth.scope_sets import intersect as intersect
from service.auth.scope_sets import is_subset as is_subset
from service.auth.scope_syntax import CRUDS as CRUDS
from service.auth.scope_syntax import InvalidScope as InvalidScope
from service.auth.scope_syntax import Scope as Scope
from service.auth.scope_syntax import parse_scope as parse_scope
from service.caller import Reached, Rights
from service.search.chains import RENDERED

MAX_TEXT = 4096
"""Characters of a whole scope text: longer ones are refused unread."""
MAX_NARROWED = 10
"""Scopes with a query for one type: each is a condition in every statement about it."""


def parse_all(text: str) -> tuple[Scope, ...]:
    """Every scope of a space separated text; raises InvalidScope at the first bad one (registration)."""
    return check_many(tuple(parse_scope(part) for part in _parts(text)))


def requested(text: str) -> tuple[Scope, ...]:
    """The scopes of a token request. A server may ignore what it does not know: foreign texts (openid, launch, `.dus`)
    are dropped. A wrong query raises InvalidScope: dropping it quietly would puzzle the client that relies on it.
    """
    found = []
    for part in _parts(text):
        try:
            found.append(parse_scope(part))
        except InvalidScope:
            if "/" in part and "?" in part:
                raise
    return check_many(tuple(found))


def check_many(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """The same scopes; raises InvalidScope where one type has too many queries."""
    narrowed: dict[tuple[str, str], int] = {}
    for scope in dict.fromkeys(scopes):
        if scope.query:
            key = (scope.context, scope.rtype)
            narrowed[key] = narrowed.get(key, 0) + 1
    if any(count > MAX_NARROWED for count in narrowed.values()):
        raise InvalidScope(f"One type has at most {MAX_NARROWED} scopes with a query: ask for the type as a whole.")
    return scopes


def text_of(scopes: Iterable[Scope]) -> str:
    return " ".join(str(scope) for scope in scopes)


@lru_cache(maxsize=4096)
def compile_allows(text: str, launched: bool = False) -> Rights:
    """The rights of a granted scope text. What cannot be read allows nothing.

    launched: the token is for one patient, so that `patient/` counts: for that Patient's record and nobody else's.
    What is not stored (AuditEvent) cannot be narrowed: there only scopes count that are not.
    """
    try:
        granted = requested(text)
    except InvalidScope:
        granted = ()
    table: dict[tuple[str, str], dict[Reached, None]] = {}
    for scope in granted:
        if scope.context == "patient" and not launched:
            continue
        query = tuple(sorted((name, meaning(value)) for name, value in scope.query))
        for letter in scope.letters:
            table.setdefault((letter, scope.rtype), {})[Reached(query, scope.context == "patient")] = None
    return Rights({key: tuple(found) for key, found in table.items()}, whole=RENDERED)


def _parts(text: str) -> list[str]:
    if len(text) > MAX_TEXT:
        raise InvalidScope(f"A scope text has at most {MAX_TEXT} characters.")
    return [part for part in text.split(" ") if part]
