"""Outputs of a referral that the service wrote stay, whatever list a client sends: the law of Task.output.

Its own are the record of a warm hand-off (warm_handoff.py) and what was mirrored from the referral's parts
(chain_content.py). Without this an owner's PUT with a list of its own would take them back unnoticed.
"""

from collections.abc import Callable, Sequence

from fhir_profiles import Resource
from service.access.context import parse
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import read
from service.store import referral_chains as rows
from service.workflow.chain_content import passed_up
from service.workflow.parties import reference_of
from service.workflow.referral_law import OPEN
from service.workflow.referrals import is_referral
from service.workflow.steps import Step
from service.workflow.warm_handoff import RECORD, is_record

Lead = Callable[[Resource], str]
"""Whereto an output leads: a relative or absolute reference, "" where it is a value."""


async def keep(step: Step) -> None:
    """Before an update of a Task: the service's own outputs of the former version stand in the new one, each once."""
    old, new = (step.old or {}).get("output") or (), step.new.get("output") or ()
    if not old or old == new or not is_referral(step.old or {}, step.ctx):
        return

    def lead(output: Resource) -> str:
        written = reference_of(output, "valueReference")
        return normal_reference(written, step.ctx.settings.base_url) or written

    own = [one for one in old if is_record(one) and lead(one).startswith(f"Communication/{RECORD}")]
    if any(one not in new for one in old if one not in own):
        own += [one for one in await _mirrored(step) if one in old and one not in own]
    outputs = kept(old, new, own, lead)
    if outputs != list(new):
        step.new = {**step.new, "output": outputs}


async def _mirrored(step: Step) -> list[Resource]:
    """What the parts that ended hand up, as chain_content.py writes it into their parent."""
    reference = f"Task/{step.new['id']}"
    head = await read.head(step.ctx.store, "Task", str(step.new["id"]), EVERYTHING)
    labels = head.labels if head is not None else 0
    found: list[Resource] = []
    for part in await rows.parts(step.ctx.store, reference):
        child = parse(part.body)
        if is_referral(child, step.ctx) and child.get("status") not in OPEN:
            found += passed_up(child, plain=not part.labels & ~labels)
    return found


def kept(old: Sequence[Resource], new: Sequence[Resource], own: Sequence[Resource], lead: Lead) -> list[Resource]:
    """The client's list with each of `own` once and as it was; what it left out stands after its former neighbour.

    One that comes back in other words (its reference is the same) is the one that stands. Pure.
    """
    altered = {lead(one): one for one in own if lead(one) and one not in new}
    made: list[Resource] = []
    for one in new:
        stands = one if one in old else altered.get(lead(one), one)
        if stands not in own or stands not in made:
            made.append(stands)
    for place, one in enumerate(old):
        if one in own and one not in made:
            before = [made.index(former) for former in old[:place] if former in made]
            made.insert(max(before, default=-1) + 1, one)
    return made
