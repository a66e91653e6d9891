"""Decide, commit, and decide again where a race was lost: the loop around every interaction, from REST and pages."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from service.access import tripwire
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision
from service.log_events import COMMIT_RETRIED, log
from service.store.change import ClaimTaken, Committed, Stale

TRIES = 6
_STALE = "The resource was changed since the version in If-Match: read it again and repeat the change on it."
_LOST = "Other requests changed the same resource at the same time: read it again and repeat the change."

NOTHING = Committed(())

Decide = Callable[[Context], Awaitable[Decision]]


async def settled(ctx: Context, decide: Decide) -> Answer:
    """The answer once the Change is durable. 412 where the client named the version that moved; 409 after six races.

    decide may raise Stale itself: it read what is no longer so, and is asked again.
    """
    for attempt in range(1, TRIES + 1):
        decision: Decision | None = None
        try:
            ctx.again = attempt > 1
            decision = await decide(ctx)
            await tripwire.check(ctx, decision.change.audit)
            done = NOTHING if decision.durable else await ctx.store.commit(decision.change)
            return decision.answer(done)
        except Stale as error:
            if decision is not None and not decision.retry and not isinstance(error, tripwire.Moved):
                raise FhirError(Category.STALE, [Issue(_STALE, code="conflict")], reason="if-match") from error
            log(COMMIT_RETRIED, attempts=attempt, reason="stale", changes=1)
        except ClaimTaken:
            log(COMMIT_RETRIED, attempts=attempt, reason="claim", changes=1)
        await asyncio.sleep(random.uniform(0, 0.004 * 2**attempt))
        ctx.at(ctx.store.clock.now_us())
    raise FhirError(Category.CONFLICT, _LOST, headers={"Retry-After": "1"}, reason="lost-race")
