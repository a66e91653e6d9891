"""A stay decided anew from all its messages, numbers, merges and decisions: whose it is, what is written and told.

The final state is a function of the set of messages (../shared/facts/adt.md 1.6): nothing here looks at the order of
arrival but to say what is news. `settle` serves the arrival of a message; the job adt.settle what came otherwise
(a person's decision, the roster, a merge of record numbers, silence).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.access.context import Context
from service.store import matches, stay_rows
from service.store.change import Change
from service.store.stay_rows import AccountRow, MessageRow
from service.store.together import each, together
from service.workflow import match_reviews, matching
from service.workflow.candidates import Candidates
from service.workflow.member_match import Match
from service.workflow.parties import reference_of
from service.workflow.stay_aliases import Edge
from service.workflow.stay_members import settle_member
from service.workflow.stay_owner import Claim, Decided, Owned, owned, why_not
from service.workflow.stay_picture import of_world, stretch
from service.workflow.stay_threads import Stretch
from service.workflow.stay_world import (
    Held,
    Loaded,
    Message,
    Number,
    World,
    held_of,
    load,
    member_key,
    message_of,
    rely_on_links,
    rely_on_member,
    waits,
)
from service.workflow.stay_writes import Cause

NOBODY = "nobody-to-tell"
"""Applied, but the member has neither a lead care manager nor an ECM provider; replay the message once there is one."""


@dataclass
class Said:
    """What one message adds; a job adds nothing and asks whose each message is anew.

    keys: of the stays (and numbers) that are decided. matches: what the new messages matched by themselves.
    """

    keys: list[str]
    messages: list[MessageRow] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    numbers: set[Number] = field(default_factory=set)
    cause: Cause = field(default_factory=Cause)
    inbox_id: int = 0


@dataclass(frozen=True)
class Settled:
    """What became of the message itself: the state of its inbox row, the member, and the id of the Encounter."""

    state: str
    reason: str
    patient: str
    stay: str


async def settle_stay(ctx: Context, stay: str) -> Change:
    """stay: any of its keys, or its Encounter's id. Its messages are matched anew."""
    keys = {stay, *await stay_rows.keys_of_encounter(ctx.store, stay)}
    change = Change()
    await settle(ctx, change, Said(sorted(keys)))
    return change


async def settle_job(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"stay": key or Encounter.id}"""
    return await settle_stay(ctx, str(payload["stay"]))


async def settle(
    ctx: Context, change: Change, said: Said, loaded: Loaded | None = None
) -> dict[tuple[str, int], Settled]:
    """Adds all that follows to the Change; what became of each new message. loaded: load() of what is said."""
    loaded = loaded or await load(ctx, change, said.keys, said.edges, said.numbers)
    before = loaded.before
    for row in said.messages:
        # A replay tells again what could not be told: what stands from it is no news to nobody.
        before.messages.pop((row.stay, row.inbox_id), None)
    after = World(dict(before.messages), before.edges | set(said.edges), before.numbers | said.numbers)
    after.messages |= {(row.stay, row.inbox_id): message_of(row) for row in said.messages}
    found = {(row.stay, row.inbox_id): match for row, match in zip(said.messages, said.matches, strict=True)}
    if not said.messages:
        await rely_on_links(ctx, change, (message.event for message in after.messages.values()))
        found = await _matched_anew(ctx, after, loaded)
    groups = after.groups(loaded.keys)
    verdicts, held, loaded.encounters = await together(
        ctx.store,
        each(ctx.store, (_decided(ctx, account, keys, loaded.accounts) for account, keys in groups.items())),
        _held(ctx, said, loaded),
        _encounters(ctx, groups),
    )
    owners: dict[str, Owned] = {}
    for (account, keys), decided in zip(groups.items(), verdicts, strict=True):
        owners[account] = _counted(after, after.of(keys), decided)
    _of_persons(after)
    _record(change, said, before, after)
    change.bump_epochs |= {ctx.store.keys.of("stay", key) for key in loaded.keys}
    change.bump_epochs |= {ctx.store.keys.of("stay", number) for number, _ in said.numbers - before.numbers}
    encounters, heard = await _members(ctx, change, said, loaded, after, owners, held)
    outcome = {m.key: _outcome(m, groups, encounters, heard) for m in after.messages.values()}
    _answer(change, said, loaded, after, outcome)
    _reviews(ctx, change, after, groups, owners, found)
    return {(row.stay, row.inbox_id): outcome[(row.stay, row.inbox_id)] for row in said.messages}


async def _matched_anew(ctx: Context, after: World, loaded: Loaded) -> dict[tuple[str, int], Match]:
    """Whose each message is by itself, as the roster, the numbers and the decisions are now."""
    seen, found = Candidates(ctx), dict[tuple[str, int], Match]()
    for account, keys in after.groups(loaded.keys).items():
        for message in after.of(keys) + [m for m in after.messages.values() if m.row.stay in keys]:
            if message.key not in found:
                match = await matching.whose(ctx, message.event, account, seen)
                found[message.key] = match
                row = replace(message.row, own=match.patient_ref or "", reason=match.reason)
                after.messages[message.key] = message.noted(row)
    return found


async def _decided(ctx: Context, account: str, keys: Iterable[str], accounts: Sequence[AccountRow]) -> Decided:
    """What people said of the stay, under any of its names."""
    names = {account, *keys, *(row.encounter for row in accounts if row.stay in keys)}
    rows = await matches.decisions(ctx.store, [matches.stay_subject(name) for name in sorted(names)])
    same = [row.patient for row in rows if row.verdict == matches.SAME]
    refused = frozenset(row.patient for row in rows if row.verdict == matches.OTHER)
    nobody = any(row.verdict == matches.NOBODY for row in rows)
    return Decided(same[0] if len(set(same)) == 1 else "", refused, nobody)


def _counted(after: World, messages: Sequence[Message], decided: Decided) -> Owned:
    """Decides for whom the messages of one stay count, and notes it on them."""
    claiming = sorted((m for m in messages if m.event.visit is not None or m.moves), key=lambda m: m.order)
    claims = {m.key: Claim(n, m.row.own, m.row.reason, m.moves) for n, m in enumerate(claiming)}
    owner = owned(list(claims.values()), decided)
    for message in claiming:
        claim = claims[message.key]
        joined = owner.patient if claim.id in owner.joined else ""
        reason = claim.reason if joined else why_not(claim, owner)
        row = replace(message.row, patient=joined, reason=reason)
        after.messages[message.key] = message.noted(row)
    return owner


def _of_persons(after: World) -> None:
    """What is told of a person without a stay counts for whom it names."""
    for key, message in after.messages.items():
        if message.event.effect == "demographics":
            after.messages[key] = message.noted(replace(message.row, patient=message.row.own))


def _record(change: Change, said: Said, before: World, after: World) -> None:
    new = {(row.stay, row.inbox_id) for row in said.messages}
    for key, message in after.messages.items():
        known = before.messages.get(key)
        if key in new or known is None:
            occurred_us = message.event.occurred or message.row.received_us
            change.statements.append(stay_rows.put_message(message.row, occurred_us))
        elif known.row != message.row:
            change.statements.append(stay_rows.counted(message.row))
    change.statements += [stay_rows.alias(e.stay, e.target, e.at_us, said.inbox_id) for e in said.edges]
    change.statements += [stay_rows.number(*one) for one in sorted(said.numbers - before.numbers)]
    for key, message in after.messages.items():
        known = before.messages.get(key)
        if message.event.effect == "demographics" and message.row.patient and (known is None or known != message):
            change.statements.append(stay_rows.number(message.row.stay, member_key(message.row.patient)))


async def _held(ctx: Context, said: Said, loaded: Loaded) -> dict[str, Held]:
    """Of the members whose stays these most likely are; of others it is read when they turn out to be theirs."""
    likely = {match.patient_ref for match in said.matches} | {row.patient for row in loaded.accounts}
    patients = sorted(patient for patient in likely if patient)
    return dict(zip(patients, await each(ctx.store, (held_of(ctx, one) for one in patients)), strict=True))


async def _encounters(ctx: Context, accounts: Iterable[str]) -> dict[str, str]:
    """See Loaded.encounters."""
    names = list(accounts)
    found = await each(ctx.store, (ctx.resource(f"Encounter/{name}") for name in names))
    return {name: reference_of(one[0], "subject") if one else "" for name, one in zip(names, found, strict=True)}


async def _members(
    ctx: Context,
    change: Change,
    said: Said,
    loaded: Loaded,
    after: World,
    owners: dict[str, Owned],
    known: dict[str, Held],
) -> tuple[dict[str, str], bool]:
    """(account -> Encounter.id, whether there was somebody to tell)."""
    touched = set(owners) | {row.account for row in loaded.accounts}
    patients = {row.patient for row in loaded.accounts} | {o.patient for o in owners.values()}
    patients |= {m.row.patient for w in (loaded.before, after) for m in w.messages.values()}
    encounters: dict[str, str] = {}
    heard = True
    accounts = of_world(after, after.groups(loaded.keys))
    for patient in sorted(patients - {""}):
        held = known.get(patient) or await held_of(ctx, patient)
        rely_on_member(change, held)
        own: dict[str, Stretch] = {}
        for account, owner in owners.items():
            made = stretch(account, accounts(account), patient, ctx.now_us) if owner.patient == patient else None
            if made is not None:
                own[account] = made
        result = await settle_member(ctx, change, patient, said.cause, loaded, after, touched, own, held)
        encounters |= result.encounters
        heard = heard and result.heard
    return encounters, heard


def _outcome(message: Message, groups: dict[str, frozenset[str]], encounters: dict[str, str], heard: bool) -> Settled:
    account = next((a for a, keys in groups.items() if message.row.stay in keys), message.row.stay)
    patient = message.row.patient
    if not patient:
        return Settled("unmatched", message.row.reason, "", account)
    named = bool(message.row.own)
    reason = NOBODY if not heard else message.row.reason if named else "same-stay"
    return Settled("applied", reason, patient, encounters.get(account, account))


def _answer(change: Change, said: Said, loaded: Loaded, after: World, outcome: dict[tuple[str, int], Settled]) -> None:
    """What became of messages that were handled before: who has them now, and under which Encounter."""
    new = {row.inbox_id for row in said.messages}
    stood = {row.stay: row.encounter for row in loaded.accounts}
    for key, known in loaded.before.messages.items():
        now, message = outcome[key], after.messages[key]
        if known.row.inbox_id in new:
            continue
        if known.row.patient != message.row.patient:
            reason = "matched-later" if now.state == "applied" else now.reason
            change.statements.append(stay_rows.answered(key[1], now.state, reason, now.patient, now.stay))
        elif now.state == "applied" and message.event.visit is not None and stood.get(key[0], now.stay) != now.stay:
            change.statements.append(stay_rows.moved(key[1], now.stay))


def _reviews(
    ctx: Context,
    change: Change,
    after: World,
    groups: dict[str, frozenset[str]],
    owners: dict[str, Owned],
    found: dict[tuple[str, int], Match],
) -> None:
    """A message that counts for nobody waits for a person or for the roster; a stay without one is settled."""
    for account, keys in groups.items():
        mine = [after.messages[m.key] for m in after.of(keys) if m.event.visit is not None or m.moves]
        waiting = [m for m in mine if not m.row.patient]
        if mine and not waiting and owners[account].patient:
            change.statements += match_reviews.settled(account, ctx.now_us)
        for message in waiting:
            waits(ctx, change, message.event)
            match = found.get(message.key)
            if match is None:
                continue
            if match.patient_ref is not None:
                match = replace(match, patient_ref=None, reason=message.row.reason)
            source = message.event.source
            change.statements += match_reviews.opened(ctx, account, message.row.inbox_id, source, match)
