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
from service.store import transitional_care as rows
from service.store.change import ABSENT, Change, Job
from service.workflow.alert_text import date_time
from service.workflow.alerts import CATEGORY_SYSTEM
from service.workflow.hospital_consent import may_hear
from service.workflow.parties import reference_of
from service.workflow.stay_alerts import Told
from service.workflow.stay_events import DAY_US
from service.workflow.stay_identity import derived_id
from service.workflow.stay_milestones import milestones
from service.workflow.stays import StayState
from service.workflow.tcs_plans import subject_key
from service.workflow.timer_breaches import leads_of

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
    patient = reference_of(encounter, "subject")
    # A new lead care manager bumps it: another answer that is asked for while this one runs is dropped as its repeat.
    key = subject_key(ctx, patient)
    change.epochs[key] = await epochs.epoch(ctx.store, key)
    known = await _known(ctx, reference)
    if encounter.get("status") in ("entered-in-error", "cancelled"):
        for stored in known.values():
            _take_back(ctx, change, patient, *stored)
        return change
    hospital = reference_of(encounter, "serviceProvider")
    leads = await leads_of(ctx, patient)
    if not hospital.startswith("Organization/") or not leads or not _present(encounter, ctx.now_us):
        return change
    fhir_id = PREFIX + derived_id("hospital-answer", reference, patient, hospital, leads[0])
    if fhir_id in known and known[fhir_id][0].get("status") != "entered-in-error":
        return change
    words = await contact(ctx, leads[0], patient)
    if words:
        made = await _made(ctx, fhir_id, encounter, leads[0], words)
        about = f"Communication/{fhir_id}"
        if not await may_hear(ctx, change, made, patient, hospital):
            audit = ctx.audit("C", "hospital-answered", about, (patient,), outcome=4, reason="consent")
            change.audit.append(audit)
            return change
        version = known[fhir_id][1] if fhir_id in known else ABSENT
        change.writes.append(ctx.write(made, version, source_org=ctx.store.keys.resource(hospital)))
        detail = {"answer": {"to": hospital, "manager": leads[0]}}
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


async def contact(ctx: Context, lead: str, patient: str) -> str:
    """ "Ana Ruiz, (555) 555-0100", the number of the role where the person has none; "" where no name is known."""
    found = await ctx.resource(lead)
    if found is None:
        return ""
    name, phone = _name(found[0]), _phone(found[0])
    for role in await rows.roles(ctx.store, lead) if not phone and lead.startswith("Practitioner/") else ():
        phone = phone or _phone(parse(role.body))
    if not phone:
        for provider in await stays.responsible(ctx.store, patient, "ecm-provider", ctx.now_us):
            organization = await ctx.resource(provider)
            phone = phone or (_phone(organization[0]) if organization else "")
    return ", ".join(part for part in (name, phone) if part) if name else ""


async def _known(ctx: Context, encounter: str) -> dict[str, tuple[Resource, int]]:
    return {
        fhir_id: (parse(body), version)
        for rtype, fhir_id, version, body in await stays.told(ctx.store, encounter)
        if rtype == "Communication" and fhir_id.startswith(PREFIX)
    }


async def _made(ctx: Context, fhir_id: str, encounter: Resource, lead: str, words: str) -> Resource:
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


def _name(resource: Resource) -> str:
    if resource["resourceType"] == "Organization":
        return str(resource.get("name", ""))
    name: Resource = next(iter(resource.get("name") or ()), {})
    whole = name.get("text") or " ".join([*name.get("given", ()), name.get("family", "")])
    return str(whole).strip()


def _phone(resource: Resource) -> str:
    phones = [t for t in resource.get("telecom") or () if t.get("system") == "phone" and t.get("value")]
    first = sorted(phones, key=lambda t: (t.get("use") != "work", t.get("use") == "home"))
    return str(first[0]["value"]) if first and first[0].get("use") != "home" else ""
