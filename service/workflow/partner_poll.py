"""What became of our referrals on the partner's server: asked by id, so that no clock and no cursor of its is trusted.

Whatever happened there while one side was down is seen at the next look: a Task is compared with what was seen last.
"""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.auth.signing_keys import KeysRefused
from service.log_events import PARTNER_FAILED, log, where
from service.search.restriction import EVERYTHING
from service.store import partners, read
from service.store.change import Change
from service.store.database import Unavailable
from service.store.partners import Referral
from service.workflow.partner_client import Away, Declined, Odd
from service.workflow.partner_push import tasks_of
from service.workflow.partner_settle import settle
from service.workflow.partner_shapes import check_same, id_there, version_of
from service.workflow.partner_turn import LeaseLost, Turn
from service.workflow.partner_work_items import CONFLICT, ask_for

GONE = frozenset({404, 410})


async def look(turn: Turn) -> None:
    """At every referral that is open there. Raises Away, LeaseLost."""
    began_us, after = turn.now_us(), ""
    while rows := await partners.watched(turn.store, turn.partner.name, after, began_us):
        for row, remote in zip(rows, await _asked(turn, rows), strict=True):
            await _one(turn, row, remote)
        after = rows[-1].task
    await turn.noted(partners.looked(turn.partner, began_us))


async def _one(turn: Turn, row: Referral, remote: Resource | None) -> None:
    """Where our own code stumbles over one, the others are looked at all the same."""
    try:
        await _taken(turn, row, remote)
    except (Away, KeysRefused, LeaseLost, Unavailable):
        raise
    except Exception as error:
        log(PARTNER_FAILED, partner=turn.partner.name, **where(error))
        await _not_now(turn, row, type(error).__name__)


async def _asked(turn: Turn, rows: list[Referral]) -> list[Resource | None]:
    """The Tasks of the rows as they stand there; None for what the search left out."""
    ids = [id_there(turn.partner, row.remote, "Task") for row in rows]
    try:
        reply = await turn.server.get(f"Task?_id={','.join(ids)}&_count={2 * len(ids)}")
        found = {str(one.get("id")): one for one in tasks_of(reply)}
    except (Odd, Declined):
        found = {}  # each is read by itself: one of them may be what spoils the search
    return [found.get(one) for one in ids]


async def _taken(turn: Turn, row: Referral, remote: Resource | None) -> None:
    if remote is None:
        there = id_there(turn.partner, row.remote, "Task")
        try:
            remote = (await turn.server.get(f"Task/{there}")).resource
        except Declined as error:
            if error.status in GONE:
                await set_aside(turn, row, "gone-there", row.remote_version)
            else:
                await _not_now(turn, row, error.reason)
            return
        except Odd as error:
            await _not_now(turn, row, error.reason)
            return
    version = version_of(remote)
    if version == row.remote_version:
        await turn.noted(partners.unchanged([row.task], turn.now_us()))
        return
    task = await read.head(turn.store, "Task", row.task, EVERYTHING)
    if task is None or task.deleted:
        await turn.noted(partners.ended(row.task, "closed", "", row.wanted))
        return
    try:
        check_same(remote, parse(task.body), turn.base_url, id_there(turn.partner, row.remote, "Task"))
        await settle(turn, row, remote)
    except Odd as error:
        if error.lasting:
            await set_aside(turn, row, error.reason, version)
        else:  # looked at again the next time
            await _not_now(turn, row, error.reason)


async def _not_now(turn: Turn, row: Referral, why: str) -> None:
    await turn.noted(partners.seen(row.task, row.remote_version, row.remote_status, turn.now_us(), error=why))


async def set_aside(turn: Turn, row: Referral, why: str, version: str) -> None:
    """Nothing of what is shown is taken; a person of the requester is asked, once for each cause."""

    async def decide(ctx: Context) -> Change | None:
        change = Change(statements=[partners.seen(row.task, version, row.remote_status, ctx.now_us, error=why)])
        found = await ctx.resource(f"Task/{row.task}")
        if found is not None:
            await ask_for(ctx, change, found[0], CONFLICT, why)
        return change

    await turn.commit(decide)
