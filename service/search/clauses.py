"""One function per kind of search parameter: modifier and values -> a clause of the Criteria.

Source: https://hl7.org/fhir/R4/search.html#ptypes. The other half of emitters.py: it asks for the keys written there.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from fhir_profiles.catalog import Group, SearchParameter, catalog
from service.search import composites, hours, near, numbers, quantities, strings, tokens, uris
from service.search.criteria import AllOf, AnyOf, Clause, HasDate, HasEdge, HasKey, HasNumber, HasString, Not, Within
from service.search.keys import edge
from service.search.prefixes import between, prefix_and_range
from service.search.question import Query
from service.search.references import normal_canonical, normal_reference, type_of
from service.search.syntax import ID, Refused, unescape

__all__ = ["Query", "clause", "modifiers"]

MAX_TARGETS = 2_000
"""Reference targets of one parameter: values times types that an id without a type may have."""

PRESENCE_RANK = 9

_TYPED = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")

NEGATED = {"not": None, "not-in": "in"}
"""Modifiers that turn a clause round, and what they turn round."""


def modifiers(parameter: SearchParameter) -> tuple[str, ...]:
    """What may stand behind the colon of the parameter; "[type]" for the name of a type."""
    if parameter.derived:
        return ()
    match parameter.type:
        case "token":
            return ("not", *tokens.modifiers(parameter), "missing")
        case "reference":
            return ("identifier", "[type]", "missing") if "Reference" in parameter.datatypes else ("missing",)
        case "string":
            return ("exact", "contains", "missing")
        case "uri":
            return ("above", "below", "missing")
    return ("missing",)


def clause(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    """The clause of one parameter; values are one OR list with their escapes. Raises Refused."""
    named = modifier is not None and modifier[:1].isupper() and "[type]" in modifiers(parameter)
    if modifier is not None and not named and modifier not in modifiers(parameter):
        supported = ", ".join(f":{name}" for name in modifiers(parameter))
        raise Refused(f"takes the modifiers {supported}" if supported else "takes no modifier", "not-supported")
    if modifier == "missing":
        if list(values) not in (["true"], ["false"]):
            raise Refused("takes true or false with :missing")
        present = _present(parameter, query)
        return _not(present) if values[0] == "true" else present
    if modifier in NEGATED:
        return _not(_positive(parameter, NEGATED[modifier], values, query))
    return _positive(parameter, modifier, values, query)


def _positive(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    return _any_of([CLAUSES[own.type](own, modifier, values, query) for own in _stored(parameter, query)])


def _stored(parameter: SearchParameter, query: Query) -> list[SearchParameter]:
    """The parameters whose rows answer this one; a reference looks at the edges of others by itself."""
    if not parameter.is_alias or parameter.type == "reference":
        return [parameter]
    search = catalog().types[query.rtype].search
    return [own for code in parameter.stored_as for own in _stored(search[code], query)]


def _present(parameter: SearchParameter, query: Query) -> Clause:
    if parameter.type == "composite":
        return _any_of([_composite_present(own, query) for own in _stored(parameter, query)])
    present = [query.keys.present(query.rtype, own.code) for own in _stored(parameter, query)]
    return HasKey(tuple(present), PRESENCE_RANK)


def _composite_present(parameter: SearchParameter, query: Query) -> Clause:
    found: list[Clause] = []
    if any(not group.asked for group in parameter.groups):
        found.append(HasKey((query.keys.present(query.rtype, parameter.code),), PRESENCE_RANK))
    search = catalog().types[query.rtype].search
    for group in parameter.groups:
        if group.asked:
            found.append(AllOf(tuple(_present(search[code], query) for code in group.asked)))
    return _any_of(found)


def _any_of(found: Sequence[Clause]) -> Clause:
    """One clause; keys are put together, since one look-up then answers them."""
    if len(found) == 1:
        return found[0]
    keyed = [part for part in found if isinstance(part, HasKey) and not part.negate]
    if len(keyed) == len(found):
        keys = dict.fromkeys(key for part in keyed for key in part.keys)
        return HasKey(tuple(keys), max(part.rank for part in keyed))
    return AnyOf(tuple(found))


def _not(positive: Clause) -> Clause:
    return replace(positive, negate=not positive.negate) if isinstance(positive, HasKey) else Not(positive)


# ---- reference


def _reference(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    if modifier == "identifier":
        return _by_identifier(parameter, values, query)
    only = None
    if modifier:
        if parameter.targets != ("Any",) and modifier not in parameter.targets:
            raise Refused("has a type behind the colon to which it cannot lead")
        only = modifier
    found = [target for value in values for target in _targets(parameter, only, unescape(value), query)]
    targets = [query.keys.resource(target) for target in found]
    if len(targets) > MAX_TARGETS:
        raise Refused("has too many values without a type; write Type/id", "too-costly")
    edges = tuple(edge(query.rtype, stored) for stored in parameter.stored_as)
    return HasEdge(edges, tuple(dict.fromkeys(targets)) or (query.nothing(),))


def _by_identifier(parameter: SearchParameter, values: Sequence[str], query: Query) -> Clause:
    pairs = [tokens.system_and_code(value) for value in values]
    keys = [query.keys.identifier(query.rtype, parameter.code, system, code) for system, code in pairs]
    return HasKey(tuple(dict.fromkeys(keys)), tokens.RANKS["Identifier"])


def _targets(parameter: SearchParameter, only: str | None, value: str, query: Query) -> list[str]:
    """The references that a value may mean."""
    if "Reference" not in parameter.datatypes:
        canonical = normal_canonical(value, query.base_url)
        return [canonical] if canonical else []
    if ID.fullmatch(value):
        types = (only,) if only else _types_for_id(parameter)
        return [f"{rtype}/{value}" for rtype in types]
    reference = normal_reference(value, query.base_url)
    if reference is None or not ("://" in reference or _TYPED.fullmatch(reference)):
        raise Refused("takes an id, Type/id or an absolute URL")
    if "://" not in reference and not _fits(parameter, only, type_of(reference)):
        query.warnings.append(f"Parameter '{parameter.code}' names a type to which it cannot lead: it matches nothing.")
        return []
    return [reference]


def _fits(parameter: SearchParameter, only: str | None, rtype: str) -> bool:
    return rtype == only if only else parameter.targets == ("Any",) or rtype in parameter.targets


def _types_for_id(parameter: SearchParameter) -> tuple[str, ...]:
    """An id without a type is looked for among the types that we serve; among the declared ones if we serve none."""
    served = catalog().types
    if parameter.targets == ("Any",):
        return tuple(served)
    return tuple(rtype for rtype in parameter.targets if rtype in served) or parameter.targets


# ---- date, number, quantity, special


def _date(parameter: SearchParameter, _modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    spans = [prefix_and_range(unescape(value), query.zone) for value in values]
    bounds = [bound for prefix, span in spans for bound in between(prefix, span, query.now_us)]
    return HasDate(query.keys.values(query.rtype, parameter.code), tuple(dict.fromkeys(bounds)))


def _number(parameter: SearchParameter, _modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    bounds = [numbers.within(*numbers.prefix_and_number(unescape(value))) for value in values]
    return HasNumber(query.keys.values(query.rtype, parameter.code), tuple(dict.fromkeys(bounds)))


def _quantity(parameter: SearchParameter, _modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    by_unit: dict[str, dict[Within, None]] = {}
    for value in values:
        unit, bound = quantities.asked(value)
        by_unit.setdefault(unit, {})[bound] = None
    keys = query.keys
    return _any_of(
        [HasNumber(keys.values(query.rtype, parameter.code + unit), tuple(found)) for unit, found in by_unit.items()]
    )


def _special(parameter: SearchParameter, _modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    key = query.keys.values(query.rtype, parameter.code)
    return hours.clause(key, values, query) if parameter.code == "open-at" else near.clause(key, values)


# ---- string and uri


def _string(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    key = query.keys.values(query.rtype, parameter.code)
    if modifier == "exact":
        return HasString(key, tuple(dict.fromkeys(strings.stored(unescape(value)) for value in values)), "exact")
    return HasString(key, tokens.starts(values), modifier or "prefix")


def _uri(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    return uris.clause(parameter.code, modifier, [unescape(value) for value in values], tokens.rank(parameter), query)


# ---- composite


def _composite(parameter: SearchParameter, _modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    found: list[Clause] = []
    for group in parameter.groups:
        if group.asked:
            found += [_both(group.asked, value, query) for value in values]
        else:
            found.append(composites.clause(parameter, group, values, query, _references(group)))
    return _any_of(found)


def _both(codes: tuple[str, ...], value: str, query: Query) -> Clause:
    search = catalog().types[query.rtype].search
    halves = composites.halves(value)
    return AllOf(tuple(clause(search[c], None, [half], query) for c, half in zip(codes, halves, strict=True)))


def _references(group: Group) -> composites.References:
    """References of a component may lead anywhere: the composite does not say."""
    parts = SearchParameter("", "reference", group.parts[1].paths, "", ("Any",))
    return lambda value, query: _targets(parts, None, value, query)


Make = Callable[[SearchParameter, str | None, Sequence[str], Query], Clause]
CLAUSES: dict[str, Make] = {
    "token": tokens.clause,
    "reference": _reference,
    "date": _date,
    "string": _string,
    "uri": _uri,
    "number": _number,
    "quantity": _quantity,
    "composite": _composite,
    "special": _special,
}
