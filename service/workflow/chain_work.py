"""Work for the coordinator of a referral: nobody whom it asked does a piece of it. It asks somebody else, or closes it.

A Task of the coordinator for itself (code review-task#re-route): it names the member, and gives nobody a view. Where
providers rejected an ECM or Community Supports referral, calaim_reroute.py asks the plan, with names of others.
"""

from fhir_profiles import Resource
from service.access.context import Context
from service.clock import instant
from service.store.change import ABSENT, Change
from service.workflow.calaim_tasks import service_of_task
from service.workflow.chain_states import Piece
from service.workflow.derived import put
from service.workflow.stay_identity import derived_id

SYSTEM = "https://enlace.example.org/fhir/CodeSystem/review-task"
CODE = "re-route"
WAITING = frozenset({"requested", "accepted", "in-progress", "on-hold"})
_TEXT = "Nobody that this referral was forwarded to will provide it: forward it to another ($forward), or close it."

Standing = tuple[Resource, int]
"""A Task and its version."""


def is_item(task: Resource) -> bool:
    codings = (task.get("code") or {}).get("coding") or ()
    return any(one.get("system") == SYSTEM and one.get("code") == CODE for one in codings)


def item_id(parent: str, piece: Piece) -> str:
    """The same as long as nobody else was asked: how many gave up says which round it is."""
    return derived_id("reroute", parent, piece.request, str(len(piece.given_up)))


def item(parent: Resource, piece: Piece, now_us: int) -> Resource:
    now = instant(now_us)
    made: Resource = {
        "resourceType": "Task",
        "id": item_id(str(parent["id"]), piece),
        "basedOn": [{"reference": piece.request}],
        "partOf": [{"reference": f"Task/{parent['id']}"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": SYSTEM, "code": CODE}], "text": "Find somebody else for a referral"},
        "description": _TEXT,
        "focus": {"reference": f"Task/{parent['id']}"},
        "authoredOn": now,
        "lastModified": now,
        "requester": parent["owner"],
        "owner": parent["owner"],
    }
    return made | {name: parent[name] for name in ("for", "priority") if parent.get(name)}


async def settle(
    ctx: Context, change: Change, parent: Resource, found: list[Piece], items: list[Standing], coordinator: str
) -> None:
    """An item for each piece that is stuck, none for the others; of a parent that is closed, none at all.

    found: () where the parent is closed. items: those that are there. coordinator: the organization that they are of.
    """
    wanted = {item_id(str(parent["id"]), piece): piece for piece in found if piece.stuck}
    for fhir_id in [one for one, piece in wanted.items() if await _asked_elsewhere(ctx, piece)]:
        del wanted[fhir_id]
    for task, version in items:
        if task.get("status") in WAITING and task["id"] not in wanted:
            ended = {**task, "status": "completed" if found else "cancelled", "lastModified": instant(ctx.now_us)}
            await put(ctx, change, ended, version, CODE)
    there = {str(task["id"]) for task, _ in items}
    author = ctx.store.keys.resource(coordinator)
    for fhir_id in sorted(wanted.keys() - there):
        made = item(parent, wanted[fhir_id], ctx.now_us)
        await put(ctx, change, made, ABSENT, CODE, source_org=author)


async def _asked_elsewhere(ctx: Context, piece: Piece) -> bool:
    if any(child.status != "rejected" for child in piece.given_up):
        return False
    found = await ctx.resource(f"Task/{piece.given_up[-1].id}")
    return found is not None and await service_of_task(ctx, found[0]) is not None
