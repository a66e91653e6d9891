"""Whether a caller acts for the organization or person that a reference names."""

from fhir_profiles import Resource
from service.access.context import Context


def reference_of(resource: Resource, element: str) -> str:
    """The relative reference in an element of type Reference, or ""."""
    value = resource.get(element)
    return str(value.get("reference", "")) if isinstance(value, dict) else ""


async def acts_for(ctx: Context, reference: str) -> bool:
    """The caller is the organization or person, works for that organization, or in that PractitionerRole's one."""
    if ctx.restriction.unrestricted or reference in (ctx.caller.organization, ctx.caller.person):
        return bool(reference)
    if reference.startswith("PractitionerRole/"):
        found = await ctx.resource(reference)
        return found is not None and reference_of(found[0], "organization") == ctx.caller.organization
    return False


async def organization_of(ctx: Context, reference: str) -> str:
    """The Organization that a reference names, itself or by a PractitionerRole; "" for another."""
    if reference.startswith("PractitionerRole/"):
        found = await ctx.resource(reference)
        return reference_of(found[0], "organization") if found else ""
    return reference if reference.startswith("Organization/") else ""
