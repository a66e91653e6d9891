"""One referral of ours to the partner's server: created once, then what our side says later (a cancellation, a note).

A kill between sending and recording leaves a row whose attempt is noted: the next one looks for the Task by its
identifier before it creates it, so that also a server without conditional create holds one.
"""

from dataclasses import replace
from urllib.parse import quote

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context, parse
from service.search.restriction import EVERYTHING
from service.store import partners, read
from service.store.change import Change
from service.store.partners import Referral
from service.workflow.partner_client import Declined, Odd, Reply
from service.workflow.partner_paths import agreed, mapped
from service.workflow.partner_shapes import (
    URL_SYSTEM,
    amended,
    check_same,
    digest,
    id_there,
    outgoing,
    own_url,
    text_of,
    unseen,
    version_of,
    wish,
)
from service.workflow.partner_turn import Turn, row_retry_us
from service.workflow.partner_work_items import CONFLICT, REFUSED, ask_for
from service.workflow.referral_law import OPEN, TERMINAL

LATER = frozenset({401, 408, 409, 412, 423, 425, 500})
"""Answers to one request that may be another one the next time."""
TOLD_AFTER = 8
"""Attempts after which somebody hears of a referral that does not get through: some hours."""
UNSEEN = "not-visible"


async def push(turn: Turn, row: Referral) -> None:
    """Sends what is to be sent of one Task; its row says what came of it. Raises Away, LeaseLost."""
    task = await _task(turn, row.task)
    withdrawn = task is None or (not row.remote and task.get("status") not in OPEN)
    if task is None or (withdrawn and not row.tries):
        await turn.noted(partners.ended(row.task, "closed", "", row.wanted))  # before it was ever sent
        return
    try:
        if withdrawn:
            await _find(turn, row, task)
        else:
            await (_update(turn, row, task) if row.remote else _create(turn, row, task))
    except Odd as error:
        if error.lasting:
            await _given_up(turn, row, task, "failed", CONFLICT, error.reason)
        else:
            await _put_off(turn, row, task, error.reason)
    except Declined as error:
        if error.status in LATER or error.status > 500:
            await _put_off(turn, row, task, error.reason)
        else:
            await _given_up(turn, row, task, "refused", REFUSED, error.reason)


async def _put_off(turn: Turn, row: Referral, task: Resource, why: str) -> None:
    """Tried again for ever, since it may be the server's bad day; after some tries a person is asked to look."""

    async def decide(ctx: Context) -> Change | None:
        change = Change(statements=[partners.put_off(row.task, row_retry_us(row.tries, turn.now_us()), why)])
        if row.tries >= TOLD_AFTER:
            await ask_for(ctx, change, task, REFUSED, why)
        return change

    await turn.commit(decide)


async def _task(turn: Turn, fhir_id: str) -> Resource | None:
    found = await read.head(turn.store, "Task", fhir_id, EVERYTHING)
    return None if found is None or found.deleted else parse(found.body)


# --- the first time ------------------------------------------------------------------------------------------------


async def _create(turn: Turn, row: Referral, task: Resource) -> None:
    body = outgoing(task, turn.base_url, turn.partner) | {"status": "requested"}
    if not await _disclosed(turn, row):
        await _given_up(turn, row, task, "refused", REFUSED, UNSEEN)
        return
    found = await _standing(turn, task) if row.tries else None
    new = found is None
    if found is None:
        asked = f"identifier={quote(f'{URL_SYSTEM}|{own_url(turn.base_url, row.task)}', safe='')}"
        reply = await turn.server.request("POST", "Task", write_json(body), {"If-None-Exist": asked})
        found, new = await _created(turn, task, reply), reply.status == 201
    await _record(turn, row, task, found, new)


async def _find(turn: Turn, row: Referral, task: Resource) -> None:
    """Withdrawn after an attempt whose end is not known: what it made there, if anything, is withdrawn there, too."""
    found = await _standing(turn, task)
    if found is None:
        await turn.noted(partners.ended(row.task, "closed", "", row.wanted))
    else:
        await _record(turn, row, task, found, False)


async def _disclosed(turn: Turn, row: Referral) -> bool:
    """Notes the attempt and the disclosure before anything leaves; False where the organization may not see it now."""
    ctx = turn.as_organization()
    found = await ctx.head(f"Task/{row.task}")
    if found is None:
        return False
    audit = ctx.audit("R", "partner-sent", f"Task/{row.task}", shown=(found,))
    await turn.store.commit(Change(statements=[partners.begun(row.task)], audit=[audit]))
    return True


async def _standing(turn: Turn, task: Resource) -> Resource | None:
    """The Task that an earlier attempt made there. Raises Odd where there are several."""
    value = quote(f"{URL_SYSTEM}|{own_url(turn.base_url, str(task['id']))}", safe="")
    try:
        reply = await turn.server.get(f"Task?identifier={value}")
    except Declined:
        return None  # it cannot be asked: the condition of the create has to do
    found = [one for one in tasks_of(reply) if _ours(one, task, turn.base_url)]
    if len(found) > 1:
        raise Odd("several")
    return found[0] if found else None


def _ours(remote: Resource, task: Resource, base_url: str) -> bool:
    ours = own_url(base_url, str(task["id"]))
    return any(isinstance(one, dict) and one.get("value") == ours for one in remote.get("identifier") or ())


def tasks_of(reply: Reply) -> list[Resource]:
    """The Tasks in a search's answer. Raises Odd where it is no such Bundle."""
    bundle = reply.resource
    entries = bundle.get("entry", [])
    if bundle.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise Odd("garbage")
    found = [one.get("resource") for one in entries if isinstance(one, dict)]
    return [one for one in found if isinstance(one, dict) and one.get("resourceType") == "Task"]


async def _created(turn: Turn, task: Resource, reply: Reply) -> Resource:
    """What stands there now, by the answer's body, or read where it brought none."""
    resource = reply.resource
    if resource.get("resourceType") != "Task":
        there = id_there(turn.partner, reply.headers.get("location", ""), "Task")
        resource = (await turn.server.get(f"Task/{there}")).resource
    check_same(resource, task, turn.base_url, id_there(turn.partner, f"Task/{resource.get('id')}", "Task"))
    return resource


async def _record(turn: Turn, row: Referral, task: Resource, found: Resource, new: bool) -> None:
    """remote_version stays "" so that the next look takes whatever the partner did meanwhile.

    new: just created, so that it says what the Task says here; else that is compared at once.
    """
    made = replace(
        row,
        remote=f"{turn.partner.base_url}/Task/{found['id']}",
        remote_version="",
        remote_status="requested",
        work=text_of({"wish": digest(wish(task))}) if new else "",
        error="",
        done=row.wanted if new else row.wanted - 1,
    )
    await turn.noted(partners.sent(made, "sent", 0))


# --- later ---------------------------------------------------------------------------------------------------------


async def _update(turn: Turn, row: Referral, task: Resource) -> None:
    if await turn.as_organization().head(f"Task/{row.task}") is None:
        task = unseen(task)  # a Consent was withdrawn, or the Task labelled: only that it is over still goes there
    said = text_of({"wish": digest(wish(task))})
    if said == row.work:
        await turn.noted(partners.sent(replace(row, done=row.wanted), _state(row, task), row.seen_us))
        return
    there = id_there(turn.partner, row.remote, "Task")
    remote = (await turn.server.get(f"Task/{there}")).resource
    check_same(remote, task, turn.base_url, there)
    made = amended(remote, task)
    if made != remote:
        there_now = mapped(remote.get("status"))
        if task.get("status") == "cancelled" and there_now in TERMINAL and not agreed("cancelled", there_now):
            why = f"cancelled-here-{there_now}-there"
            await _given_up(turn, row, task, "failed", CONFLICT, why)
            return
        match = {"If-Match": f'W/"{version_of(remote)}"'}
        audited = turn.as_organization().audit("R", "partner-sent", f"Task/{row.task}")
        await turn.store.commit(Change(audit=[audited]))
        reply = await turn.server.request("PUT", f"Task/{there}", write_json(made), match)
        remote = reply.resource if reply.resource.get("resourceType") == "Task" else made
    status = str(remote.get("status"))
    made_row = replace(row, remote_status=mapped(status), work=said, error="", done=row.wanted)
    await turn.noted(partners.sent(made_row, _state(made_row, task), row.seen_us))


def _state(row: Referral, task: Resource) -> str:
    """Both sides ended alike: nothing more is looked at."""
    over = task.get("status") in TERMINAL and row.remote_status in TERMINAL
    return "closed" if over else "sent"


async def _given_up(turn: Turn, row: Referral, task: Resource, state: str, kind: str, why: str) -> None:
    async def decide(ctx: Context) -> Change | None:
        change = Change(statements=[partners.ended(row.task, state, why, row.wanted)])
        await ask_for(ctx, change, task, kind, why)
        return change

    await turn.commit(decide)
