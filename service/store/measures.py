"""SQL of measures: referrals counted as they stood at an instant, grouped, for those whom the caller may count.

Only events up to that instant are read, which never change. Many referrals are counted by ranges of members, each
within the deadline of a read; durations come as counts per whole hour, so that percentiles over all are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search.restriction import Restriction
from service.store.dialect import marks
from service.store.engine import Store
from service.store.slots import vid_at
from service.store.visible import panel_row
from service.store.visible_scope import Sql

PART = 15_000
"""Referrals that one statement counts, about: 30 us each on SQLite, of the 5 s that a read may take."""
HOUR_US = 3_600_000_000
TAKEN = ("accepted", "in-progress", "on-hold", "completed", "failed")
"""A referral that stands so was accepted, or is treated as such."""
CLOSED = ("rejected", "cancelled", "failed", "completed")
ENDED = ("revoked", "completed", "entered-in-error")
"""A ServiceRequest that asks for nothing any more."""
TRAITS = ("race", "ethnicity", "language")
EACH = ("requester", "owner")
"""By these every Task counts, one that is part of another too: it is a referral of its own between these two."""
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Whose:
    """Whose referrals count. organizations: as requester or owner. plan: also those of members of these as plan, as far
    as no label closes them. panel: only members in the panel of these rights. everything: all.
    """

    organizations: tuple[str, ...] = ()
    plan: bool = False
    panel: Restriction | None = None
    everything: bool = False


@dataclass(frozen=True)
class Period:
    """Referrals opened in [start, end), as known at `at`; microseconds."""

    start_us: int
    end_us: int
    at_us: int

    @property
    def last_us(self) -> int:
        return min(self.end_us, self.at_us + 1)


Part = tuple[int, int] | None
"""Keys of members, first and last; None: all."""


async def parts(store: Store, kind: str, period: Period) -> list[Part]:
    """Ranges of members with about PART events of the kind each: keys are spread evenly."""
    count = await counted(store, kind, period)
    number = -(-count // PART)
    if number <= 1:
        return [None]
    width = 2**64 // number
    edges = [-(2**63) + width * n for n in range(number)] + [2**63]
    return [(edges[n], edges[n + 1] - 1) for n in range(number)]


def halves(part: Part) -> tuple[Part, Part]:
    """For a part that took too long."""
    first, last = part or (-(2**63), 2**63 - 1)
    middle = (first + last) // 2
    return (first, middle), (middle + 1, last)


async def counted(store: Store, kind: str, period: Period) -> int:
    sql = "SELECT count(*) FROM referral_event WHERE kind = ? AND at_us >= ? AND at_us < ?"
    return int((await store.fetch(sql, (kind, period.start_us, period.last_us), heavy=True))[0][0])


def _members(alias: str, part: Part) -> Sql:
    return ("", []) if part is None else (f" AND {alias}.member >= ? AND {alias}.member <= ?", list(part))


def _led(store: Store, part: Part) -> str:
    """SQLite knows no statistics, and would read the whole period for each range."""
    return " INDEXED BY referral_event_member" if part is not None and store.db.name == "sqlite" else ""


def _story(store: Store) -> str:
    """The events of each referral, looked up one by one: PostgreSQL would read the whole table for each range."""
    if store.db.name == "sqlite":
        return "CROSS JOIN referral_event e ON e.task = o.task AND e.at_us <= ?"
    story = "SELECT * FROM referral_event x WHERE x.task = o.task AND x.at_us <= ? OFFSET 0"
    return f"CROSS JOIN LATERAL ({story}) e"


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _traits(alias: str, wanted: Sequence[str], period: Period) -> Sql:
    """What the version of the Patient that stood then says."""
    vid = vid_at(period.at_us + 1)
    chosen = [
        f", COALESCE((SELECT t.{name} FROM member_trait t WHERE t.member = {alias}.member AND t.vid < {vid} "
        f"ORDER BY t.vid DESC LIMIT 1), '') AS {name}"
        for name in TRAITS
        if name in wanted
    ]
    return "".join(chosen), []


def _allowed(whose: Whose, owner: str, labelled: str) -> tuple[Sql, Sql]:
    """(a condition over `o`: whether it counts; over `o`: whether what it is part of counts too)."""
    if whose.everything:
        return ("1 = 1", []), ("1 = 1", [])
    names = whose.organizations or ("",)
    ours = marks(len(names))
    asked, params = f"o.requester IN ({ours})", list(names)
    seen: Sql = (f"({asked} OR {owner} IN ({ours}))", [*names, *names]) if owner else (f"({asked})", [*names])
    whole: Sql = (asked, params)
    if whose.plan:
        member = f"(o.plan IN ({ours}) AND {labelled} = 0)"
        seen, whole = (f"({seen[0]} OR {member})", [*seen[1], *names]), (f"({asked} OR {member})", [*params, *names])
    if whose.panel is not None:
        sql, more = panel_row("o.member", whose.panel)
        seen = (f"({seen[0]} AND {sql})", [*seen[1], *more])
    return seen, whole


def _facts(store: Store, whose: Whose, period: Period, part: Part, wanted: Sequence[str], unfit: Sequence[str]) -> Sql:
    """One row for each referral opened in the period: f."""
    told = "e.kind IN ('opened', 'moved')"
    labelled = "MAX(CASE WHEN e.labels <> 0 THEN 1 ELSE 0 END)"
    (seen, seen_params), (whole, whole_params) = _allowed(whose, "MAX(e.owner)", labelled)
    chosen, _ = _traits("o", wanted, period)
    members, range_params = _members("o", part)
    order = "o.at_us" if part is None else "o.member"  # as the index that leads has it, so that nothing is sorted
    sql = (
        "f AS MATERIALIZED (SELECT o.task AS task, o.member AS member, o.need AS need, o.service AS service, "
        "o.requester AS requester, o.plan AS plan, o.at_us AS opened, MAX(e.owner) AS owner, "
        f"CASE WHEN o.parent <> '' AND {whole} THEN 0 ELSE 1 END AS root, "
        f"MIN(CASE WHEN {told} AND e.status IN ({_quoted(TAKEN)}) THEN e.at_us END) AS accepted, "
        f"MIN(CASE WHEN {told} AND e.status IN ({_quoted(CLOSED)}) THEN e.at_us END) AS closed, "
        f"MIN(CASE WHEN ({told} AND e.status = 'completed') "
        "OR (e.kind = 'follow-up' AND e.reason = 'used-service') THEN e.at_us END) AS received, "
        f"MAX(CASE WHEN e.status IN ({_quoted(CLOSED)}) AND e.kind <> 'follow-up' AND e.reason IN ({_quoted(unfit)}) "
        "THEN 1 ELSE 0 END) AS unfit, "
        "MAX(CASE WHEN e.kind = 'follow-up' AND e.reason = 'still-receiving' THEN e.at_us END) AS still, "
        "MAX(CASE WHEN e.kind = 'follow-up' AND e.reason IN ('still-receiving', 'no-still-receiving') "
        f"THEN e.at_us END) AS asked{chosen} "
        f"FROM referral_event o{_led(store, part)} {_story(store)} "
        f"WHERE o.kind = 'opened' AND o.at_us >= ? AND o.at_us < ?{members} GROUP BY {order}, o.id "
        f"HAVING MAX(CASE WHEN {told} AND e.status = 'entered-in-error' THEN 1 ELSE 0 END) = 0 AND {seen})"
    )
    times = [period.at_us, period.start_us, period.last_us]
    return sql, [*whole_params, *times, *range_params, *seen_params]


def _roots(dim: str) -> str:
    return "1 = 1" if dim in EACH else "root = 1"


def _value(dim: str) -> str:
    return dim if dim else "''"


def _united(dims: Sequence[str], one: Any) -> str:
    return " UNION ALL ".join(f"SELECT '{dim}' AS dim, q.* FROM ({one(dim)}) q" for dim in dims)


@dataclass(frozen=True)
class Wanted:
    """dims: "" for the whole, then need, service, plan, requester, owner, race, ethnicity, language."""

    whose: Whose
    period: Period
    dims: tuple[str, ...]
    unfit: tuple[str, ...] = ()
    months_us: int = 0

    def traits(self) -> tuple[str, ...]:
        return tuple(dim for dim in self.dims if dim in TRAITS)


async def _rows(store: Store, wanted: Wanted, part: Part, grouped: str, params: Sequence[Any] = ()) -> list[Row]:
    facts, first = _facts(store, wanted.whose, wanted.period, part, wanted.traits(), wanted.unfit or ("",))
    return [tuple(row) for row in await store.fetch(f"WITH {facts} {grouped}", (*first, *params), heavy=True)]


async def referrals(store: Store, wanted: Wanted, part: Part) -> list[Row]:
    """(dim, value, referrals, of these closed, of these closed for not being appropriate)."""
    return await _rows(
        store,
        wanted,
        part,
        _united(
            wanted.dims,
            lambda dim: (
                f"SELECT {_value(dim)} AS value, COUNT(*), SUM(CASE WHEN closed IS NOT NULL THEN 1 ELSE 0 END), "
                f"SUM(CASE WHEN closed IS NOT NULL THEN unfit ELSE 0 END) FROM f WHERE {_roots(dim)} GROUP BY 1"
            ),
        ),
    )


async def people(store: Store, wanted: Wanted, part: Part) -> list[Row]:
    """(dim, value, people, of these who received it, received it months ago, were asked then, still receive it).

    A person counts once for each service, or need where none is named.
    """
    at = wanted.period.at_us

    def one(dim: str) -> str:
        inner = (
            f"SELECT {_value(dim)} AS value, MIN(received) AS received, MAX(still) AS still, MAX(asked) AS asked "
            f"FROM f WHERE {_roots(dim)} GROUP BY {_grouped(dim)}member, service, CASE WHEN service = '' THEN need END"
        )
        ago = f"received + {wanted.months_us}"
        sums = (f"{ago} <= {at}", f"{ago} <= {at} AND asked >= {ago}", f"{ago} <= {at} AND still >= {ago}")
        told = ", ".join(f"SUM(CASE WHEN {one} THEN 1 ELSE 0 END)" for one in ("received IS NOT NULL", *sums))
        return f"SELECT value, COUNT(*), {told} FROM ({inner}) p GROUP BY value"

    return await _rows(store, wanted, part, _united(wanted.dims, one))


def _grouped(dim: str) -> str:
    return f"{dim}, " if dim else ""


async def durations(store: Store, wanted: Wanted, part: Part, until: str) -> list[Row]:
    """(dim, value, whole hours from opened until `until` (accepted or closed) or None, referrals)."""
    return await _rows(
        store,
        wanted,
        part,
        _united(
            wanted.dims,
            lambda dim: (
                f"SELECT {_value(dim)} AS value, ({until} - opened) / {HOUR_US} AS hours, COUNT(*) "
                f"FROM f WHERE {_roots(dim)} GROUP BY 1, 2"
            ),
        ),
    )


async def unmet(store: Store, wanted: Wanted, part: Part) -> list[Row]:
    """(dim, value, requests whose need was told to be unmet in the period, of these still unmet)."""
    period = wanted.period
    (seen, params), _ = _allowed(wanted.whose, "", "o.labels")
    chosen, _ = _traits("o", wanted.traits(), period)
    members, range_params = _members("o", part)
    later = "n.request = o.request AND n.at_us <= ? AND (n.at_us > o.at_us OR (n.at_us = o.at_us AND n.id > o.id))"
    over = f"n.kind = 'opened' OR (n.kind = 'request' AND n.status IN ({_quoted(ENDED)}))"
    facts = (
        f"f AS MATERIALIZED (SELECT o.need AS need, o.service AS service, o.requester AS requester, o.plan AS plan, "
        f"o.reason AS reason{chosen}, CASE WHEN EXISTS (SELECT 1 FROM referral_event n WHERE {later} AND ({over})) "
        f"THEN 0 ELSE 1 END AS lasts FROM referral_event o{_led(store, part)} WHERE o.kind = 'unmet' AND o.at_us >= ? "
        f"AND o.at_us < ?{members} AND {seen} "
        f"AND NOT EXISTS (SELECT 1 FROM referral_event n WHERE {later} AND n.kind = 'unmet' AND n.at_us < ?))"
    )
    grouped = _united(wanted.dims, lambda dim: f"SELECT {_value(dim)} AS value, COUNT(*), SUM(lasts) FROM f GROUP BY 1")
    times = [period.at_us, period.start_us, period.last_us]
    given = [*times, *range_params, *params, period.at_us, period.last_us]
    return [tuple(row) for row in await store.fetch(f"WITH {facts} {grouped}", tuple(given), heavy=True)]


async def offering(store: Store, at_us: int, after: int, limit: int) -> list[tuple[int, bytes]]:
    """(vid, body) of the HealthcareServices as they stood then, a page in order of vid."""
    vid = vid_at(at_us + 1)
    sql = (
        "SELECT v.vid, v.body FROM version v WHERE v.rtype = 'HealthcareService' AND v.vid > ? AND v.vid < ? "
        "AND v.body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM version n WHERE n.key = v.key "
        "AND n.version = v.version + 1 AND n.vid < ?) ORDER BY v.vid LIMIT ?"
    )
    return [(int(row[0]), bytes(row[1])) for row in await store.fetch(sql, (after, vid, vid, limit), heavy=True)]


async def bodies(store: Store, references: Sequence[str], at_us: int) -> dict[str, bytes]:
    """Reference -> body as it stood then; what was not there, or was deleted, is left out."""
    keys = {store.keys.resource(reference): reference for reference in references}
    vid, found = vid_at(at_us + 1), {}
    for first in range(0, len(keys), 500):
        some = list(keys)[first : first + 500]
        sql = (
            f"SELECT v.key, v.body FROM version v WHERE v.key IN ({marks(len(some))}) AND v.vid < ? "
            "AND v.body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM version n WHERE n.key = v.key "
            "AND n.version = v.version + 1 AND n.vid < ?)"
        )
        for key, body in await store.fetch(sql, (*some, vid, vid), heavy=True):
            found[keys[key]] = bytes(body)
    return found
