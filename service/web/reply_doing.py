"""An answer by a link, carried out: a version of the Task, and of what was done a Procedure with it, in one Change."""

from fhir_profiles import Resource
from service.access.context import Context, Pending
from service.bundles.linked import targets
from service.interactions.create import create
from service.interactions.decision import Answer as Done
from service.interactions.decision import Decision, Preconditions, of_write
from service.interactions.settle import settled
from service.interactions.update import update
from service.store.change import ABSENT, Change, Stale
from service.web.reply_actions import Answer, after, procedure, with_output
from service.workflow.alert_text import date_time


async def answered(
    ctx: Context, task: Resource, version: int, request: Resource | None, given: Answer, zone: str
) -> Done:
    """By the law of referrals, at this version. Raises FhirError: STALE where somebody moved it meanwhile."""
    found = await ctx.resource(ctx.caller.organization)
    name = str((found[0] if found else {}).get("name") or "")
    party: Resource = {"reference": ctx.caller.organization, **({"display": name} if name else {})}
    moved = after(task, given, party, date_time(ctx.now_us, zone))
    expect = Preconditions(if_match=(version,))
    if given.action.to != "completed":
        return await settled(ctx, lambda c: update(c, "Task", str(task["id"]), moved, expect))
    done = procedure(ctx.new_id(), task, request, given, party)
    moved = with_output(moved, done)

    async def both(c: Context) -> Decision:
        reference = f"Procedure/{done['id']}"
        c.pending = {reference: Pending(done, ABSENT, targets(done, c.settings.base_url))}
        made = await create(c, "Procedure", done, Preconditions(), fhir_id=str(done["id"]))
        updated = await update(c, "Task", str(task["id"]), moved, expect)
        place = len(made.change.writes)
        return Decision(_one(made.change, updated.change), of_write(200, place), retry=False)

    return await settled(ctx, both)


def _one(first: Change, second: Change) -> Change:
    """Both, where they read the same things at the same versions."""
    versions = (second.relied.get(name, version) != version for name, version in first.relied.items())
    counts = (second.epochs.get(subject, count) != count for subject, count in first.epochs.items())
    if any(versions) or any(counts):
        raise Stale("two readings of one thing")
    return first.merge(second)
