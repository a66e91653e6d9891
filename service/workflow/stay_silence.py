"""Stays of which nothing was heard for so long that their end must have been missed: job adt.stale, once a day.

Each is decided anew; stays.timed_out says `unknown`, and nobody is alarmed (facts/adt.md 1.6). A later word reopens it.
"""

from typing import Any

from service.access.context import Context
from service.store import stay_rows
from service.store.change import Change
from service.workflow.match_reviews import settle_job
from service.workflow.stay_classes import RANK
from service.workflow.stays import LASTING, SILENCE_US

MOST = 2_000
"""Stays of one run; a run that finds so many is followed by another one the day after."""


async def settle_silent(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {}"""
    limits = [(k, ctx.now_us - SILENCE_US.get(k, SILENCE_US["INPATIENT"])) for k in (*RANK, "UNKNOWN")]
    found = await stay_rows.silent(ctx.store, LASTING, limits, MOST)
    return Change(jobs=[settle_job(stay) for stay in found])
