"""What is due for one person over one channel: decided as the person would see it now, spread over channels, sent.

The row of the in-app list comes first. As it is listed, what the person wants beside is written as further rows, each
of which is decided again when it is due.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.access.context import parse
from service.notify import contact, morning, notices, persons
from service.notify.notice_sending import Desk, Ready, listed, send, suppressed, unsendable
from service.notify.persons import Person
from service.notify.preferences import channels_of, chosen, due_us
from service.search.restriction import EVERYTHING
from service.store import notice_preferences, read
from service.store import notices as stored
from service.store.change import Change
from service.store.notice_preferences import Preference
from service.store.notices import IN_APP, Notice
from service.store.read import Found
from service.store.together import together

MINUTE_US = 60_000_000
NONE = Preference("", "", "")


@dataclass(frozen=True)
class Decided:
    """reason: why the person is not told, or "". row: the preference that counts. wanted: channels, as of now."""

    notice: Notice
    found: Found | None
    reason: str = ""
    row: Preference = NONE
    wanted: tuple[str, ...] = ()


async def tell(desk: Desk, rows: Sequence[Notice]) -> None:
    """rows: all due of one recipient and channel."""
    reference, channel = rows[0].recipient, rows[0].channel
    targets = sorted({row.target for row in rows if row.target})
    who, wishes, heads = await together(
        desk.store,
        persons.person(desk.store, reference, desk.now_us, desk.behaviour.base_url),
        notice_preferences.of_person(desk.store, reference),
        read.heads(desk.store, targets, EVERYTHING),
    )
    if mornings := [row for row in rows if row.kind == morning.KIND]:
        await morning.tell(desk, who, wishes, mornings)
        rows = [row for row in rows if row.kind != morning.KIND]
    decided = [await _decide(desk, who, wishes, row, heads.get(row.target)) for row in rows]
    off = [one for one in decided if one.reason or (channel != IN_APP and channel not in one.wanted)]
    changes = [suppressed(desk, one.notice, one.found, one.reason or "preference") for one in off]
    kept = [one for one in decided if one not in off]
    if channel == IN_APP:
        changes += [await _list(desk, one) for one in kept]
    await asyncio.gather(*(desk.store.commit(change) for change in changes))
    if channel != IN_APP and who is not None and kept:
        await _push(desk, who, kept)


async def _decide(
    desk: Desk, who: Person | None, wishes: Sequence[Preference], notice: Notice, found: Found | None
) -> Decided:
    """found: the target as it stands."""
    if found is None or found.body is None:
        return Decided(notice, None, "deleted")
    if who is None or not who.callers:
        return Decided(notice, found, "no-person" if who is None else "no-role")
    seen = await persons.sees(desk.store, who, notice.target, desk.behaviour, desk.now_us)
    if seen is None:
        return Decided(notice, found, "no-access")
    resource = parse(seen.found.body)
    organization = seen.caller.organization
    names = who.names | {organization, f"{desk.behaviour.base_url}/{organization}"}
    if notice.kind == "escalation" and not await _escalates(desk, resource, who):
        return Decided(notice, found, "preference")
    if reason := notices.KINDS[notice.kind].still(resource, names):
        return Decided(notice, found, reason)
    row = chosen(wishes, seen.caller.role, notice.kind)
    there = contact.addresses(who.resource.get("telecom"), desk.now_us).keys() & desk.channels.keys()
    wanted = channels_of(row, notice.kind, notice.priority, there)
    if notices.is_correction(resource):
        # It follows what it corrects: who read that in a mail reads this in a mail, and nobody else.
        told = await stored.channels_told(desk.store, notice.recipient, notices.answered(resource), desk.now_us)
        wanted = list(dict.fromkeys([*(one for one in wanted if one == IN_APP), *told]))
    return Decided(notice, found, "", row, tuple(wanted))


async def _escalates(desk: Desk, alert: dict[str, object], to: Person) -> bool:
    """Whether one to whom the alert went still names this person."""
    for recipient in notices.recipients_of(alert):
        reference = await persons.practitioner_of(desk.store, recipient)
        wishes = await notice_preferences.of_person(desk.store, reference) if reference else []
        if any(row.escalate_to in to.names for row in wishes if row.escalate_min):
            return True
    return False


async def _list(desk: Desk, one: Decided) -> Change:
    """In the list, unless the person does not want that; and the rows of what is wanted beside, in one Change."""
    notice = one.notice
    change = Change(statements=[listed(notice, desk.now_us)], audit=[desk.row(notice, one.found)])
    if IN_APP not in one.wanted:
        change = suppressed(desk, notice, one.found, "preference")
    for channel in one.wanted:
        if channel != IN_APP:
            due = due_us(one.row, notice.kind, notice.priority, desk.now_us)
            change.statements.append(stored.told(_beside(desk, notice, channel=channel, due_us=due)))
    if notice.kind == "alert" and one.row.escalate_min:
        to = await persons.practitioner_of(desk.store, one.row.escalate_to)
        if to and to != notice.recipient:
            due = notice.at_us + one.row.escalate_min * MINUTE_US
            later = _beside(desk, notice, recipient=to, kind="escalation", due_us=due)
            change.statements.append(stored.told(later))
    return change


def _beside(desk: Desk, notice: Notice, **values: object) -> Notice:
    fresh = {"state": "waiting", "lease_until_us": 0, "attempts": 0, "settled_us": 0}
    return replace(notice, id=desk.store.next_id(desk.now_us), **(fresh | values))  # type: ignore[arg-type]


async def _push(desk: Desk, who: Person, kept: Sequence[Decided]) -> None:
    """Urgent ones by themselves; the others together, where there are several or the person wants digests."""
    channel = kept[0].notice.channel
    to = contact.addresses(who.resource.get("telecom"), desk.now_us).get(channel, "")
    if channel not in desk.channels or not to:
        reason = "not-configured" if channel not in desk.channels else "no-contact"
        for one in kept:
            await desk.store.commit(unsendable(desk, one.notice, reason))
        return
    alone: list[Decided] = []
    beside: list[Decided] = []
    for one in kept:
        terms = notices.terms()[one.notice.kind]
        quiet = replace(one.row, digest="")
        until = due_us(quiet, one.notice.kind, one.notice.priority, desk.now_us)
        if until > desk.now_us:  # quiet hours of now: a retry may fall into them, or the person set them meanwhile
            await desk.store.commit(Change(statements=[stored.changed(one.notice, due_us=until)]))
            continue
        passes = one.notice.priority in terms.passes_quiet and not one.row.quiet.endswith(" all")
        (alone if passes else beside).append(one)
    sends = [_send(desk, [one], to, whole=False) for one in alone]
    if beside:
        sends.append(_send(desk, beside, to, whole=len(beside) > 1 or bool(beside[0].row.digest)))
    await asyncio.gather(*sends)


async def _send(desk: Desk, decided: Sequence[Decided], to: str, *, whole: bool) -> None:
    language = decided[0].row.language or "en"
    await send(desk, [Ready(one.notice, one.found) for one in decided], to, language, whole=whole)
