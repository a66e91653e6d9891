"""What of one set of scopes lies within another: the subset relation, and what is granted of what is asked for. Pure.

A scope lies within another of its context if its type is the other's (or the other's is "*"), its letters too, and it
says all that the other's query says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from service.auth.scope_queries import Pairs, same
from service.auth.scope_syntax import Scope, in_order, is_v1


def is_subset(inner: Iterable[Scope], outer: Iterable[Scope]) -> bool:
    """Whether everything that `inner` allows is allowed by one scope or other of `outer`, letter by letter."""
    big = tuple(outer)
    return all(_held(big, one.context, one.rtype, one.query, one.letters) == one.letters for one in inner)


def intersect(wanted: Iterable[Scope], registered: Iterable[Scope]) -> tuple[Scope, ...]:
    """What of `wanted` is `registered`, in the order and syntax of the request; may be empty.

    A wanted "*" also yields the types that were registered one by one. What is registered with a query is granted with
    it; with a query on both sides, both hold.
    """
    held = tuple(registered)
    out: dict[Scope, None] = {}
    for want in wanted:
        for part in _kept(_common(want, held)):
            scope = replace(want, rtype=part.rtype, letters=part.letters, query=part.query)
            out[replace(scope, v1=want.v1 and not part.query and is_v1(part.letters))] = None
    return tuple(out)


@dataclass(frozen=True)
class _Part:
    rtype: str
    query: Pairs
    letters: str

    def within(self, other: "_Part") -> bool:
        """Whether the other says all of this one, and they are not the same."""
        wider_type = other.rtype == "*" and self.rtype != "*"
        queries = same(other.query), same(self.query)
        wider_query = other.rtype in ("*", self.rtype) and queries[0] < queries[1]
        wider = wider_query or (wider_type and queries[0] <= queries[1])
        return wider and set(self.letters) <= set(other.letters)


def _common(want: Scope, held: Sequence[Scope]) -> list[_Part]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], _Part] = {}
    for have in sorted(held, key=lambda one: one.rtype != "*"):  # those of all types come first in the answer
        if have.context != want.context or not ("*" in (have.rtype, want.rtype) or have.rtype == want.rtype):
            continue
        rtype = have.rtype if want.rtype == "*" else want.rtype
        query = _both(want.query, have.query)
        letters = _held(held, want.context, rtype, query, want.letters)
        if letters:
            found.setdefault((rtype, same(query)), _Part(rtype, query, letters))
    return list(found.values())


def _kept(parts: list[_Part]) -> list[_Part]:
    return [one for one in parts if not any(one.within(other) for other in parts)]


def _both(first: Pairs, second: Pairs) -> Pairs:
    known = same(first)
    return (*first, *(pair for pair in second if not same((pair,)) <= known))


def _held(scopes: Sequence[Scope], context: str, rtype: str, query: Pairs, letters: str) -> str:
    """Those of the letters that the scopes give for what fits the query."""
    asked = same(query)
    found = "".join(
        one.letters
        for one in scopes
        if one.context == context and one.rtype in ("*", rtype) and same(one.query) <= asked
    )
    return in_order("".join(letter for letter in letters if letter in found))
