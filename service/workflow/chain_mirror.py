"""The job `referral.mirror` {"task"}: a referral and its parts brought into agreement, from what stands now.

Upward: states, reasons, results (chain_states.py, chain_content.py), an edge of the law at a time; the job that the
write itself adds goes on. Downward: what ended takes its open parts along; a piece that somebody completed needs nobody
else. The same job twice, late or out of order finds nothing left to do.
"""

from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.clock import instant
from service.errors import FhirError
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import epochs, read
from service.store import referral_chains as rows
from service.store.change import Change
from service.workflow import chain_work, referral_business
from service.workflow.chain_content import Below, cleared, followed
from service.workflow.chain_states import TAKEN, Child, Piece, pieces
from service.workflow.derived import put
from service.workflow.parties import reference_of
from service.workflow.referral_chains import job, parts
from service.workflow.referral_law import OPEN, PARENT_CANCELLED, REASONS
from service.workflow.referrals import focus_of, organization_of

RULE = "referral-chain"
"""The rule that the audit row and Provenance name."""
ELSEWHERE = ("served-elsewhere", "Another organization has provided this.")
CLOSED = ("parent-closed", "The referral that this one serves is closed.")
TAKEN_BACK = frozenset({"cancelled", "entered-in-error"})


@dataclass
class Chain:
    """A referral as read by one job, with its parts. versions: of all Tasks and requests that the job looked at."""

    parent: Resource
    version: int
    found: list[Piece]
    below: dict[str, Below]
    requests: dict[str, Resource]
    versions: dict[str, int]
    items: list[chain_work.Standing]

    @property
    def reference(self) -> str:
        return f"Task/{self.parent['id']}"

    @property
    def status(self) -> str:
        return str(self.parent.get("status"))


async def mirror(ctx: Context, payload: dict[str, Any]) -> Change:
    """Nothing where the Task is gone or nobody has a part of it."""
    reference, change = str(payload["task"]), Change()
    subject = rows.subject(ctx.store, reference)
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)  # before looking: a part opened meanwhile
    chain = await read_chain(ctx, reference)
    if chain is None:
        return change
    change.relied |= chain.versions
    coordinator = await organization_of(ctx, reference_of(chain.parent, "owner"))
    if chain.status in OPEN:
        for piece in chain.found:
            if piece.done:
                await _end_piece(ctx, change, chain, piece, ELSEWHERE)
        await _pass_down(ctx, change, chain)
        await chain_work.settle(ctx, change, chain.parent, chain.found, chain.items, coordinator)
        await _pass_up(ctx, change, chain)
    else:
        for piece in chain.found:
            await _end_piece(ctx, change, chain, piece, PARENT_CANCELLED if chain.status in TAKEN_BACK else CLOSED)
        await chain_work.settle(ctx, change, chain.parent, [], chain.items, coordinator)
    return change


# --- what stands ---------------------------------------------------------------------------------------------------


async def read_chain(ctx: Context, reference: str) -> Chain | None:
    head = await read.head(ctx.store, "Task", reference.partition("/")[2], EVERYTHING)
    if head is None or head.body is None:
        return None
    parent = parse(head.body)
    found = await parts(ctx, parent)
    if not found:
        return None
    tasks = [(parse(one.body), one) for one in found]
    below = {str(task["id"]): Below(task, not one.labels & ~head.labels) for task, one in tasks}
    versions = {f"Task/{task['id']}": one.version for task, one in tasks} | {reference: head.version}
    requests: dict[str, Resource] = {}
    for name in dict.fromkeys(focus_of(task, ctx) for task, _ in tasks):
        standing = await ctx.resource(name)
        if standing is not None:
            requests[name], versions[name] = standing
    statuses = {name: str(one.get("status")) for name, one in requests.items()}
    listed = pieces(await _children(ctx, [task for task, _ in tasks], str(parent.get("status"))), statuses)
    items = [(parse(one.body), one.version) for one in await rows.parts(ctx.store, reference)]
    items = [one for one in items if chain_work.is_item(one[0])]
    return Chain(parent, head.version, listed, below, requests, versions, items)


async def _children(ctx: Context, tasks: list[Resource], parent: str) -> list[Child]:
    """Of one that was cancelled only its versions tell whether it was accepted before: it counts for a parent that is
    `requested` only."""
    unclear = [f"Task/{t['id']}" for t in tasks if t.get("status") == "cancelled"] if parent == "requested" else []
    accepted = await rows.once(ctx.store, unclear, "accepted")
    return [
        Child(
            str(task["id"]),
            str(task.get("status")),
            focus_of(task, ctx),
            task.get("status") in TAKEN or f"Task/{task['id']}" in accepted,
        )
        for task in tasks
    ]


# --- downward ------------------------------------------------------------------------------------------------------


async def _end_piece(ctx: Context, change: Change, chain: Chain, piece: Piece, why: tuple[str, str]) -> None:
    """Its open Tasks are cancelled; its ServiceRequest is completed where somebody did it, else revoked."""
    for child in piece.open:
        code, text = why
        task = {
            **chain.below[child.id].task,
            "status": "cancelled",
            "statusReason": {"coding": [{"system": REASONS, "code": code}], "text": text},
            "lastModified": instant(ctx.now_us),
        }
        await put(ctx, change, task, chain.versions[f"Task/{child.id}"], code)
    request = chain.requests.get(piece.request)
    if request is None or not _serves(ctx, request, chain.parent):
        return
    ends = {"active": "completed"} if piece.done else {"active": "revoked", "on-hold": "revoked", "draft": "revoked"}
    status = ends.get(str(request.get("status")))
    if status:
        try:
            await put(ctx, change, {**request, "status": status}, chain.versions[piece.request], RULE)
        except FhirError:  # a referral of it that is no part of this chain is open: its requester ends it
            return


def _serves(ctx: Context, request: Resource, parent: Resource) -> bool:
    """Whether the request was written for the referral, so that it ends with it."""
    served = [
        normal_reference(str(o.get("reference") or ""), ctx.settings.base_url) for o in request.get("basedOn", ())
    ]
    return focus_of(parent, ctx) in served


async def _pass_down(ctx: Context, change: Change, chain: Chain) -> None:
    """The requester asked to cancel (BSeR 5.2): so the coordinator asks those whom it asked."""
    if not _cancel_asked(chain.parent):
        return
    for piece in chain.found:
        for child in () if piece.done else piece.open:
            task = chain.below[child.id].task
            if referral_business.code_of(task) != referral_business.ASKED:
                asked = {**task, "businessStatus": _asked(task), "lastModified": instant(ctx.now_us)}
                await put(ctx, change, asked, chain.versions[f"Task/{child.id}"], RULE)


def _asked(task: Resource) -> Resource:
    """Its businessStatus with BSeR's code for it; codings of other systems stay."""
    status = task.get("businessStatus") or {}
    others = [one for one in status.get("coding") or () if one.get("system") != referral_business.SYSTEM]
    return {**status, "coding": [*others, {"system": referral_business.SYSTEM, "code": referral_business.ASKED}]}


def _cancel_asked(parent: Resource) -> bool:
    return referral_business.code_of(parent) == referral_business.ASKED


# --- upward --------------------------------------------------------------------------------------------------------


async def _pass_up(ctx: Context, change: Change, chain: Chain) -> None:
    parent, now = chain.parent, instant(ctx.now_us)
    new = followed(parent, chain.found, chain.below, now, waits=await _waits(ctx, change, chain))
    bare = cleared(parent, new, now)
    if bare is not None:
        await put(ctx, change, bare, chain.version, RULE)
        change.jobs.append(await job(ctx, chain.reference))
    elif new != parent:
        await put(ctx, change, new, chain.version, RULE)


async def _waits(ctx: Context, change: Change, chain: Chain) -> bool:
    """Whether the ServiceRequest above is not active: then nobody goes on."""
    request = focus_of(chain.parent, ctx)
    standing = await ctx.resource(request)
    if standing is None:
        return False
    change.relied[request] = standing[1]
    return standing[0].get("status") != "active"
