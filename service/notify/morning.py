"""The morning's look: at 07:30 of their zone lead care managers hear how many of their members are in hospital now.

In numbers, by the channels of kind `in-hospital` (notice_kinds.json); the names are in Practitioner/[id]/$in-hospital.
A preference of that kind sets other times, other channels, or none. Where nobody is in hospital nothing is sent.
"""

from collections.abc import Sequence
from typing import Any

from service.access.context import Context
from service.notify import contact, in_hospital
from service.notify.digests import of_many
from service.notify.model import Message, Outcome
from service.notify.notice_sending import TIMEOUT_S, Desk, later, present, sent_by, suppressed, told_alone
from service.notify.persons import Person, practitioner_of
from service.notify.preferences import CHANNELS, channels_of, chosen, due_us, next_digest_us, zone_of
from service.store import alert_work, notice_preferences, notices
from service.store.change import Change
from service.store.notice_preferences import Preference
from service.store.notices import IN_APP, Notice

KIND = "in-hospital"
TIME = "07:30"
HOUR_US = 3_600_000_000
LOOK_US = 2 * HOUR_US
"""The job comes once an hour: each look reaches into the next, and a notice is made once."""


async def due(ctx: Context, _payload: dict[str, Any]) -> Change:
    """Job "notice.morning": the notices that fall due before long, of those who have somebody in hospital now."""
    change = Change()
    patients = await alert_work.patients_in_hospital(ctx.store)
    for reference in await alert_work.leads_of(ctx.store, patients, ctx.now_us):
        person = await practitioner_of(ctx.store, reference)
        wishes = await notice_preferences.of_person(ctx.store, person) if person else []
        row = chosen(wishes, "lcm", KIND)
        at_us = next_digest_us(_times(row), zone_of(row), ctx.now_us)
        if not person or at_us > ctx.now_us + LOOK_US:
            continue
        for channel in channels_of(row, KIND, "routine", CHANNELS):
            if channel != IN_APP:
                number = ctx.store.next_id(ctx.now_us)
                # The negative moment in the place of a version: once for each person, moment and channel.
                facts = (number, person, KIND, "routine", channel, "", 0, -(at_us // 1_000_000))
                change.statements.append(notices.told(Notice(*facts, state="waiting", at_us=ctx.now_us, due_us=at_us)))
    return change


def _times(row: Preference) -> list[str]:
    """Of a row for all kinds the times are those of its digests, not of this."""
    return row.digest.split() if row.kind == KIND and row.digest else [TIME]


async def tell(desk: Desk, who: Person | None, wishes: Sequence[Preference], rows: Sequence[Notice]) -> None:
    """rows: of this kind, of one person and channel; an older one that is still there says nothing new."""
    *older, last = sorted(rows, key=lambda one: one.at_us)
    for one in older:
        await desk.store.commit(suppressed(desk, one, None, "superseded"))
    role = who.callers[0].role if who is not None and who.callers else ""
    row = chosen(wishes, role, KIND)
    to = contact.addresses(who.resource.get("telecom"), desk.now_us).get(last.channel, "") if who else ""
    reason = "no-role" if not role else "no-contact" if not to or last.channel not in desk.channels else ""
    if not reason and last.channel not in channels_of(row, KIND, "routine", CHANNELS):
        reason = "preference"
    there = in_hospital.line(await present(desk, last.recipient), row.language or "en", desk.now_us)
    if reason or there is None:
        await desk.store.commit(suppressed(desk, last, None, reason or "nobody"))
        return
    until = due_us(Preference(row.person, row.role, KIND, quiet=row.quiet, zone=row.zone), KIND, "routine", desk.now_us)
    if until > desk.now_us:
        await desk.store.commit(Change(statements=[notices.changed(last, due_us=until)]))
        return
    said = of_many([], row.language or "en", desk.link, there)
    text = there.sms if last.channel == "sms" else said.text.partition("\n\n")[2].strip()
    message = Message(
        id=f"morning-{last.id}", to=to, at_us=desk.now_us, subject=there.subject, text=text, timeout_s=TIMEOUT_S,
        language=row.language or "en",
    )  # fmt: skip
    result = await sent_by(desk, last.channel, message)
    change = told_alone(desk, last, None, result) if result.outcome is Outcome.OK else None
    await desk.store.commit(change or Change(statements=[later(desk, last, result)]))
