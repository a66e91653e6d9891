"""A version that the service writes itself because of another one: under the same rules, with the same consequences.

What a job decides (a mirrored state, a cascade, a rule of an organization) goes through here, so that the law of a
type, its timers, facts and notices need no second way in.
"""

from fhir_profiles import Resource
from service.access.context import Context, Pending
from service.access.labels import carried
from service.search.values import patient_of
from service.store import read
from service.store.change import ABSENT, Change
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
        found, standing = await ctx.head(reference), await ctx.resource(reference)
        old = standing[0] if standing else None
        source_org = await read.source_org(ctx.store, found.key) if found is not None else source_org
        resource = carried(old, resource) if old is not None else resource
    step = Step(ctx, "create" if old is None else "update", resource, old, change)
    await run_before(step)
    change.writes[:] = [one for one in change.writes if one.reference != reference]
    change.writes.append(ctx.write(step.new, version, source_org=source_org))
    ctx.pending[reference] = Pending(step.new, version)
    await run_after(step)
    patient = patient_of(step.new, rtype, ctx.settings.base_url)
    action = "C" if old is None else "U"
    change.audit.append(ctx.audit(action, "derived", reference, (patient,) if patient else (), reason=rule))
    return step.new
