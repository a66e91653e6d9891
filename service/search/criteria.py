"""A search as plain data: made by query.py from the query string, turned into SQL by service/store/find.py."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class HasKey:
    """The resource carries any of these `ix` keys. rank: 0 rarest (identifier) .. 9 commonest (type marker)."""

    keys: tuple[int, ...]
    rank: int
    negate: bool = False


@dataclass(frozen=True)
class HasEdge:
    """A reference leads from the resource over any of `params` to any of `targets` (resource keys)."""

    params: tuple[int, ...]
    targets: tuple[int, ...]
    negate: bool = False


@dataclass(frozen=True)
class Between:
    """One bound on a stored half-open range [lo, hi): each None bound is absent.

    eq of day D is lo_ge=start(D), hi_le=end(D); gt X is hi_gt=end(X); lt X is lo_lt=start(X);
    ge X is hi_gt=start(X); le X is lo_lt=end(X); sa X is lo_ge=end(X); eb X is hi_le=start(X): see https://hl7.org/fhir/R4/search.html#prefix.
    Units: microseconds since the epoch. negate (ne): the whole of this Between does not hold for the range.
    """

    lo_ge: int | None = None
    lo_lt: int | None = None
    hi_le: int | None = None
    hi_gt: int | None = None
    negate: bool = False


@dataclass(frozen=True)
class Within:
    """Between for numbers: bounds on a stored pair (lo, hi)."""

    lo_ge: float | None = None
    lo_lt: float | None = None
    hi_le: float | None = None
    hi_gt: float | None = None
    negate: bool = False


@dataclass(frozen=True)
class HasNumber:
    """Any stored pair (lo, hi) of `key` in ix_num fits any of the alternatives.

    A stored value is lo = hi; a Range or a value with a comparator is wider. The key of a quantity holds its unit.
    """

    key: int
    any_of: tuple[Within, ...]


@dataclass(frozen=True)
class HasNear:
    """A stored position of `key` in ix_num (lo: latitude, hi: longitude, degrees) lies within `km` of the point."""

    key: int
    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True)
class HasDate:
    """Any stored range of `key` in ix_date fits any of the alternatives."""

    key: int
    any_of: tuple[Between, ...]


@dataclass(frozen=True)
class HasString:
    """Any stored string of `key` fits any value.

    match "prefix": the stored string starts with the (normalised) value; also for uris, which stand there as they are.
    "contains": its normalised part contains the value. "exact": it equals the value, which strings.stored() made:
    ix_str holds `normalised [US as-sent]`, so `:exact` is one equality.
    """

    key: int
    values: tuple[str, ...]
    match: str = "prefix"


@dataclass(frozen=True)
class HasId:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Updated:
    """meta.lastUpdated in [lo_us, hi_us), either open (None); several alternatives are ORed by the compiler."""

    any_of: tuple[tuple[int | None, int | None], ...]


@dataclass(frozen=True)
class Linked:
    """Chain: over an edge of any of `params` leads from the resource to a current resource of `rtype` that fits all
    clauses; the store adds what the caller may see of that type.

    reverse (_has): the edge leads from the resource of `rtype` to this one.
    """

    params: tuple[int, ...]
    rtype: str
    clauses: tuple["Clause", ...]
    reverse: bool = False


@dataclass(frozen=True)
class AllOf:
    clauses: tuple["Clause", ...]


@dataclass(frozen=True)
class AnyOf:
    clauses: tuple["Clause", ...]


@dataclass(frozen=True)
class Not:
    clause: "Clause"


Clause = HasKey | HasEdge | HasNumber | HasNear | HasDate | HasString | HasId | Updated | Linked | AllOf | AnyOf | Not


@dataclass(frozen=True)
class Include:
    """_include: from the matches over `param`; _revinclude: resources of `rtype` whose `param` leads to a match.

    iterate: also from what was included by others, until nothing new is found or the documented depth is reached.
    """

    rtype: str
    param: str
    target: str | None = None  # restricts the type of the included resource
    reverse: bool = False
    iterate: bool = False


@dataclass(frozen=True)
class Sort:
    """One key of _sort. by: "_lastUpdated", "_id", or where its values stand: "date", "string", "number" (rows of
    `keys[0]` in ix_date, ix_str, ix_num: the smallest value going up, the largest going down), "code" (the position of
    the first of `keys` in ix that the resource carries), "reference" (id of the target of edge number `keys[0]`),
    "near" (distance of the nearest position of key `keys[0]` in ix_num from `point`; with a second key, of what the
    resource leads to over edges of that number: the places of a service).

    Resources without a value come last, whichever way.
    """

    by: str
    down: bool = False
    keys: tuple[int, ...] = ()
    point: tuple[float, float] | None = None


NEWEST = Sort("_lastUpdated", down=True)

Position = tuple[int | float | str | None, ...]
"""Where a page starts: the values of the sort keys of the last match before it, and its vid as the last element."""


@dataclass(frozen=True)
class Criteria:
    """All clauses hold together. after: where the page starts; back: it ends before `after` instead (link prev).

    total: "none", "accurate", "estimate" or "count" (no entries). summary: "" (whole resources), "true", "text" or
    "data". elements: top-level elements asked for. used: the parameters executed, for the self link.
    """

    rtype: str
    clauses: tuple[Clause, ...] = ()
    sort: tuple[Sort, ...] = (NEWEST,)
    count: int = 50
    after: Position | None = None
    back: bool = False
    includes: tuple[Include, ...] = ()
    total: str = "none"
    summary: str = ""
    elements: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    used: tuple[tuple[str, str], ...] = field(default=())
