"""Who begins to care for a member that is in hospital is told so: "already an inpatient". facts/adt.md 6 (63), 9

A new lead care manager gets what nobody acknowledged beside its former recipients, else an alert of its own. The write
of the EpisodeOfCare puts up the job; where a stay is written in the same moment, the epoch `stays-of` makes it look
again.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.notify.notices import LIVE
from service.search.values import patient_of
from service.store import alert_work, epochs, stays
from service.store.alert_work import TransitionRow
from service.store.change import Change, Job
from service.workflow.alert_clock import due_us, is_own, reference_of
from service.workflow.alert_known import Known, known_of, thread_name
from service.workflow.alert_routing import LEAD
from service.workflow.parties import reference_of as reference_in
from service.workflow.stay_alerts import IN_HOSPITAL
from service.workflow.stay_milestones import ARRIVALS
from service.workflow.stay_transitions import Transition
from service.workflow.steps import Step
from service.workflow.transitions_of_care import About, Recipient, alert_resources


async def assigned(step: Step) -> None:
    """After a write of an EpisodeOfCare: a job, where it gives a member in hospital another lead care manager."""
    new, old = step.new, step.old or {}
    lead = reference_in(new, "careManager")
    if not lead or new.get("status") not in LIVE:
        return
    if lead == reference_in(old, "careManager") and old.get("status") in LIVE:
        return
    patient = patient_of(new, "EpisodeOfCare", step.ctx.settings.base_url)
    if patient is None:
        return
    key = step.ctx.store.keys.of("stays-of", patient)
    epoch, lasting = await alert_work.watched(step.ctx.store, patient, key)
    step.change.epochs[key] = epoch
    step.change.bump_epochs.add(key)  # who tells of a stay just now, or catches up, has read the former one
    if lasting:
        step.change.jobs.append(Job("alert.catch-up", {"patient": patient}, dedupe=f"alert.catch-up {patient}"))


async def catch_up(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job "alert.catch-up" {"patient": Patient/id}. Idempotent: who was told of a stay is not told again."""
    patient, change = str(payload["patient"]), Change()
    key = ctx.store.keys.of("stays-of", patient)
    change.epochs[key] = await epochs.epoch(ctx.store, key)
    leads = await stays.responsible(ctx.store, patient, LEAD, ctx.now_us)
    for row in await alert_work.in_hospital(ctx.store, [patient]) if leads else []:
        found = await ctx.resource(f"Encounter/{row.stay}")
        if found is None or found[0].get("status") not in alert_work.PRESENT:
            continue
        known = await known_of(ctx, f"Encounter/{row.stay}")
        _settle(ctx, change, row, known, found[0], leads)
        await known.commit(ctx, change, patient)
    if change.writes:
        change.audit.append(ctx.audit("U", "alert-caught-up", patient, (patient,)))
    return change


def _settle(
    ctx: Context, change: Change, row: TransitionRow, known: Known, encounter: Resource, leads: list[str]
) -> None:
    standing = [one for one in known.own() if one.get("status") == "completed"]
    new = [lead for lead in leads if not any(lead in _names(one) for one in standing)]
    left = [one for one in standing if not one.get("received") and not _names(one) & set(leads)]
    if new and left:
        for alert in left:
            known.change({**alert, "recipient": [*alert["recipient"], *({"reference": one} for one in new)]})
            if due := due_us(alert, ctx.now_us):
                again = alert_work.waits(reference_of(alert), state="open", due_us=due, by="", level=0)
                change.statements.append(again)
    elif new:
        for resource in _already(ctx, row, encounter, new):
            known.put(resource)


def _already(ctx: Context, row: TransitionRow, encounter: Resource, leads: list[str]) -> list[Resource]:
    transition = Transition(
        "alert", ARRIVALS.get(row.klass, "hospital-encounter"), IN_HOSPITAL, row.start_us, row.klass
    )
    subject, provider = encounter.get("subject") or {}, encounter.get("serviceProvider") or {}
    return alert_resources(
        transition,
        encounter_ref=f"Encounter/{row.stay}",
        patient_ref=row.patient,
        member_display=str(subject.get("display") or ""),
        recipients=[Recipient(lead) for lead in leads],
        facility_display=str(provider.get("display") or ""),
        now_us=ctx.now_us,
        sender=provider if provider.get("reference") else None,
        about=About(thread_name(ctx.store.keys, row.thread), already=True),
    )


def _names(alert: Resource) -> set[str]:
    return {str(one.get("reference") or "") for one in alert.get("recipient") or ()} if is_own(alert) else set()
