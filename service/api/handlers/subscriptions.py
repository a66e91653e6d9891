"""Operations on Subscriptions, of the backport and our own. http://hl7.org/fhir/uv/subscriptions-backport/components.html"""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Call, Params
from service.interactions.settle import Decide
from service.operations import (
    subscription_deliveries,
    subscription_events,
    subscription_status,
    subscription_steering,
    subscription_websocket,
)
from service.operations.parameters import pairs


async def _params(call: Call) -> Params:
    """Of the query, and of a Parameters resource where one is sent."""
    posted = call.method == "POST" and call.body.content_type
    return [*call.params, *pairs(await call.body.resource())] if posted else call.params


async def status_of_type(ctx: Context, call: Call) -> Decide:
    wanted = subscription_status.parse(await _params(call))
    return lambda c: subscription_status.of_several(c, wanted)


async def status_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id, wanted = id_of(call), subscription_status.parse(await _params(call))
    return lambda c: subscription_status.of_one(c, fhir_id, wanted)


async def events_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id, wanted = id_of(call), subscription_events.parse(await _params(call))
    return lambda c: subscription_events.events(c, fhir_id, wanted)


async def deliveries_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id, wanted = id_of(call), subscription_deliveries.parse(await _params(call))
    return lambda c: subscription_deliveries.ledger(c, fhir_id, wanted)


async def ws_token_of_type(ctx: Context, call: Call) -> Decide:
    ids = subscription_websocket.parse(await _params(call))
    return lambda c: subscription_websocket.for_several(c, ids)


async def ws_token_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id, ids = id_of(call), subscription_websocket.parse(await _params(call))
    return lambda c: subscription_websocket.for_one(c, fhir_id, ids)


async def resend_one(ctx: Context, call: Call) -> Decide:
    fhir_id, wanted = id_of(call), subscription_steering.parse_range(await _params(call))
    return lambda c: subscription_steering.resend(c, fhir_id, wanted)


async def test_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    subscription_steering.none(await _params(call))
    return lambda c: subscription_steering.test_event(c, fhir_id)


async def pause_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    subscription_steering.none(await _params(call))
    return lambda c: subscription_steering.pause(c, fhir_id)


async def resume_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    subscription_steering.none(await _params(call))
    return lambda c: subscription_steering.resume(c, fhir_id)


async def rotate_secret_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    subscription_steering.none(await _params(call))
    return lambda c: subscription_steering.rotate_secret(c, fhir_id)
