"""uri parameters: a value and its modifier -> a clause. https://hl7.org/fhir/R4/search.html#uri

Below http://x.org/a stand it and what goes on behind a slash; above stand the uri itself and the starts of its path.
"""

from collections.abc import Sequence

from service.search.criteria import AnyOf, Clause, HasKey, HasString
from service.search.emitters import URI_LIMIT
from service.search.question import Query
from service.search.syntax import Refused

MAX_ANCESTORS = 2_000
"""Uris that the values of one parameter may stand under."""


def clause(code: str, modifier: str | None, values: Sequence[str], rank: int, query: Query) -> Clause:
    if modifier is None:
        return _exactly(code, values, rank, query)
    if not all("://" in value for value in values):
        raise Refused(f"takes URLs such as http://example.org/path with :{modifier}")
    if modifier == "below":
        return _below(code, values, rank, query)
    found = [uri for value in values for uri in _ancestors(value)]
    if len(found) > MAX_ANCESTORS:
        raise Refused("has too many path segments with :above", "too-costly")
    return _exactly(code, found, rank, query)


def _exactly(code: str, values: Sequence[str], rank: int, query: Query) -> HasKey:
    return HasKey(tuple(dict.fromkeys(query.keys.uri(query.rtype, code, value) for value in values)), rank)


def _below(code: str, values: Sequence[str], rank: int, query: Query) -> Clause:
    if any(len(value) >= URI_LIMIT for value in values):
        raise Refused(f"takes fewer than {URI_LIMIT} characters with :below", "too-long")
    starts = tuple(dict.fromkeys(value.rstrip("/") + "/" for value in values))
    exact = _exactly(code, [value for start in starts for value in (start, start[:-1])], rank, query)
    return AnyOf((exact, HasString(query.keys.values(query.rtype, code), starts)))


def _ancestors(value: str) -> list[str]:
    """The uri, and each start of its path with and without the slash behind it."""
    scheme, _, rest = value.partition("://")
    segments = rest.rstrip("/").split("/")
    starts = [f"{scheme}://{'/'.join(segments[:size])}" for size in range(len(segments), 0, -1)]
    return [value, *(uri for start in starts for uri in (start, start + "/"))]
