"""One SMART scope, read and printed: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html

Pure. A scope text is `(patient|user|system)/(Type|*).letters[?query]`, letters an in-order subset of "cruds", or of
version 1 `.read` (rs), `.write` (cud), `.*` (cruds). The query's rules are in scope_queries.py.
"""

import re
from dataclasses import dataclass

from service.auth.scope_queries import BadQuery, Pairs, read_query

CRUDS = "cruds"
V1 = {"read": "rs", "write": "cud", "*": "cruds"}

_FORM = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(\*|[a-z]{1,5})", re.ASCII)
_V1_OF = {letters: word for word, letters in V1.items()}


class InvalidScope(ValueError):
    """The text breaks the grammar; the message says which rule, without repeating the text."""


@dataclass(frozen=True)
class Scope:
    """One resource scope. rtype "*" means every type. v1: written in the syntax of version 1, and answered in it.

    query: what a resource must fit, in the order and encoding of the text.
    """

    context: str
    rtype: str
    letters: str
    v1: bool = False
    query: Pairs = ()

    def __str__(self) -> str:
        word = _V1_OF.get(self.letters) if self.v1 and not self.query else None
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.context}/{self.rtype}.{word or self.letters}{'?' if query else ''}{query}"


def parse_scope(text: str) -> Scope:
    """Reads one scope; raises InvalidScope. Letters out of order or twice are an error, never repaired."""
    head, mark, query = text.partition("?")
    match = _FORM.fullmatch(head)
    if match is None:
        raise InvalidScope("A scope reads (patient|user|system)/(Type|*).cruds with letters in that order.")
    context, rtype, word = match.groups()
    if word not in V1 and word != in_order(word):
        raise InvalidScope("The letters of a scope are a subset of c r u d s, each once and in that order.")
    if not mark:
        return Scope(context, rtype, V1.get(word, word), v1=word in V1)
    if word in V1:
        raise InvalidScope("A scope with a query is written with letters of c r u d s, not with read, write or *.")
    try:
        return Scope(context, rtype, word, query=read_query(rtype, query))
    except BadQuery as error:
        raise InvalidScope(str(error)) from None
    except ValueError:
        raise InvalidScope("The percent-encoding of a scope's query is UTF-8.") from None


def in_order(letters: str) -> str:
    return "".join(letter for letter in CRUDS if letter in letters)


def is_v1(letters: str) -> bool:
    """Whether a word of version 1 says exactly these letters."""
    return letters in _V1_OF
