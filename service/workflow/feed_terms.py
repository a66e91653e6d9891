"""Job `adt.terms`: what messages are found by, for those that came before there were terms, or that had no effect."""

from typing import Any

from mappers.hl7v2.source import SourceConfig
from service.access.context import Context
from service.store import inbox_terms, sources
from service.store.change import Change, Job
from service.store.inbox import Received
from service.workflow.message_reading import read
from service.workflow.sending_systems import config_of

PAGE = 500
SETTLED_US = 60_000_000
"""A younger message may still be on its way to its effect, which writes its terms."""


async def fill_terms(ctx: Context, payload: dict[str, Any]) -> Change:
    """A page of messages; the next page is the next job. Started every minute by workflow/feed_watch.py."""
    after = await inbox_terms.done_upto(ctx.store)
    page = await inbox_terms.beyond(ctx.store, after, ctx.now_us - SETTLED_US, PAGE)
    known = {source.name: config_of(source) for source in await sources.all_sources(ctx.store)}
    change = Change()
    for row, raw, has in page:
        if not has:
            source = known.get(row.source) or SourceConfig(row.source)
            change.statements += inbox_terms.put(ctx.store, row.id, terms_of(row, raw, source))
    if page:
        change.statements.append(inbox_terms.done(page[-1][0].id))
    if len(page) == PAGE:
        upto = page[-1][0].id
        change.jobs.append(Job("adt.terms", {}, dedupe=f"adt.terms:{upto}"))
    return change


def terms_of(row: Received, raw: bytes, source: SourceConfig) -> list[inbox_terms.Term]:
    """Of what no event can be read, the event code of the header alone."""
    said = read(raw, source, row.received_us)
    found = [term for event in said.events for term in inbox_terms.of_event(event, row.patient)]
    return found or [inbox_terms.of_code(row.event)]
