"""SQL of the view of one message: its stay's other messages, transition, reviews of its match, notices."""

from collections.abc import Sequence
from typing import Any

from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox import Received


async def of_stay(store: Store, stay: str, limit: int) -> list[Received]:
    """Newest first: those whose events the stay is reduced from, and those that are known by its key."""
    sql = (
        "SELECT i.id, i.source, i.control_id, i.received_us, i.event, i.state, i.reason, i.patient, i.stay, "
        "i.handled_us FROM (SELECT inbox_id AS id FROM stay_event WHERE stay = ? "
        "UNION SELECT id FROM inbox WHERE stay = ?) m CROSS JOIN inbox i WHERE i.id = m.id ORDER BY i.id DESC LIMIT ?"
    )
    return [Received(*row) for row in await store.fetch(sql, (stay, stay, limit))]


async def transition(store: Store, stay: str) -> dict[str, Any] | None:
    """The thread of the stay and the stays that share it."""
    rows = await store.fetch("SELECT thread, status, klass FROM care_transition WHERE stay = ?", (stay,))
    if not rows:
        return None
    sql = "SELECT stay FROM care_transition WHERE thread = ? ORDER BY start_us, stay LIMIT 50"
    others = [row[0] for row in await store.fetch(sql, (rows[0][0],))]
    return {"thread": rows[0][0], "status": rows[0][1], "class": rows[0][2], "stays": others}


async def reviews(store: Store, stay: str) -> list[dict[str, Any]]:
    rows = await store.fetch("SELECT id, state, reason FROM match_review WHERE stay = ? ORDER BY id LIMIT 50", (stay,))
    return [{"id": row[0], "state": row[1], "reason": row[2]} for row in rows]


async def notices(store: Store, people: Sequence[str], targets: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Reference of an alert -> by which channel its recipients were told, and how that stands."""
    if not people or not targets:
        return {}
    sql = (
        f"SELECT target, recipient, channel, state FROM notice WHERE recipient IN ({marks(len(people))}) "
        f"AND target IN ({marks(len(targets))}) ORDER BY id LIMIT 500"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for target, recipient, channel, state in await store.fetch(sql, (*people, *targets)):
        found.setdefault(target, []).append({"recipient": recipient, "channel": channel, "state": state})
    return found
