"""Sends notices that were decided, one or several as a digest, and says what came of each: sent, again later, failed.

What is sent is recorded after it went out: killed in between, it is sent again under the same message id.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.caller import system_caller
from service.log_events import NOTICE_FAILED, NOTICE_NO_WAY, log
from service.notify import backoff, in_hospital, persons
from service.notify.digests import of_many, of_one
from service.notify.model import Channels, Message, Outcome, Result
from service.store import notices
from service.store.change import AuditRow, Change, Statement
from service.store.engine import Store
from service.store.notices import Notice
from service.store.read import Found

TIMEOUT_S = 10.0


@dataclass
class Desk:
    """One pass over what is due. down: channels that did not answer in this pass; they are not asked again in it."""

    store: Store
    behaviour: Behaviour
    channels: Channels
    now_us: int
    down: set[str] = field(default_factory=set)

    @property
    def link(self) -> str:
        return self.behaviour.base_url.removesuffix("/fhir")

    def row(self, notice: Notice, found: Found | None, *, outcome: int = 0, reason: str = "") -> AuditRow:
        """For the auditor: whom the service told, or did not tell and why."""
        ctx = Context(self.store, system_caller(), self.now_us, self.behaviour, "notice")
        patients = ctx.patients_of(found) if found is not None else ()
        detail = {"to": notice.recipient, "by": notice.channel, "of": notice.kind}
        return ctx.audit("E", "notice", notice.target, patients, outcome=outcome, reason=reason, detail=detail)


@dataclass(frozen=True)
class Ready:
    """A notice that may go out, with the version of its target as it was decided about."""

    notice: Notice
    found: Found | None


def suppressed(desk: Desk, notice: Notice, found: Found | None, reason: str) -> Change:
    """Nothing goes out; the auditor sees why."""
    state = notices.changed(notice, state="suppressed", reason=reason, settled_us=desk.now_us)
    return Change(statements=[state], audit=[desk.row(notice, found, outcome=4, reason=reason)])


def unsendable(desk: Desk, notice: Notice, reason: str) -> Change:
    """No way leads to the person: a failure that stays visible, since somebody asked for this channel.

    A way that is not set up is one fact, which `enlace doctor` tells with its remedy, not a line for each notice.
    """
    if reason != "not-configured":
        log(NOTICE_NO_WAY, channel=notice.channel, reason=reason, kind=notice.kind)
    return Change(statements=[notices.changed(notice, state="failed", reason=reason, settled_us=desk.now_us)])


async def send(desk: Desk, ready: Sequence[Ready], to: str, language: str, *, whole: bool) -> None:
    """Over the channel of these notices, of one person. whole: as a digest."""
    first = ready[0].notice
    if whole:
        there = in_hospital.line(await present(desk, first.recipient), language, desk.now_us)
        said = of_many([one.notice.kind for one in ready], language, desk.link, there)
    else:
        said = of_one(first.kind, language, desk.link)
    sms = first.channel == "sms"
    message = Message(
        id=f"{'digest' if whole else 'notice'}-{first.id}",
        to=to,
        at_us=desk.now_us,
        subject=said.subject,
        text=said.sms if sms else said.text,
        timeout_s=TIMEOUT_S,
        language=language,
    )
    result = await sent_by(desk, first.channel, message)
    if result.outcome is Outcome.OK:
        await desk.store.commit(_told(desk, ready, result, whole=whole))
    else:
        await desk.store.commit(Change(statements=[later(desk, one.notice, result) for one in ready]))


async def present(desk: Desk, recipient: str) -> list[in_hospital.Present]:
    """What the person's own list shows: a number that counts more would tell of a stay that is hidden."""
    rows = await in_hospital.of_person(desk.store, recipient, desk.now_us)
    who = await persons.person(desk.store, recipient, desk.now_us, desk.behaviour.base_url) if rows else None
    if who is None:
        return []
    stays = [row.encounter for row in rows]
    shown = await persons.seen_of(desk.store, who, stays, desk.behaviour, desk.now_us)
    return [row for row in rows if row.encounter in shown]


async def sent_by(desk: Desk, channel: str, message: Message) -> Result:
    if channel in desk.down:
        return Result(Outcome.FAILED, reason="channel-down")
    result = await desk.channels[channel].send(message)
    if result.outcome is Outcome.FAILED:
        desk.down.add(channel)
    return result


def told_alone(desk: Desk, notice: Notice, found: Found | None, result: Result) -> Change:
    facts = {"attempts": notice.attempts + 1, "receipt": result.receipt[:200], "reason": ""}
    state = notices.changed(notice, state="sent", settled_us=desk.store.clock.now_us(), **facts)
    return Change(statements=[state], audit=[desk.row(notice, found)])


def _told(desk: Desk, ready: Sequence[Ready], result: Result, *, whole: bool) -> Change:
    now_us = desk.store.clock.now_us()
    if not whole:
        return told_alone(desk, ready[0].notice, ready[0].found, result)
    change = Change(audit=[desk.row(one.notice, one.found) for one in ready])
    digest = _digest(desk, ready[0].notice, result, now_us)
    change.statements = [notices.told(digest)]
    for one in ready:
        state = {"state": "collected", "digest": digest.id, "reason": "", "attempts": one.notice.attempts + 1}
        change.statements.append(notices.changed(one.notice, settled_us=now_us, **state))
    return change


def _digest(desk: Desk, first: Notice, result: Result, now_us: int) -> Notice:
    number = desk.store.next_id(now_us)
    return replace(
        first,
        id=number,
        kind="digest",
        priority="routine",
        target="",
        key=0,
        vid=number,
        state="sent",
        at_us=now_us,
        due_us=now_us,
        lease_until_us=0,
        attempts=1,
        settled_us=now_us,
        reason="",
        receipt=result.receipt[:200],
    )


def later(desk: Desk, notice: Notice, result: Result) -> Statement:
    now_us = desk.store.clock.now_us()
    failures = notice.attempts + 1
    ladder = backoff.failed(notice.attempts, notice.settled_us, now_us, result.outcome, failures, random.random)
    log(NOTICE_FAILED, channel=notice.channel, reason=result.reason, attempts=failures, kind=notice.kind)
    facts = {"attempts": failures, "reason": result.reason, "due_us": ladder.due_us}
    if ladder.over:
        return notices.changed(notice, **facts, state="failed", settled_us=now_us)
    return notices.changed(notice, **facts, settled_us=ladder.since_us)


def listed(notice: Notice, now_us: int) -> Statement:
    """In the person's list from now on: nothing has to be sent."""
    return notices.changed(notice, state="sent", settled_us=now_us, attempts=1)
