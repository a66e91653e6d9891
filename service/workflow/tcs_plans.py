"""The CarePlans of transitional care of one member, written as far as they differ from what should be.

What should be: tcs_rules.py, from all discharges that stand; what a person closed stays closed. One epoch for each
member keeps two stays at once apart.
"""

from dataclasses import dataclass, field, replace

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.clock import instant
from service.search.dates import parse as parse_date
from service.store import epochs
from service.store import transitional_care as rows
from service.store.change import ABSENT, Change
from service.workflow import timers
from service.workflow.alert_text import date_time
from service.workflow.parties import reference_of
from service.workflow.tcs_definition import Action, checklist
from service.workflow.tcs_resources import (
    DAY_US,
    PREFIX,
    Discharge,
    activities,
    care_plan,
    ended,
    ended_by_service,
    going_on,
    is_open,
    period,
    reason_of,
    task,
    task_ended,
    task_ref,
    told_by,
)
from service.workflow.tcs_rules import CANCELLED, DEATH, SAME_MANAGER_DAYS, Care, Verdict, manager, verdicts
from service.workflow.timer_breaches import carers_of
from service.workflow.timer_kinds import HOUR_US, due_us, kinds, zone
from service.workflow.transitions_of_care import FOLLOW_UP_SYSTEM, FORGET_US, alert_id

LIVE = ("draft", "active", "on-hold")


@dataclass
class Stay:
    """What one stay says: its discharges that stand, by the id of their plan; whether it tells of a death."""

    encounter: str
    discharges: dict[str, Discharge] = field(default_factory=dict)
    death: bool = False


@dataclass
class _Plan:
    """A CarePlan as it is stored, or as it will be. version ABSENT: a new one."""

    resource: Resource
    version: int
    changed: bool = False

    @property
    def discharged_us(self) -> int:
        return _start(self.resource)

    @property
    def encounter(self) -> str:
        return reference_of(self.resource, "encounter")

    @property
    def live(self) -> bool:
        return self.resource.get("status") in LIVE

    @property
    def reason(self) -> str:
        return reason_of(self.resource) if self.resource.get("status") == "revoked" else ""


async def settle(ctx: Context, change: Change, patient: str, stay: Stay | None = None) -> None:
    """Writes what differs from what should be. stay: whose discharges may have changed."""
    key = subject_key(ctx, patient)
    change.epochs[key] = await epochs.epoch(ctx.store, key)
    plans = {
        one.reference.partition("/")[2]: _Plan(parse(one.body), one.version)
        for one in await rows.care_plans(ctx.store, patient)
        if is_ours(one.reference)
    }
    discharges = stay.discharges if stay is not None else {}
    opening = {i: d for i, d in discharges.items() if i not in plans and ctx.now_us - d.at_us <= FORGET_US}
    if not plans and not opening:
        return
    cares = [_care(i, plan, stay) for i, plan in plans.items()]
    cares += [Care(i, d.at_us) for i, d in opening.items()]
    dead, by = await _death(ctx, patient, plans, stay)
    ruled = verdicts(cares, dead=dead, zone=zone())
    work = _Work(ctx, change, patient, plans, by, await carers_of(ctx, patient))
    for fhir_id in sorted(ruled):
        if fhir_id in plans:
            await work.keep(fhir_id, discharges.get(fhir_id), ruled[fhir_id])
        else:
            await work.open(opening[fhir_id], ruled[fhir_id])
    if work.wrote:
        change.bump_epochs.add(key)


def _care(fhir_id: str, plan: _Plan, stay: Stay | None) -> Care:
    if stay is not None and plan.encounter == stay.encounter:
        known = stay.discharges.get(fhir_id)
        return Care(fhir_id, known.at_us if known else plan.discharged_us, known is None)
    return Care(fhir_id, plan.discharged_us, plan.reason == CANCELLED)


async def _death(ctx: Context, patient: str, plans: dict[str, _Plan], stay: Stay | None) -> tuple[bool, str]:
    """Whether the member has died, and who says so. What a stay said only that stay takes back."""
    if stay is not None and stay.death:
        return True, stay.encounter
    member = await ctx.resource(patient)
    if member is not None and (member[0].get("deceasedBoolean") or member[0].get("deceasedDateTime")):
        return True, patient
    said = {told_by(p.resource) for p in plans.values() if p.reason == DEATH}
    said -= {patient, stay.encounter if stay is not None else ""}
    return bool(said), min(said, default="")


@dataclass
class _Work:
    """The writes for one member. leads: who has the checklists now (carers_of)."""

    ctx: Context
    change: Change
    patient: str
    plans: dict[str, _Plan]
    by: str
    leads: list[str]
    wrote: bool = False

    async def open(self, discharge: Discharge, verdict: Verdict) -> None:
        actions = await checklist(self.ctx, self.change)
        owner = self._owner(discharge.at_us, "")
        made = care_plan(discharge, now_us=self.ctx.now_us, follows=verdict.follows, author=owner)
        if verdict.reason:  # kept all the same: that it was counts for the others, in whatever order they come
            self._put(ended(made, verdict.reason, self.by if verdict.reason == DEATH else ""), ABSENT)
            return
        self._put(made | activities(discharge.plan_id, actions), ABSENT)
        focus = await self._focus(discharge, owner)
        for action in actions:
            await self._task(discharge, action, owner, focus, None, ABSENT)

    async def keep(self, fhir_id: str, discharge: Discharge | None, verdict: Verdict) -> None:
        """discharge: where the stay in hand says more of it than the stored plan does."""
        plan = self.plans[fhir_id]
        if verdict.reason:
            if plan.live or (plan.reason and plan.reason != verdict.reason):
                await self._end(fhir_id, plan, verdict.reason)
        elif plan.live or plan.reason:
            await self._go_on(fhir_id, plan, discharge, verdict)

    async def _end(self, fhir_id: str, plan: _Plan, reason: str) -> None:
        self._put(ended(plan.resource, reason, self.by if reason == DEATH else ""), plan.version)
        for one in await rows.tasks(self.ctx.store, f"CarePlan/{fhir_id}"):
            stored = parse(one.body)
            if is_open(stored):
                self._put(task_ended(stored, reason, self.ctx.now_us), one.version)
                for code in codes_of(stored):
                    if code in kinds():
                        timers.cancelled(self.ctx, self.change, code, one.reference)

    async def _go_on(self, fhir_id: str, plan: _Plan, discharge: Discharge | None, verdict: Verdict) -> None:
        """Opened again where the service had ended it; moved to whoever leads the care; completed where all is done."""
        owner = self._owner(plan.discharged_us, reference_of(plan.resource, "author"))
        made = going_on(plan.resource) if plan.reason else dict(plan.resource)
        if owner:
            made["author"] = {"reference": owner}
        if discharge is not None and discharge.at_us != plan.discharged_us:
            made["period"] = period(discharge.at_us)
        made.pop("replaces", None)
        if verdict.follows:
            made["replaces"] = [{"reference": f"CarePlan/{verdict.follows}"}]
        stored = {one.reference: one for one in await rows.tasks(self.ctx.store, f"CarePlan/{fhir_id}")}
        left = 0
        known = discharge or self._discharge(made)
        actions = await checklist(self.ctx, self.change)
        if not stored:
            made |= activities(fhir_id, actions)
        focus = await self._focus(known, owner) if discharge is not None or not stored else ""
        for action in actions:
            one = stored.get(task_ref(fhir_id, action.id))
            if one is not None:
                left += await self._task(known, action, owner, focus, parse(one.body), one.version)
            elif not stored:  # what the checklist did not have at the discharge is not asked for later
                left += await self._task(known, action, owner, focus, None, ABSENT)
        if stored and not left and plan.live:
            made["status"] = "completed"
        if made != plan.resource:
            self._put(made, plan.version)

    async def _task(
        self, discharge: Discharge, action: Action, owner: str, focus: str, old: Resource | None, version: int
    ) -> bool:
        """Writes one Task where it is new or something about it moved; whether it is open."""
        if old is not None and not is_open(old) and not ended_by_service(old):
            return False
        due = self._due(discharge, action)
        reference = task_ref(discharge.plan_id, action.id)
        made = task(discharge, action, owner=owner, focus=focus or "", due_us=due, now_us=self.ctx.now_us)
        again = old is None or ended_by_service(old)
        if old is not None:
            made = self._renewed(old, made, again=again, moved=self._moved(discharge))
        timed = again or self._moved(discharge)
        if action.code in kinds() and timed:
            about = {"encounter": discharge.encounter, "what": action.title}
            cause = f"{discharge.plan_id}/{action.id}"
            timer = timers.start(
                self.ctx, self.change, action.code, reference, self.patient, discharge.at_us, about, cause=cause
            )
            made["restriction"] = {"period": {"end": date_time(timer.due_us)}}
        if made != old:
            made["lastModified"] = instant(self.ctx.now_us)
            self._put(made, version)
        return True

    def _renewed(self, old: Resource, new: Resource, *, again: bool, moved: bool) -> Resource:
        """The stored Task with what is of the service; what the care manager wrote stays."""
        made = {name: value for name, value in old.items() if not (again and name in ("status", "statusReason"))}
        if again:
            made["status"] = "requested"
        if again or moved:
            made["restriction"] = new["restriction"]
        if new["focus"]["reference"]:
            made["focus"] = new["focus"]
        if reference_of(old, "owner") not in self.leads and "owner" in new:
            made["owner"] = new["owner"]
        return made

    def _moved(self, discharge: Discharge) -> bool:
        """Whether the hospital corrected the time of the discharge."""
        plan = self.plans.get(discharge.plan_id)
        return plan is not None and plan.discharged_us != discharge.at_us

    def _due(self, discharge: Discharge, action: Action) -> int:
        row = kinds().get(action.code)
        if row is not None:
            return due_us(row, discharge.at_us, zone())
        return max(discharge.at_us + action.hours * HOUR_US, self.ctx.now_us + DAY_US)

    def _discharge(self, plan: Resource) -> Discharge:
        """Of a plan whose stay is not in hand, as far as its Tasks need it."""
        return Discharge(reference_of(plan, "encounter"), self.patient, "", _start(plan), "", fhir_id=plan["id"])

    def _owner(self, at_us: int, author: str) -> str:
        """The same care manager as before, also where another discharge within 30 days was theirs."""
        if author:
            return manager(self.leads, author)
        since = at_us - SAME_MANAGER_DAYS * DAY_US
        earlier = [p for p in self.plans.values() if since <= p.discharged_us <= at_us]
        last = max(earlier, key=lambda p: p.discharged_us, default=None)
        return manager(self.leads, reference_of(last.resource, "author") if last is not None else "")

    async def _focus(self, discharge: Discharge, owner: str) -> str:
        """The alert that tells of the discharge; the Encounter where nobody was told."""
        for lead in dict.fromkeys((owner, *self.leads)):
            fhir_id = alert_id(discharge.encounter, discharge.key, lead)
            if any(w.reference == f"Communication/{fhir_id}" for w in self.change.writes):
                return f"Communication/{fhir_id}"
            if await self.ctx.resource(f"Communication/{fhir_id}") is not None:
                return f"Communication/{fhir_id}"
        return discharge.encounter

    def _put(self, resource: Resource, version: int) -> None:
        """A Task here gives nobody the member: who owns it has the member by the assignment, and only so long."""
        write = self.ctx.write(resource, version)
        self.change.writes.append(replace(write, panel=()) if write.rtype == "Task" else write)
        self.wrote = True


def _start(plan: Resource) -> int:
    start = (plan.get("period") or {}).get("start")
    return parse_date(start)[0] if start else 0


def codes_of(one: Resource) -> list[str]:
    codings = (one.get("code") or {}).get("coding") or ()
    return [str(c.get("code")) for c in codings if c.get("system") == FOLLOW_UP_SYSTEM]


def is_ours(reference: str) -> bool:
    return reference.startswith(f"CarePlan/{PREFIX}")


def subject_key(ctx: Context, patient: str) -> int:
    return ctx.store.keys.of("tcs", patient)
