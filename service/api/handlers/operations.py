"""Operations: the rows whose interaction starts with `$`."""

from service.access.context import Context
from service.interactions.call import Call
from service.interactions.settle import Decide
from service.operations.validate import validate


async def validate_type(ctx: Context, call: Call) -> Decide:
    body = await call.body.resource()
    return lambda c: validate(c, call.type, body)
