"""SQL of partners' servers: which there are, who works on which now, what is to be sent, what came of it.

Columns: tables_referrals.py. What is sent and what an answer means is decided in service/workflow/partner_*.py.
"""

import secrets
from dataclasses import dataclass, fields
from typing import Any

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store

LEASE_US = 15_000_000
"""So long does a partner wait whose worker was killed; before each request the lease is made as long as that."""
OUT = ("to-send",)
IN = ("to-fetch",)
MOST = 50
"""Referrals that are read at a time."""
PUSHES, PULLS = ("push", "both"), ("pull", "both")


@dataclass(frozen=True)
class Partner:
    """A row of referral_partner (service/store/tables_referrals.py)."""

    name: str
    organization: str
    base_url: str
    client_id: str
    token_url: str
    scopes: str
    direction: str
    every_s: int
    state: str = "active"
    cursor_us: int = 0
    last_us: int = 0
    failing_since_us: int | None = None
    error: str = ""
    owner_there: str = ""
    notices: str = "auto"
    due_us: int = 0
    told_us: int = 0
    hinted_us: int = 0
    retry_us: int = 0
    tries: int = 0
    lease_us: int = 0
    lease: int = 0
    key_id: str = ""


@dataclass(frozen=True)
class Referral:
    """A row of partner_referral (service/store/tables_referrals.py)."""

    task: str
    partner: str
    way: str
    remote: str = ""
    remote_version: str = ""
    remote_status: str = ""
    state: str = "to-send"
    seen_us: int = 0
    error: str = ""
    work: str = ""
    wanted: int = 0
    done: int = 0
    tries: int = 0
    due_us: int = 0


_PARTNER = ", ".join(field.name for field in fields(Partner))
_REFERRAL = ", ".join(field.name for field in fields(Referral))


# --- partners ------------------------------------------------------------------------------------------------------


async def partners(store: Store) -> list[Partner]:
    return [Partner(*row) for row in await store.fetch(f"SELECT {_PARTNER} FROM referral_partner ORDER BY name")]


async def partner(store: Store, name: str) -> Partner | None:
    rows = await store.fetch(f"SELECT {_PARTNER} FROM referral_partner WHERE name = ?", (name,))
    return Partner(*rows[0]) if rows else None


async def of_organization(store: Store, organization: str, directions: tuple[str, ...]) -> Partner | None:
    """The partner whose server stands for the organization, in one of these directions."""
    rows = await store.fetch(
        f"SELECT {_PARTNER} FROM referral_partner WHERE organization = ? AND direction IN ({marks(len(directions))}) "
        "ORDER BY name LIMIT 1",
        (organization, *directions),
    )
    return Partner(*rows[0]) if rows else None


def put(one: Partner) -> Statement:
    """A new partner, or another description of one: what was exchanged with it stays."""
    said = ("organization", "base_url", "client_id", "token_url", "scopes", "direction", "every_s", "notices")
    kept = ", ".join(f"{name} = excluded.{name}" for name in (*said, "owner_there"))
    values = tuple(getattr(one, field.name) for field in fields(Partner))
    return Statement(
        f"INSERT INTO referral_partner ({_PARTNER}) VALUES ({marks(len(values))}) "
        f"ON CONFLICT (name) DO UPDATE SET {kept}",
        values,
    )


def stands(name: str, state: str) -> Statement:
    """paused, or active: then it is tried at once."""
    sql = "UPDATE referral_partner SET state = ?, tries = 0, retry_us = 0, due_us = 0 WHERE name = ?"
    return Statement(sql, (state, name))


async def claim(store: Store, now_us: int) -> list[Partner]:
    """The partners with something to do now that no other worker has. Their lease is this worker's from here on."""
    due = (
        "SELECT p.name FROM referral_partner p WHERE p.state <> 'paused' AND p.lease_us <= ? AND p.retry_us <= ? AND "
        "((p.due_us <= ? AND EXISTS (SELECT 1 FROM partner_referral o WHERE o.partner = p.name AND o.remote <> '' "
        "AND o.state IN ('sent', 'refused'))) "
        "OR EXISTS (SELECT 1 FROM partner_referral r WHERE r.partner = p.name AND r.state IN ('to-send', 'to-fetch') "
        "AND r.due_us <= ?))"
    )
    asked = (now_us, now_us, now_us, now_us)
    if not await store.fetch(f"{due} LIMIT 1", asked):
        return []
    lock = " FOR UPDATE OF p SKIP LOCKED" if store.db.name == "postgresql" else ""
    rows = await store.db.execute(
        f"UPDATE referral_partner SET lease_us = ?, lease = ? WHERE name IN ({due}{lock}) RETURNING {_PARTNER}",
        (now_us + LEASE_US, secrets.randbits(62), *asked),
    )
    return [Partner(*row) for row in rows]


async def holds(store: Store, one: Partner, now_us: int) -> bool:
    """Whether the lease is still this worker's; it then goes on. A person who pauses the partner ends it."""
    rows = await store.db.execute(
        "UPDATE referral_partner SET lease_us = ? WHERE name = ? AND lease = ? AND state <> 'paused' RETURNING name",
        (now_us + LEASE_US, one.name, one.lease),
    )
    return bool(rows)


def reached(one: Partner, now_us: int) -> Statement:
    """It answered: whatever failed before is over."""
    return Statement(
        "UPDATE referral_partner SET state = CASE WHEN state = 'paused' THEN state ELSE 'active' END, last_us = ?, "
        "tries = 0, retry_us = 0, failing_since_us = NULL, error = '' WHERE name = ?",
        (now_us, one.name),
    )


def unreached(one: Partner, now_us: int, retry_us: int, error: str) -> Statement:
    return Statement(
        "UPDATE referral_partner SET state = CASE WHEN state = 'paused' THEN state ELSE 'failing' END, "
        "tries = tries + 1, retry_us = ?, failing_since_us = COALESCE(failing_since_us, ?), error = ? WHERE name = ?",
        (retry_us, now_us, error, one.name),
    )


def looked(one: Partner, began_us: int) -> Statement:
    """All that is open there was seen as it stood then. What it told since is looked at by another look."""
    next_us = began_us + one.every_s * 1_000_000
    sql = (
        "UPDATE referral_partner SET cursor_us = ?, "
        "due_us = CASE WHEN hinted_us > ? AND hinted_us < ? THEN hinted_us ELSE ? END WHERE name = ?"
    )
    return Statement(sql, (began_us, began_us, next_us, next_us, one.name))


def released(one: Partner) -> Statement:
    return Statement("UPDATE referral_partner SET lease_us = 0, lease = 0 WHERE name = ? AND lease = ?", _held(one))


def _held(one: Partner) -> tuple[Any, ...]:
    return one.name, one.lease


# --- referrals -----------------------------------------------------------------------------------------------------


async def referral(store: Store, task: str) -> Referral | None:
    rows = await store.fetch(f"SELECT {_REFERRAL} FROM partner_referral WHERE task = ?", (task,))
    return Referral(*rows[0]) if rows else None


async def due(store: Store, name: str, states: tuple[str, ...], now_us: int) -> list[Referral]:
    """Longest waiting first."""
    rows = await store.fetch(
        f"SELECT {_REFERRAL} FROM partner_referral WHERE partner = ? AND state IN ({marks(len(states))}) "
        "AND due_us <= ? ORDER BY due_us, task LIMIT ?",
        (name, *states, now_us, MOST),
    )
    return [Referral(*row) for row in rows]


async def watched(store: Store, name: str, after: str, before_us: int) -> list[Referral]:
    """What stands on the partner's server and was not looked at since, by Task.id."""
    rows = await store.fetch(
        f"SELECT {_REFERRAL} FROM partner_referral WHERE partner = ? AND way = 'out' AND remote <> '' "
        "AND state IN ('sent', 'to-send', 'refused') AND task > ? AND seen_us < ? ORDER BY task LIMIT ?",
        (name, after, before_us, MOST),
    )
    return [Referral(*row) for row in rows]


async def listed(store: Store, name: str, state: str, limit: int) -> list[Referral]:
    """For people, those that need somebody first."""
    chosen, params = (" AND state = ?", [state]) if state else ("", [])
    rows = await store.fetch(
        f"SELECT {_REFERRAL} FROM partner_referral WHERE partner = ?{chosen} "
        "ORDER BY CASE WHEN error = '' THEN 1 ELSE 0 END, task LIMIT ?",
        (name, *params, limit),
    )
    return [Referral(*row) for row in rows]


async def counts(store: Store) -> dict[str, dict[str, int]]:
    """partner -> state -> how many."""
    found: dict[str, dict[str, int]] = {}
    for name, state, count in await store.fetch(
        "SELECT partner, state, count(*) FROM partner_referral GROUP BY partner, state ORDER BY partner, state"
    ):
        found.setdefault(name, {})[state] = int(count)
    return found


def opened(task: str, name: str) -> Statement:
    """A Task for the partner's organization, new or changed: to be sent. Nothing where it came from a partner."""
    return Statement(
        f"INSERT INTO partner_referral ({_REFERRAL}) "
        "VALUES (?, ?, 'out', '', '', '', 'to-send', 0, '', '', 1, 0, 0, 0) "
        "ON CONFLICT (task) DO UPDATE SET wanted = partner_referral.wanted + 1, "
        "state = CASE WHEN partner_referral.state = 'closed' THEN 'closed' ELSE 'to-send' END, due_us = 0 "
        "WHERE partner_referral.way = 'out'",
        (task, name),
    )


def changed(task: str) -> Statement:
    """A Task changed here: what stands at a partner may have to. Nothing where it has no partner."""
    return Statement(
        "UPDATE partner_referral SET wanted = wanted + 1, due_us = 0, "
        "state = CASE WHEN state = 'closed' THEN 'closed' ELSE 'to-send' END WHERE task = ? AND way = 'out'",
        (task,),
    )


def arrived(task: str, name: str, remote: str, work: str) -> Statement:
    """A Task that a partner opened here: what it points to is to be fetched. work: JSON of the Task as it came."""
    return Statement(
        f"INSERT INTO partner_referral ({_REFERRAL}) VALUES (?, ?, 'in', ?, '', '', 'to-fetch', 0, '', ?, 0, 0, 0, 0)",
        (task, name, remote, work),
    )


def begun(task: str) -> Statement:
    """Before the first sending: whoever comes after a kill looks whether it arrived."""
    return Statement("UPDATE partner_referral SET tries = tries + 1 WHERE task = ?", (task,))


def sent(one: Referral, state: str, now_us: int) -> Statement:
    """What stands there now. one.done: up to which change here it was sent; where more happened since, it goes on."""
    return Statement(
        "UPDATE partner_referral SET remote = ?, remote_version = ?, remote_status = ?, work = ?, error = ?, done = ?, "
        "tries = 0, due_us = 0, seen_us = ?, state = CASE WHEN wanted > ? THEN 'to-send' ELSE ? END WHERE task = ?",
        (one.remote, one.remote_version, one.remote_status, one.work, one.error, one.done, now_us, one.done, state,
         one.task),
    )  # fmt: skip


def seen(task: str, version: str, status: str, now_us: int, *, error: str = "", closed: bool = False) -> Statement:
    """As it stands there now."""
    return Statement(
        "UPDATE partner_referral SET remote_version = ?, remote_status = ?, seen_us = ?, error = ?, "
        "state = CASE WHEN ? = 1 AND state = 'sent' THEN 'closed' ELSE state END WHERE task = ?",
        (version, status, now_us, error, 1 if closed else 0, task),
    )


def unchanged(tasks: list[str], now_us: int) -> Statement:
    return Statement(f"UPDATE partner_referral SET seen_us = ? WHERE task IN ({marks(len(tasks))})", (now_us, *tasks))


def put_off(task: str, due_us: int, error: str) -> Statement:
    sql = "UPDATE partner_referral SET due_us = ?, tries = tries + 1, error = ? WHERE task = ?"
    return Statement(sql, (due_us, error, task))


def ended(task: str, state: str, error: str, done: int) -> Statement:
    """refused, failed, closed, fetched. Where the Task changed here meanwhile it is tried with the change."""
    return Statement(
        "UPDATE partner_referral SET state = CASE WHEN wanted > ? THEN 'to-send' ELSE ? END, error = ?, done = ?, "
        "due_us = 0 WHERE task = ?",
        (done, state, error, done, task),
    )


def again(name: str, task: str = "") -> Statement:
    """A person tries once more what was refused or failed; all of a partner, or one. What waits is tried at once."""
    which, params = (" AND task = ?", [task]) if task else ("", [])
    return Statement(
        "UPDATE partner_referral SET state = CASE WHEN way = 'in' THEN 'to-fetch' ELSE 'to-send' END, error = '', "
        f"tries = 0, due_us = 0, done = 0 WHERE partner = ? AND state IN ('refused', 'failed', 'to-send', 'to-fetch')"
        f"{which}",
        (name, *params),
    )


# --- resources -----------------------------------------------------------------------------------------------------


async def local_of(store: Store, name: str, remote: str) -> str:
    """The local counterpart of a resource on the partner's server, or ""."""
    rows = await store.fetch(
        "SELECT local FROM partner_resource WHERE partner = ? AND remote = ? ORDER BY local LIMIT 1", (name, remote)
    )
    return str(rows[0][0]) if rows else ""


def linked(name: str, local: str, remote: str, digest: str, now_us: int) -> Statement:
    return Statement(
        "INSERT INTO partner_resource (partner, local, remote, digest, seen_us) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (partner, local) DO UPDATE SET remote = excluded.remote, digest = excluded.digest, "
        "seen_us = excluded.seen_us",
        (name, local, remote, digest, now_us),
    )


async def states(store: Store) -> dict[str, int]:
    """state -> how many partners."""
    return dict(await store.fetch("SELECT state, count(*) FROM referral_partner GROUP BY state", heavy=True))


async def pending(store: Store) -> dict[str, int]:
    """state -> referrals that wait or need a person; a step in the index for each, past all that are at rest."""
    sql = (
        "SELECT r.state, count(*) FROM referral_partner p CROSS JOIN partner_referral r WHERE r.partner = p.name "
        "AND r.state IN ('to-send', 'to-fetch', 'refused', 'failed') GROUP BY r.state"
    )
    return dict(await store.fetch(sql, heavy=True))
