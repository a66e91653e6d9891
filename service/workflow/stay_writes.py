"""A stay of a member that changed -> its Encounter, Conditions, alerts, checklist and audit row; and back."""

from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import Context
from service.access.labels import carried, labels
from service.log_events import ADT_ALERTED, ADT_RETRACTED, log
from service.store.change import Change, Job
from service.store.stay_rows import ThreadRow
from service.store.together import together
from service.workflow import relays
from service.workflow.member_names import short_name
from service.workflow.stay_alerts import Ahead, Told, alert_writes, alerts_ahead
from service.workflow.stay_details import details, diagnoses
from service.workflow.stay_encounter import encounter
from service.workflow.stay_picture import Picture
from service.workflow.stay_transitions import Transition
from service.workflow.stays import StayState, voided
from service.workflow.transitional_care import tcs_writes

OF_NOBODY = frozenset({"resourceType", "id", "meta", "status", "class", "type", "subject", "serviceProvider"})
"""What stays of an Encounter that was written for the wrong person; the place keeps the labels that follow from it."""
FOREIGN = "Not of this person"


@dataclass(frozen=True)
class Cause:
    """The message by which it is decided; all empty where a person, the roster or the clock is the cause."""

    inbox_id: int = 0
    received_us: int = 0
    trigger: str = ""
    feed: str = ""
    control_id: str = ""
    digest: str = ""
    """SHA-256 of the message as it came, for Provenance."""
    organization: str = ""


@dataclass(frozen=True)
class Writing:
    """Which Encounter (id) of whom. thread: the row of its transition of care, None of one that is unknown."""

    patient: str
    encounter: str
    thread: ThreadRow | None
    cause: Cause
    ends: frozenset[str] = frozenset()
    """Other Encounters of the member that are no other stay: they go with this Change, or are of its transition."""

    @property
    def reference(self) -> str:
        return f"Encounter/{self.encounter}"


async def write_stay(ctx: Context, change: Change, writing: Writing, was: Picture | None, now: Picture) -> bool:
    """False where an alert has nobody to go to."""
    told, current, ahead = await together(
        ctx.store, _told(ctx, writing, now), ctx.resource(writing.reference), _ahead(ctx, writing, was, now.state)
    )
    said = details(now.events)
    conditions = _diagnoses(ctx, writing, now)
    made = encounter(
        now.state,
        said.event,
        writing.patient,
        stay_id=writing.encounter,
        patient_display=told.member,
        facility_ref=told.facility_reference,
        facility_display=told.facility,
        former=said.former,
        reason=said.reason,
        admission_type=said.admission_type,
        # A reference to what a reader may not see tells that there is something to hide: Conditions name their stay.
        diagnoses=[one for one in conditions if not _in_error(one) and not labels(one)],
    )
    made = carried(current[0], made) if current else made
    written = current is None or _body(current[0]) != _body(made)
    if written:
        change.writes.append(ctx.write(made, current[1] if current else 0))
    before = _diagnoses(ctx, writing, was) if was else []
    await _conditions(ctx, change, before, conditions)
    heard, news = await _tell(ctx, change, writing, told, was.state if was else None, now.state, ahead)
    if writing.cause.inbox_id or written or news:
        _audit(ctx, change, writing)
    return heard


async def retire(ctx: Context, change: Change, writing: Writing, was: Picture | None, why: str) -> None:
    """Nothing of the Encounter stands any more. why: moved, match-reversed, renumbered.

    Unless it was the member's under another number, it was somebody else's: what it says of that person goes too.
    """
    current = await ctx.resource(writing.reference)
    foreign = why != "renumbered"
    if current is not None and current[0].get("status") != "entered-in-error":
        kept = {name: value for name, value in current[0].items() if not foreign or name in OF_NOBODY}
        if foreign:
            kept["type"] = kept["type"][:1]  # ours; behind it the hospital's (PV1-4)
        change.writes.append(ctx.write({**kept, "status": "entered-in-error"}, current[1]))
        _audit(ctx, change, writing)
    if was is None:
        return
    ends = voided(was.state, why)
    told, ahead = await together(ctx.store, _told(ctx, writing, was), _ahead(ctx, writing, was, ends))
    before = _diagnoses(ctx, writing, was)
    await _conditions(ctx, change, [{**one, "code": {"text": FOREIGN}} for one in before] if foreign else before, [])
    await _tell(ctx, change, writing, told, was.state, ends, ahead, gone=True)


_Ahead = tuple[Ahead | None, relays.Ahead]


async def _ahead(ctx: Context, writing: Writing, was: Picture | None, now: StayState) -> _Ahead:
    thread = writing.thread.thread if writing.thread else ""
    return await together(
        ctx.store,
        alerts_ahead(ctx, writing.reference, writing.patient, thread, was.state if was else None, now),
        relays.ahead(ctx, writing.patient),
    )


def _diagnoses(ctx: Context, writing: Writing, picture: Picture) -> list[Resource]:
    def name(id: str) -> str:
        return f"dx-{ctx.store.keys.of('diagnosis', id) & (1 << 64) - 1:016x}"

    return diagnoses(picture.events, writing.patient, writing.reference, name)


async def _told(ctx: Context, writing: Writing, picture: Picture) -> Told:
    facility = details(picture.events).event.facility
    member = await ctx.resource(writing.patient)
    return Told(
        writing.reference,
        writing.patient,
        short_name(member[0]) if member else "",
        facility.name or "a hospital",
        facility.reference,
        thread=writing.thread.thread if writing.thread else "",
        received_us=writing.cause.received_us,
        ends=writing.ends,
    )


async def _tell(
    ctx: Context,
    change: Change,
    writing: Writing,
    told: Told,
    was: StayState | None,
    now: StayState,
    ahead: _Ahead,
    gone: bool = False,
) -> tuple[bool, bool]:
    """(whether there was somebody to tell, whether anything was told)"""
    part = Change()
    alerts, carers = ahead
    done, heard = await alert_writes(ctx, part, told, was, now, alerts)
    await tcs_writes(ctx, part, told, done, was, None if gone else now, carers)
    _add(change, part, told.patient)
    for transition in done:
        _log(writing.cause, transition)
    return heard, bool(done)


def _add(change: Change, part: Change, patient: str) -> None:
    """Two stays of a member may both want to change a plan: the second is done by a job of its own."""
    known = {write.reference for write in change.writes}
    twice = [write for write in part.writes if write.reference in known]
    part.writes = [write for write in part.writes if write.reference not in known]
    change.merge(part)
    if twice:
        change.jobs.append(Job("tcs.settle", {"patient": patient}))


async def _conditions(ctx: Context, change: Change, before: list[Resource], now: list[Resource]) -> None:
    """Those that are new or changed; what no message gives any more is entered in error."""
    kept = {one["id"] for one in now}
    gone = [_error(one) for one in before if one["id"] not in kept and not _in_error(one)]
    for one in [*(c for c in now if c not in before), *gone]:
        current = await ctx.resource(f"Condition/{one['id']}")
        if current is None and _in_error(one):
            continue
        one = carried(current[0], one) if current else one
        if current is None or _body(current[0]) != _body(one):
            change.writes.append(ctx.write(one, current[1] if current else 0))


def _error(condition: Resource) -> Resource:
    status = {"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}
    kept = {name: value for name, value in condition.items() if name != "clinicalStatus"}
    return {**kept, "verificationStatus": {"coding": [status]}}


def _in_error(condition: Resource) -> bool:
    codings = condition.get("verificationStatus", {}).get("coding", [])
    return any(one.get("code") == "entered-in-error" for one in codings)


def _audit(ctx: Context, change: Change, writing: Writing) -> None:
    cause = writing.cause
    came: dict[str, object] = {"inbox": cause.inbox_id, "feed": cause.feed, "control_id": cause.control_id}
    came |= {"sha256": cause.digest, "organization": cause.organization}
    detail = {"source": came} if cause.inbox_id else None
    change.audit.append(ctx.audit("U", "adt-applied", writing.reference, (writing.patient,), detail=detail))


def _log(cause: Cause, transition: Transition) -> None:
    event = ADT_ALERTED if transition.action == "alert" else ADT_RETRACTED
    log(event, inbox=cause.inbox_id, trigger=cause.trigger or "none", transition=transition.kind)


def _body(resource: Resource) -> Resource:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta} if meta else {k: v for k, v in resource.items() if k != "meta"}
