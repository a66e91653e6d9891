"""Job timer.purge: timers go some time after they ended (ENLACE_TIMER_DAYS); referrals alone would leave four each.

No measure that can be asked for reads them any more: `enlace timers measure` looks back no further, and referrals are
measured by referral_event. That one was breached stays in the audit log.
"""

from typing import Any

from service.access.context import Context, parse
from service.search.restriction import EVERYTHING
from service.store import read
from service.store import timers as rows
from service.store.change import Change, Job
from service.workflow.referral_clocks import CLOSED

DAY_US = 86_400_000_000
PAGE = 500
"""Timers looked at in one Change: the writer of an embedded database is held up for some milliseconds."""


async def purge(ctx: Context, payload: dict[str, Any]) -> Change:
    """A page; the next page is the next job. payload: {} to begin, then {"after": number of a timer}."""
    days, change = ctx.settings.timer_days, Change()
    if not days:
        return change
    before_us = ctx.now_us - days * DAY_US
    found = await rows.begun_before(ctx.store, int(payload.get("after", 0)), before_us, PAGE)
    kept = await _open(ctx, {one.subject for one in found if one.state != "running"})
    gone = [one.id for one in found if one.subject not in kept]
    if gone:
        change.statements.append(rows.forget(gone, before_us))
    if len(found) == PAGE:
        change.jobs.append(Job("timer.purge", {"after": found[-1].id}))
    return change


async def _open(ctx: Context, subjects: set[str]) -> set[str]:
    """Tasks that are not closed: their clocks say that they ran, so that none is started a second time."""
    tasks = sorted(one for one in subjects if one.startswith("Task/"))
    found = await read.heads(ctx.store, tasks, EVERYTHING) if tasks else {}
    return {name for name, one in found.items() if one.body and parse(one.body).get("status") not in CLOSED}
