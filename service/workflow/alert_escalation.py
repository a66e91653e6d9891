"""Alerts that nobody acknowledged in time go on: to the cover, the provider's inbox, the supervisor. facts/adt.md 9

`alert.overdue` looks every minute what is due (alert_work) and gives each alert a job of its own, `alert.escalate`. Who
is new becomes a recipient of the same Communication: one acknowledgement counts for all, a correction reaches all.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.log_events import ALERT_ESCALATED, log
from service.notify.notices import SENT
from service.notify.persons import practitioner_of
from service.store import alert_work, notices
from service.store.alert_work import Work
from service.store.change import ABSENT, Change, Job
from service.store.notices import IN_APP, Notice
from service.workflow import alert_routing
from service.workflow.alert_clock import BREACH, RETRACTED, SERVICE, due_us
from service.workflow.alert_stand_in import stand_in
from service.workflow.parties import reference_of as reference_in
from service.workflow.transitions_of_care import OPEN
from service.workflow.working_time import next_working_moment

MOST = 500
"""Alerts of one look; more wait for the next one."""
UNANSWERED, DONE = "unanswered", "done"
"""Outcomes: nobody is left to tell; the Task that was late is closed."""


async def overdue(ctx: Context, _payload: dict[str, Any]) -> Change:
    """Job "alert.overdue": a job for each alert that is due, within working hours."""
    if next_working_moment(ctx.now_us) != ctx.now_us:
        return Change()
    found = await alert_work.due(ctx.store, ctx.now_us, MOST)
    return Change(jobs=[Job("alert.escalate", {"alert": one}, dedupe=f"alert.escalate {one}") for one in found])


async def escalate(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job "alert.escalate" {"alert": Communication/id}: to the next level, or reminded where a snooze is over."""
    reference = str(payload["alert"])
    row = await alert_work.of_alert(ctx.store, reference)
    if row is None or row.state not in ("open", "snoozed") or row.due_us > ctx.now_us:
        return Change()
    found = await ctx.resource(reference)
    if found is None or found[0].get("status") not in SENT:
        return Change(statements=[alert_work.ended(reference, "ended", SERVICE, RETRACTED)])
    alert, version = found
    if alert.get("received"):
        return Change(statements=[alert_work.ended(reference, "acknowledged", row.by)])
    if await _done(ctx, alert):
        return Change(statements=[alert_work.ended(reference, "ended", SERVICE, DONE)])
    if row.state == "snoozed":
        return await _reminded(ctx, row, alert, version)
    return await _escalated(ctx, row, alert, version)


async def _done(ctx: Context, alert: Resource) -> bool:
    """Of a clock that was not met: whether its Task is closed by now."""
    if not str(alert["id"]).startswith(BREACH):
        return False
    tasks = [str(one.get("reference") or "") for one in alert.get("about") or ()]
    found = [await ctx.resource(one) for one in tasks if one.startswith("Task/")]
    return bool(found) and all(one is None or one[0].get("status") not in OPEN for one in found)


async def _escalated(ctx: Context, row: Work, alert: Resource, version: int) -> Change:
    patient = reference_in(alert, "subject")
    known = [str(one.get("reference") or "") for one in alert.get("recipient") or ()]
    level, new = await alert_routing.next_level(ctx, patient, row.level, known)
    if not new:
        change = Change(statements=[alert_work.ended(row.alert, "ended", SERVICE, UNANSWERED)])
        change.audit.append(_audit(ctx, row, patient, level, ()))
        log(ALERT_ESCALATED, step=level, recipients=0)
        return change
    now = {**alert, "recipient": [*(alert.get("recipient") or ()), *({"reference": one} for one in new)]}
    due = due_us(alert, ctx.now_us) or ctx.now_us
    change = Change(
        relied={row.alert: version},
        writes=[ctx.write(now, version)],
        statements=[alert_work.waits(row.alert, state="open", due_us=due, by=SERVICE, level=level)],
        audit=[_audit(ctx, row, patient, level, new)],
    )
    for one in new:
        if (task := await stand_in(ctx, alert, one)) and await ctx.resource(f"Task/{task['id']}") is None:
            change.writes.append(ctx.write(task, ABSENT))
    log(ALERT_ESCALATED, step=level, recipients=len(new))
    return change


async def _reminded(ctx: Context, row: Work, alert: Resource, version: int) -> Change:
    """After a snooze its recipients hear of it once more, and it goes on from where it was."""
    due = due_us(alert, ctx.now_us) or ctx.now_us
    change = Change(
        relied={row.alert: version},
        statements=[alert_work.waits(row.alert, state="open", due_us=due, by=row.by)],
        audit=[_audit(ctx, row, reference_in(alert, "subject"), row.level, ())],
    )
    found = await ctx.head(row.alert)
    for recipient in alert.get("recipient") or ():
        person = await practitioner_of(ctx.store, str(recipient.get("reference") or ""))
        if person and found is not None:
            facts = (person, "alert", str(alert.get("priority") or "routine"), IN_APP, row.alert, found.key, found.vid)
            notice = Notice(ctx.store.next_id(ctx.now_us), *facts, state="waiting", at_us=ctx.now_us, due_us=ctx.now_us)
            change.statements.append(notices.told(notice))
    return change


def _audit(ctx: Context, row: Work, patient: str, level: int, new: Any) -> Any:
    detail = {"level": level, "to": list(new)}
    return ctx.audit("U", "alert-escalated", row.alert, (patient,) if patient else (), detail=detail)
