"""One event of a message on its way to a Change: what is known of the message beside the event itself."""

from dataclasses import dataclass

import orjson

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.store import matches
from service.store.change import Change
from service.store.stay_rows import MessageRow
from service.store.together import each, together
from service.workflow import matching, rematching
from service.workflow.candidates import Candidates
from service.workflow.member_match import Match
from service.workflow.stay_world import rely_on_links
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
    _, found = await together(
        ctx.store, rely_on_links(ctx, change, [incoming.event]), matching.whose(ctx, incoming.event, stay, seen)
    )
    change.merge(await remembered(ctx, change, incoming, found, seen))
    return found


async def remembered(ctx: Context, change: Change, incoming: Incoming, found: Match, seen: Candidates) -> Change:
    """What waits under a number that is known from now on is matched anew, and so under those that merged into it."""
    fresh = await matching.unknown(ctx, incoming.event, found)
    if not fresh:
        return Change()
    led = await each(ctx.store, (seen.numbers(number) for number in fresh))
    links = await rematching.known_now(ctx, change, [*fresh, *(other for numbers in led for other in numbers)])
    patient = found.patient_ref or ""
    links.statements += [matches.link(number, patient, ctx.now_us, incoming.inbox_id) for number in fresh]
    return links
