"""Alerts to lead care managers: what their recipients may do to them. ../shared/decisions.md 38

An alert is a Communication of category enlace-alert; acknowledging it is setting `received`, and nothing else.
"""

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.workflow.parties import acts_for, reference_of
from service.workflow.steps import Step

CATEGORY_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/communication-category"
CATEGORY = "enlace-alert"


def is_alert(communication: Resource) -> bool:
    return any(
        coding.get("system") == CATEGORY_SYSTEM and coding.get("code") == CATEGORY
        for concept in communication.get("category") or ()
        for coding in concept.get("coding") or ()
    )


async def check_acknowledge(step: Step) -> None:
    """Recipients set `received` and add notes; all else of an alert is the service's. Others' messages: the sender."""
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
    for recipient in old.get("recipient") or ():
        if await acts_for(step.ctx, str(recipient.get("reference", ""))):
            return
    raise FhirError(
        Category.FORBIDDEN,
        [Issue("Only a recipient acknowledges an alert.", "Communication.recipient")],
        reason="party",
    )
