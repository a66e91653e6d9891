"""One parameter of one type, at the end of a chain or by itself: its name and its values -> a clause."""

from fhir_profiles.catalog import SearchParameter, catalog
from service.search.asking import Asking
from service.search.chains import follow
from service.search.clauses import clause
from service.search.criteria import Between, Clause, HasDate, HasId, Not, Updated
from service.search.prefixes import approximate, prefix_and_range
from service.search.syntax import ID, Refused, Unknown, alternatives

LABELS = "_security"
NO_LABELS = "is for operators only: a search by security labels tells who has labelled records"


def parameter_of(code: str, asking: Asking) -> SearchParameter:
    """The parameter of the type that is asked about. Raises Unknown, and Refused for labels."""
    if code == LABELS and not asking.may.labels:
        raise Refused(NO_LABELS, "forbidden")
    parameter = catalog().types[asking.rtype].search.get(code)
    if parameter is None:
        raise Unknown(asking.rtype)
    return parameter


def leaf(name: str, value: str, asking: Asking) -> Clause:
    """The clause of `code` or `code:modifier`; value is an OR list with its escapes."""
    code, colon, modifier = name.partition(":")
    parameter = parameter_of(code, asking)
    if colon and not modifier:
        raise Refused("has no modifier behind its colon")
    return of_values(parameter, modifier or None, alternatives(value), asking)


def of_values(parameter: SearchParameter, modifier: str | None, values: list[str], asking: Asking) -> Clause:
    if parameter.code == "_id":
        return _ids(values, modifier)
    if parameter.code == "_lastUpdated":
        return _updated(values, modifier, asking)
    if parameter.derived and modifier is None:
        return _derived(parameter, values, asking)
    return clause(parameter, modifier, values, asking.query)


def _derived(parameter: SearchParameter, values: list[str], asking: Asking) -> Clause:
    """By the rows of others: `near` of a service are its places, `stale` says how many days ago it was verified."""
    if parameter.code == "stale":
        return _stale(parameter.derived, values, asking)
    return follow(parameter.derived, asking, lambda code, at: of_values(parameter_of(code, at), None, values, at))


def _stale(verified: str, values: list[str], asking: Asking) -> Clause:
    """Not verified for more than so many days, or never."""
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit() and len(values[0]) <= 5):
        raise Refused("takes a whole number of days, such as 180")
    query = asking.query
    before = query.now_us - int(values[0]) * 86_400_000_000
    return Not(HasDate(query.keys.values(query.rtype, verified), (Between(hi_gt=before),)))


def _ids(values: list[str], modifier: str | None) -> Clause:
    if modifier not in (None, "not"):
        raise Refused("takes the modifier :not alone", "not-supported")
    if not all(ID.fullmatch(value) for value in values):
        raise Refused("takes ids: 1 to 64 letters, digits, '-' or '.', without a type")
    named = HasId(tuple(dict.fromkeys(values)))
    return Not(named) if modifier else named


def _updated(values: list[str], modifier: str | None, asking: Asking) -> Updated:
    if modifier:
        raise Refused("takes no modifier", "not-supported")
    return Updated(tuple(bound for value in values for bound in _instants(value, asking)))


def _instants(value: str, asking: Asking) -> list[tuple[int | None, int | None]]:
    """meta.lastUpdated is one instant, so each prefix is a half-open range, and ne is two."""
    prefix, (start, end) = prefix_and_range(value, asking.query.zone)
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
            return [approximate((start, end), asking.query.now_us)]
    return [(start, end)]
