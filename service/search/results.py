"""The parameters that shape the answer instead of choosing resources: _count, _sort, _include, _summary and others.

Source: https://hl7.org/fhir/R4/search.html#return. Limits: ../shared/facts/security.md A14.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fhir_profiles.catalog import catalog
from fhir_profiles.r4_types import fields
from service.search.asking import Asking, May
from service.search.criteria import NEWEST, Clause, Include, Sort
from service.search.includes import included, reverse_included
from service.search.leaves import LABELS, NO_LABELS
from service.search.sorting import NEAR, sort_by_distance, sort_of
from service.search.syntax import Refused

MAX_COUNT = 200
MAX_SORT = 5
"""Keys of one _sort."""
MAX_INCLUDES = 8
"""Written in one search, _include and _revinclude together."""
MAX_EXPANDED = 120
"""References that these stand for once wildcards are written out."""
HEAD_SORTS = ("_lastUpdated", "_id")
SUMMARIES = ("true", "text", "data", "count", "false")


@dataclass
class Shape:
    """What the result parameters said, with the defaults of Criteria.

    everywhere: the types were chosen by _type, or are all types. sort: code and whether it goes down.
    """

    rtypes: tuple[str, ...]
    may: May = field(default_factory=May)
    everywhere: bool = False
    sort: tuple[tuple[str, bool], ...] = ()
    count: int = 50
    total: str = "none"
    summary: str = ""
    elements: tuple[str, ...] = ()
    includes: list[Include] = field(default_factory=list)
    asked: int = 0

    def sorts(self, asking: Asking, clauses: Sequence[Clause] = ()) -> tuple[Sort, ...]:
        """The keys of _sort for one of the types; clauses: what is asked, whose `near` is the point to sort from."""
        return tuple(_sort_key(code, down, asking, clauses) for code, down in self.sort) or (NEWEST,)


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
    keys = dict[str, bool]()
    parts = value.split(",")
    known = _sortable(shape)
    if len(parts) > MAX_SORT:
        raise Refused(f"takes at most {MAX_SORT} keys", "too-costly")
    for part in parts:
        code = part.removeprefix("-")
        if code == LABELS and not shape.may.labels:
            raise Refused(NO_LABELS, "forbidden")
        if code not in known:
            raise Refused(f"takes these, each with '-' for descending: {', '.join(known)}")
        keys.setdefault(code, part != code)
    shape.sort = tuple(keys.items())
    return value


def _sortable(shape: Shape) -> list[str]:
    """Of several types the store merges pages by what all of them have in their heads."""
    if len(shape.rtypes) > 1:
        return list(HEAD_SORTS)
    search = catalog().types[shape.rtypes[0]].search
    hidden = () if shape.may.labels else (LABELS,)
    unordered = ("composite", "special")
    sortable = (code for code in search if code == NEAR or search[code].type not in unordered)
    return sorted(code for code in sortable if code not in hidden)


def _sort_key(code: str, down: bool, asking: Asking, clauses: Sequence[Clause]) -> Sort:
    if code in HEAD_SORTS:
        return Sort(code, down)
    if code == NEAR and (by_distance := sort_by_distance(asking.rtype, down, clauses)):
        return by_distance
    parameter = catalog().types[asking.rtype].search[code]
    return sort_of(parameter, asking.rtype, asking.query.keys, down)


def _total(value: str, _modifier: str | None, shape: Shape) -> str:
    if value not in ("none", "accurate", "estimate"):
        raise Refused("takes none, accurate or estimate")
    if shape.total != "count":
        shape.total = value
    return value


def _summary(value: str, _modifier: str | None, shape: Shape) -> str:
    if value not in SUMMARIES:
        raise Refused(f"takes {', '.join(SUMMARIES)}")
    if value == "count":
        shape.total = "count"
    elif value != "false":
        shape.summary = value
    return value


def _elements(value: str, _modifier: str | None, shape: Shape) -> str:
    """Names of top-level elements; a choice by its name with or without [x], or as JSON spells it."""
    names = tuple(dict.fromkeys(value.split(",")))
    known = sorted({name for rtype in shape.rtypes for name in element_names(rtype)})
    if not all(name in known for name in names):
        raise Refused(f"takes top-level elements, separated by commas: {', '.join(known)}")
    shape.elements = names
    return value


def element_names(rtype: str) -> dict[str, tuple[str, ...]]:
    """What `_elements` may name of a type -> the JSON properties that it means. `resourceType`: fhirpy names it."""
    names: dict[str, tuple[str, ...]] = {"resourceType": ("resourceType",)}
    for name, (element, _) in fields(rtype).items():
        stem = element.name.removesuffix("[x]")
        every = tuple(spelled for spelled, _ in element.json_names())
        names |= {name: (name,), stem: every, element.name: every}
    return names


def _include(value: str, modifier: str | None, shape: Shape) -> str:
    return _add(included(value, modifier, shape.rtypes, shape.may), value, shape)


def _revinclude(value: str, modifier: str | None, shape: Shape) -> str:
    return _add(reverse_included(value, modifier, shape.rtypes, shape.may), value, shape)


def _add(includes: list[Include], value: str, shape: Shape) -> str:
    shape.asked += 1
    shape.includes = list(dict.fromkeys([*shape.includes, *includes]))
    if shape.asked > MAX_INCLUDES:
        text = "Type:parameter includes targets of all types, Type:* those of all parameters"
        raise Refused(f"and its counterpart may stand at most {MAX_INCLUDES} times together; {text}", "too-costly")
    if len(shape.includes) > MAX_EXPANDED:
        raise Refused(f"stands for more than {MAX_EXPANDED} references; name a type, as in Type:*", "too-costly")
    return value


def _type(value: str, _modifier: str | None, shape: Shape) -> str:
    """What it chooses was chosen before the search was read."""
    if not shape.everywhere:
        raise Refused("is for searches of the whole service or of a compartment; the path names the type here")
    return value


def _accepted(value: str, _modifier: str | None, _shape: Shape) -> str:
    """_format and _pretty are read by the HTTP layer."""
    return value


def _refusing(sentence: str) -> Callable[[str, str | None, Shape], str]:
    def refuse(_value: str, _modifier: str | None, _shape: Shape) -> str:
        raise Refused(sentence, "not-supported")

    return refuse


_NO_TEXT = "is not served: the text of resources is not indexed; search by parameters instead"
_NO_CONTAINED = "is not served: contained resources are found with the resource that contains them, never alone"

RESULT_PARAMETERS: dict[str, Callable[[str, str | None, Shape], str]] = {
    "_count": _count,
    "_sort": _sort,
    "_total": _total,
    "_summary": _summary,
    "_elements": _elements,
    "_include": _include,
    "_revinclude": _revinclude,
    "_type": _type,
    "_format": _accepted,
    "_pretty": _accepted,
    "_text": _refusing(_NO_TEXT),
    "_content": _refusing(_NO_TEXT),
    "_contained": _refusing(_NO_CONTAINED),
    "_containedType": _refusing(_NO_CONTAINED),
    "_query": _refusing("is not served: there are no named queries"),
}
"""Each returns the value as executed, for the self link."""

ONCE = frozenset(RESULT_PARAMETERS) - {"_include", "_revinclude"}


def together(shape: Shape) -> list[str]:
    """What is wrong with result parameters that stand beside each other."""
    wrong = []
    if shape.summary and shape.elements:
        wrong.append("Parameters '_summary' and '_elements' do not stand together: each says what to leave out.")
    if shape.summary == "text" and shape.includes:
        wrong.append("Parameters '_include' and '_revinclude' do not stand beside _summary=text.")
    return wrong
