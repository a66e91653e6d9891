"""Labels that follow from who writes into what another wrote: a Part 2 program may add to a shared plan of care."""

from fhir_profiles import Resource
from service.access.context import Context
from service.access.labels import ACT, SHOWN, group_names, said
from service.errors import Category, FhirError, Issue
from service.search.clearance import high_water
from service.store import label_rules
from service.store.read import Found

_OTHERS = (
    "A label would hide this resource from those who share it: only its author adds one. Write what is sensitive in a "
    "resource of your own."
)


async def labelled_for(ctx: Context, resource: Resource, current: Found, author: int) -> Resource:
    """With the labels of the rule about the writer, who is not the author: they stay when others write on.

    422 for labels that another than the author adds and no rule gives: nobody takes a record away from its other users.
    """
    if author == ctx.organization_key:
        return resource
    bits = await label_rules.of_source(ctx.store, ctx.organization_key)
    if high_water(said(resource) | current.labels) & ~(current.labels | bits) and not ctx.restriction.unrestricted:
        place = f"{current.rtype}.meta.security"
        raise FhirError(Category.RULE, [Issue(_OTHERS, place, "business-rule")], reason="label")
    meta = resource.get("meta") or {}
    security = meta.get("security") or []
    codes = [SHOWN.get(group, group.upper()) for group in group_names(bits & ~said(resource))]
    more = [{"system": ACT, "code": code} for code in codes]
    return {**resource, "meta": {**meta, "security": [*security, *more]}} if more else resource
