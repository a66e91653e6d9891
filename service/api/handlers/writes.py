"""create, update, patch and delete, plain and conditional."""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Call
from service.interactions.create import create
from service.interactions.delete import delete
from service.interactions.settle import Decide
from service.interactions.update import update


async def create_one(ctx: Context, call: Call) -> Decide:
    body = await call.body.resource()
    return lambda c: create(c, call.type, body, call.pre)


async def update_one(ctx: Context, call: Call) -> Decide:
    body, fhir_id = await call.body.resource(), id_of(call)
    return lambda c: update(c, call.type, fhir_id, body, call.pre)


async def delete_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    return lambda c: delete(c, call.type, fhir_id, call.pre)
