"""Chains and _has: a path over references to other resources, and the clause that these must fit.

`patient.name`, `subject:Patient.general-practitioner.name`, `_has:Task:patient:status`, and each inside the other.
Source: https://hl7.org/fhir/R4/search.html#chaining and #has. Limits: ../shared/facts/security.md A14.
"""

from collections.abc import Callable

from fhir_profiles.catalog import SearchParameter, catalog
from service.search.asking import Asking
from service.search.criteria import AnyOf, Clause, HasKey, Linked
from service.search.keys import edge
from service.search.syntax import Refused, Unknown

MAX_CHAIN = 3
"""References that one parameter may follow, forwards and backwards together."""

RENDERED = frozenset({"AuditEvent"})
"""Types that are made when they are read: no index row leads from or to them."""


class Unfit(Refused):
    """No type to which the reference leads has what is asked for: an outer chain may try its next type."""


End = Callable[[str, Asking], Clause]
"""Makes the clause at the end of a path: the parameter's name (with its modifier) and the type that has it."""


def follow(path: str, asking: Asking, end: End, depth: int = 0) -> Clause:
    """The clause of a path; one without a chain is its own end. Raises Refused, Unknown for an unknown first name."""
    back = path.startswith("_has:") or path == "_has"
    if not back and "." not in path:
        return end(path, asking)
    if depth == MAX_CHAIN:
        raise Refused(f"follows more than {MAX_CHAIN} references", "too-costly")
    if asking.rtype in RENDERED:
        raise Refused(f"is a chain, and {asking.rtype} is searched by its own parameters only", "not-supported")
    return (_back if back else _forward)(path, asking, end, depth)


# ---- forwards


def _forward(path: str, asking: Asking, end: End, depth: int) -> Clause:
    head, _, rest = path.partition(".")
    code, colon, named = head.partition(":")
    parameter = _reference(asking.rtype, code)
    targets = _targets(parameter)
    if colon:
        if named not in targets:
            raise Refused(f"names a type to which '{code}' of {asking.rtype} does not lead; it leads to {_or(targets)}")
        return _linked(parameter, named, rest, asking, end, depth, named=True)
    if len(targets) == 1:
        return _linked(parameter, targets[0], rest, asking, end, depth, named=True)
    return _any_of(parameter, targets, rest, asking, end, depth)


def _any_of(parameter: SearchParameter, targets: list[str], rest: str, asking: Asking, end: End, depth: int) -> Clause:
    """Over a reference that leads to several types: those that have what follows, as far as the scopes go."""
    fitting: list[Clause] = []
    unsearched: list[str] = []
    for rtype in targets:
        before = asking.spent.linked
        try:
            found = _linked(parameter, rtype, rest, asking, end, depth, named=False)
        except (Unknown, Unfit):
            asking.spent.linked = before
            continue
        if asking.may.search(rtype):
            fitting.append(found)
        else:
            asking.spent.linked = before
            unsearched.append(rtype)
    if unsearched:
        types = ", ".join(unsearched)
        asking.warn(f"Parameter '{parameter.code}' was not followed to {types}: the access token has no scope for it.")
    if not fitting and not unsearched:
        shown = f"; '{parameter.code}' leads to {_or(targets)}" if targets else ""
        raise Unfit(f"asks for what no type has to which '{parameter.code}' of {asking.rtype} leads{shown}")
    if not fitting:
        return HasKey((asking.query.nothing(),), 0)
    return fitting[0] if len(fitting) == 1 else AnyOf(tuple(fitting))


def _linked(
    parameter: SearchParameter, rtype: str, rest: str, asking: Asking, end: End, depth: int, *, named: bool
) -> Clause:
    asking.link()
    if named:
        _check_scope(rtype, asking)
    try:
        inner = follow(rest, asking.of(rtype), end, depth + 1)
    except Unknown as unknown:
        if not named:
            raise
        raise Refused(unknown.inside()) from None
    return Linked(_edges(asking.rtype, parameter), rtype, (inner,))


# ---- backwards


def _back(path: str, asking: Asking, end: End, depth: int) -> Clause:
    parts = path.split(":", 3)
    if len(parts) < 4 or not all(parts):
        raise Refused("takes the form _has:Type:reference:parameter, as in _has:Task:patient:status")
    _, rtype, code, rest = parts
    entry = catalog().types.get(rtype)
    if entry is None or rtype in RENDERED or "search-type" not in entry.interactions:
        raise Refused(f"names a type that is not searched here; these lead to {asking.rtype}: {_or(_leading(asking))}")
    parameter = entry.search.get(code)
    if parameter is None or asking.rtype not in _targets_of(parameter):
        known = [name for name in sorted(entry.search) if asking.rtype in _targets_of(entry.search[name])]
        raise Refused(f"names no reference of {rtype} that leads to {asking.rtype}; these do: {_or(known)}")
    asking.link()
    _check_scope(rtype, asking)
    try:
        inner = follow(rest, asking.of(rtype), end, depth + 1)
    except Unknown as unknown:
        raise Refused(unknown.inside()) from None
    return Linked(_edges(rtype, parameter), rtype, (inner,), reverse=True)


def _leading(asking: Asking) -> list[str]:
    types = catalog().types
    return sorted(
        name
        for name, entry in types.items()
        if name not in RENDERED and any(asking.rtype in _targets_of(p) for p in entry.search.values())
    )


# ---- both


def _reference(rtype: str, code: str) -> SearchParameter:
    parameter = catalog().types[rtype].search.get(code)
    if parameter is None:
        raise Unknown(rtype)
    if parameter.type != "reference" or "Reference" not in parameter.datatypes:
        raise Refused(f"has '{code}' before a dot, which is no reference of {rtype} to another resource")
    return parameter


def _targets_of(parameter: SearchParameter) -> tuple[str, ...]:
    if parameter.type != "reference" or "Reference" not in parameter.datatypes:
        return ()
    return tuple(catalog().types) if "Any" in parameter.targets else parameter.targets


def _targets(parameter: SearchParameter) -> list[str]:
    """Types to which it leads and that can be looked through."""
    return [rtype for rtype in _targets_of(parameter) if rtype in catalog().types and rtype not in RENDERED]


def _edges(rtype: str, parameter: SearchParameter) -> tuple[int, ...]:
    return tuple(edge(rtype, stored) for stored in parameter.stored_as)


def _check_scope(rtype: str, asking: Asking) -> None:
    if not asking.may.search(rtype):
        raise Refused(
            f"asks about {rtype}, for which the access token has no scope: system/{rtype}.rs is needed", "forbidden"
        )


def _or(names: list[str]) -> str:
    return ", ".join(names) or "none"
