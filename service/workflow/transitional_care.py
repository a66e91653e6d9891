"""Transitional Care Services: what a discharge opens, a second one begins anew, and a cancellation or death ends.

Every order of messages ends in the same plans (tcs_plans.py). With the checklist go its timers, the measure of the
24-hour rule (relays.py) and the hospital's answer. Source: DHCS PHM Policy Guide, facts/california.md A.6, B.10.
"""

from typing import Any

from service.access.context import Context, parse
from service.store import transitional_care as rows
from service.store.change import ABSENT, Change, Job
from service.workflow import hospital_answer, relays
from service.workflow.parties import reference_of
from service.workflow.stay_alerts import Told
from service.workflow.stay_milestones import milestones
from service.workflow.stay_transitions import Transition
from service.workflow.stays import StayState
from service.workflow.steps import Step
from service.workflow.tcs_definition import URL
from service.workflow.tcs_plans import LIVE, Stay, codes_of, is_ours, settle, subject_key
from service.workflow.tcs_resources import Discharge, is_open, number_of


async def tcs_writes(
    ctx: Context,
    change: Change,
    told: Told,
    done: list[Transition],
    was: StayState | None,
    now: StayState | None,
    ahead: relays.Ahead,
) -> None:
    """Adds to the Change of a message, after its alerts: checklist, timers, the hospital's answer.

    done: the transitions that told somebody something. now: None where the stay is no longer this member's.
    """
    relays.measured(ctx, change, told, done, was, now, ahead)
    hospital_answer.asked(change, told, was, now)
    stay = stay_of(told, now)
    before = stay_of(told, was)
    if not (stay.discharges or before.discharges or stay.death or before.death):
        return
    await settle(ctx, change, told.patient, stay)
    if stay.discharges:
        _without_follow_ups(change, told.encounter)


async def settle_member(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job tcs.settle {"patient": reference}: a lead has changed, a Task was closed, the record says that they died."""
    patient = str(payload["patient"])
    change = Change()
    await settle(ctx, change, patient)
    await relays.told_since(ctx, change, patient)
    present = await rows.present(ctx.store, patient, sorted(hospital_answer.PRESENT))
    change.jobs += [hospital_answer.job(encounter) for encounter in present]
    if change.writes or change.statements:
        change.audit.append(ctx.audit("U", "tcs-settled", patient, (patient,)))
    return change


async def member_changed(step: Step) -> None:
    """After a write of EpisodeOfCare, CareTeam or Patient: whoever leads the care now has the open Tasks."""
    rtype, old = step.new["resourceType"], step.old or {}
    if rtype == "Patient" and all(step.new.get(e) == old.get(e) for e in ("deceasedBoolean", "deceasedDateTime")):
        return
    patient = f"Patient/{step.new['id']}" if rtype == "Patient" else ""
    patient = patient or reference_of(step.new, "patient") or reference_of(step.new, "subject")
    if not patient.startswith("Patient/"):
        return
    store = step.ctx.store
    if (
        await relays.waiting(step.ctx, patient)
        or any(is_ours(one.reference) for one in await rows.care_plans(store, patient))
        or await rows.present(store, patient, sorted(hospital_answer.PRESENT))
    ):
        _queue(step, patient)


async def cover_changed(step: Step) -> None:
    """After a write of Coverage: a checklist that a plan has, for want of a care manager, goes to the next plan."""
    patient = reference_of(step.new, "beneficiary")
    ours = [one for one in await rows.care_plans(step.ctx.store, patient) if is_ours(one.reference)]
    if any(parse(one.body).get("status") in LIVE for one in ours):
        _queue(step, patient)


async def task_changed(step: Step) -> None:
    """After an update of a Task of the checklist: once all are closed, the plan is completed."""
    if str(step.new.get("instantiatesUri", "")).startswith(URL) and not is_open(step.new):
        _queue(step, reference_of(step.new, "for"))


def _queue(step: Step, patient: str) -> None:
    step.change.bump_epochs.add(subject_key(step.ctx, patient))  # a job that runs now and saw less is decided again
    step.change.jobs.append(Job("tcs.settle", {"patient": patient}, dedupe=f"tcs.settle/{patient}"))


def stay_of(told: Told, state: StayState | None) -> Stay:
    stay = Stay(told.encounter)
    if state is None:
        return stay
    for one in milestones(state):
        if one.kind == "discharge" and one.production:
            number = number_of(one.key)
            made = Discharge(told.encounter, told.patient, number, one.at_us, one.key, told.member)
            stay.discharges[made.plan_id] = made
    stay.death = state.deceased
    return stay


def _without_follow_ups(change: Change, encounter: str) -> None:
    """The alert's own Task for the visit is left out: the checklist has it."""
    change.writes[:] = [
        w
        for w in change.writes
        if not (
            w.rtype == "Task"
            and w.fhir_id.startswith("fu-")
            and w.expect == ABSENT
            and w.resource is not None
            and "tcs-visit" in codes_of(w.resource)
            and reference_of(w.resource, "encounter") == encounter
        )
    ]
