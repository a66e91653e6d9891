"""A Task as the partner's server shows it, written here by the law: one version for each step, and what was done.

Decided from what stands here at that moment: the same answer twice changes nothing. Where both sides moved the law
decides; what does not fit stays out, and a person of the requester hears of it.
"""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from service.access.context import Context
from service.clock import instant
from service.errors import FhirError
from service.store import partners
from service.store.change import ABSENT, Change
from service.store.partners import Referral
from service.workflow import derived
from service.workflow.partner_outputs import outputs_of
from service.workflow.partner_paths import Conflict, Step, mapped, step
from service.workflow.partner_shapes import version_of, without_words
from service.workflow.partner_turn import Turn
from service.workflow.partner_work_items import CONFLICT, ask_for
from service.workflow.referral_law import TERMINAL

RULE = "partner-status"
STEPS = 8
MOST_NOTES = 50
NO_REASON = "The partner's server gives no reason."
ERROR = "Marked as an error on the partner's server: "
RECEIVED = "Received by the partner's server"


async def settle(turn: Turn, row: Referral, remote: Resource) -> None:
    """Brings what stands here to what the partner shows. Raises Odd, Away."""
    there = mapped(remote.get("status"))
    head = await turn.context().head(f"Task/{row.task}")
    remote = without_words(remote, head.labels if head is not None else 0)
    done: tuple[list[Resource], list[Resource]] = ([], [])
    if there == "completed":
        found = await turn.context().resource(f"Task/{row.task}")
        if found is not None and found[0].get("status") not in TERMINAL:
            done = await outputs_of(turn, found[0], remote)
    for _ in range(STEPS):
        more: list[bool] = []

        async def decide(ctx: Context, more: list[bool] = more) -> Change | None:
            more.clear()
            change, again = await _one(ctx, row, remote, there, done)
            more.append(again)
            return change

        await turn.commit(decide)
        if not more[0]:
            return


async def _one(
    ctx: Context, row: Referral, remote: Resource, there: str, done: tuple[list[Resource], list[Resource]]
) -> tuple[Change, bool]:
    """The Change of the next step, and whether another one follows."""
    reference = f"Task/{row.task}"
    found = await ctx.resource(reference)
    change = Change()
    if found is None:
        return change, False
    task, version = found
    change.relied[reference] = version
    here = str(task.get("status"))
    error, following = "", None
    try:
        following = step(here, there) if there else None
        error = "" if there else "status-unknown"
    except Conflict:
        error = f"{here}-here-{there}-there"
    if following is not None:
        error = await _stepped(ctx, change, (task, version), remote, following, done)
    elif not error and there == here:
        await _told(ctx, change, task, version, remote)
    if error:
        change = Change(relied={reference: version})
        await ask_for(ctx, change, task, CONFLICT, error)
    last = following is None or following.last or bool(error)
    if last:
        status = there or row.remote_status
        over = bool(not error and there in TERMINAL)
        change.statements.append(
            partners.seen(row.task, version_of(remote), status, ctx.now_us, error=error, closed=over)
        )
    return change, not last


async def _stepped(
    ctx: Context,
    change: Change,
    standing: tuple[Resource, int],
    remote: Resource,
    following: Step,
    done: tuple[list[Resource], list[Resource]],
) -> str:
    """Writes the step; a short code where the law of the Task does not take it."""
    task, version = standing
    made = {**task, "status": following.status, "lastModified": instant(ctx.now_us)}
    made.pop("statusReason", None)
    if "reason" in following.needs:
        made["statusReason"] = {"text": reason_of(remote)}
    if "output" in following.needs:
        made["output"] = done[0]
        for copy in done[1]:
            if await ctx.resource(f"Procedure/{copy['id']}") is None:
                owner = ctx.store.keys.resource(str(copy["performer"][0]["actor"]["reference"]))
                await derived.put(ctx, change, copy, ABSENT, RULE, source_org=owner)
    return await _put(ctx, change, made, version, remote if following.last else {})


async def _told(ctx: Context, change: Change, task: Resource, version: int, remote: Resource) -> None:
    """The same status, and perhaps news beside it: notes, businessStatus."""
    if task.get("status") not in TERMINAL and _with_news(task, remote) != task:
        made = {**task, "lastModified": instant(ctx.now_us)}
        await _put(ctx, change, made, version, remote)


async def _put(ctx: Context, change: Change, made: Resource, version: int, remote: Resource) -> str:
    """With what the partner says beside the status, where the law takes that; else without it."""
    refused = ""
    for body in (_with_news(made, remote), made):
        if any(one.severity in ("error", "fatal") for one in validate(body, "Task")):
            refused = "task-broken"
            continue
        trial = Change()
        try:
            await derived.put(ctx, trial, body, version, RULE)
        except FhirError as error:
            ctx.pending.pop(f"Task/{body['id']}", None)
            refused = f"law-{error.reason or 'refused'}"
            continue
        change.merge(trial)
        return ""
    return refused


def _with_news(task: Resource, remote: Resource) -> Resource:
    made = dict(task)
    said: Any = remote.get("businessStatus")
    if remote.get("status") == "received" and not said and not task.get("businessStatus"):
        said = {"text": RECEIVED}
    if isinstance(said, dict):
        made["businessStatus"] = said
    notes = remote.get("note") if isinstance(remote.get("note"), list) else []
    known = {note.get("text") for note in task.get("note") or ()}
    new = [one for one in notes if isinstance(one, dict) and one.get("text") not in known] if notes else []
    if new:
        kept = [{name: one[name] for name in ("authorString", "time", "text") if name in one} for one in new]
        made["note"] = [*(task.get("note") or ()), *kept][:MOST_NOTES]
    return made


def reason_of(remote: Resource) -> str:
    """statusReason.text as it is to stand here: always there, since ours demands it."""
    said = remote.get("statusReason")
    said = said if isinstance(said, dict) else {}
    codings = [one.get("display") or one.get("code") for one in said.get("coding") or () if isinstance(one, dict)]
    words = [one for one in (said.get("text"), *codings) if isinstance(one, str) and one.strip()]
    prefix = {"entered-in-error": ERROR}.get(str(remote.get("status")), "")
    return prefix + (words[0][:1000] if words else NO_REASON)
