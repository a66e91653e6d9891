"""Messages about a person or a number, not about the state of a visit: merges, moves, links, deletions, demographics.

Facts: ../shared/facts/adt.md 1.1 (A24 to A51). What they say of a number is kept with the number and counts for the
stays under it, those that come later included: so the order of messages does not matter.
"""

from functools import partial

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.store import matches, stay_rows
from service.store.change import Change
from service.workflow import match_reviews
from service.workflow.candidates import Candidates
from service.workflow.incoming import Incoming, matched
from service.workflow.member_match import Match, mrn_system
from service.workflow.record_numbers import merged_numbers
from service.workflow.stay_identity import derived_id
from service.workflow.stay_numbers import MOVES, PERSON, Numbered, persons, record_numbers, said_of_numbers
from service.workflow.stay_settling import Said, Settled, settle
from service.workflow.stay_world import person_key, rely_on_numbers, waits

MERGES = frozenset({"merge", "move-person", "change-id"})
NUMBERED = MOVES | {"merge-account", "merge-visit", "change-visit", "change-alternate-visit"}


async def apply_person(ctx: Context, change: Change, incoming: Incoming) -> Settled:
    """Adds what follows to the Change; `ignored` where nothing of ours is touched."""
    effect = incoming.event.effect
    if effect in MERGES:
        return await _merge(ctx, change, incoming)
    if effect in NUMBERED:
        return await _number(ctx, change, incoming)
    if effect == "delete-person":
        return await _delete(ctx, change, incoming)
    if effect == "demographics":
        return await _demographics(ctx, change, incoming)
    if effect == "link":
        return await _link(ctx, change, incoming)
    return _untouched(incoming)


def _untouched(incoming: Incoming, patient: str = "") -> Settled:
    return Settled("ignored", f"no-visit-{incoming.event.effect}", patient, "")


async def _merge(ctx: Context, change: Change, incoming: Incoming) -> Settled:
    """Every stay under one of the numbers is matched anew by a job, which reads the merge."""
    event = incoming.event
    pairs = merged_numbers(event)
    at_us = event.occurred or incoming.received_us
    change.statements += [matches.merge(old, into, incoming.inbox_id, at_us) for old, into in pairs]
    seen = Candidates(ctx)
    chain = {other for pair in pairs for number in pair for other in await seen.numbers(number)}
    numbers = {person_key(ctx, *number) for number in chain.union(*pairs)}
    await rely_on_numbers(ctx, change, numbers)
    touched = await stay_rows.stays_of_numbers(ctx.store, numbers)
    touched = [stay for stay in touched if not stay.startswith("member-")]
    found = await matched(ctx, change, incoming, "")
    said = said_of_numbers(event)
    if said.edges:
        await settle(ctx, change, _said(incoming, said))
    change.jobs += [match_reviews.settle_job(stay) for stay in touched]
    if touched or said.edges:
        return Settled("applied", "numbers-noted", found.patient_ref or "", "")
    return _untouched(incoming, found.patient_ref or "")


def _said(incoming: Incoming, said: Numbered) -> Said:
    return Said(list(said.keys), edges=list(said.edges), cause=incoming.cause, inbox_id=incoming.inbox_id)


async def _number(ctx: Context, change: Change, incoming: Incoming) -> Settled:
    """A visit or an account goes on under another number, or belongs to another person."""
    numbered = said_of_numbers(incoming.event)
    said = _said(incoming, numbered)
    found = Match(None, "", "")
    await rely_on_numbers(ctx, change, numbered.keys)
    under = await stay_rows.stays_of_numbers(ctx.store, numbered.keys)
    said.keys += [key for key in under if key not in said.keys]
    if incoming.event.effect in MOVES:
        found = await matched(ctx, change, incoming, "")
        said.messages = [incoming.row(key, found) for key in _moved(incoming.event, numbered)]
        said.matches = [found] * len(said.messages)
    if not said.keys:
        return _untouched(incoming)
    touched = await settle(ctx, change, said)
    reason = "stay-moved" if incoming.event.effect in MOVES else "numbers-noted"
    stays = sorted({one.stay for one in touched.values() if one.patient})
    return Settled("applied", reason, found.patient_ref or "", stays[0] if len(stays) == 1 else "")


def _moved(event: AdtEvent, numbered: Numbered) -> list[str]:
    """Under which keys a move is kept: the visits that it names, or the account in all the forms of its number."""
    if event.effect == "move-account":
        return list(numbered.keys)
    targets = {edge.target for edge in numbered.edges}
    return [key for key in numbered.keys if key not in targets] or list(numbered.keys)


async def _delete(ctx: Context, change: Change, incoming: Incoming) -> Settled:
    """A record that was made in error: so were the stays under its numbers until then."""
    event = incoming.event
    numbers = persons(event, event.patient.ids, partial(person_key, ctx))
    await rely_on_numbers(ctx, change, numbers)
    stays = [s for s in await stay_rows.stays_of_numbers(ctx.store, numbers) if s.startswith("stay-")]
    found = await matched(ctx, change, incoming, "") if stays else Match(None, "", "")
    said = Said([*stays, *numbers], cause=incoming.cause, inbox_id=incoming.inbox_id)
    said.messages = [incoming.row(number, found) for number in numbers]
    said.matches = [found] * len(said.messages)
    if not numbers:
        return _untouched(incoming)
    await settle(ctx, change, said)
    return Settled("applied", "person-deleted", found.patient_ref or "", "") if stays else _untouched(incoming)


async def _demographics(ctx: Context, change: Change, incoming: Incoming) -> Settled:
    """Death can arrive in any message. What else it says of the person may let stays match that wait (A31)."""
    event = incoming.event
    found = await matched(ctx, change, incoming, "")
    patient, dead = found.patient_ref or "", event.patient.deceased
    if dead is None or not (patient or dead):
        return Settled("applied", found.reason, patient, "") if patient else _untouched(incoming)
    ids = record_numbers(event.patient.ids)
    key = person_key(ctx, mrn_system(event, ids[0]), ids[0].value) if ids else ""
    key = key or PERSON + derived_id("message", event.source, event.control_id, str(event.message_time))
    said = Said([key], [incoming.row(key, found)], [found], cause=incoming.cause, inbox_id=incoming.inbox_id)
    settled = (await settle(ctx, change, said))[(key, incoming.inbox_id)]
    if settled.state == "applied":
        return Settled("applied", settled.reason, patient, "")
    waits(ctx, change, event)
    change.statements += match_reviews.opened(ctx, key, incoming.inbox_id, event.source, found)
    return settled


async def _link(ctx: Context, change: Change, incoming: Incoming) -> Settled:
    """Two records of a hospital are one person's (A24). Where they are two members of ours a person must look."""
    event = incoming.event
    mine = await matched(ctx, change, incoming, "")
    others = await matches.linked(ctx.store, [(mrn_system(event, i), i.value) for i in event.linked])
    rivals = sorted({other for other in others.values() if mine.patient_ref and other != mine.patient_ref})
    if not rivals or mine.patient_ref is None:
        return _untouched(incoming, mine.patient_ref or "")
    accounts = await stay_rows.accounts(ctx.store, mine.patient_ref)
    last = max(accounts, key=lambda row: (row.seen_us, row.stay), default=None)
    if last is None:
        return _untouched(incoming, mine.patient_ref)
    conflict = Match(None, "", "identifier-conflict", ("mrn=linked-by-sender",))
    change.statements += match_reviews.opened(ctx, last.account, incoming.inbox_id, event.source, conflict)
    return Settled("applied", "linked-by-sender", mine.patient_ref, "")
