"""A version that the service writes itself because of another one: under the same rules, with the same consequences.

What a job decides (a mirrored state, a cascade, a rule of an organization) goes through here, so that the law of a
type, its timers, facts and notices need no second way in.
"""

from dataclasses import replace

from fhir_profiles import Resource
from service.access.context import Context, Pending, parse
from service.access.granting import given_by
from service.access.labels import carried
from service.search.values import patient_of
from service.store import panels
from service.store.change import ABSENT, Change, Write
from service.workflow.steps import Step, run_after, run_before


async def put(
    ctx: Context, change: Change, resource: Resource, version: int, rule: str, *, source_org: int | None = None
) -> Resource:
    """Adds the new version of a resource to the Change, and what follows from it; the resource as it will stand.

    ctx: of the service itself (a job). version: the one that was read, ABSENT for a new resource. rule: what made it be
    written, for the audit row and so for Provenance. source_org: key of the organization in whose name a new one is
    written; an update keeps its author. What the Change decides later sees it (ctx.pending); a second version of one
    resource in the same Change takes the place of the first. Raises FhirError where the law of its type refuses it,
    RuntimeError for a caller who is bound by rights.
    """
    if not ctx.restriction.unrestricted:
        raise RuntimeError("only the service itself writes derived versions")
    rtype, reference = resource["resourceType"], f"{resource['resourceType']}/{resource['id']}"
    old = None
    if version != ABSENT:
        found, pending = await ctx.head(reference), ctx.pending.get(reference)
        stored = parse(found.body) if found is not None and pending is None else None
        old = pending.resource if pending is not None else stored
        source_org = found.source_org if found is not None else source_org
        resource = carried(old, resource) if old is not None else resource
    step = Step(ctx, "create" if old is None else "update", resource, old, change)
    await run_before(step)
    change.writes[:] = [one for one in change.writes if one.reference != reference]
    write = ctx.write(step.new, version, source_org=source_org)
    change.writes.append(write if old is None or rtype != "Task" else await _giving_no_more(ctx, write))
    ctx.pending[reference] = Pending(step.new, version)
    await run_after(step)
    patient = patient_of(step.new, rtype, ctx.settings.base_url)
    action = "C" if old is None else "U"
    change.audit.append(ctx.audit(action, "derived", reference, (patient,) if patient else (), reason=rule))
    return step.new


async def _giving_no_more(ctx: Context, write: Write) -> Write:
    """A Task that a rule writes on gives its member to whom it did before, no longer: a right that its own writer was
    not given would else come with the next rule."""
    former = await panels.given(ctx.store, ctx.store.keys.resource(write.reference))
    everybody = frozenset(row.subject for row in write.panel)
    return replace(write, panel=given_by(write.panel, former, everybody, ctx.now_us))
