"""One function per kind of search parameter: modifier and values -> a clause of the Criteria.

Source: https://hl7.org/fhir/R4/search.html#ptypes. The other half of emitters.py: it asks for the keys written there.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from fhir_profiles.catalog import SearchParameter, catalog
from service.search import strings
from service.search.criteria import Clause, HasDate, HasEdge, HasKey, HasString
from service.search.emitters import fold, phone_digits
from service.search.keys import Keys, edge
from service.search.prefixes import between, prefix_and_range
from service.search.references import normal_canonical, normal_reference, type_of
from service.search.syntax import ID, Refused, split, unescape

PLAIN = frozenset({"code", "boolean", "string", "id", "uri", "truth"})
"""Datatypes of a token that bear no system of their own; a required binding may imply one."""

MAX_TARGETS = 2_000
"""Reference targets of one parameter: values times types that an id without a type may have."""

_TYPED = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")


@dataclass
class Query:
    """What a clause needs to know of the whole query; warnings collects sentences for the answer."""

    rtype: str
    keys: Keys
    now_us: int
    base_url: str
    zone: tzinfo
    warnings: list[str] = field(default_factory=list)

    def nothing(self) -> int:
        """A key that no resource has."""
        return self.keys.of("0", "nothing")


def clause(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    """The clause of one parameter; values are one OR list with their escapes. Raises Refused."""
    if modifier == "missing":
        return _missing(parameter, values, query)
    return CLAUSES[parameter.type](parameter, modifier, values, query)


def _missing(parameter: SearchParameter, values: Sequence[str], query: Query) -> Clause:
    if list(values) not in (["true"], ["false"]):
        raise Refused("takes true or false with :missing")
    present = query.keys.present(query.rtype, parameter.code)
    return HasKey((present,), PRESENCE_RANK, negate=values[0] == "true")


PRESENCE_RANK = 9
RANKS = {"Identifier": 0, "ContactPoint": 1, "uri": 2, "canonical": 6, "Coding": 5, "CodeableConcept": 5}
"""How rare a key of the datatype is, 0 rarest; codes and booleans are the commonest."""


def _rank(parameter: SearchParameter) -> int:
    if parameter.code == "_tag":
        return 8
    return max(RANKS.get(datatype, 7) for datatype in parameter.datatypes)


# ---- token


def _token(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    _only(modifier, "not", "missing")
    keys = [key for value in values for key in _token_keys(parameter, value, query)]
    return HasKey(tuple(dict.fromkeys(keys)), _rank(parameter), negate=modifier == "not")


def system_and_code(value: str) -> tuple[str | None, str | None]:
    """`code` (None, code); `|code` ("", code); `system|code`; `system|` (system, None)."""
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) > 2 or parts == ["", ""]:
        raise Refused("takes code, system|code, |code or system|; a '|' inside a value is written '\\|'")
    if len(parts) == 1:
        return None, parts[0]
    return parts[0], parts[1] or None


def _token_keys(parameter: SearchParameter, value: str, query: Query) -> list[int]:
    system, code = system_and_code(value)
    if parameter.datatypes <= PLAIN:
        return _plain_keys(parameter, system, code, query)
    if "ContactPoint" in parameter.datatypes:
        if system is not None or code is None:
            raise Refused("takes the number or address alone, without a system")
        forms = {fold(code), phone_digits(code)} - {""}
        return [query.keys.token(query.rtype, parameter.code, None, form) for form in sorted(forms)]
    if code is not None and "Identifier" not in parameter.datatypes:
        code = fold(code)
    return [query.keys.token(query.rtype, parameter.code, system, code)]


def _plain_keys(parameter: SearchParameter, system: str | None, code: str | None, query: Query) -> list[int]:
    """A code's system is the one its binding implies, so that it needs no row of its own; where none is known, any."""
    implied = {path.system for path in parameter.paths}
    if system and None not in implied and system not in implied:
        return [query.nothing()]
    if code is None:
        return [query.keys.present(query.rtype, parameter.code)]
    if parameter.datatypes <= {"boolean", "truth"} and fold(code) not in ("true", "false"):
        raise Refused("takes true or false")
    return [query.keys.token(query.rtype, parameter.code, None, fold(code))]


# ---- reference


def _reference(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    if modifier == "identifier":
        return _by_identifier(parameter, values, query)
    only = None
    if modifier and modifier[0].isupper():
        if parameter.targets != ("Any",) and modifier not in parameter.targets:
            raise Refused("has a type behind the colon to which it cannot lead")
        only = modifier
    else:
        _only(modifier, "identifier", "missing", "[type]")
    targets = [key for value in values for key in _targets(parameter, only, unescape(value), query)]
    if len(targets) > MAX_TARGETS:
        raise Refused("has too many values without a type; write Type/id", "too-costly")
    edges = tuple(edge(query.rtype, stored) for stored in parameter.stored_as)
    return HasEdge(edges, tuple(dict.fromkeys(targets)) or (query.nothing(),))


def _by_identifier(parameter: SearchParameter, values: Sequence[str], query: Query) -> Clause:
    pairs = [system_and_code(value) for value in values]
    keys = [query.keys.identifier(query.rtype, parameter.code, system, code) for system, code in pairs]
    return HasKey(tuple(dict.fromkeys(keys)), RANKS["Identifier"])


def _targets(parameter: SearchParameter, only: str | None, value: str, query: Query) -> list[int]:
    if "Reference" not in parameter.datatypes:
        canonical = normal_canonical(value, query.base_url)
        return [query.keys.resource(canonical)] if canonical else []
    if ID.fullmatch(value):
        types = (only,) if only else _types_for_id(parameter)
        return [query.keys.resource(f"{rtype}/{value}") for rtype in types]
    reference = normal_reference(value, query.base_url)
    if reference is None or not ("://" in reference or _TYPED.fullmatch(reference)):
        raise Refused("takes an id, Type/id or an absolute URL")
    if "://" not in reference and not _fits(parameter, only, type_of(reference)):
        query.warnings.append(f"Parameter '{parameter.code}' names a type to which it cannot lead: it matches nothing.")
        return []
    return [query.keys.resource(reference)]


def _fits(parameter: SearchParameter, only: str | None, rtype: str) -> bool:
    return rtype == only if only else parameter.targets == ("Any",) or rtype in parameter.targets


def _types_for_id(parameter: SearchParameter) -> tuple[str, ...]:
    """An id without a type is looked for among the types that we serve; among the declared ones if we serve none."""
    served = catalog().types
    if parameter.targets == ("Any",):
        return tuple(served)
    return tuple(rtype for rtype in parameter.targets if rtype in served) or parameter.targets


# ---- date


def _date(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    _only(modifier, "missing")
    spans = [prefix_and_range(unescape(value), query.zone) for value in values]
    bounds = [bound for prefix, span in spans for bound in between(prefix, span, query.now_us)]
    return HasDate(query.keys.values(query.rtype, parameter.code), tuple(dict.fromkeys(bounds)))


# ---- string and uri


def _string(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    if modifier == "contains":
        raise Refused("with :contains is too costly here; search by the start of the value", "too-costly")
    _only(modifier, "exact", "missing")
    key = query.keys.values(query.rtype, parameter.code)
    plain = [unescape(value) for value in values]
    if modifier == "exact":
        return HasString(key, tuple(dict.fromkeys(strings.stored(value) for value in plain)), "exact")
    if any(len(value) > strings.LIMIT for value in plain):
        raise Refused(f"takes at most {strings.LIMIT} characters; use :exact for longer values", "too-long")
    starts = tuple(dict.fromkeys(strings.normalise(value) for value in plain))
    if "" in starts:
        raise Refused("has a value without letters or digits")
    return HasString(key, starts)


def _uri(parameter: SearchParameter, modifier: str | None, values: Sequence[str], query: Query) -> Clause:
    _only(modifier, "missing")
    keys = [query.keys.uri(query.rtype, parameter.code, unescape(value)) for value in values]
    return HasKey(tuple(dict.fromkeys(keys)), _rank(parameter))


def _only(modifier: str | None, *supported: str) -> None:
    if modifier is not None and modifier not in supported:
        raise Refused(f"takes the modifiers {', '.join(':' + name for name in supported)}", "not-supported")


CLAUSES: dict[str, Callable[[SearchParameter, str | None, Sequence[str], Query], Clause]] = {
    "token": _token,
    "reference": _reference,
    "date": _date,
    "string": _string,
    "uri": _uri,
}
