"""Operations on Practitioners: how a person wants to be told, and the list of what it was told."""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions.call import Call
from service.interactions.settle import Decide
from service.operations import notification_preferences, own_in_hospital, own_notices


async def preferences_shown(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    return lambda c: notification_preferences.show(c, fhir_id)


async def preferences_set(ctx: Context, call: Call) -> Decide:
    """Who may not set them is told so before the body is looked at."""
    fhir_id = id_of(call)
    await notification_preferences.check_caller(ctx, f"Practitioner/{fhir_id}", "u")
    body = await call.body.resource()
    return lambda c: notification_preferences.replace(c, fhir_id, body)


async def notices_listed(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    own_notices.check_caller(ctx, fhir_id)
    wanted = own_notices.parse(call.params)
    return lambda c: own_notices.listed(c, fhir_id, wanted)


async def notices_read(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    own_notices.check_caller(ctx, fhir_id)
    numbers = own_notices.parse_read(await call.body.resource())
    return lambda c: own_notices.mark(c, fhir_id, numbers)


async def in_hospital(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    own_notices.check_caller(ctx, fhir_id)
    own_in_hospital.none(call.params)
    return lambda c: own_in_hospital.listed(c, fhir_id)
