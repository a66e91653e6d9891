"""Operations on alerts: acknowledge, snooze, reassign, not my member, outcome. service/operations/alert_steps.py"""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Call, Handler
from service.interactions.settle import Decide
from service.operations import alert_steps


def posted(name: str) -> Handler:
    """name: of the operation, without its $. Who may not call it is told so before the body is looked at."""

    async def handler(ctx: Context, call: Call) -> Decide:
        fhir_id = id_of(call)
        alert_steps.check_caller(ctx)
        body = await call.body.resource() if call.body.content_type else None
        asked = alert_steps.read_asked(name, body)
        return lambda c: alert_steps.run(c, name, fhir_id, asked)

    return handler
