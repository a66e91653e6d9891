"""SQL of links by which organizations without software answer referrals, and of browsers that gave the right code."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from service.search.keys import edge
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import join

KEPT_US = 30 * 86_400_000_000
"""So long after its end is a link kept, so that its page can say that it ended."""
LIVE = ("open", "used")
_OFFERED_BY = edge("HealthcareService", "organization")


@dataclass(frozen=True)
class Link:
    """A row of table reply_link (service/store/tables_referrals.py)."""

    link: str
    task: str
    organization: str
    channel: str
    sealed_to: str
    made_us: int
    expires_us: int
    code: str = ""
    code_expires_us: int = 0
    codes_sent: int = 0
    tries: int = 0
    state: str = "open"
    used_us: int | None = None


_NAMES = [one.name for one in fields(Link)]
_COLUMNS = ", ".join(_NAMES)


def subject(store: Store, link: str) -> int:
    """Whose epoch counts what is done with a link: of two who try a code at once, one is decided again."""
    return store.keys.of("reply-link", link)


def made(link: Link) -> Statement:
    return Statement(f"INSERT INTO reply_link ({_COLUMNS}) VALUES ({marks(len(_NAMES))})", astuple(link))


def changed(link: str, **values: Any) -> Statement:
    names = sorted(values)
    sets = ", ".join(f"{name} = ?" for name in names)
    return Statement(f"UPDATE reply_link SET {sets} WHERE link = ?", (*(values[name] for name in names), link))


def closed(task: str, expires_us: int) -> Statement:
    """The referral is over: its links end some time later."""
    return Statement(
        "UPDATE reply_link SET expires_us = ? WHERE task = ? AND state IN ('open', 'used') AND expires_us > ?",
        (expires_us, task, expires_us),
    )


def revoked(task: str, organization: str, now_us: int) -> Statement:
    """All links of the organization to this referral; they end now."""
    return Statement(
        "UPDATE reply_link SET state = 'revoked', code = '', expires_us = ? WHERE task = ? AND organization = ? "
        "AND state IN ('open', 'used')",
        (now_us, task, organization),
    )


async def by_link(store: Store, link: str) -> Link | None:
    found = await _where(store, "link = ?", (link,))
    return found[0] if found else None


async def of_task(store: Store, task: str) -> list[Link]:
    """Newest first."""
    return await _where(store, "task = ? ORDER BY made_us DESC", (task,))


async def listed(store: Store, *, task: str = "", state: str = "", limit: int = 50) -> list[Link]:
    """For the operator, newest first."""
    asked = {"task": task, "state": state}
    condition, params = join(*((f"{name} = ?", [value]) for name, value in asked.items() if value))
    return await _where(store, f"{condition} ORDER BY made_us DESC, link LIMIT ?", (*params, limit))


async def _where(store: Store, condition: str, params: tuple[Any, ...]) -> list[Link]:
    rows: Sequence[Sequence[Any]] = await store.fetch(f"SELECT {_COLUMNS} FROM reply_link WHERE {condition}", params)
    return [Link(**dict(zip(_NAMES, row, strict=True))) for row in rows]


# --- browsers ------------------------------------------------------------------------------------------------------


def entered(session: str, link: str, expires_us: int) -> Statement:
    return Statement(
        "INSERT INTO reply_session (session, link, expires_us) VALUES (?, ?, ?)", (session, link, expires_us)
    )


def left(session: str) -> Statement:
    return Statement("DELETE FROM reply_session WHERE session = ?", (session,))


def all_left(link: str) -> Statement:
    return Statement("DELETE FROM reply_session WHERE link = ?", (link,))


async def is_in(store: Store, session: str, link: str, now_us: int) -> bool:
    sql = "SELECT 1 FROM reply_session WHERE session = ? AND link = ? AND expires_us > ?"
    return bool(await store.fetch(sql, (session, link, now_us)))


def forget(now_us: int) -> list[Statement]:
    return [
        Statement("DELETE FROM reply_session WHERE expires_us <= ?", (now_us,)),
        Statement("DELETE FROM reply_link WHERE expires_us <= ?", (now_us - KEPT_US,)),
    ]


# --- who needs a link ----------------------------------------------------------------------------------------------


async def scopes_of(store: Store, organization: str) -> list[str]:
    """The scope texts of the clients of an organization that are active."""
    rows = await store.fetch("SELECT scopes FROM client WHERE organization = ? AND active = 1", (organization,))
    return [str(row[0]) for row in rows]


async def services_of(store: Store, organization: str) -> list[bytes]:
    """The HealthcareServices that an organization provides, in a fixed order."""
    sql = (
        "SELECT v.body FROM ref e JOIN version v ON v.vid = e.vid WHERE e.param = ? AND e.target = ? "
        "ORDER BY v.fhir_id LIMIT 50"
    )
    return [bytes(row[0]) for row in await store.fetch(sql, (_OFFERED_BY, store.keys.resource(organization)))]
