"""Alerts to lead care managers: what their recipients may do to them. ../shared/decisions.md 38

An alert is a Communication of category enlace-alert; acknowledging it is setting `received`, and nothing else.
"""

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.notify.notices import CATEGORY as CATEGORY
from service.notify.notices import CATEGORY_SYSTEM as CATEGORY_SYSTEM
from service.notify.notices import SENT
from service.notify.notices import is_alert as is_alert
from service.store import handed_over
from service.workflow.parties import acts_for, reference_of
from service.workflow.steps import Step

UNDO_US = 15 * 60 * 1_000_000
"""How long an acknowledgement can be taken back on the page (facts/users.md: undoable for 15 minutes)."""


async def check_acknowledge(step: Step) -> None:
    """Recipients set `received` and add notes; all else of an alert is the service's. Others' messages: the sender.

    Who is the lead care manager after the recipient does it in the recipient's place, where the recipient has not.
    """
    old, new = step.old or {}, step.new
    if step.ctx.restriction.unrestricted:
        return
    if not is_alert(old):
        if not await acts_for(step.ctx, reference_of(old, "sender")):
            raise FhirError(
                Category.FORBIDDEN, [Issue("Only the sender changes a Communication.", "Communication.sender")]
            )
        return
    changed = sorted(
        element for element in {*old, *new} - {"received", "note", "meta"} if old.get(element) != new.get(element)
    )
    if changed:
        text = "An alert is acknowledged by setting received; its other elements cannot be changed."
        raise FhirError(Category.RULE, [Issue(text, f"Communication.{e}", "business-rule") for e in changed])
    if not await _answers(step.ctx, old):
        raise _not_yours()


async def acknowledged(step: Step) -> None:
    """After an update: the clock of the alert stops, or goes on where the acknowledgement was taken back."""
    from service.workflow.alert_answers import answered

    if step.old is not None and is_alert(step.old):
        await answered(step.ctx, step.change, step.old, step.new)


async def check_answers(ctx: Context, alert: Resource) -> None:
    """FORBIDDEN for who did not get the alert; RULE where it is none of ours, or was taken back."""
    if not is_alert(alert):
        text = "This Communication is no alert: only an alert is acknowledged, snoozed, handed on, answered."
        raise FhirError(Category.RULE, [Issue(text, "Communication.category", "business-rule")], reason="no-alert")
    if not ctx.restriction.unrestricted and not await _answers(ctx, alert):
        raise _not_yours()
    if alert.get("status") not in SENT:
        text = "The alert was taken back: there is nothing to do about it any more."
        raise FhirError(Category.RULE, [Issue(text, "Communication.status", "business-rule")], reason="retracted")


def _not_yours() -> FhirError:
    text = "Only a recipient acknowledges an alert."
    return FhirError(Category.FORBIDDEN, [Issue(text, "Communication.recipient")], reason="party")


async def _answers(ctx: Context, alert: Resource) -> bool:
    for recipient in alert.get("recipient") or ():
        if await acts_for(ctx, str(recipient.get("reference", ""))):
            return True
    return await _handed_over(ctx, alert)


async def _handed_over(ctx: Context, alert: Resource) -> bool:
    """Whether the caller leads the member's care now, and none of those to whom the alert went does.

    What one of those acknowledged stays so; the caller takes back the own word only, for as long as the page offers it.
    """
    reference = f"Communication/{alert.get('id')}"
    if ctx.caller.person is None or not await handed_over.is_to(ctx.store, reference, ctx.caller.person, ctx.now_us):
        return False
    if not alert.get("received"):
        return True
    subject = reference_of(alert, "subject")
    return await handed_over.last_writer(ctx.store, reference, subject, ctx.now_us - UNDO_US) == ctx.caller.agent
