"""Work for a person of the requester where a referral over a partner's server cannot go on by itself.

The Task names no member: one about a member would keep it in the panel of its owner. Its focus leads to the referral.
"""

from fhir_profiles import Resource
from service.access.context import Context
from service.clock import instant
from service.store.change import ABSENT, Change
from service.workflow import derived
from service.workflow.emergency_reviews import SYSTEM
from service.workflow.parties import reference_of
from service.workflow.stay_identity import derived_id

REFUSED, CONFLICT = "partner-refused", "partner-conflict"
RULE = "partner-work-item"
_WORDS = {
    REFUSED: (
        "A referral did not reach the partner's server",
        "The server of the organization that you referred to did not take your referral ({why}). Ask the organization, "
        "or cancel the referral and refer to another one. The operator can try it again: enlace partners retry.",
    ),
    CONFLICT: (
        "A referral stands differently at the partner",
        "What the partner's server shows of your referral does not fit what stands here ({why}). What stands here was "
        "left as it is. Ask the organization, then set the referral right.",
    ),
}


async def ask_for(ctx: Context, change: Change, task: Resource, kind: str, why: str) -> None:
    """Adds the work item to the Change; the same one once for the same cause, until it was closed. why: a code."""
    owner = await _requester(ctx, task)
    if not owner:
        return
    fhir_id = "pw-" + derived_id("partner", str(task["id"]), kind, why)
    if await ctx.resource(f"Task/{fhir_id}") is not None:
        return
    title, text = _WORDS[kind]
    made: Resource = {
        "resourceType": "Task",
        "id": fhir_id,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": SYSTEM, "code": kind}], "text": title},
        "description": text.format(why=why),
        "focus": {"reference": f"Task/{task['id']}"},
        "authoredOn": instant(ctx.now_us),
        "lastModified": instant(ctx.now_us),
        "requester": {"reference": owner},
        "owner": {"reference": owner},
    }
    await derived.put(ctx, change, made, ABSENT, RULE, source_org=ctx.store.keys.resource(owner))


async def _requester(ctx: Context, task: Resource) -> str:
    """The Organization that referred, or ""."""
    reference = reference_of(task, "requester")
    if reference.startswith("PractitionerRole/"):
        found = await ctx.resource(reference)
        reference = reference_of(found[0], "organization") if found else ""
    return reference if reference.startswith("Organization/") else ""
