"""create, update, patch and delete, plain and conditional."""

from dataclasses import replace

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Body, Call
from service.interactions.conditional import condition_of_create, criteria_of
from service.interactions.create import create
from service.interactions.delete import delete, delete_where
from service.interactions.patch import patch, patch_where
from service.interactions.settle import Decide
from service.interactions.update import update, update_where
from service.patching.document import RESOURCE_TYPES, Patch, check_content_type, read_patch


async def create_one(ctx: Context, call: Call) -> Decide:
    pre = replace(call.pre, if_none_exist=condition_of_create(call.params, call.pre))
    body = await call.body.resource()
    return lambda c: create(c, call.type, body, pre)


async def update_one(ctx: Context, call: Call) -> Decide:
    body, fhir_id = await call.body.resource(), id_of(call)
    return lambda c: update(c, call.type, fhir_id, body, call.pre)


async def update_matching(ctx: Context, call: Call) -> Decide:
    body, query = await call.body.resource(), criteria_of(call.params)
    return lambda c: update_where(c, call.type, query, body, call.pre)


async def patch_one(ctx: Context, call: Call) -> Decide:
    fhir_id, document = id_of(call), await patch_in(call.body)
    return lambda c: patch(c, call.type, fhir_id, document, call.pre)


async def patch_matching(ctx: Context, call: Call) -> Decide:
    query, document = criteria_of(call.params), await patch_in(call.body)
    return lambda c: patch_where(c, call.type, query, document, call.pre)


async def patch_in(body: Body) -> Patch:
    """The patch in a body, whatever its form; 415 before it is read where its content type is none of a patch."""
    check_content_type(body.content_type)
    parsed = await (body.resource() if body.content_type in RESOURCE_TYPES else body.json())
    return read_patch(body.content_type, parsed)


async def delete_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    return lambda c: delete(c, call.type, fhir_id, call.pre)


async def delete_matching(ctx: Context, call: Call) -> Decide:
    query = criteria_of(call.params)
    return lambda c: delete_where(c, call.type, query, call.pre)
