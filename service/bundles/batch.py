"""batch: entries that know nothing of each other, several at once. https://hl7.org/fhir/R4/http.html#brules"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from service.access.context import Context
from service.bundles.answers import Asked, response_bundle
from service.bundles.entries import Entry
from service.bundles.single import SECONDS, single
from service.errors import Category, FhirError, Issue
from service.interactions.call import Call
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.notices import among
from service.store.change import Change

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of answers after which no further entry is begun: 500 searches of 200 resources would hold a gigabyte."""
AT_ONCE = 16
"""Entries in work: enough for them to share group commits, few enough to leave the others their turn."""


async def batch(ctx: Context, entries: Sequence[Entry], call: Call) -> Decision:
    """Each entry has its own outcome, commit and audit row; one more row says that it was a batch."""
    ctx.weight = max(1, len(entries))
    until_s = time.monotonic() + SECONDS
    parts = await in_lanes(ctx, entries, call.prefer.get("return", ""), until_s)
    body = response_bundle("batch", parts, ctx.new_id())
    return Decision(Change(audit=[ctx.audit("E", "batch", "Bundle")]), fixed(Answer(200, body, notice=among(parts))))


async def in_lanes(ctx: Context, entries: Sequence[Entry], returned: str, until_s: float) -> list[bytes]:
    """Answers in the order of the entries. Those about one resource follow each other as they were sent."""
    lanes: dict[str, list[int]] = {}
    for at, entry in enumerate(entries):
        lanes.setdefault(_resource(entry) or f"#{at}", []).append(at)
    places = asyncio.Semaphore(AT_ONCE)
    parts = [b""] * len(entries)
    size = 0

    async def run(lane: list[int]) -> None:
        nonlocal size
        async with places:
            for at in lane:
                entry = entries[at] if size <= MAX_ANSWER else replace(entries[at], error=_too_large())
                parts[at] = await single(ctx, entry, Asked(entry.method, returned), until_s)
                size += len(parts[at])
                await asyncio.sleep(0)  # on SQLite a read never waits: other requests get their turn here

    async with asyncio.TaskGroup() as group:
        for lane in lanes.values():
            group.create_task(run(lane))
    return parts


def _too_large() -> FhirError:
    text = f"The answer to this Bundle is longer than {MAX_ANSWER} bytes before this entry: send the rest in another."
    return FhirError(Category.TOO_LARGE, [Issue(text, code="too-costly")], reason="answer-too-large")


def _resource(entry: Entry) -> str:
    call = entry.route.call if entry.route else Call("")
    return f"{call.type}/{call.id}" if call.id else ""
