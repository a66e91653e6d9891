"""SQL of table referral_event: what happened to a referral is added with the version that says so.

Time, labels and patient of an event are those of the version as the commit stores it, so nothing is added to the past.
Versions that were stored past the workflow's steps are looked through by workflow/measure_fill.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.search.keys import Keys
from service.store.change import Statement
from service.store.engine import Store
from service.store.slots import EPOCH_US

AT = f"r.vid / 4096 + {EPOCH_US}"
"""meta.lastUpdated of a version, microseconds: slots.updated_us as SQL."""
PLAN = (
    "COALESCE((SELECT o.rtype || '/' || o.fhir_id FROM panel p JOIN resource o ON o.key = p.subject "
    "WHERE p.patient = r.patient AND p.basis = 'coverage' AND p.start_us <= {at} AND p.end_us > {at} "
    "ORDER BY o.fhir_id LIMIT 1), '')"
)
"""The member's plan at that time: who pays by a Coverage; of several the first by id."""
_TEXTS = ("task", "request", "parent", "kind", "was", "status", "business", "reason")
_PARTIES = ("patient", "requester", "owner")
_INTO = (
    f"INSERT INTO referral_event (id, {', '.join(_TEXTS)}, need, service, {', '.join(_PARTIES)}, "
    "at_us, plan, member, vid, labels) "
)
_UPTO = "referral_facts_upto"
_KEPT = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
LOOKED_AT = ("Patient", "ServiceRequest", "Task")
_TOLD = {
    rtype: "CASE WHEN EXISTS (SELECT 1 FROM referral_event g "
    f"WHERE g.{column} = v.fhir_id AND g.vid = v.vid) THEN 1 ELSE 0 END"
    for rtype, column in (("Task", "task"), ("ServiceRequest", "request"))
}
_BEYOND = (
    "SELECT w.vid, w.key, w.rtype, CASE WHEN w.told = 0 THEN w.body END, b.body, w.told "
    "FROM (SELECT v.vid, v.key, v.rtype, v.version, v.body, {told} AS told FROM version v "
    "WHERE v.rtype = ? AND v.vid > ? AND v.vid <= ? ORDER BY v.vid LIMIT ?) w "
    "LEFT JOIN version b ON w.told = 0 AND b.key = w.key AND b.version = w.version - 1"
)


@dataclass(frozen=True)
class Event:
    """What is known of an event when it is decided; columns of tables_referrals.py.

    source: the resource whose version says so. opening: need and service are those of the Task's opening.
    """

    source: str
    kind: str
    task: str = ""
    request: str = ""
    parent: str = ""
    was: str = ""
    status: str = ""
    business: str = ""
    reason: str = ""
    need: str = ""
    service: str = ""
    patient: str = ""
    requester: str = ""
    owner: str = ""
    opening: bool = False


class Looked(NamedTuple):
    """A version that was not looked at, and the body of the one before. told: its events stand there already, all of
    them, since they commit together; its bodies are None then."""

    vid: int
    key: int
    rtype: str
    body: bytes | None
    before: bytes | None
    told: int = 0


def _row(event: Event, number: int, at: str) -> tuple[str, list[Any]]:
    """The SELECT list of one event over `r` (resource or version), and its parameters."""
    known, fixed = "CAST(? AS TEXT), CAST(? AS TEXT)", [event.need, event.service]
    if event.opening:
        told = "FROM referral_event f WHERE f.task = ? AND f.kind = 'opened' ORDER BY f.at_us, f.id LIMIT 1"
        known, fixed = ", ".join(f"COALESCE((SELECT f.{n} {told}), '')" for n in ("need", "service")), [event.task] * 2
    words, sides = (", ".join(["CAST(? AS TEXT)"] * len(names)) for names in (_TEXTS, _PARTIES))
    sql = (
        f"CAST(? AS BIGINT), {words}, {known}, {sides}, {at}, {PLAN.format(at=at)}, COALESCE(r.patient, 0), r.vid, "
        "r.labels"
    )
    texts, parties = ([getattr(event, name) for name in names] for names in (_TEXTS, _PARTIES))
    return sql, [number, *texts, *fixed, *parties]


def put(keys: Keys, event: Event, number: int, now_us: int) -> Statement:
    """The event, of the version of `source` that stands when the Change is committed: it must be written with it."""
    chosen, params = _row(event, number, "r.at_us")
    # The time is a parameter: a text of its own for each event would be planned anew, by either database.
    at = f"CASE WHEN {AT} < CAST(? AS BIGINT) THEN CAST(? AS BIGINT) ELSE {AT} END AS at_us"
    source = f"(SELECT r.vid, r.labels, r.patient, {at} FROM resource r WHERE r.key = ?) r"
    return Statement(f"{_INTO}SELECT {chosen} FROM {source}", (*params, now_us, now_us, keys.resource(event.source)))


def put_of(event: Event, number: int, vid: int) -> Statement:
    """The event of a version that is stored, unless it is told already."""
    chosen, params = _row(event, number, f"({AT})")
    told = (
        "SELECT 1 FROM referral_event g WHERE g.task = ? AND g.request = ? AND g.vid = r.vid AND g.kind = ? "
        "AND (g.kind <> 'follow-up' OR g.reason = ?)"
    )
    sql = f"{_INTO}SELECT {chosen} FROM version r WHERE r.vid = ? AND NOT EXISTS ({told})"
    return Statement(sql, (*params, vid, event.task, event.request, event.kind, event.reason))


def put_trait(member: int, vid: int, race: str, ethnicity: str, language: str) -> Statement:
    sql = (
        "INSERT INTO member_trait (member, vid, race, ethnicity, language) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING"
    )
    return Statement(sql, (member, vid, race, ethnicity, language))


async def looked_upto(store: Store) -> int:
    """The vid up to which all versions were looked at."""
    rows = await store.fetch("SELECT value FROM meta WHERE name = ?", (_UPTO,))
    return int(rows[0][0]) if rows else 0


def looked(vid: int) -> Statement:
    return Statement(_KEPT, (_UPTO, str(vid)))


async def beyond(store: Store, after: int, upto: int, limit: int) -> list[Looked]:
    """The next versions of the types that facts are made of, in their order."""
    found: list[Looked] = []
    for rtype in LOOKED_AT:
        sql = _BEYOND.format(told=_TOLD.get(rtype, "0"))
        found += [Looked(*row) for row in await store.fetch(sql, (rtype, after, upto, limit), heavy=True)]
    return sorted(found, key=lambda one: one.vid)[:limit]


async def as_of(store: Store, reference: str, vid: int) -> bytes | None:
    """The body that a resource had with a vid; else its first: what commits together is numbered in any order."""
    key = store.keys.resource(reference)
    for where, order in (("AND vid <= ?", "DESC"), ("AND vid > ?", "ASC")):
        sql = f"SELECT body FROM version WHERE key = ? {where} ORDER BY version {order} LIMIT 1"
        rows: Sequence[Any] = await store.fetch(sql, (key, vid))
        if rows:
            return rows[0][0]  # type: ignore[no-any-return]
    return None


async def newest(store: Store) -> int:
    """The vid of the last version."""
    return int((await store.fetch("SELECT COALESCE(MAX(vid), 0) FROM version"))[0][0])
