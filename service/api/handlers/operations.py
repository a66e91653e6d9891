"""Operations: the rows whose interaction starts with `$`. https://hl7.org/fhir/R4/operations.html"""

from typing import Any

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions import links
from service.interactions.call import Call
from service.interactions.settle import Decide
from service.operations import (
    break_glass,
    disclosures,
    evaluate_measure,
    everything,
    explain_access,
    forward,
    forward_asked,
    hand_off,
    match,
    process_message,
    refer,
    validate,
)
from service.operations.parameters import pairs


async def validate_type(ctx: Context, call: Call) -> Decide:
    asked = validate.read(call.params, await call.body.resource())
    return lambda c: validate.validate(c, call.type, "", asked)


async def validate_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    asked = validate.read(call.params, await _body(call))
    return lambda c: validate.validate(c, call.type, fhir_id, asked)


async def everything_of_one(ctx: Context, call: Call) -> Decide:
    """The links of a POST hold its parameters inside the seal, as those of a POST search do."""
    fhir_id, posted = id_of(call), call.method == "POST"
    params = [*call.params, *pairs(await _body(call))] if posted else call.params
    params, token = links.take_page(params)
    key, path = ctx.settings.page_key, f"{call.type}/{fhir_id}/$everything"
    at = links.place(token, params, ctx.caller, key, hidden=posted, path=path)
    wanted = everything.parse(at.params)
    make = links.Links(f"{ctx.settings.base_url}/{path}", at, ctx.caller, key)
    return lambda c: everything.everything(
        c, fhir_id, wanted, after=at.after, links=lambda around: make(at.params, around)
    )


async def disclosures_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    params = [*call.params, *pairs(await _body(call))] if call.method == "POST" else call.params
    wanted = disclosures.parse(params)
    return lambda c: disclosures.disclosures(c, fhir_id, wanted)


async def evaluate_measure_named(ctx: Context, call: Call) -> Decide:
    return await _evaluate_measure(ctx, call, "")


async def evaluate_measure_of_one(ctx: Context, call: Call) -> Decide:
    return await _evaluate_measure(ctx, call, id_of(call))


async def _evaluate_measure(ctx: Context, call: Call, fhir_id: str) -> Decide:
    """Who may not count is told so before the parameters are looked at."""
    evaluate_measure.check_caller(ctx)
    params = [*call.params, *pairs(await _body(call))] if call.method == "POST" else call.params
    wanted = evaluate_measure.parse(params, fhir_id)
    return lambda c: evaluate_measure.evaluated(c, wanted)


async def match_type(ctx: Context, call: Call) -> Decide:
    wanted = match.read(await call.body.resource())
    return lambda c: match.match_patient(c, wanted)


async def break_glass_of_one(ctx: Context, call: Call) -> Decide:
    break_glass.check_caller(ctx)
    fhir_id, wanted = id_of(call), break_glass.read(await call.body.resource())
    return lambda c: break_glass.break_glass(c, fhir_id, wanted)


async def refer_one(ctx: Context, call: Call) -> Decide:
    """ServiceRequest/[id]/$refer."""
    refer.check_caller(ctx)
    fhir_id, wanted = id_of(call), refer.read(await _body(call), ctx.settings.base_url)
    return lambda c: refer.refer(c, fhir_id, wanted)


async def forward_one(ctx: Context, call: Call) -> Decide:
    """Task/[id]/$forward."""
    forward.check_caller(ctx)
    fhir_id, asked = id_of(call), forward_asked.read(await call.body.resource(), ctx.settings.base_url)
    return lambda c: forward.forward(c, fhir_id, asked)


async def hand_off_one(ctx: Context, call: Call) -> Decide:
    """Task/[id]/$hand-off."""
    hand_off.check_caller(ctx)
    fhir_id, said = id_of(call), hand_off.read(await call.body.resource(), ctx.now_us, ctx.settings.base_url)
    return lambda c: hand_off.hand_off(c, fhir_id, said)


async def process_message_to(ctx: Context, call: Call) -> Decide:
    process_message.check_caller(ctx)
    wanted = process_message.read(await call.body.resource())
    return lambda c: process_message.process(c, wanted)


async def explain_access_to(ctx: Context, call: Call) -> Decide:
    wanted = explain_access.parse(call.params, ctx.settings.base_url)
    return lambda c: explain_access.explain(c, wanted)


async def _body(call: Call) -> Any:
    """The body of an operation whose parameters may all stand in the URL: None where nothing was sent."""
    return await call.body.resource() if call.body.content_type else None
