"""What goes with data about substance use that others wrote, in answers: a Link header, an OperationOutcome.

What is stated, and of which data: service/access/redisclosure.py. ETag and version stay those of the resource.
"""

from dataclasses import replace

from service.access.context import Context
from service.access.redisclosure import NO_REDISCLOSURE as NO_REDISCLOSURE
from service.access.redisclosure import PROTECTED as PROTECTED
from service.access.redisclosure import Issues as Issues
from service.access.redisclosure import Notice as Notice
from service.access.redisclosure import among as among
from service.access.redisclosure import notice as notice
from service.access.redisclosure import outcome as outcome
from service.access.redisclosure import protected as protected
from service.access.redisclosure import shown as shown
from service.caller import Role
from service.interactions.decision import Answer, Decision
from service.store.change import Committed
from service.store.read import Found

NOTICE_PATH = "/notices/part2"
RELATION = "https://enlace.example.org/rel/part2-notice"


async def noticed(ctx: Context, decision: Decision, found: Found) -> Decision:
    """The decision about one resource, its answer with labels and notice. found: what it is, or what it replaces."""
    if not found.labels or ctx.caller.role is Role.SYSTEM:
        return decision
    told, whole = await notice(ctx, (found,)), decision.answer
    rows = [told.upon(ctx, row) if row.shown else row for row in decision.change.audit]

    def answer(committed: Committed) -> Answer:
        made = whole(committed)
        bits = committed.written[0].labels if committed.written else found.labels
        one = replace(found, body=made.body, labels=bits)
        return replace(made, body=shown(ctx, one).body, notice=outcome(told.issues) if protected(ctx, (one,)) else None)

    return replace(decision, change=replace(decision.change, audit=rows), answer=answer)
