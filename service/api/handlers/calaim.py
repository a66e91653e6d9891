"""Operations of CalAIM services: the plan's decision on a Task, what is left to ask about a request."""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Call
from service.interactions.settle import Decide
from service.operations import authorize, check_eligibility
from service.operations.parameters import pairs


async def authorize_one(ctx: Context, call: Call) -> Decide:
    """Who may not decide is told so before the body is looked at."""
    fhir_id = id_of(call)
    authorize.check_caller(ctx)
    asked = authorize.read_asked(await call.body.resource())
    return lambda c: authorize.run(c, fhir_id, asked)


async def check_eligibility_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    posted = await call.body.resource() if call.method == "POST" and call.body.content_type else None
    at = check_eligibility.read_asked([*call.params, *pairs(posted)])
    return lambda c: check_eligibility.run(c, fhir_id, at)
