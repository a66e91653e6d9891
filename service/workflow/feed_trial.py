"""What a replay would do, without doing it: each message is decided as if it alone were replayed now.

The same function decides as in the queue; its Change is compared with what is stored and dropped. Names of elements,
states and references only. Where messages depend on each other the replay itself may do more than the sum.
"""

from typing import Any

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.caller import system_caller
from service.log_events import TRIAL
from service.store import inbox, sources
from service.store.change import Change, Write
from service.store.engine import Store
from service.store.inbox import Received
from service.workflow.feed_replay import sender_now
from service.workflow.feed_words import words
from service.workflow.hospital_events import apply_adt

MOST = 1_000
"""Messages of one trial: some milliseconds each."""
_META = frozenset({"meta"})


async def trial(store: Store, rows: list[Received], behaviour: Behaviour | None = None) -> dict[str, Any]:
    """{"looked", "changed", "messages": [...]}; the first MOST in order of arrival."""
    looked = sorted(rows, key=lambda row: row.id)[:MOST]
    known = await sources.all_sources(store)
    names = {source.name for source in known}
    said = []
    for row in looked:
        name = row.source if row.source in names else (await sender_now(store, row, known))[0]
        if name != row.source:
            said.append({"id": row.id, "changes": True, "renamed": name})
        elif row.state == "purged":
            said.append({"id": row.id, "changes": False, "purged": True})
        else:
            said.append(await _one(store, row, behaviour or Behaviour()))
    changed = sum(bool(one["changes"]) for one in said)
    return {"asked": len(rows), "looked": len(looked), "changed": changed, "messages": said}


async def _one(store: Store, row: Received, behaviour: Behaviour) -> dict[str, Any]:
    ctx = Context(store, system_caller(), store.clock.now_us(), behaviour, request_id=f"trial-{row.id}")
    quiet = TRIAL.set(True)
    try:
        change = await apply_adt(ctx, {"inbox": row.id})
    except Exception as error:  # what would fail in the queue is told, not raised: the rest is looked at
        return {"id": row.id, "changes": True, "fails": type(error).__name__}
    finally:
        TRIAL.reset(quiet)
    return await _compared(ctx, row, change)


async def _compared(ctx: Context, row: Received, change: Change) -> dict[str, Any]:
    written = [found for write in change.writes if (found := await _written(ctx, write))]
    was = (row.state, row.reason, row.patient, row.stay)
    now = inbox.outcome(row.id, change.statements) or was
    said: dict[str, Any] = {"id": row.id, "changes": bool(written) or now != was, "writes": written}
    for number, name in enumerate(("state", "reason", "patient", "stay")):
        if now[number] != was[number]:
            said[name] = {"from": was[number] or None, "to": now[number] or None}
    if now[:2] != was[:2]:
        said["words"] = words(now[0], now[1]).sentence
    more = sorted({job.kind for job in change.jobs})
    return said | ({"further_work": more} if more else {})


async def _written(ctx: Context, write: Write) -> dict[str, Any] | None:
    """One resource: new, changed in which elements, or deleted; None where it would stay as it is."""
    found = await ctx.resource(write.reference)
    before = found[0] if found else {}
    after = write.resource
    if after is None:
        return {"reference": write.reference, "change": "deleted"} if found else None
    elements = sorted(name for name in (before.keys() | after.keys()) - _META if before.get(name) != after.get(name))
    if found and not elements:
        return None
    said: dict[str, Any] = {"reference": write.reference, "change": "changed" if found else "new"}
    if found:
        said |= {"elements": elements}
    if before.get("status") != after.get("status"):
        said |= {"status": {"from": before.get("status"), "to": after.get("status")}}
    return said
