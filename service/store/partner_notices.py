"""SQL of what partners' servers tell us: our Subscription there, and the look at a partner that a notice asks for.

Columns: tables_referrals.py. A notice is a hint and nothing more: it says when to look, never what stands there.
"""

from dataclasses import dataclass, fields
from hmac import compare_digest

from service.store.change import Statement
from service.store.engine import Store

APART_S = 60
"""Between two looks that notices of one partner ask for, whatever comes."""
APART_US = APART_S * 1_000_000
WAITS = ("making", "requested")
"""Statuses before the partner's server told something for the first time."""


@dataclass(frozen=True)
class Notices:
    """A row of partner_notice (service/store/tables_referrals.py)."""

    partner: str
    token: str = ""
    remote: str = ""
    status: str = "none"
    since_us: int = 0
    error: str = ""
    tries: int = 0
    due_us: int = 0


_COLUMNS = ", ".join(field.name for field in fields(Notices))


async def of_partner(store: Store, name: str) -> Notices | None:
    rows = await store.fetch(f"SELECT {_COLUMNS} FROM partner_notice WHERE partner = ?", (name,))
    return Notices(*rows[0]) if rows else None


async def of_all(store: Store) -> dict[str, Notices]:
    """partner -> its row; none for who was never asked."""
    found = [Notices(*row) for row in await store.fetch(f"SELECT {_COLUMNS} FROM partner_notice ORDER BY partner")]
    return {one.partner: one for one in found}


async def by_token(store: Store, digest: bytes) -> Notices | None:
    rows = await store.fetch(f"SELECT {_COLUMNS} FROM partner_notice WHERE token = ?", (digest.hex(),))
    found = [Notices(*row) for row in rows]
    return next((one for one in found if compare_digest(one.token, digest.hex())), None)


async def anything_sent(store: Store, name: str) -> bool:
    """Whether a referral of ours stands there that may still move: else there is nothing to be told."""
    sql = (
        "SELECT 1 FROM partner_referral WHERE partner = ? AND way = 'out' AND remote <> '' "
        "AND state IN ('sent', 'to-send', 'refused') LIMIT 1"
    )
    return bool(await store.fetch(sql, (name,)))


def making(name: str, token: str, tries: int, due_us: int) -> Statement:
    """Before it is asked for, so that a handshake that is quicker than the answer is known."""
    return Statement(
        f"INSERT INTO partner_notice ({_COLUMNS}) VALUES (?, ?, '', 'making', 0, '', ?, ?) "
        "ON CONFLICT (partner) DO UPDATE SET token = excluded.token, remote = '', status = 'making', since_us = 0, "
        "tries = excluded.tries, due_us = excluded.due_us",
        (name, token, tries, due_us),
    )


def made(name: str, remote: str, status: str, now_us: int, due_us: int) -> Statement:
    """It stands there. It may have told already."""
    return Statement(
        "UPDATE partner_notice SET remote = ?, error = '', due_us = ?, "
        "status = CASE WHEN status = 'active' THEN status ELSE ? END, "
        "since_us = CASE WHEN since_us > 0 THEN since_us ELSE ? END WHERE partner = ?",
        (remote, due_us, status, now_us if status == "active" else 0, name),
    )


def stands(one: Notices, status: str, now_us: int, due_us: int) -> Statement:
    """It was looked after, and is as it should be."""
    since_us = one.since_us or (now_us if status == "active" else 0)
    return Statement(
        "UPDATE partner_notice SET status = ?, since_us = ?, error = '', tries = 0, due_us = ? WHERE partner = ?",
        (status, since_us, due_us, one.partner),
    )


def failed(name: str, status: str, error: str, tries: int, due_us: int) -> Statement:
    """lost, or none: from now on nobody knows its address, and another try makes a new one."""
    return Statement(
        f"INSERT INTO partner_notice ({_COLUMNS}) VALUES (?, '', '', ?, 0, ?, ?, ?) "
        "ON CONFLICT (partner) DO UPDATE SET token = '', status = excluded.status, since_us = 0, "
        "error = excluded.error, tries = excluded.tries, due_us = excluded.due_us",
        (name, status, error, tries, due_us),
    )


def put_off(name: str, error: str, due_us: int) -> Statement:
    """It could not be looked after: as it was, as far as anybody knows."""
    return Statement("UPDATE partner_notice SET error = ?, due_us = ? WHERE partner = ?", (error, due_us, name))


def ended(name: str) -> Statement:
    return Statement("DELETE FROM partner_notice WHERE partner = ?", (name,))


def first_told(name: str, token: str, now_us: int) -> Statement:
    """A handshake, or the first notice of a server that sends none."""
    return Statement(
        "UPDATE partner_notice SET status = 'active', since_us = ?, error = '' "
        "WHERE partner = ? AND token = ? AND status IN ('making', 'requested')",
        (now_us, name, token),
    )


async def unheard(store: Store, name: str, now_us: int) -> bool:
    """Whether a notice at this moment asks for a look that is not asked for yet."""
    rows = await store.fetch("SELECT 1 FROM referral_partner WHERE name = ? AND hinted_us <= ?", (name, now_us))
    return bool(rows)


def hinted(name: str, now_us: int) -> Statement:
    """A look now, or a minute after the one that was asked for last. Nothing where one is still to come."""
    at_us = f"CASE WHEN hinted_us + {APART_US} > ? THEN hinted_us + {APART_US} ELSE ? END"
    return Statement(
        f"UPDATE referral_partner SET told_us = ?, hinted_us = {at_us}, "
        f"due_us = CASE WHEN due_us < {at_us} THEN due_us ELSE {at_us} END WHERE name = ? AND hinted_us <= ?",
        (now_us, *(now_us, now_us) * 3, name, now_us),
    )
