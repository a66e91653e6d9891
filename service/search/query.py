"""Query string -> Criteria: what is asked, checked against the catalog; all that is wrong is said at once.

Source: https://hl7.org/fhir/R4/search.html. Limits: ../shared/facts/security.md A14.
"""

from datetime import tzinfo

from fhir_profiles.catalog import TypeEntry, catalog
from service.errors import Category, FhirError, Issue
from service.search.clauses import Query, clause
from service.search.criteria import Clause, Criteria, HasId, Updated
from service.search.dates import PACIFIC
from service.search.keys import Keys
from service.search.prefixes import approximate, prefix_and_range
from service.search.results import ONCE, RESULT_PARAMETERS, Shape
from service.search.syntax import ID, Refused, alternatives, checked, shown

MAX_PARAMETERS = 50
MAX_VALUES = 500
"""Values of all OR lists of one query together."""


def parse(
    rtype: str,
    params: list[tuple[str, str]],
    keys: Keys,
    *,
    strict: bool,
    now_us: int,
    base_url: str,
    zone: tzinfo = PACIFIC,
) -> Criteria:
    """Criteria of a search of `rtype`; params are decoded name and value pairs in the order sent.

    An unknown parameter is refused when `strict` (Prefer: handling=strict), else left out of `used` with a warning.
    zone: of dates that bear none. Raises FhirError MALFORMED with one issue per parameter that cannot be executed.
    """
    entry = catalog().types.get(rtype)
    if entry is None or "search-type" not in entry.interactions:
        raise FhirError(Category.NOT_FOUND, [Issue("This type is not searched here.", code="not-supported")])
    _limits(params)
    query, shape = Query(rtype, keys, now_us, base_url, zone), Shape(rtype)
    clauses: list[Clause] = []
    used: list[tuple[str, str]] = []
    issues: list[Issue] = []
    for name, value in params:
        try:
            if name in used_once(used):
                raise Refused("may stand once")
            done = _one(name, value, entry, query, shape, clauses)
        except Refused as refused:
            issues.append(Issue(f"Parameter {shown(name)} {refused.sentence}.", code=refused.code))
            continue
        if done is None:
            sentence = _unknown(name, entry)
            query.warnings.append(sentence)
            issues += [Issue(sentence, code="not-supported")] if strict else []
        else:
            used.append((name, done))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Criteria(
        rtype=rtype,
        clauses=tuple(clauses),
        sort=shape.sort,
        count=shape.count,
        includes=tuple(dict.fromkeys(shape.includes)),
        total=shape.total,
        warnings=tuple(dict.fromkeys(query.warnings)),
        used=tuple(used),
    )


def used_once(used: list[tuple[str, str]]) -> set[str]:
    return {name for name, _ in used if name in ONCE}


def _limits(params: list[tuple[str, str]]) -> None:
    """Refused before any value is read, so that a costly query costs nothing."""
    if len(params) > MAX_PARAMETERS:
        sentence = f"A search takes at most {MAX_PARAMETERS} parameters."
        raise FhirError(Category.MALFORMED, [Issue(sentence, code="too-costly")])
    if sum(value.count(",") + 1 for _, value in params) > MAX_VALUES:
        sentence = f"A search takes at most {MAX_VALUES} values in all its lists together."
        raise FhirError(Category.MALFORMED, [Issue(sentence, code="too-costly")])


def _one(name: str, value: str, entry: TypeEntry, query: Query, shape: Shape, clauses: list[Clause]) -> str | None:
    """Executes one parameter; the value as executed, or None for a parameter that we do not know. Raises Refused."""
    code, _, modifier = name.partition(":")
    if code == "_has":
        raise Refused("(reverse chaining) is not supported yet", "not-supported")
    if "." in name:
        raise Refused("is a chain, and chains are not supported yet; search the other type first", "not-supported")
    if code in RESULT_PARAMETERS:
        if modifier and code in ONCE:
            raise Refused("takes no modifier", "not-supported")
        return RESULT_PARAMETERS[code](checked(value), modifier or None, shape)
    parameter = entry.search.get(code)
    if parameter is None:
        return None
    if name.endswith(":"):
        raise Refused("has no modifier behind its colon")
    values = alternatives(value)
    if code == "_id":
        clauses.append(_ids(values, modifier))
    elif code == "_lastUpdated":
        clauses.append(_updated(values, modifier, query))
    else:
        clauses.append(clause(parameter, modifier or None, values, query))
    return value


def _ids(values: list[str], modifier: str) -> HasId:
    if modifier:
        raise Refused("takes no modifier", "not-supported")
    if not all(ID.fullmatch(value) for value in values):
        raise Refused("takes ids: 1 to 64 letters, digits, '-' or '.', without a type")
    return HasId(tuple(dict.fromkeys(values)))


def _updated(values: list[str], modifier: str, query: Query) -> Updated:
    if modifier:
        raise Refused("takes no modifier", "not-supported")
    return Updated(tuple(bound for value in values for bound in _instants(value, query)))


def _instants(value: str, query: Query) -> list[tuple[int | None, int | None]]:
    """meta.lastUpdated is one instant, so each prefix is a half-open range, and ne is two."""
    prefix, (start, end) = prefix_and_range(value, query.zone)
    match prefix:
        case "gt" | "sa":
            return [(end, None)]
        case "lt" | "eb":
            return [(None, start)]
        case "ge":
            return [(start, None)]
        case "le":
            return [(None, end)]
        case "ne":
            return [(None, start), (end, None)]
        case "ap":
            return [approximate((start, end), query.now_us)]
    return [(start, end)]


def _unknown(name: str, entry: TypeEntry) -> str:
    known = ", ".join(sorted(entry.search))
    return f"Parameter {shown(name)} is not known for {entry.name} and was not used; known are: {known}."
