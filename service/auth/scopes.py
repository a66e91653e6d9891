"""SMART scopes: grammar, meaning and intersection; see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html

Pure. A scope text is `(patient|user|system)/(Type|*).letters`, letters an in-order subset of "cruds", or of version 1
`.read` (rs), `.write` (cud), `.*` (cruds). Query restrictions (`?category=...`) are not served yet: refused.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

CRUDS = "cruds"
V1 = {"read": "rs", "write": "cud", "*": "cruds"}
MAX_TEXT = 4096
"""Characters of a whole scope text: longer ones are refused unread."""

_FORM = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(\*|[a-z]{1,5})", re.ASCII)
_V1_OF = {letters: word for word, letters in V1.items()}

Allows = Callable[[str, str], bool]
"""allows(letter of cruds, resource type)."""


class InvalidScope(ValueError):
    """The text breaks the grammar; the message says which rule, without repeating the text."""


@dataclass(frozen=True)
class Scope:
    """One resource scope. rtype "*" means every type. v1: written in the syntax of version 1, and answered in it."""

    context: str
    rtype: str
    letters: str
    v1: bool = False

    def __str__(self) -> str:
        word = _V1_OF.get(self.letters) if self.v1 else None
        return f"{self.context}/{self.rtype}.{word or self.letters}"


def parse_scope(text: str) -> Scope:
    """Reads one scope; raises InvalidScope. Letters out of order or twice are an error, never repaired."""
    if "?" in text:
        raise InvalidScope("Scopes with a query restriction are not supported.")
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidScope("A scope reads (patient|user|system)/(Type|*).cruds with letters in that order.")
    context, rtype, word = match.groups()
    if word in V1:
        return Scope(context, rtype, V1[word], v1=True)
    if word != _in_order(word):
        raise InvalidScope("The letters of a scope are a subset of c r u d s, each once and in that order.")
    return Scope(context, rtype, word)


def parse_all(text: str) -> tuple[Scope, ...]:
    """Every scope of a space separated text; raises InvalidScope at the first bad one (registration)."""
    return tuple(parse_scope(part) for part in _parts(text))


def requested(text: str) -> tuple[Scope, ...]:
    """The scopes of a token request. A server may ignore what it does not know: foreign texts (openid, launch, `.dus`)
    are dropped. A query restriction raises InvalidScope: dropping it quietly would puzzle the client that relies on it.
    """
    found = []
    for part in _parts(text):
        if "/" in part and "?" in part:
            raise InvalidScope("Scopes with a query restriction are not supported.")
        try:
            found.append(parse_scope(part))
        except InvalidScope:
            continue
    return tuple(found)


def text_of(scopes: Iterable[Scope]) -> str:
    return " ".join(str(scope) for scope in scopes)


def intersect(wanted: Iterable[Scope], registered: Iterable[Scope]) -> tuple[Scope, ...]:
    """What of `wanted` is `registered`, in the order and syntax of the request; may be empty.

    A wanted "*" also yields the types that were registered one by one.
    """
    held = _letters(registered)
    out: dict[Scope, None] = {}
    for want in wanted:
        wild = held.get((want.context, "*"), "")
        if want.rtype != "*":
            _keep(out, want, _common(want.letters, wild + held.get((want.context, want.rtype), "")))
            continue
        _keep(out, want, _common(want.letters, wild))
        for (context, rtype), letters in held.items():
            if context == want.context and rtype != "*" and not _covers(wild, _common(want.letters, letters)):
                _keep(out, replace(want, rtype=rtype), _common(want.letters, wild + letters))
    return tuple(out)


def is_subset(inner: Iterable[Scope], outer: Iterable[Scope]) -> bool:
    """Whether everything that `inner` allows is allowed by `outer` too, context by context."""
    small, big = _letters(inner), _letters(outer)
    return all(
        _covers(big.get((context, "*"), "") + big.get((context, rtype), ""), letters)
        for (context, rtype), letters in small.items()
    )


@lru_cache(maxsize=4096)
def compile_allows(text: str) -> Allows:
    """`allows(letter, type)` of a granted scope text. What cannot be read allows nothing.

    Neither does `patient/`: it is narrower than the caller's panels, and nothing narrows to one patient yet.
    """
    by_type: dict[str, str] = {}
    try:
        granted = requested(text)
    except InvalidScope:
        granted = ()
    for scope in granted:
        if scope.context != "patient":
            by_type[scope.rtype] = by_type.get(scope.rtype, "") + scope.letters
    everywhere = frozenset(by_type.pop("*", ""))
    table = {rtype: frozenset(letters) | everywhere for rtype, letters in by_type.items()}

    def allows(letter: str, rtype: str) -> bool:
        return letter in table.get(rtype, everywhere)

    return allows


def _parts(text: str) -> list[str]:
    if len(text) > MAX_TEXT:
        raise InvalidScope(f"A scope text has at most {MAX_TEXT} characters.")
    return [part for part in text.split(" ") if part]


def _in_order(letters: str) -> str:
    return "".join(letter for letter in CRUDS if letter in letters)


def _common(letters: str, held: str) -> str:
    return "".join(letter for letter in CRUDS if letter in letters and letter in held)


def _covers(held: str, letters: str) -> bool:
    return all(letter in held for letter in letters)


def _letters(scopes: Iterable[Scope]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for scope in scopes:
        key = (scope.context, scope.rtype)
        found[key] = _in_order(found.get(key, "") + scope.letters)
    return found


def _keep(out: dict[Scope, None], want: Scope, letters: str) -> None:
    """Adds a grant; version 1 words are kept only where they still say exactly what is granted."""
    if letters:
        out[replace(want, letters=letters, v1=want.v1 and letters in _V1_OF)] = None
