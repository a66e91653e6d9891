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

    eq of day D is lo_ge=start(D), hi_le=end(D); gt X is hi_gt=end(X); lt X is lo_lt=start(X); ge is gt or eq;
    sa X is lo_ge=end(X); eb X is hi_le=start(X): see https://hl7.org/fhir/R4/search.html#prefix.
    Units: microseconds since the epoch. negate (ne): the whole of this Between does not hold for the range.
    """

    lo_ge: int | None = None
    lo_lt: int | None = None
    hi_le: int | None = None
    hi_gt: int | None = None
    negate: bool = False


@dataclass(frozen=True)
class HasDate:
    """Any stored range of `key` in ix_date fits any of the alternatives."""

    key: int
    any_of: tuple[Between, ...]


@dataclass(frozen=True)
class HasString:
    """Any stored string of `key` fits any value.

    match "prefix": the stored string starts with the (normalised) value. match "exact": the stored string equals the
    value, which strings.stored() made: ix_str holds `normalised [US as-sent]`, so `:exact` is one equality.
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


Clause = HasKey | HasEdge | HasDate | HasString | HasId | Updated


@dataclass(frozen=True)
class Include:
    """_include: from the matches over `param`; _revinclude: resources of `rtype` whose `param` leads to a match."""

    rtype: str
    param: str
    target: str | None = None  # restricts the type of the included resource
    reverse: bool = False


@dataclass(frozen=True)
class Criteria:
    """All clauses hold together. sort: "-_lastUpdated" (default), "_lastUpdated", "_id", "-_id".

    after: position after which the page starts: vid (sort by _lastUpdated) or id (sort by _id) of the last match.
    total: "none", "accurate" or "count" (_summary=count: no entries). used: the parameters executed, for the self link.
    """

    rtype: str
    clauses: tuple[Clause, ...] = ()
    sort: str = "-_lastUpdated"
    count: int = 50
    after: int | str | None = None
    includes: tuple[Include, ...] = ()
    total: str = "none"
    warnings: tuple[str, ...] = ()
    used: tuple[tuple[str, str], ...] = field(default=())
