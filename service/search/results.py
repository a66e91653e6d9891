"""The parameters that shape the answer instead of choosing resources: _count, _sort, _include, _total, _summary.

Source: https://hl7.org/fhir/R4/search.html#return. Limits: ../shared/facts/security.md A14.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from fhir_profiles.catalog import SearchParameter, catalog
from service.search.criteria import NEWEST, Include, Sort
from service.search.syntax import Refused

MAX_COUNT = 200
MAX_INCLUDES = 3
SORTS = {
    "-_lastUpdated": NEWEST,
    "_lastUpdated": Sort("_lastUpdated"),
    "_id": Sort("_id"),
    "-_id": Sort("_id", down=True),
}


@dataclass
class Shape:
    """What the result parameters said, with the defaults of Criteria."""

    rtype: str
    sort: tuple[Sort, ...] = (NEWEST,)
    count: int = 50
    total: str = "none"
    includes: list[Include] = field(default_factory=list)
    asked: int = 0


def _count(value: str, _modifier: str | None, shape: Shape) -> str:
    """0 asks for the number alone; more than the limit is lowered, as the specification allows."""
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise Refused("takes a whole number from 0")
    if int(value) == 0:
        shape.total = "count"
        return "0"
    shape.count = min(int(value), MAX_COUNT)
    return str(shape.count)


def _sort(value: str, _modifier: str | None, shape: Shape) -> str:
    if value not in SORTS:
        raise Refused(f"takes one of {', '.join(SORTS)}", "not-supported")
    shape.sort = (SORTS[value],)
    return value


def _total(value: str, _modifier: str | None, shape: Shape) -> str:
    """An estimate costs us as much as the exact number, so it is the exact number."""
    if value not in ("none", "accurate", "estimate"):
        raise Refused("takes none, accurate or estimate")
    if shape.total != "count":
        shape.total = "none" if value == "none" else "accurate"
    return value


def _summary(value: str, _modifier: str | None, shape: Shape) -> str:
    if value not in ("count", "false"):
        raise Refused("takes count or false; other summaries are not supported", "not-supported")
    if value == "count":
        shape.total = "count"
    return value


def _include(value: str, modifier: str | None, shape: Shape) -> str:
    source, parameter, target = _included(value, modifier, shape)
    if source != shape.rtype:
        raise Refused("starts at the type that is searched: _include=" + shape.rtype + ":parameter")
    if f"{source}:{parameter.code}" not in catalog().types[source].includes:
        raise Refused("names a parameter that cannot be included; see searchInclude in /metadata", "not-supported")
    if target and parameter.targets != ("Any",) and target not in parameter.targets:
        raise Refused("names a target type to which the parameter cannot lead")
    shape.includes += _stored(source, parameter, target, reverse=False)
    return value


def _revinclude(value: str, modifier: str | None, shape: Shape) -> str:
    source, parameter, target = _included(value, modifier, shape)
    known = catalog().types[shape.rtype].revincludes
    if f"{source}:{parameter.code}" not in known or target not in (None, shape.rtype):
        raise Refused("names a parameter that does not lead here; see searchRevInclude in /metadata", "not-supported")
    shape.includes += _stored(source, parameter, None, reverse=True)
    return value


def _included(value: str, modifier: str | None, shape: Shape) -> tuple[str, SearchParameter, str | None]:
    if modifier is not None:
        raise Refused("is not supported with :iterate or another modifier", "not-supported")
    shape.asked += 1
    if shape.asked > MAX_INCLUDES:
        raise Refused(f"and its counterpart may stand at most {MAX_INCLUDES} times together", "too-costly")
    parts = value.split(":")
    if len(parts) not in (2, 3) or "*" in parts:
        raise Refused("takes Type:parameter or Type:parameter:Target, without wildcards", "not-supported")
    entry = catalog().types.get(parts[0])
    parameter = entry.search.get(parts[1]) if entry else None
    if parameter is None or parameter.type != "reference":
        raise Refused("names a parameter that we do not serve; see /metadata", "not-supported")
    return parts[0], parameter, parts[2] if len(parts) == 3 else None


def _stored(source: str, parameter: SearchParameter, target: str | None, *, reverse: bool) -> list[Include]:
    """An alias is followed over the parameters that hold its edges, narrowed to its type."""
    if target is None and parameter.is_alias and not reverse and len(parameter.targets) == 1:
        target = parameter.targets[0]
    return [Include(source, stored, target, reverse) for stored in parameter.stored_as]


def _accepted(value: str, _modifier: str | None, _shape: Shape) -> str:
    """_format and _pretty are read by the HTTP layer."""
    return value


RESULT_PARAMETERS: dict[str, Callable[[str, str | None, Shape], str]] = {
    "_count": _count,
    "_sort": _sort,
    "_total": _total,
    "_summary": _summary,
    "_include": _include,
    "_revinclude": _revinclude,
    "_format": _accepted,
    "_pretty": _accepted,
}
"""Each returns the value as executed, for the self link."""

ONCE = frozenset(RESULT_PARAMETERS) - {"_include", "_revinclude"}
