"""A streamlined authorization whose 30 days ended without a decision: its Task says so. facts/california.md B.1, 4."""

from typing import Any

from service.access.context import Context
from service.clock import instant
from service.store.change import Change
from service.workflow import derived
from service.workflow.calaim_tasks import CLOSED, OUTCOMES, outcome_of, with_coding


async def expired(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"task": reference}. Nothing where the plan decided meanwhile, or the Task ended."""
    change = Change()
    found = await ctx.resource(str(payload["task"]))
    if found is None:
        return change
    task, version = found
    if outcome_of(task) != "streamlined-active" or task.get("status") in CLOSED:
        return change
    status = with_coding(task.get("businessStatus"), OUTCOMES, "streamlined-expired", "Streamlined expired")
    after = {**task, "businessStatus": status, "lastModified": instant(ctx.now_us)}
    await derived.put(ctx, change, after, version, "calaim-streamlined-expired")
    return change
