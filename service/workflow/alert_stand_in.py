"""The Task by which a colleague looks after an alert: it gives who has no assignment for the member the alert alone.

A Task lets its owner see what names both (decisions.md 17, service/store/visible.py): the alert, not the record.
"""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.clock import instant
from service.notify.persons import practitioner_of
from service.search.restriction import EVERYTHING
from service.store import alert_work, read, stays, tasks
from service.workflow.alert_text import FOLLOW_UPS, date_time
from service.workflow.parties import reference_of
from service.workflow.stay_identity import derived_id
from service.workflow.transitions_of_care import ALERT_SYSTEM, FOLLOW_UP_SYSTEM, OPEN

CONTACT = "tcs-contact"
PEOPLE = ("Practitioner/", "PractitionerRole/")


def stand_in_id(alert: str, person: str) -> str:
    """alert: its id."""
    return "fu-" + derived_id("stand-in", alert, person)


async def stand_in(ctx: Context, alert: Resource, person: str) -> Resource | None:
    """None where the person has the member anyway, or is an organization."""
    patient = reference_of(alert, "subject")
    if not person.startswith(PEOPLE):
        return None
    names = {person, await practitioner_of(ctx.store, person)} - {""}
    if await alert_work.has_member(ctx.store, sorted(names), patient, ctx.now_us):
        return None
    answer = FOLLOW_UPS["answer"]
    identity = stand_in_id(str(alert["id"]), person)
    made: Resource = {
        "resourceType": "Task",
        "id": identity,
        "identifier": [{"system": ALERT_SYSTEM, "value": identity}],
        "status": "requested",
        "intent": "order",
        "priority": alert.get("priority", "routine"),
        "code": {"coding": [{"system": FOLLOW_UP_SYSTEM, "code": answer.code}], "text": answer.text},
        "focus": {"reference": f"Communication/{alert['id']}"},
        "for": alert["subject"],
        "authoredOn": date_time(ctx.now_us),
        "lastModified": instant(ctx.now_us),
        "owner": {"reference": person},
    }
    return made | ({"encounter": alert["encounter"]} if alert.get("encounter") else {})


async def open_tasks(ctx: Context, alert: Resource) -> list[tuple[Resource, int]]:
    """(Task, version) of the follow-ups of an alert that are not closed; others' Tasks about it are left alone."""
    focus = f"Communication/{alert['id']}"
    author = await read.source_org(ctx.store, ctx.store.keys.resource(focus))
    rows = await stays.told(ctx.store, reference_of(alert, "encounter"), author=author)
    found = [(parse(body), version) for rtype, _, version, body in rows if rtype == "Task"]
    return [(one, version) for one, version in found if reference_of(one, "focus") == focus and one["status"] in OPEN]


async def checklist_tasks(ctx: Context, alert: Resource) -> list[tuple[Resource, int]]:
    """(Task, version): what the checklist that a discharge opened (transitional_care.py) asks for at once.

    The rest of it, a visit, 30 days of support, is not done, nor needless, because the member was reached.
    """
    focus, keys = f"Communication/{alert['id']}", ctx.store.keys
    author = await read.source_org(ctx.store, keys.resource(focus))
    found = [(parse(body), version) for version, body in await tasks.focused(ctx.store, focus)]
    return [
        (one, version)
        for one, version in found
        if _asks_contact(one)
        and one["status"] in OPEN
        and await read.source_org(ctx.store, keys.resource(f"Task/{one['id']}")) == author
    ]


def _asks_contact(task: Resource) -> bool:
    codings = (task.get("code") or {}).get("coding") or ()
    return any(one.get("system") == FOLLOW_UP_SYSTEM and one.get("code") == CONTACT for one in codings)


async def name_of(ctx: Context, reference: str) -> str:
    """For a note that people read; "" where the directory has none."""
    found = (await read.heads(ctx.store, [reference], EVERYTHING)).get(reference)
    if found is None or found.body is None:
        return ""
    names = parse(found.body).get("name") or [{}]
    name = names[0] if isinstance(names, list) else {"text": names}
    said = " ".join((*name.get("given", ()), str(name.get("family") or "")))
    return str(name.get("text") or said.strip())
