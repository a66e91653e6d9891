"""Query string -> Criteria: what is asked, checked against the catalog; all that is wrong is said at once.

Source: https://hl7.org/fhir/R4/search.html. Limits: ../shared/facts/security.md A14.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo

from fhir_profiles.catalog import catalog
from service.errors import Category, FhirError, Issue
from service.search.asking import Asking, May
from service.search.chains import RENDERED, follow
from service.search.clauses import Query
from service.search.criteria import Clause, Criteria, HasId, Linked, Sort
from service.search.dates import PACIFIC
from service.search.filter import filtered
from service.search.keys import Keys, edge
from service.search.leaves import leaf
from service.search.results import ONCE, RESULT_PARAMETERS, Shape, together
from service.search.syntax import ID, Refused, Several, Unknown, alternatives, checked, shown

MAX_PARAMETERS = 50
MAX_VALUES = 500
"""Values of all OR lists of one query together."""

Params = list[tuple[str, str]]
NOBODY = May()
"""A search of one type by its own parameters."""


def parse(
    rtype: str,
    params: Params,
    keys: Keys,
    *,
    strict: bool,
    now_us: int,
    base_url: str,
    zone: tzinfo = PACIFIC,
    may: May = NOBODY,
) -> Criteria:
    """Criteria of a search of `rtype`; params are decoded name and value pairs in the order sent.

    An unknown parameter is refused when `strict` (Prefer: handling=strict), else left out of `used` with a warning.
    zone: of dates that bear none. may: what chains may ask about. Raises FhirError MALFORMED with one issue per
    parameter that cannot be executed; FORBIDDEN where the caller may not ask for it.
    """
    (criteria,) = parse_types(
        (rtype,), params, keys, strict=strict, now_us=now_us, base_url=base_url, zone=zone, may=may
    )
    return criteria


def parse_types(
    rtypes: Sequence[str],
    params: Params,
    keys: Keys,
    *,
    strict: bool,
    now_us: int,
    base_url: str,
    zone: tzinfo = PACIFIC,
    may: May = NOBODY,
    everywhere: bool = False,
) -> tuple[Criteria, ...]:
    """As parse, for several types at once: by parameters that all of them have. everywhere: _type may stand there."""
    types = catalog().types
    if any(rtype not in types or "search-type" not in types[rtype].interactions for rtype in rtypes):
        raise FhirError(Category.NOT_FOUND, [Issue("This type is not searched here.", code="not-supported")])
    _limits(params)
    first = Asking(Query(rtypes[0], keys, now_us, base_url, zone), may)
    reading = _Reading([first, *(first.of(rtype) for rtype in rtypes[1:])], Shape(tuple(rtypes), may, everywhere))
    for name, value in params:
        reading.take(name, value, strict=strict)
    return reading.criteria()


def _limits(params: Params) -> None:
    """Refused before any value is read, so that a costly query costs nothing."""
    if len(params) > MAX_PARAMETERS:
        sentence = f"A search takes at most {MAX_PARAMETERS} parameters."
        raise FhirError(Category.MALFORMED, [Issue(sentence, code="too-costly")])
    if sum(value.count(",") + 1 for _, value in params) > MAX_VALUES:
        sentence = f"A search takes at most {MAX_VALUES} values in all its lists together."
        raise FhirError(Category.MALFORMED, [Issue(sentence, code="too-costly")])


class _Reading:
    """The search so far: clauses of each type, the shape of the answer, what was executed and what is wrong."""

    def __init__(self, types: list[Asking], shape: Shape):
        self._types, self._shape = types, shape
        self._clauses: list[list[Clause]] = [[] for _ in types]
        self._used: Params = []
        self._issues: list[Issue] = []

    def take(self, name: str, value: str, *, strict: bool) -> None:
        try:
            self._used.append((name, self._done(name, value)))
        except Unknown as unknown:
            sentence = self._unknown(name, unknown.rtype)
            self._types[0].warn(sentence)
            self._issues += [Issue(sentence, code="not-supported")] if strict else []
        except Several as several:
            self._refuse(name, several.parts)
        except Refused as refused:
            self._refuse(name, [refused])

    def _done(self, name: str, value: str) -> str:
        """Executes one parameter and returns its value as executed. Raises Refused."""
        code, colon, modifier = name.partition(":")
        if code in RESULT_PARAMETERS and "." not in name:
            if code in ONCE and any(name == used for used, _ in self._used):
                raise Refused("may stand once")
            if colon and (code in ONCE or not modifier):
                raise Refused("takes no modifier", "not-supported")
            return RESULT_PARAMETERS[code](checked(value), modifier or None, self._shape)
        made = [_condition(name, value, asking) for asking in self._types]
        for clauses, clause in zip(self._clauses, made, strict=True):
            clauses.append(clause)
        return value

    def criteria(self) -> tuple[Criteria, ...]:
        """Raises FhirError where anything was refused."""
        shape = self._shape
        self._issues += [Issue(sentence) for sentence in together(shape)]
        sorts = [self._sorts(*one) for one in zip(self._types, self._clauses, strict=True)]
        self._raise()
        return tuple(
            Criteria(
                rtype=asking.rtype,
                clauses=tuple(clauses),
                sort=sort,
                count=shape.count,
                includes=tuple(shape.includes),
                total=shape.total,
                summary=shape.summary,
                elements=shape.elements,
                warnings=tuple(dict.fromkeys(asking.query.warnings)),
                used=tuple(self._used),
            )
            for asking, clauses, sort in zip(self._types, self._clauses, sorts, strict=True)
        )

    def _sorts(self, asking: Asking, clauses: list[Clause]) -> tuple[Sort, ...]:
        try:
            return self._shape.sorts(asking, clauses)
        except Refused as refused:
            self._refuse("_sort", [refused])
            return ()

    def _refuse(self, name: str, parts: list[Refused]) -> None:
        issues = [Issue(f"Parameter {shown(name)} {part.sentence}.", code=part.code) for part in parts]
        self._issues += [issue for issue in issues if issue not in self._issues]

    def _raise(self) -> None:
        """One that the caller may not ask for decides the status, but all that is wrong is said."""
        if any(issue.code == "forbidden" for issue in self._issues):
            challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
            raise FhirError(Category.FORBIDDEN, self._issues, challenge, reason="scope")
        if self._issues:
            raise FhirError(Category.MALFORMED, self._issues)

    def _unknown(self, name: str, rtype: str) -> str:
        known = set.intersection(*(set(catalog().types[asking.rtype].search) for asking in self._types))
        where = rtype if len(self._types) == 1 else "every type that is searched"
        return f"Parameter {shown(name)} is not known for {where} and was not used; known are: {_list(known)}."


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _condition(name: str, value: str, asking: Asking) -> Clause:
    if (special := SPECIAL.get(name.partition(":")[0])) and "." not in name:
        if ":" in name:
            raise Refused("takes no modifier", "not-supported")
        return special(value, asking)
    return follow(name, asking, lambda code, at: leaf(code, value, at))


def _members(value: str, asking: Asking) -> Clause:
    """_list: the resources that are items of a List. https://hl7.org/fhir/R4/search.html#list"""
    if "List" not in catalog().types or asking.rtype in RENDERED:
        raise Refused(f"is not served: no List holds resources of type {asking.rtype} here", "not-supported")
    ids = alternatives(value)
    if any(one.startswith("$") for one in ids):
        raise Refused("takes ids of Lists; the functional lists ($current-...) are not served", "not-supported")
    if not all(ID.fullmatch(one) for one in ids):
        raise Refused("takes ids of Lists: 1 to 64 letters, digits, '-' or '.'")
    if not asking.may.search("List"):
        raise Refused("asks about List, for which the access token has no scope: system/List.rs is needed", "forbidden")
    asking.link()
    return Linked((edge("List", "item"),), "List", (HasId(tuple(dict.fromkeys(ids))),), reverse=True)


SPECIAL: dict[str, Callable[[str, Asking], Clause]] = {"_filter": filtered, "_list": _members}
"""Parameters of every type that no definition can say."""
