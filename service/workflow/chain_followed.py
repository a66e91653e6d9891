"""What a ServiceRequest was forwarded with follows it: how urgent, when, what the member is told, while a part is open.

A copy that its coordinator altered stays as the coordinator wrote it; one that still says what the source said before
says what it says now, with the source's labels. By a job, which decides from what stands then: late, twice or after
another it changes nothing more. The copy's own copies follow in turn. Source: facts/closed-loop.md 1.1 (refer-1).
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.restriction import EVERYTHING
from service.store import read, tasks
from service.store.change import Change, Job
from service.workflow.chain_copies import COPIED, labelled
from service.workflow.derived import put
from service.workflow.referral_law import OPEN
from service.workflow.steps import Step

FOLLOWED = tuple(one for one in COPIED if one in ("priority", "patientInstruction") or one.startswith("occurrence"))
"""Of the elements that a copy holds (chain_copies.py) those that change while somebody works by it."""
RULE = "copy-follows"
STANDING = ("draft", "active", "on-hold")
AT_ONCE = 100
"""Copies that one job looks at; it goes on with the others in the next one."""


async def moved(step: Step) -> None:
    """After an update of a ServiceRequest: a job where one of the elements is another."""
    old, new = step.old or {}, step.new
    if any(old.get(name) != new.get(name) for name in FOLLOWED) and new.get("status") in STANDING:
        request = f"ServiceRequest/{new['id']}"
        former = int((old.get("meta") or {}).get("versionId", 0))
        step.change.jobs.append(Job("referral.copies", {"request": request, "former": former}, ordering_key=request))


async def follow(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.copies {"request", "former", "after"}: the version that was replaced, the copy looked at last."""
    reference, change, after = str(payload["request"]), Change(), str(payload.get("after", ""))
    fhir_id = reference.partition("/")[2]
    head = await ctx.head(reference)
    was = await read.version(ctx.store, "ServiceRequest", fhir_id, int(payload["former"]), EVERYTHING)
    if head is None or was is None or was.body is None:
        return change
    source, former = parse(head.body), parse(was.body)
    change.relied[reference] = head.version
    listed = [(version, parse(body)) for version, body in await tasks.serving(ctx.store, reference)]
    waiting = [one for one in listed if str(one[1]["id"]) > after]
    for version, copy in waiting[:AT_ONCE]:
        new = following(copy, former, source)
        if new != copy and await _has_open(ctx, f"ServiceRequest/{copy['id']}"):
            await put(ctx, change, labelled(new, source, head.labels), version, RULE)
    if len(waiting) > AT_ONCE:
        last = str(waiting[AT_ONCE - 1][1]["id"])
        change.jobs.append(Job("referral.copies", {**payload, "after": last}, ordering_key=reference))
    return change


def following(copy: Resource, former: Resource, source: Resource) -> Resource:
    """The copy as the source says now, where it says what the source said before. Pure."""
    if copy.get("intent") != "filler-order" or copy.get("status") not in STANDING:
        return copy
    ours = [one for one in FOLLOWED if former.get(one) != source.get(one) and copy.get(one) == former.get(one)]
    if any(one.startswith("occurrence") for one in ours) and _when(copy) != _when(former):
        ours = [one for one in ours if not one.startswith("occurrence")]  # it has another time, of another form
    kept = {name: value for name, value in copy.items() if name not in ours}
    return kept | {name: source[name] for name in ours if name in source} if ours else copy


def _when(request: Resource) -> Resource:
    return {name: request[name] for name in FOLLOWED if name.startswith("occurrence") and name in request}


async def _has_open(ctx: Context, request: str) -> bool:
    return bool(await tasks.about(ctx.store, request, OPEN))
