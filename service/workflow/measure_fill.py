"""Job `referral.facts`: facts of versions that were stored past the workflow's steps, and what Patients say of members.

Every version of Task, ServiceRequest and Patient is looked at once, in order of vid; what is told already stays. So a
database that is older than the facts gets them, and a measure at a past date knows that nothing of it can still come.
"""

import asyncio
import json
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.store import epochs, referral_facts
from service.store.change import Change, Job, Stale
from service.store.engine import Store
from service.store.history import horizon
from service.store.referral_facts import Looked
from service.store.slots import vid_at
from service.workflow.measure_definitions import stored
from service.workflow.measure_traits import traits
from service.workflow.referral_facts import Seen, events_of

KIND = "referral.facts"
PAGE = 500
SETTLED_US = 60_000_000
"""Younger versions are left to the next look: on PostgreSQL one may still be on its way."""
MOST_INLINE = 20
"""Pages that an evaluation looks through itself; beyond, the job has to catch up first."""
WAIT_S, STEP_S = 3.0, 0.05
_BEHIND = "The facts of older referrals are still being gathered: ask again in a minute."
_AT_WORK = "Writes of that instant are still at work: ask again, or for an earlier asOf."


async def fill(ctx: Context, _payload: dict[str, Any]) -> Change:
    """A page of versions; the next page is the next job. Stores the definitions of the measures as well."""
    change, more = await _page(ctx.store, vid_at(ctx.now_us - SETTLED_US), ctx.settings.base_url)
    change.merge(await stored(ctx))
    if more:
        change.jobs.append(Job(KIND, {}, dedupe=f"{KIND}:{more}"))
    return change


async def settled(store: Store, at_us: int, base_url: str) -> None:
    """Returns when all that was committed up to an instant is known. Raises 503 where that takes long."""
    await _still(store, at_us)
    upto = vid_at(at_us + 1) - 1
    for _ in range(MOST_INLINE):
        if not await referral_facts.beyond(store, await referral_facts.looked_upto(store), upto, 1):
            return
        try:
            await store.commit((await _page(store, upto, base_url))[0])
        except Stale:  # another worker looks at the same page
            await asyncio.sleep(STEP_S)
    raise FhirError(
        Category.UNAVAILABLE, [Issue(_BEHIND, code="transient")], headers={"Retry-After": "60"}, reason="facts"
    )


async def _still(store: Store, at_us: int) -> None:
    """Until no write of the instant, or from before it, can still appear."""
    if store.db.name == "sqlite":  # Commits follow each other: once ours is through, so are those before it.
        await store.commit(Change(bump_epochs={_fence(store)}))
        return
    for _ in range(int(WAIT_S / STEP_S)):
        running_us = (await horizon(store))[1]
        if running_us is None or running_us > at_us:
            return
        await asyncio.sleep(STEP_S)
    raise FhirError(
        Category.UNAVAILABLE, [Issue(_AT_WORK, code="transient")], headers={"Retry-After": "2"}, reason="facts"
    )


def _fence(store: Store) -> int:
    return store.keys.of("referral-facts")


async def _page(store: Store, upto: int, base_url: str) -> tuple[Change, int]:
    """What a page of versions says, and the vid it ends with where more may follow, else 0."""
    fence = store.keys.of("referral-facts", "looked")
    change = Change(epochs={fence: await epochs.epoch(store, fence)}, bump_epochs={fence})
    found = await referral_facts.beyond(store, await referral_facts.looked_upto(store), upto, PAGE)
    for one in found:
        await _look(store, change, one, base_url)
    if not found:
        return Change(), 0
    change.statements.append(referral_facts.looked(found[-1].vid))
    return change, found[-1].vid if len(found) == PAGE else 0


async def _look(store: Store, change: Change, one: Looked, base_url: str) -> None:
    if one.told:
        return
    new, old = _resource(one.body), _resource(one.before)
    if one.rtype == "Patient":
        change.statements.append(referral_facts.put_trait(one.key, one.vid, *traits(new)))
        return

    async def then(reference: str) -> Resource | None:
        return _resource(await referral_facts.as_of(store, reference, one.vid))

    for event in await events_of(Seen(then, base_url), old, new) if new is not None else ():
        number = store.next_id(store.clock.now_us())
        change.statements.append(referral_facts.put_of(event, number, one.vid))


def _resource(body: bytes | None) -> Resource | None:
    made: Resource | None = json.loads(bytes(body)) if body is not None else None
    return made
