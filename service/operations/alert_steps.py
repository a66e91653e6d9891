"""Communication/[id]/$acknowledge, $snooze, $reassign, $not-my-member, $outcome: what a recipient does with an alert.

Our own operations: https://enlace.example.org/fhir/OperationDefinition/communication-acknowledge and the others beside
it. For those to whom the alert went, and who leads the member's care in the place of one; the answer is the alert.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from service.access import tripwire
from service.access.context import Context, parse
from service.access.roles import check_scope, check_write
from service.auth.accounts import acts_by_directory
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.decision import Answer, Decision, fixed, of_write
from service.interactions.notices import noticed
from service.notify.persons import practitioner_of
from service.operations.parameters import parts, value_of
from service.search.dates import parse as parse_time
from service.store import alert_work, read
from service.store.change import Change
from service.store.read import Found
from service.workflow import alert_answers
from service.workflow.alert_answers import OUTCOMES, Alert
from service.workflow.alerts import check_answers
from service.workflow.match_reviews import NotDecided
from service.workflow.stay_events import DAY_US

MINUTE_US = 60_000_000
LEAST_MINUTES, MOST_MINUTES = 5, 24 * 60
MOST_TEXT = 1000
_COLLEAGUE = (
    "Parameter 'to' names nobody who works for your organization now: give a Practitioner or PractitionerRole of it."
)


@dataclass(frozen=True)
class Asked:
    """Of a Parameters resource. until_us: 0 where minutes are given."""

    to: str = ""
    until_us: int = 0
    minutes: int = 0
    code: str = ""
    reason: str = ""


Step = Callable[[Context, Alert, Asked], Awaitable[Change | None]]


@dataclass(frozen=True)
class Operation:
    """takes: parameters beside `reason`. needs: one of these must be there."""

    audit: str
    step: Step
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    open_only: bool = False


async def _acknowledge(ctx: Context, alert: Alert, _asked: Asked) -> Change | None:
    return await alert_answers.acknowledge(ctx, alert)


async def _snooze(ctx: Context, alert: Alert, asked: Asked) -> Change | None:
    until_us = asked.until_us or ctx.now_us + asked.minutes * MINUTE_US
    least_us = ctx.now_us + (LEAST_MINUTES - 1) * MINUTE_US  # whoever gave a moment is a little late by now
    if not least_us <= until_us <= ctx.now_us + DAY_US:
        text = f"An alert is snoozed for {LEAST_MINUTES} minutes to 24 hours from now."
        raise FhirError(Category.RULE, [Issue(text, "Parameters.parameter", "value")])
    return await alert_answers.snooze(ctx, alert, until_us)


async def _reassign(ctx: Context, alert: Alert, asked: Asked) -> Change | None:
    person = await practitioner_of(ctx.store, asked.to)
    works = await acts_by_directory(ctx.store, person, ctx.now_us, every=True) if person else []
    ours = [one for one in works if ctx.restriction.unrestricted or one.organization == ctx.caller.organization]
    if not ours:
        raise FhirError(Category.RULE, [Issue(_COLLEAGUE, "Parameters.parameter", "value")], reason="colleague")
    return await alert_answers.reassign(ctx, alert, asked.to, asked.reason)


async def _not_my_member(ctx: Context, alert: Alert, asked: Asked) -> Change | None:
    try:
        return await alert_answers.deny(ctx, alert, asked.reason)
    except NotDecided as error:
        raise FhirError(Category.CONFLICT, [Issue(str(error), "Communication.encounter", "conflict")]) from error


async def _outcome(ctx: Context, alert: Alert, asked: Asked) -> Change | None:
    return await alert_answers.conclude(ctx, alert, asked.code, asked.reason)


OPERATIONS = {
    "acknowledge": Operation("alert-acknowledged", _acknowledge),
    "snooze": Operation("alert-snoozed", _snooze, ("until", "minutes"), ("until", "minutes"), open_only=True),
    "reassign": Operation("alert-reassigned", _reassign, ("to",), ("to",), open_only=True),
    "not-my-member": Operation("alert-denied", _not_my_member),
    "outcome": Operation("alert-outcome", _outcome, ("code",), ("code",)),
}
"""THE table of what a recipient may do."""


def check_caller(ctx: Context) -> None:
    """403 before anything is looked at."""
    check_scope(ctx.caller, "u", "Communication")
    check_write(ctx.caller, "Communication")


def read_asked(name: str, body: Any) -> Asked:
    """body: None or a Parameters resource. Raises MALFORMED with every problem at once."""
    one = OPERATIONS[name]
    names = (*one.takes, "reason")
    if body is not None and (not isinstance(body, dict) or body.get("resourceType") != "Parameters"):
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    found: dict[str, Any] = {}
    issues: list[Issue] = []
    for number, part in enumerate(parts(body)):
        place = f"Parameters.parameter[{number}]"
        key, value = part.get("name"), value_of(part)
        value = value.get("reference") if isinstance(value, dict) else value
        if key not in names:
            issues.append(Issue(f"A parameter of ${name} is one of {', '.join(names)}.", place, "not-supported"))
        elif key in found:
            issues.append(Issue(f"{key} may stand once.", place, "structure"))
        elif isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MOST_TEXT:
            issues.append(Issue(f"{key} has a simple value of {MOST_TEXT} characters at most.", place, "value"))
        else:
            found[str(key)] = value
    if one.needs and not any(key in found for key in one.needs) and not issues:
        issues.append(Issue(f"${name} needs {' or '.join(one.needs)}.", "Parameters.parameter", "required"))
    asked = _asked(found, issues)
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return asked


def _asked(found: dict[str, Any], issues: list[Issue]) -> Asked:
    minutes, until_us = found.get("minutes", 0), 0
    if "minutes" in found and "until" in found:
        issues.append(Issue("Give either until or minutes.", "Parameters.parameter", "structure"))
    if not isinstance(minutes, int) or ("minutes" in found and not LEAST_MINUTES <= minutes <= MOST_MINUTES):
        text = f"minutes is a whole number from {LEAST_MINUTES} to {MOST_MINUTES}."
        issues.append(Issue(text, "Parameters.parameter", "value"))
        minutes = 0
    if "until" in found:
        try:
            until_us = parse_time(str(found["until"]))[0]
        except ValueError:
            text = "until is a dateTime with its offset, such as 2026-03-07T15:00:00-08:00."
            issues.append(Issue(text, "Parameters.parameter", "value"))
    if "code" in found and found["code"] not in OUTCOMES:
        issues.append(Issue(f"code is one of {', '.join(OUTCOMES)}.", "Parameters.parameter", "code-invalid"))
    reason = " ".join(str(found.get("reason", "")).split())
    return Asked(str(found.get("to", "")), until_us, minutes, str(found.get("code", "")), reason)


async def run(ctx: Context, name: str, fhir_id: str, asked: Asked) -> Decision:
    """200 with the alert as it stands then; asked for what is so already, nothing is written."""
    check_caller(ctx)
    operation = OPERATIONS[name]
    found = await read.head(ctx.store, "Communication", fhir_id, ctx.scoped("u"))
    if found is None or found.deleted:
        raise not_found("Communication", fhir_id)
    await tripwire.check_found(ctx, (found,))
    resource = parse(found.body)
    await check_answers(ctx, resource)
    if operation.open_only and resource.get("received"):
        text = f"The alert is acknowledged already: ${name} is for one that nobody has taken up."
        raise FhirError(Category.RULE, [Issue(text, "Communication.received", "business-rule")], reason="acknowledged")
    author = await read.source_org(ctx.store, found.key)
    alert = Alert(resource, found.version, author, await alert_work.of_alert(ctx.store, found.reference))
    change = await operation.step(ctx, alert, asked)
    patients = ctx.patients_of(found)
    if change is None:
        audit = ctx.audit("U", operation.audit, found.reference, patients, shown=(found,))
        done = Decision(Change(audit=[audit]), fixed(_as_it_is(found)))
        return await noticed(ctx, done, found)
    change.relied.setdefault(found.reference, found.version)
    detail = {"code": asked.code} if asked.code else {"to": asked.to} if asked.to else None
    change.audit.append(ctx.audit("U", operation.audit, found.reference, patients, detail=detail))
    return await noticed(ctx, Decision(change, of_write(200)), found)


def _as_it_is(found: Found) -> Answer:
    return Answer(200, found.body, found.version, found.vid, found.reference)
