"""Acknowledging an alert, and taking that back within 15 minutes: an update of Communication.received like any other.

../shared/decisions.md 38; https://hl7.org/fhir/R4/communication-definitions.html#Communication.received
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, not_found
from service.interactions.decision import Answer, Decision, Preconditions, fixed
from service.interactions.update import update
from service.store.change import Change
from service.web.alert_card import can_undo
from service.web.inbox import list_page, view_of
from service.web.pages import settled
from service.web.rendering import HEADERS
from service.web.session import PageRefused, check_csrf, read_form, require_person, shared_of
from service.workflow.alert_text import date_time
from service.workflow.alerts import is_alert

_TOO_LATE = "An acknowledgement can be taken back for 15 minutes. That time is over for this alert."


async def acknowledge(request: Request) -> Response:
    """Once or twice, here or by somebody else at the same time: the first one counts, and all see it done."""
    zone = shared_of(request).settings.time_zone

    def wanted(ctx: Context, alert: Resource) -> Resource | None:
        return None if alert.get("received") else {**alert, "received": date_time(ctx.now_us, zone)}

    return await _change(request, wanted, done=True)


async def unacknowledge(request: Request) -> Response:
    def wanted(ctx: Context, alert: Resource) -> Resource | None:
        if not alert.get("received"):
            return None
        if not can_undo(alert, ctx.now_us):
            raise PageRefused(Category.CONFLICT, _TOO_LATE, "undo-late")
        return {name: value for name, value in alert.items() if name != "received"}

    return await _change(request, wanted, done=False)


async def _change(request: Request, wanted: Callable[[Context, Resource], Resource | None], *, done: bool) -> Response:
    """wanted(ctx, alert): the alert as it shall be, or None where it is so already."""
    who = await require_person(request)
    form = await read_form(request)
    check_csrf(form, who.session)
    fhir_id = str(request.path_params["id"])

    async def decide(ctx: Context) -> Decision:
        found = await ctx.resource(f"Communication/{fhir_id}")
        if found is None or not is_alert(found[0]):
            raise not_found("Communication", "this id")
        alert, version = found
        after = wanted(ctx, alert)
        if after is None:
            patient = str((alert.get("subject") or {}).get("reference") or "")
            audit = ctx.audit("U", "update-unchanged", f"Communication/{fhir_id}", (patient,) if patient else ())
            return Decision(Change(audit=[audit]), fixed(Answer(200)))
        return await update(ctx, "Communication", fhir_id, after, Preconditions(if_match=(version,)))

    await settled(who, decide)
    who.touch = None
    view = view_of(form | {"done": fhir_id if done else ""})
    if request.headers.get("x-fragment"):
        return await list_page(request, who, view, "_list.html")
    return RedirectResponse(view.url(), 303, HEADERS)
