"""The hospital's answer: after a confirmed match it is told name and number of the lead care manager of its patient.

Once for each stay and manager (../shared/decisions.md 21): the acknowledgement never says whom we know. What was told
for a stay that turns out to be of another person is taken back. It names the patient by the hospital's own numbers. It
is filed as the hospital's own, so that a client with the role hospital reads it, and by no right over the member; what
the member's Consents say is asked before (hospital_consent.py).
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.dates import parse as parse_date
from service.store import epochs, stays
from service.store.change import ABSENT, Change, Job
from service.store.together import each, together
from service.workflow.alert_text import date_time
from service.workflow.alerts import CATEGORY_SYSTEM
from service.workflow.hospital_consent import heard_of, may_hear
from service.workflow.hospital_contact import team_of
from service.workflow.parties import reference_of
from service.workflow.stay_alerts import Told
from service.workflow.stay_events import DAY_US
from service.workflow.stay_identity import derived_id
from service.workflow.stay_milestones import milestones
from service.workflow.stays import StayState
from service.workflow.tcs_plans import subject_key
from service.workflow.timer_breaches import LEADS

CATEGORY = "care-manager-contact"
SYSTEM = "https://enlace.example.org/alerts"
PREFIX = "ha-"
PRESENT = frozenset({"arrived", "triaged", "in-progress", "onleave"})
STALE_US = 7 * DAY_US
"""Of a stay that ended longer ago nothing is told: the hospital has no use for it any more."""


def asked(change: Change, told: Told, was: StayState | None, now: StayState | None) -> None:
    """Queues the answer where the stay has news: it is decided from the Encounter, after it is committed."""
    before, after = (
        frozenset(m.key for m in milestones(s) if m.production) if s else frozenset[str]() for s in (was, now)
    )
    if before != after and told.facility_reference.startswith("Organization/"):
        change.jobs.append(job(told.encounter))


def job(encounter: str) -> Job:
    return Job("hospital.answer", {"encounter": encounter}, dedupe=f"hospital.answer/{encounter}")


async def answer(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job hospital.answer {"encounter": reference}."""
    change = Change()
    reference = str(payload["encounter"])
    found = await ctx.resource(reference)
    if found is None:
        return change
    encounter, version = found
    change.relied[reference] = version
    patient, hospital = reference_of(encounter, "subject"), reference_of(encounter, "serviceProvider")
    key, member = subject_key(ctx, patient), ctx.store.keys.resource(patient)
    seen, known, (leads, providers) = await together(
        ctx.store,
        epochs.several(ctx.store, (key, member)),
        _known(ctx, reference),
        each(ctx.store, (stays.responsible(ctx.store, patient, role, ctx.now_us) for role in LEADS)),
    )
    # A new lead care manager bumps it: another answer that is asked for while this one runs is dropped as its repeat.
    change.epochs[key] = seen[key]
    if encounter.get("status") in ("entered-in-error", "cancelled"):
        for stored in known.values():
            _take_back(ctx, change, patient, *stored)
        return change
    lead = next(iter(leads or providers), "")
    if not hospital.startswith("Organization/") or not lead or not _present(encounter, ctx.now_us):
        return change
    fhir_id = PREFIX + derived_id("hospital-answer", reference, patient, hospital, lead)
    if fhir_id in known and known[fhir_id][0].get("status") != "entered-in-error":
        return change
    heard, team = await together(ctx.store, heard_of(ctx, member, hospital), team_of(ctx, lead, providers))
    words = team.contact()
    if words:
        made = _made(ctx, fhir_id, encounter, lead, words)
        version = known[fhir_id][1] if fhir_id in known else ABSENT
        write = ctx.write(made, version, source_org=ctx.store.keys.resource(hospital))
        # A Consent that changes at this moment lets the Change fail and be made anew.
        change.epochs[member] = seen[member]
        about = f"Communication/{fhir_id}"
        if not may_hear(ctx, write, member, team.places(), heard):
            audit = ctx.audit("C", "hospital-answered", about, (patient,), outcome=4, reason="consent")
            change.audit.append(audit)
            return change
        change.writes.append(write)
        detail = {"answer": {"to": hospital, "manager": lead}}
        change.audit.append(ctx.audit("C", "hospital-answered", about, (patient,), detail=detail))
    return change


def _present(encounter: Resource, now_us: int) -> bool:
    """In the hospital, or gone so short a time ago that the hospital still writes its papers."""
    if encounter.get("status") in PRESENT:
        return True
    dispositions = ((encounter.get("hospitalization") or {}).get("dischargeDisposition") or {}).get("coding") or ()
    end = str((encounter.get("period") or {}).get("end") or "")
    if encounter.get("status") != "finished" or not end or any(c.get("code") == "exp" for c in dispositions):
        return False
    return now_us - parse_date(end)[1] < STALE_US


async def _known(ctx: Context, encounter: str) -> dict[str, tuple[Resource, int]]:
    return {
        fhir_id: (parse(body), version)
        for rtype, fhir_id, version, body in await stays.told(ctx.store, encounter)
        if rtype == "Communication" and fhir_id.startswith(PREFIX)
    }


def _made(ctx: Context, fhir_id: str, encounter: Resource, lead: str, words: str) -> Resource:
    text = f"Your patient is a member of Enhanced Care Management. The lead care manager is {words}. "
    text += "Please put name and number into the discharge papers, and call before the discharge."
    visit: Resource = {"reference": f"Encounter/{encounter['id']}"}
    numbers = encounter.get("identifier") or ()
    if numbers:
        visit["identifier"] = numbers[0]
    return {
        "resourceType": "Communication",
        "id": fhir_id,
        "identifier": [{"system": SYSTEM, "value": fhir_id}],
        "status": "completed",
        "category": [{"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}],
        "subject": {"reference": reference_of(encounter, "subject")},
        "about": [visit],
        "encounter": visit,
        "sent": date_time(ctx.now_us),
        "sender": {"reference": lead},
        "recipient": [{"reference": reference_of(encounter, "serviceProvider")}],
        "payload": [{"contentString": text}],
    }


def _take_back(ctx: Context, change: Change, patient: str, resource: Resource, version: int) -> None:
    if resource.get("status") == "entered-in-error":
        return
    text = "The visit is not one of this person: please do not use the name and number that were told."
    kept = {name: value for name, value in resource.items() if name not in ("payload", "sender")}
    made = {**kept, "status": "entered-in-error", "statusReason": {"text": text}}
    hospital = ctx.store.keys.resource(str(resource["recipient"][0]["reference"]))
    change.writes.append(ctx.write(made, version, source_org=hospital))
    reference = f"Communication/{resource['id']}"
    change.audit.append(ctx.audit("U", "hospital-answered", reference, (patient,), reason="taken-back"))
