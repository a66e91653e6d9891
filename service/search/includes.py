"""_include and _revinclude -> Includes: names, wildcards, :iterate. https://hl7.org/fhir/R4/search.html#include"""

from fhir_profiles.catalog import SearchParameter, catalog
from service.search.asking import May
from service.search.criteria import Include
from service.search.syntax import Refused

ITERATE = (None, "iterate", "recurse")
"""`:recurse` is what `:iterate` was called before R4."""


def included(value: str, modifier: str | None, rtypes: tuple[str, ...], may: May) -> list[Include]:
    """What one _include stands for. Raises Refused."""
    iterate = _iterates(modifier)
    if value == "*" and not iterate:
        return _narrowest([i for rtype in rtypes for i in _every(rtype, iterate)])
    source, code, target = _parts(value, iterate)
    if source not in rtypes and not iterate:
        raise Refused(f"starts at a type that is searched: _include={rtypes[0]}:parameter; or write _include:iterate")
    if code == "*":
        return _narrowest(_every(source, iterate))
    parameter = _parameter(source, code)
    if f"{source}:{code}" not in catalog().types[source].includes:
        known = ", ".join(sorted(catalog().types[source].includes)) or "none"
        raise Refused(f"names a parameter that cannot be included; these can: {known}", "not-supported")
    if target and parameter.targets != ("Any",) and target not in parameter.targets:
        raise Refused(
            f"names a target type to which the parameter cannot lead; it leads to {', '.join(parameter.targets)}"
        )
    return _stored(source, parameter, target, reverse=False, iterate=iterate)


def reverse_included(value: str, modifier: str | None, rtypes: tuple[str, ...], may: May) -> list[Include]:
    """What one _revinclude stands for; a wildcard stands for the types that the caller may read. Raises Refused."""
    iterate = _iterates(modifier)
    known = frozenset().union(*(catalog().types[rtype].revincludes for rtype in rtypes))
    if value == "*" and not iterate:
        return _narrowest([i for name in sorted(known) for i in _reverse(name, may, iterate)])
    source, code, target = _parts(value, iterate)
    if iterate:
        known = frozenset(catalog().types[source].includes) if source in catalog().types else known
    if code == "*":
        names = sorted(name for name in known if name.partition(":")[0] == source)
        if not names:
            raise Refused(
                "names a type of which nothing leads here; see searchRevInclude in /metadata", "not-supported"
            )
        return _narrowest([i for name in names for i in _of_name(name, iterate)])
    parameter = _parameter(source, code)
    if f"{source}:{code}" not in known or (target and target not in rtypes and not iterate):
        raise Refused("names a parameter that does not lead here; see searchRevInclude in /metadata", "not-supported")
    return _stored(source, parameter, None, reverse=True, iterate=iterate)


def _iterates(modifier: str | None) -> bool:
    if modifier not in ITERATE:
        raise Refused("takes the modifiers :iterate and :recurse", "not-supported")
    return modifier is not None


def _parts(value: str, iterate: bool) -> tuple[str, str, str | None]:
    parts = value.split(":")
    if len(parts) not in (2, 3) or "*" in parts[::2] or (parts[1] == "*" and len(parts) == 3):
        star = "" if iterate else " or *"
        raise Refused(f"takes Type:parameter, Type:parameter:Target, Type:*{star}", "not-supported")
    if parts[0] not in catalog().types:
        raise Refused("names a type that we do not serve; see /metadata", "not-supported")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None


def _parameter(source: str, code: str) -> SearchParameter:
    parameter = catalog().types[source].search.get(code)
    if parameter is None or parameter.type != "reference":
        known = ", ".join(sorted(catalog().types[source].includes)) or "none"
        raise Refused(f"names a parameter that we do not serve as a reference; these are: {known}", "not-supported")
    return parameter


def _every(source: str, iterate: bool) -> list[Include]:
    """All references of a type."""
    names = sorted(catalog().types[source].includes)
    found = [(n.partition(":")[2], catalog().types[source].search) for n in names]
    return [i for code, search in found for i in _stored(source, search[code], None, reverse=False, iterate=iterate)]


def _reverse(name: str, may: May, iterate: bool) -> list[Include]:
    return _of_name(name, iterate) if may.read(name.partition(":")[0]) else []


def _of_name(name: str, iterate: bool) -> list[Include]:
    source, _, code = name.partition(":")
    return _stored(source, catalog().types[source].search[code], None, reverse=True, iterate=iterate)


def _stored(
    source: str, parameter: SearchParameter, target: str | None, *, reverse: bool, iterate: bool
) -> list[Include]:
    """An alias is followed over the parameters that hold its edges, narrowed to its type."""
    if target is None and parameter.is_alias and not reverse and len(parameter.targets) == 1:
        target = parameter.targets[0]
    return [Include(source, stored, target, reverse, iterate) for stored in parameter.stored_as]


def _narrowest(includes: list[Include]) -> list[Include]:
    """Without those that another of the list holds: Task:subject holds what Task:patient leads to."""
    wide = {(i.rtype, i.param, i.reverse) for i in includes if i.target is None}
    return list(dict.fromkeys(i for i in includes if i.target is None or (i.rtype, i.param, i.reverse) not in wide))
