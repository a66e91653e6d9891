"""transaction: all entries or none, in one Change. https://hl7.org/fhir/R4/http.html#trules

What reads runs when the Change is durable, and sees it (../shared/decisions.md 13). A lost race is decided again, the
losers of a process one after the other, so that each round has a winner; then 503.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from service.access import tripwire
from service.access.context import Context
from service.bundles.answers import Asked, answered, response_bundle
from service.bundles.batch import in_lanes
from service.bundles.deciding import answers, decide, merged, refuse
from service.bundles.entries import Entry, Resolve
from service.bundles.linked import link
from service.bundles.planned import planned, refuse_twins
from service.bundles.single import SECONDS, too_long
from service.errors import Category, FhirError, Issue
from service.interactions.call import Call
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.notices import among
from service.log_events import COMMIT_RETRIED, log
from service.store.change import Change, ClaimTaken, Stale
from service.store.engine import Store

TRIES = 12
PAUSE_S = 0.4
ENTRIES_A_REQUEST = 10
"""So many entries count as one request of the client: they share a commit."""


async def transaction(ctx: Context, entries: Sequence[Entry], call: Call, resolve: Resolve) -> Decision:
    """Commits by itself; what is left to commit is nothing."""
    ctx.weight = 1 + len(entries) // ENTRIES_A_REQUEST
    until_s = time.monotonic() + SECONDS
    done = await _settled(ctx, entries, resolve, until_s)
    returned = call.prefer.get("return", "")
    base = ctx.settings.base_url
    parts = {n: answered(Asked(entries[n].method, returned), answer, base) for n, answer in done.items()}
    after = [entry for entry in entries if entry.number not in parts]
    looked = await in_lanes(ctx, after, returned, until_s)
    parts |= {entry.number: part for entry, part in zip(after, looked, strict=True)}
    body = response_bundle("transaction", [parts[n] for n in sorted(parts)], ctx.new_id())
    return Decision(Change(), fixed(Answer(200, body, notice=among(parts.values()))), durable=True)


async def _settled(ctx: Context, entries: Sequence[Entry], resolve: Resolve, until_s: float) -> dict[int, Answer]:
    """Number of the entry -> answer, of all entries that write."""
    for attempt in range(1, TRIES + 1):
        ctx.again = attempt > 1
        try:
            if attempt == 1:
                return await _once(ctx, entries, resolve, until_s)
            async with _turn(ctx.store):
                ctx.at(ctx.store.clock.now_us())
                return await _once(ctx, entries, resolve, until_s)
        except (Stale, ClaimTaken) as error:
            log(COMMIT_RETRIED, attempts=attempt, reason="stale" if isinstance(error, Stale) else "claim", changes=1)
        if time.monotonic() > until_s:
            raise too_long()
        await asyncio.sleep(random.uniform(0, min(0.004 * 2**attempt, PAUSE_S)))
    text = "Other requests changed the same resources at the same time. Nothing was written: send the Bundle again."
    raise FhirError(
        Category.UNAVAILABLE, [Issue(text, "Bundle", "transient")], {"Retry-After": "2"}, reason="lost-race"
    )


async def _once(ctx: Context, entries: Sequence[Entry], resolve: Resolve, until_s: float) -> dict[int, Answer]:
    """The time limit ends the deciding, never the commit: so it is known that nothing was written."""
    ctx.pending, ctx.known = {}, {}
    try:
        async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
            plans = await planned(ctx, entries)
            refuse_twins(plans)
            await link(ctx, plans)
            await decide(ctx, plans, resolve)
    except TimeoutError:
        raise too_long() from None
    refuse(plans)
    change = merged(plans, ctx.audit("E", "transaction", "Bundle"))
    await tripwire.check(ctx, change.audit)
    done = await ctx.store.commit(change)
    ctx.pending, ctx.known = {}, {}
    return answers(plans, done)


def _turn(store: Store) -> asyncio.Lock:
    return _TURNS.setdefault(store, asyncio.Lock())


_TURNS: WeakKeyDictionary[Store, asyncio.Lock] = WeakKeyDictionary()
"""Of each store of this process: whose turn it is to decide again."""
