"""Operations around the service directory: that no service was found."""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Call
from service.interactions.settle import Decide
from service.operations import no_service


async def no_service_for(ctx: Context, call: Call) -> Decide:
    """Who may not say it is told so before the body is looked at."""
    fhir_id = id_of(call)
    no_service.check_caller(ctx)
    wanted = no_service.read(await call.body.resource())
    return lambda c: no_service.run(c, fhir_id, wanted)
