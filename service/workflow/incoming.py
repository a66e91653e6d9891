"""One event of a message on its way to a Change: what is known of the message beside the event itself."""

from dataclasses import dataclass

import orjson

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.store.change import Change, Job
from service.store.stay_rows import MessageRow
from service.workflow import matching
from service.workflow.candidates import Candidates
from service.workflow.member_match import Match
from service.workflow.stay_numbers import PERSON
from service.workflow.stay_writes import Cause


@dataclass
class Incoming:
    inbox_id: int
    received_us: int
    event: AdtEvent
    cause: Cause

    def row(self, key: str, found: Match) -> MessageRow:
        """As it is kept under a key. For whom it counts is decided with its stay."""
        event = orjson.dumps(self.event.to_json()).decode()
        return MessageRow(key, self.inbox_id, self.received_us, "", event, found.patient_ref or "", found.reason)


async def matched(ctx: Context, change: Change, incoming: Incoming, stay: str) -> Match:
    """Whom the message names by itself. A confirmed match makes the hospital's numbers known from now on."""
    seen = Candidates(ctx)
    found = await matching.whose(ctx, incoming.event, stay, seen)
    change.merge(await remembered(ctx, incoming, found, seen))
    return found


async def remembered(ctx: Context, incoming: Incoming, found: Match, seen: Candidates) -> Change:
    """What waits under a number that is known from now on is matched anew, and so under those that merged into it."""
    links = await matching.remembered(ctx, incoming.event, found, incoming.inbox_id)
    for number in [job.payload["number"] for job in links.jobs if "number" in job.payload]:
        for other in await seen.numbers((number[0], number[1])):
            if list(other) != list(number):
                links.jobs.append(Job("adt.rematch", {"number": list(other)}))
    return links


def person_key(ctx: Context, system: str, number: str) -> str:
    return f"{PERSON}{ctx.store.keys.of('person', system, number) & (1 << 64) - 1:016x}"
