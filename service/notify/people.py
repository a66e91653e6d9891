"""Notices to people: which versions tell whom (`noticed`, called by matching), and their delivery (`deliver_due`)."""

import asyncio
from collections.abc import Iterable, Sequence

from fhir_profiles import Resource
from service.access.context import Settings as Behaviour
from service.access.context import parse
from service.log_events import NOTICE_BROKEN, log, where
from service.notify import member_messages, reply_messages, telling
from service.notify.model import Channels, Item
from service.notify.notice_sending import Desk
from service.notify.notices import KINDS, LEAD, MEMBERS, RTYPES, concerned, is_correction, priority_of, subject_of
from service.notify.persons import practitioner_of
from service.search.keys import Keys
from service.search.references import normal_reference
from service.store import handed_over, notice_preferences, notices, stays
from service.store.change import Change, Statement
from service.store.database import Full, Unavailable
from service.store.engine import Store
from service.store.notices import IN_APP, Notice

BATCH = 40
"""People and channels of one pass; with AT_ONCE it is over before its lease ends, also where a mail server is slow."""
AT_ONCE = 8
FAULT_US = 60_000_000


async def noticed(store: Store, keys: Keys, items: Sequence[Item], now_us: int, base_url: str) -> list[Statement]:
    """What matching commits beside its own, so that each version is told once to each person. Reads, writes nothing."""
    statements: list[Statement] = []
    told: set[tuple[str, str, object]] = set()
    last = {item.key: item.body for item in items}
    known: dict[tuple[str, str], Iterable[str]] = {}
    for item in items:
        if item.rtype not in RTYPES or item.body is None:
            continue
        new = parse(item.body)
        old: Resource = parse(item.before) if item.before else {}
        successors = await _successors(store, item, new, now_us)
        for kind, whom in [*concerned(item.rtype, new, old), *(("alert", one) for one in successors)]:
            # The EpisodeOfCare and the CareTeam of one assignment come together and are told once; not by one that was
            # taken back in the same batch, since it would be suppressed when it is sent.
            about = item.patient if kind == "assignment" else item.vid
            if kind == "assignment" and _over(kind, last[item.key], whom):
                continue
            named = kind, normal_reference(whom, base_url) or ""
            if named not in known:
                known[named] = await _people(store, *named)
            for recipient in known[named]:
                if (recipient, kind, about) not in told:
                    told.add((recipient, kind, about))
                    statements.append(notices.told(_notice(store, item, kind, recipient, priority_of(new), now_us)))
    return statements


def _over(kind: str, body: bytes | None, whom: str) -> bool:
    """Whether the resource in this version no longer concerns them."""
    return body is None or bool(KINDS[kind].still(parse(body), frozenset({whom})))


async def _successors(store: Store, item: Item, new: Resource, now_us: int) -> list[str]:
    """Of a correction to a former lead care manager: who leads the member's care now. Once, as the correction comes."""
    if item.before is not None or not is_correction(new) or not any(concerned(item.rtype, new, {})):
        return []
    leads = await stays.responsible(store, subject_of(new), LEAD, now_us)
    return [one for one in leads if await handed_over.is_to(store, item.reference, one, now_us)]


async def _people(store: Store, kind: str, reference: str) -> Iterable[str]:
    """Of a role its person; of an organization those who asked for this kind by a preference of their own."""
    if reference.startswith(MEMBERS):
        return [reference] if kind == "member-message" else []
    if reference.startswith("Organization/"):
        return await notice_preferences.who_asked(store, reference, kind)
    person = await practitioner_of(store, reference)
    return [person] if person else []


def _notice(store: Store, item: Item, kind: str, recipient: str, priority: str, now_us: int) -> Notice:
    channel = member_messages.PREFERRED if kind == "member-message" else IN_APP
    facts = (recipient, kind, priority, channel, item.reference, item.key, item.vid)
    return Notice(store.next_id(now_us), *facts, state="waiting", at_us=now_us, due_us=now_us)


async def deliver_due(store: Store, behaviour: Behaviour, channels: Channels, now_us: int) -> int:
    """Sends what is due now and commits what came of it; how many notices it settled or put off. 0: nothing is due."""
    claimed = await notices.claim(store, now_us, BATCH)
    groups: dict[tuple[str, str], list[Notice]] = {}
    for notice in claimed:
        groups.setdefault((notice.recipient, notice.channel), []).append(notice)
    desk = Desk(store, behaviour, channels, now_us)
    limit = asyncio.Semaphore(AT_ONCE)
    listed = [rows for (_, channel), rows in groups.items() if channel == IN_APP]
    pushed = [rows for (_, channel), rows in groups.items() if channel != IN_APP]
    for several in (listed, pushed):  # nobody's list waits for a mail server
        await asyncio.gather(*(_one(desk, rows, limit) for rows in several))
    return len(claimed)


async def _one(desk: Desk, rows: Sequence[Notice], limit: asyncio.Semaphore) -> None:
    """What fails by our fault is tried again in a minute; where the store is away, when the lease ends."""
    async with limit:
        try:
            if rows[0].recipient.startswith(MEMBERS):
                for row in rows:
                    await member_messages.tell(desk, row)
            elif rows[0].recipient.startswith(reply_messages.TO):
                for row in rows:
                    await reply_messages.tell(desk, row)
            else:
                await telling.tell(desk, rows)
        except (Unavailable, Full):
            return
        except Exception as error:  # one person's broken notice must not hold up the others'
            log(NOTICE_BROKEN, kind=rows[0].kind, **where(error))
            due_us = desk.now_us + FAULT_US
            await desk.store.commit(Change(statements=[notices.changed(row, due_us=due_us) for row in rows]))
