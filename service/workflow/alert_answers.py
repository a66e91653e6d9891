"""What its recipients do with an alert beside acknowledging it: snooze, hand on, deny, say what came of it.

Each gives a Change that writes the alert anew with a note, so that its history shows who did what. All are idempotent:
asked for what is so already, they give None. facts/adt.md 9.
"""

from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import Context
from service.clock import instant
from service.search.restriction import EVERYTHING
from service.store import alert_work, read, stay_rows
from service.store.alert_work import Work
from service.store.change import ABSENT, Change, Statement
from service.workflow.alert_clock import due_us, is_answered, reference_of
from service.workflow.alert_stand_in import checklist_tasks, name_of, open_tasks, stand_in
from service.workflow.alert_text import PACIFIC, date_time, moment
from service.workflow.parties import reference_of as reference_in
from service.workflow.steps import Step, run_after
from service.workflow.transitions_of_care import FOLLOW_UP_SYSTEM

OUTCOME_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/alert-outcome"
NOT_MY_MEMBER = "not-my-member"
OUTCOMES = {"reached": "Reached", "attempted": "Attempted, not reached", "not-needed": "Nothing was needed"}
STATUS: dict[tuple[str, str], str] = {
    ("reached", "contact-hospital"): "completed",
    ("reached", "tcs-contact"): "completed",
    ("reached", "close-outreach"): "completed",
    ("not-needed", "*"): "cancelled",
    ("*", "*"): "in-progress",
}
"""(outcome, code of the follow-up) -> what becomes of its Task. Who was reached has not been visited yet."""


@dataclass(frozen=True)
class Alert:
    """An alert as it stands, whoever wrote it, and the work on it."""

    resource: Resource
    version: int
    author: int
    work: Work | None

    @property
    def reference(self) -> str:
        return reference_of(self.resource)

    @property
    def patient(self) -> str:
        return reference_in(self.resource, "subject")


async def acknowledge(ctx: Context, alert: Alert) -> Change | None:
    if alert.resource.get("received"):
        return None
    now = {**alert.resource, "received": date_time(ctx.now_us)}
    return await _written(ctx, alert, now)


async def snooze(ctx: Context, alert: Alert, until_us: int) -> Change | None:
    work = alert.work
    if work is not None and work.state == "snoozed" and work.due_us == until_us:
        return None
    until = moment(until_us, ctx.now_us, PACIFIC).removeprefix("at ")
    now = await noted(ctx, alert.resource, f"Snoozed until {until}.")
    change = await _written(ctx, alert, now)
    change.statements += _row(ctx, alert, "snoozed", until_us, alert.work.level if alert.work else 0)
    return change


async def reassign(ctx: Context, alert: Alert, to: str, reason: str) -> Change | None:
    """`to` becomes a recipient beside the former ones, who hear of a correction too, and has the follow-up now."""
    known = [str(one.get("reference") or "") for one in alert.resource.get("recipient") or ()]
    tasks = await open_tasks(ctx, alert.resource)
    moving = [(task, version) for task, version in tasks if reference_in(task, "owner") != to]
    task = None if tasks else await stand_in(ctx, alert.resource, to)
    if task is not None and await _stored(ctx, f"Task/{task['id']}"):
        task = None
    if to in known and not moving and task is None:
        return None
    said = f"Handed on to {await name_of(ctx, to) or to}." + (f" {reason}" if reason else "")
    now = await noted(ctx, alert.resource, said)
    now["recipient"] = [*(alert.resource.get("recipient") or ()), *([] if to in known else [{"reference": to}])]
    change = await _written(ctx, alert, now)
    for one, version in moving:
        moved = {**one, "owner": {"reference": to}, "lastModified": instant(ctx.now_us)}
        await _update(ctx, change, one, moved, version, await _author(ctx, one))
    if task is not None:
        change.writes.append(ctx.write(task, ABSENT, source_org=alert.author))
    if due := due_us(alert.resource, ctx.now_us):
        change.statements += _row(ctx, alert, "open", due, 0)
    return change


async def deny(ctx: Context, alert: Alert, reason: str) -> Change | None:
    """The member is not the caller's, or not the one in hospital: a match review is opened, and the alert rests.

    Raises match_reviews.NotDecided where the stay is not this member's any more.
    """
    from service.workflow import match_reviews

    if alert.work is not None and alert.work.outcome == NOT_MY_MEMBER:
        return None
    encounter = reference_in(alert.resource, "encounter").partition("/")[2]
    now = await noted(ctx, alert.resource, "Not about this member." + (f" {reason}" if reason else ""))
    now.setdefault("received", date_time(ctx.now_us))
    change = await _written(ctx, alert, now)
    change.statements += _ended(ctx, alert, NOT_MY_MEMBER)
    for key in await stay_rows.keys_of_encounter(ctx.store, encounter) or [encounter]:
        change.merge(await match_reviews.not_my_member(ctx, key, alert.patient, who(ctx)))
    return change


async def conclude(ctx: Context, alert: Alert, outcome: str, reason: str) -> Change | None:
    """outcome: of OUTCOMES. It acknowledges the alert and fills its follow-up Task in."""
    if alert.work is not None and alert.work.outcome == outcome and alert.resource.get("received"):
        return None
    now = await noted(ctx, alert.resource, OUTCOMES[outcome] + "." + (f" {reason}" if reason else ""))
    now.setdefault("received", date_time(ctx.now_us))
    change = await _written(ctx, alert, now)
    follow_ups = await open_tasks(ctx, alert.resource)
    known = {task["id"] for task, _ in follow_ups}
    follow_ups += [one for one in await checklist_tasks(ctx, alert.resource) if one[0]["id"] not in known]
    for task, version in follow_ups:
        if _is_stand_in(task):
            continue  # done with the acknowledgement
        filled = filled_in(task, outcome, reason, ctx.now_us)
        await _update(ctx, change, task, filled, version, await _author(ctx, task))
    change.statements += _ended(ctx, alert, outcome)
    return change


def filled_in(task: Resource, outcome: str, reason: str, now_us: int) -> Resource:
    code = next((str(one.get("code")) for one in _codings(task) if one.get("system") == FOLLOW_UP_SYSTEM), "")
    status = STATUS.get((outcome, code)) or STATUS.get((outcome, "*")) or STATUS["*", "*"]
    said = {"coding": [{"system": OUTCOME_SYSTEM, "code": outcome, "display": OUTCOMES[outcome]}]}
    output = {"type": {"text": "Outcome of the alert"}, "valueCodeableConcept": said}
    now = {**task, "status": status, "output": [*(task.get("output") or ()), output]}
    if status == "cancelled":
        now["statusReason"] = {"text": reason or OUTCOMES[outcome]}
    return now | {"lastModified": instant(now_us)}


async def answered(ctx: Context, change: Change, old: Resource, new: Resource) -> None:
    """Adds what follows from `received`, however it was set: the clock stops, who stood in is done; or it goes on."""
    if not is_answered(new) or bool(old.get("received")) == bool(new.get("received")):
        return
    reference = reference_of(new)
    if new.get("received"):
        change.statements.append(alert_work.ended(reference, "acknowledged", who(ctx)))
        for task, version in await open_tasks(ctx, new):
            if _is_stand_in(task) and not any(one.reference == f"Task/{task['id']}" for one in change.writes):
                done = {**task, "status": "completed", "lastModified": instant(ctx.now_us)}
                change.writes.append(ctx.write(done, version, source_org=await _author(ctx, task)))
    elif due := due_us(new, ctx.now_us):
        change.statements.append(alert_work.waits(reference, state="open", due_us=due, by=who(ctx)))


def _is_stand_in(task: Resource) -> bool:
    return any(one.get("code") == "answer-alert" for one in _codings(task))


async def noted(ctx: Context, alert: Resource, text: str) -> Resource:
    note: Resource = {"time": date_time(ctx.now_us), "text": text}
    if ctx.caller.person:
        note["authorReference"] = {"reference": ctx.caller.person}
    else:
        note["authorReference"] = {"reference": ctx.caller.organization}
    return {**alert, "note": [*(alert.get("note") or ()), note]}


def who(ctx: Context) -> str:
    return ctx.caller.person or ctx.caller.organization or ctx.caller.client_id


async def _written(ctx: Context, alert: Alert, now: Resource) -> Change:
    change = Change()
    await _update(ctx, change, alert.resource, now, alert.version, alert.author)
    return change


async def _update(ctx: Context, change: Change, old: Resource, new: Resource, version: int, author: int) -> None:
    """A new version, with all that follows from an update over the API: clocks, timers of transitional care."""
    change.writes.append(ctx.write(new, version, source_org=author))
    await run_after(Step(ctx, "update", new, old, change))


def _row(ctx: Context, alert: Alert, state: str, until_us: int, level: int, outcome: str = "") -> list[Statement]:
    """The work as it is now, also where the alert had none (it was not to be escalated)."""
    sent_us = alert.work.sent_us if alert.work else ctx.now_us
    return [alert_work.put(Work(alert.reference, alert.patient, level, state, until_us, sent_us, who(ctx), outcome))]


def _ended(ctx: Context, alert: Alert, outcome: str) -> list[Statement]:
    if alert.work is None:
        return _row(ctx, alert, "acknowledged", 0, 0, outcome)
    return [alert_work.ended(alert.reference, "acknowledged", who(ctx), outcome)]


async def _author(ctx: Context, resource: Resource) -> int:
    return await read.source_org(ctx.store, ctx.store.keys.resource(f"{resource['resourceType']}/{resource['id']}"))


async def _stored(ctx: Context, reference: str) -> bool:
    return bool(await read.heads(ctx.store, [reference], EVERYTHING))


def _codings(task: Resource) -> list[Resource]:
    found: list[Resource] = (task.get("code") or {}).get("coding") or []
    return found
