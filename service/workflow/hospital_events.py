"""One stored HL7 v2 message -> the state of its stays -> Encounters, alerts, follow-ups; or a named reason why not.

Read, decide, return a Change: the worker commits it together with the end of its job. What a message says is recorded,
then the stays that it is about are decided anew from all that is recorded (stay_settling.py). Facts:
../shared/facts/adt.md 1.6, 5.
"""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.source import SourceConfig
from service.access.context import Context
from service.log_events import ADT_MATCHED, ADT_UNMAPPED, ADT_UNMATCHED, identifier, log
from service.store import inbox, inbox_terms, sources
from service.store.change import Change
from service.store.together import together
from service.workflow import matching
from service.workflow.candidates import Candidates
from service.workflow.incoming import Incoming, remembered
from service.workflow.match_reviews import settle_job
from service.workflow.member_match import Match
from service.workflow.message_reading import read
from service.workflow.person_events import apply_person
from service.workflow.sending_systems import config_of
from service.workflow.stay_identity import stay_key
from service.workflow.stay_numbers import numbers_of
from service.workflow.stay_owner import SPARSE
from service.workflow.stay_settling import NOBODY, Said, Settled, settle
from service.workflow.stay_world import load, person_key
from service.workflow.stay_writes import Cause

__all__ = ["NOBODY", "SPARSE", "apply_adt"]


async def apply_adt(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"inbox": id}. Everything ends in a state of the inbox row that a person can see."""
    inbox_id = int(payload["inbox"])
    stored, sender = await together(
        ctx.store, inbox.message(ctx.store, inbox_id), sources.of_message(ctx.store, inbox_id)
    )
    if stored is None:
        return Change()
    raw, source_name, received_us = stored
    source = config_of(sender) if sender else None
    if source is None and source_name.strip("?!") == "":  # nothing in it says who sent it: see inbox_keeping
        return _ended(ctx, inbox_id, Settled("unreadable", "no-header", "", ""))
    if source is None:
        return _ended(ctx, inbox_id, Settled("unregistered", "source-not-registered", "", ""))
    said = read(raw, source, received_us)
    _report(inbox_id, source, said.findings)
    if not said.events:
        return _ended(ctx, inbox_id, Settled(said.state, said.refused, "", ""))
    if (said.events[0].processing_id.strip().upper() or "P") not in source.processing_ids:
        return _ended(ctx, inbox_id, Settled("ignored", "not-production", "", ""))
    change, outcomes = Change(), list[Settled]()
    digest = sha256(raw).hexdigest()
    for event in said.events:
        cause = Cause(inbox_id, received_us, event.code, source.name, event.control_id, digest, _place(event, source))
        part, outcome = await _apply(ctx, Incoming(inbox_id, received_us, event, cause))
        part.statements += await inbox_terms.terms(ctx.store, inbox_id, event, outcome.patient)
        _join(change, part, outcome)
        outcomes.append(outcome)
    best = next((one for one in outcomes if one.state == "applied"), outcomes[0])
    return change.merge(_ended(ctx, inbox_id, best))


def _place(event: AdtEvent, source: SourceConfig) -> str:
    """Of a feed of many facilities that of the message."""
    return event.facility.reference or source.facility


def _ended(ctx: Context, inbox_id: int, end: Settled) -> Change:
    statement = inbox.handled(inbox_id, end.state, end.reason, patient=end.patient, stay=end.stay, now_us=ctx.now_us)
    return Change(statements=[statement])


def _report(inbox_id: int, source: SourceConfig, findings: Sequence[Finding]) -> None:
    """Unmapped codes are told by their place, never by their value."""
    for finding in findings:
        if finding.severity != "information" and "-" in finding.location:
            segment, _, field = finding.location.partition("-")
            about = {"source": source.name, "segment": segment, "field": field, "table": finding.code}
            log(ADT_UNMAPPED, inbox=inbox_id, **{name: identifier(text) for name, text in about.items()})


async def _apply(ctx: Context, incoming: Incoming) -> tuple[Change, Settled]:
    change, event = Change(), incoming.event
    if event.visit is None:
        return change, await apply_person(ctx, change, incoming)
    key = stay_key(event, event.source)
    said = Said([key], cause=incoming.cause, inbox_id=incoming.inbox_id)
    said.numbers = {(number, key) for number in numbers_of(event, partial(person_key, ctx))}
    seen = Candidates(ctx)
    # What is relied on first: a number that becomes known meanwhile is not missed.
    loaded, found = await together(
        ctx.store, load(ctx, change, said.keys, said.edges, said.numbers), matching.whose(ctx, event, key, seen)
    )
    said.messages, said.matches = [incoming.row(key, found)], [found]
    outcome, links = await together(
        ctx.store, settle(ctx, change, said, loaded), remembered(ctx, change, incoming, found, seen)
    )
    settled = outcome[(key, incoming.inbox_id)]
    if found.patient_ref and settled.patient == found.patient_ref:
        change.merge(links)
    _log(incoming, found, settled)
    return change, settled


def _log(incoming: Incoming, found: Match, settled: Settled) -> None:
    if settled.patient:
        log(ADT_MATCHED, inbox=incoming.inbox_id, trigger=incoming.event.code, rule=found.tier or "same-stay")
    else:
        log(ADT_UNMATCHED, inbox=incoming.inbox_id, trigger=incoming.event.code, reason=settled.reason)


def _join(change: Change, part: Change, outcome: Settled) -> None:
    """Two stays of one message (A17) are mostly two members'; of the same, the second is decided by its own job."""
    known = {write.reference for write in change.writes}
    if known & {write.reference for write in part.writes}:
        part.writes = [write for write in part.writes if write.reference not in known]
        if outcome.stay:
            part.jobs.append(settle_job(outcome.stay))
    change.merge(part)
