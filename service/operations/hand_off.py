"""Task/[id]/$hand-off: records a warm hand-off of the member to who takes the referral on.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/task-hand-off. For both sides of the referral.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from fhir_profiles.terminology import code_systems
from service.access import tripwire
from service.access.context import Context, parse
from service.access.roles import check_scope, check_write
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.decision import Answer, Decision, fixed
from service.operations.parameters import parts, value_of
from service.search.dates import parse as parse_time
from service.search.references import normal_reference
from service.store import read as store_read
from service.store.change import Change
from service.workflow.parties import acts_for, reference_of
from service.workflow.referral_clocks import is_referral
from service.workflow.warm_handoff import MEDIA, OPEN, HandOff, Recorded, record

NAMES = ("participant", "accepted-by", "time", "medium", "follow-up", "note")
KINDS = ("Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization")
MOST_PARTICIPANTS, MOST_TEXT, MOST_DAYS = 20, 2000, 366
USUAL = "telephone"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_DAY_US = 86_400_000_000
_PLACE = "Parameters.parameter"


def check_caller(ctx: Context) -> None:
    """403 before anything is looked at."""
    check_scope(ctx.caller, "u", "Task")
    check_scope(ctx.caller, "c", "Communication")
    check_write(ctx.caller, "Task")


def read(body: Any, now_us: int, base_url: str) -> HandOff:
    """From a Parameters resource. Raises MALFORMED with all problems at once."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    found: dict[str, list[str]] = {}
    issues: list[Issue] = []
    for number, part in enumerate(parts(body)):
        name, value, place = part.get("name"), value_of(part), f"{_PLACE}[{number}]"
        if isinstance(value, dict):
            value = value.get("reference")
        if not isinstance(name, str) or name not in NAMES:
            issues.append(Issue(f"A parameter of $hand-off is one of {', '.join(NAMES)}.", place, "not-supported"))
        elif name in found and name != "participant":
            issues.append(Issue(f"{name} may stand once.", place, "structure"))
        elif not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT:
            issues.append(Issue(f"{name} has a value of 1 to {MOST_TEXT} characters.", place, "value"))
        else:
            found.setdefault(name, []).append(value)
    said = _said(found, issues, now_us, base_url)
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return said


def _said(found: dict[str, list[str]], issues: list[Issue], now_us: int, base_url: str) -> HandOff:
    people = tuple(dict.fromkeys(normal_reference(one, base_url) or one for one in found.get("participant", ())))
    accepted = (found.get("accepted-by") or [""])[0]
    accepted = normal_reference(accepted, base_url) or accepted
    if not accepted or accepted not in people:
        issues.append(Issue("accepted-by names who took the member over: one of the participants.", _PLACE, "required"))
    elif accepted.startswith(("Patient/", "RelatedPerson/")):
        issues.append(Issue("accepted-by is who takes the member over, not the member.", _PLACE, "value"))
    if len(people) > MOST_PARTICIPANTS or not all(one.startswith(tuple(f"{k}/" for k in KINDS)) for one in people):
        text = f"participant is a reference to {', '.join(KINDS)}, {MOST_PARTICIPANTS} at most."
        issues.append(Issue(text, _PLACE, "value"))
    if len(people) < 2 or not any(one.startswith(("Patient/", "RelatedPerson/")) for one in people):
        text = "In a warm hand-off the member takes part: name the Patient or a RelatedPerson, and who else was there."
        issues.append(Issue(text, _PLACE, "required"))
    medium = (found.get("medium") or [USUAL])[0]
    if medium not in code_systems()[MEDIA].parents:
        text = f"medium is one of {', '.join(code_systems()[MEDIA].parents)}."
        issues.append(Issue(text, _PLACE, "code-invalid"))
    day = (found.get("follow-up") or [""])[0]
    if day and not _is_day(day, now_us):
        text = f"follow-up is a date such as 2026-03-20, from today on and within {MOST_DAYS} days."
        issues.append(Issue(text, _PLACE, "value"))
    note = " ".join((found.get("note") or [""])[0].split())
    return HandOff(people, accepted, _time(found, issues, now_us), medium, day, note)


def _time(found: dict[str, list[str]], issues: list[Issue], now_us: int) -> int:
    if "time" not in found:
        return now_us
    try:
        at_us = parse_time(found["time"][0])[0]
    except ValueError:
        at_us = now_us + _DAY_US
    if at_us > now_us + 60_000_000:
        text = "time is a dateTime with its offset, such as 2026-03-07T15:00:00-08:00, and not in the future."
        issues.append(Issue(text, _PLACE, "value"))
    return at_us


def _is_day(text: str, now_us: int) -> bool:
    today = datetime.fromtimestamp(now_us // 1_000_000, UTC).date() - timedelta(days=1)  # it may still be that day
    try:
        return bool(_DAY.match(text)) and today <= date.fromisoformat(text) <= today + timedelta(days=MOST_DAYS)
    except ValueError:
        return False


async def hand_off(ctx: Context, fhir_id: str, said: HandOff) -> Decision:
    """200 with Parameters: the record, the follow-up that was promised, the Task. The same again changes nothing."""
    check_caller(ctx)
    found = await store_read.head(ctx.store, "Task", fhir_id, ctx.scoped("u"))
    if found is None or found.deleted:
        raise not_found("Task", fhir_id)
    await tripwire.check_found(ctx, (found,))
    task = parse(found.body)
    sides = [await acts_for(ctx, reference_of(task, side)) for side in ("requester", "owner")]
    if not any(sides):
        text = "Only the requester and the owner of a referral record its hand-off."
        raise FhirError(Category.FORBIDDEN, [Issue(text, "Task.owner", "forbidden")], reason="party")
    issues = await _issues(ctx, task, said)
    if issues:
        raise FhirError(Category.RULE, issues, reason="hand-off")
    change = Change()
    made = await record(ctx, change, task, found.version, found.labels, said)
    change.audit.append(ctx.audit("U", "hand-off", found.reference, ctx.patients_of(found)))
    return Decision(change, fixed(Answer(200, write_json(_parameters(found.reference, made)))))


async def _issues(ctx: Context, task: Resource, said: HandOff) -> list[Issue]:
    issues: list[Issue] = []
    if not is_referral(task, ctx.settings.base_url) or task.get("status") not in OPEN:
        text = f"A hand-off is recorded of a referral that is open: {', '.join(sorted(OPEN))}."
        issues.append(Issue(text, "Task.status", "business-rule"))
    member = normal_reference(reference_of(task, "for"), ctx.settings.base_url)
    known = await ctx.standing(said.participants)
    for reference in said.participants:
        if reference.startswith("Patient/"):
            if reference != member:
                issues.append(Issue("The Patient who takes part is the one of the referral.", _PLACE, "value"))
            continue
        person = await ctx.resource(reference) if reference in known else None
        theirs = normal_reference(reference_of(person[0], "patient"), ctx.settings.base_url) if person else None
        if person is None or (reference.startswith("RelatedPerson/") and theirs != member):
            text = "A participant is not known here, or is of another member: give a reference that you can read."
            issues.append(Issue(text, _PLACE, "not-found"))
    return issues


def _parameters(task: str, made: Recorded) -> Resource:
    named = {"record": made.record, "follow-up": made.follow_up, "task": task}
    listed = [{"name": name, "valueReference": {"reference": one}} for name, one in named.items() if one]
    return {"resourceType": "Parameters", "parameter": listed}
