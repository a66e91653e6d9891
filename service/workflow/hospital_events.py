"""One stored HL7 v2 message -> the state of its stay -> Encounter, alerts, follow-ups; or a named reason why not.

Read, decide, return a Change: the worker commits it together with the end of its job. The stay is recomputed from all
its events (stays.py); its epoch makes two messages of one stay follow each other. Facts: ../shared/facts/adt.md 1.6, 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fhir_profiles import Resource
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.source import SourceConfig
from service.access.context import Context
from service.log_events import ADT_ALERTED, ADT_MATCHED, ADT_RETRACTED, ADT_UNMAPPED, ADT_UNMATCHED, log
from service.store import inbox, stays
from service.store.change import Change
from service.workflow.candidates import candidates_of
from service.workflow.member_match import MRN_TYPES, Match, match, mrn_system
from service.workflow.message_reading import read
from service.workflow.sending_systems import source_of
from service.workflow.stay_alerts import Told, alert_writes
from service.workflow.stay_encounter import encounter
from service.workflow.stay_events import StoredEvent
from service.workflow.stay_identity import stay_key
from service.workflow.stays import StayState, reduce

SPARSE = frozenset(
    {"no-candidate", "demographics-insufficient", "placeholder-name", "identity-unknown", "newborn", "ambiguous"}
)
"""Reasons under which a message says too little to match by itself, but may belong to a stay that is matched.

Under every other reason it contradicts: it counts for nobody until a person has looked at it.
"""
NOBODY = "nobody-to-tell"
"""Applied, but the member has neither a lead care manager nor an ECM provider; replay the message once there is one."""


@dataclass
class _Message:
    """What is known of one message on its way to a Change."""

    inbox_id: int
    received_us: int
    event: AdtEvent
    source: SourceConfig
    stay: str
    control_id: str
    digest: str
    """SHA-256 of the message as it came, for Provenance."""


async def apply_adt(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"inbox": id}. Everything ends in a state of the inbox row that a person can see."""
    inbox_id = int(payload["inbox"])
    stored = await inbox.message(ctx.store, inbox_id)
    if stored is None:
        return Change()
    raw, source_name, received_us = stored
    source = await source_of(ctx.store, source_name)
    if source is None:
        return _ended(ctx, inbox_id, "unregistered", "source-not-registered")
    said = read(raw, source, received_us)
    _report(inbox_id, source, said.findings)
    if not said.events:
        return _ended(ctx, inbox_id, said.state, said.refused)
    event = said.events[0]
    if event.processing_id not in source.processing_ids:
        return _ended(ctx, inbox_id, "ignored", "not-production")
    if event.visit is None:
        return _ended(ctx, inbox_id, "ignored", f"no-visit-{event.effect}")
    stay, digest = stay_key(event, source.name), sha256(raw).hexdigest()
    return await _apply(ctx, _Message(inbox_id, received_us, event, source, stay, event.control_id, digest))


def _ended(ctx: Context, inbox_id: int, state: str, reason: str, *, patient: str = "", stay: str = "") -> Change:
    statement = inbox.handled(inbox_id, state, reason, patient=patient, stay=stay, now_us=ctx.now_us)
    return Change(statements=[statement])


def _report(inbox_id: int, source: SourceConfig, findings: Sequence[Finding]) -> None:
    """Unmapped codes are told by their place, never by their value."""
    for finding in findings:
        if finding.severity != "information" and "-" in finding.location:
            segment, _, field = finding.location.partition("-")
            log(ADT_UNMAPPED, inbox=inbox_id, source=source.name, segment=segment, field=field, table=finding.code)


async def _apply(ctx: Context, message: _Message) -> Change:
    key = ctx.store.keys.of("stay", message.stay)
    change = Change(epochs={key: await stays.epoch(ctx.store, key)}, bump_epochs={key})
    before = await stays.events(ctx.store, message.stay)
    known = next((e.patient for e in before if e.patient and e.inbox_id != message.inbox_id), "")
    found = match(message.event, await candidates_of(ctx, message.event))
    patient, reason = _whose(found, known)
    change.statements.append(
        stays.add_event(
            message.stay,
            message.inbox_id,
            patient,
            message.event.occurred or message.received_us,
            message.event.to_json(),
        )
    )
    trigger = message.event.code
    if not patient:
        log(ADT_UNMATCHED, inbox=message.inbox_id, trigger=trigger, reason=reason)
        return change.merge(_ended(ctx, message.inbox_id, "unmatched", reason, stay=message.stay))
    log(ADT_MATCHED, inbox=message.inbox_id, trigger=trigger, rule=found.tier or "same-stay")
    if found.patient_ref == patient:
        change.statements += _mrn_links(ctx, message.event, patient)
    others = [e for e in before if e.inbox_id != message.inbox_id]
    joining = [e for e in others if not e.patient and e.reason in SPARSE]
    for event in joining:
        change.statements += stays.match_event(message.stay, event.inbox_id, patient)
    old = [_stored(e) for e in others if e.patient == patient]
    this = StoredEvent(message.event, str(message.inbox_id), message.received_us)
    was = reduce(old) if old else None
    now = reduce([*old, *map(_stored, joining), this])
    if not await _write_stay(ctx, change, message, patient, was, now):
        reason = NOBODY
    return change.merge(_ended(ctx, message.inbox_id, "applied", reason, patient=patient, stay=message.stay))


def _stored(e: stays.StoredStayEvent) -> StoredEvent:
    return StoredEvent(AdtEvent.from_json(e.event), str(e.inbox_id), e.received_us)


def _whose(found: Match, known: str) -> tuple[str, str]:
    """(Patient reference or "", reason). A matched stay keeps its member: another one is for a person to see."""
    if not known:
        return found.patient_ref or "", found.reason
    if found.patient_ref is None:
        return (known, "same-stay") if found.reason in SPARSE else ("", found.reason)
    return (known, found.reason) if found.patient_ref == known else ("", "stay-of-another-member")


def _mrn_links(ctx: Context, event: AdtEvent, patient: str) -> list[Any]:
    """A confirmed match makes the facility's numbers known, so that sparse messages match by them."""
    return [
        stays.link_mrn(mrn_system(event, i), i.value, patient, ctx.now_us)
        for i in event.patient.ids
        if i.type in MRN_TYPES and i.value
    ]


async def _write_stay(
    ctx: Context, change: Change, message: _Message, patient: str, was: StayState | None, now: StayState
) -> bool:
    """Adds the Encounter and the alerts to the Change; False where an alert has nobody to go to."""
    member = await ctx.resource(patient)
    display = short_name(member[0]) if member else ""
    facility = message.source.facility_display or message.event.facility.name or "a hospital"
    reference = f"Encounter/{message.stay}"
    current = await ctx.resource(reference)
    made = encounter(
        now,
        message.event,
        patient,
        stay_id=message.stay,
        patient_display=display,
        facility_ref=message.source.facility,
        facility_display=facility,
    )
    told = Told(reference, patient, display, facility, message.source.facility)
    done, heard = await alert_writes(ctx, change, told, was, now)
    if current is None or _body(current[0]) != _body(made):
        change.writes.insert(0, ctx.write(made, current[1] if current else 0))
    for transition in done:
        event = ADT_ALERTED if transition.action == "alert" else ADT_RETRACTED
        log(event, inbox=message.inbox_id, trigger=message.event.code, transition=transition.kind)
    came = {"inbox": message.inbox_id, "feed": message.source.name, "control_id": message.control_id}
    came |= {"sha256": message.digest, "organization": message.source.facility}
    change.audit.append(ctx.audit("U", "adt-applied", reference, (patient,), detail={"source": came}))
    return heard


def _body(resource: Resource) -> Resource:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta}


def short_name(patient: Resource) -> str:
    """First given name and initial of the family name: enough to know whom, little enough for a line of an inbox."""
    names = patient.get("name") or [{}]
    name = next((n for n in names if n.get("use") == "official"), names[0])
    given, family = " ".join(name.get("given", [])[:1]), str(name.get("family", ""))
    return " ".join(part for part in (given, f"{family[:1]}." if family else "") if part) or "A member"
