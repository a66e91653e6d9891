"""Job adt.purge: hospital messages of strangers lose their content after some days (ENLACE_UNMATCHED_DAYS).

Most of a feed is about people who are no members; what is kept of them is that a message came, and why it matched
nobody. A review that nobody decided by then expires with it. Facts: ../shared/facts/adt.md section 5.
"""

from typing import Any

from service.access.context import Context
from service.store import strangers
from service.store.change import Change, Job

DAY_US = 86_400_000_000
PAGE = 200
"""Messages emptied in one Change: the writer of an embedded database is held up for some milliseconds."""


async def purge(ctx: Context, payload: dict[str, Any]) -> Change:
    """A page of one state; the next page is the next job. payload: {} to begin, then {"state", "after"}."""
    days = ctx.settings.unmatched_days
    if not days:
        return Change()
    state, after = str(payload.get("state", strangers.STATES[0])), int(payload.get("after", 0))
    before_us = ctx.now_us - days * DAY_US
    found = await strangers.old(ctx.store, state, after, before_us, PAGE)
    kept = await strangers.of_members(ctx.store, [id for id, _ in found]) if state == "applied" and found else ()
    ids = [id for id, _ in found if id not in kept]
    change = Change(statements=strangers.emptied(ids, ctx.now_us))
    if ids:
        detail = {"messages": len(ids), "first": ids[0], "last": ids[-1]}
        change.audit.append(ctx.audit("D", "adt-purged", "inbox", detail=detail))
    following = _following(state, found)
    if following:
        change.jobs.append(Job("adt.purge", following))
    else:
        change.statements.append(strangers.merges_of_strangers(before_us))
    return change


def _following(state: str, found: list[tuple[int, str]]) -> dict[str, Any]:
    if len(found) == PAGE:
        return {"state": state, "after": found[-1][0]}
    later = strangers.STATES[strangers.STATES.index(state) + 1 :]
    return {"state": later[0], "after": 0} if later else {}
