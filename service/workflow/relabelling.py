"""Gives every stored version the labels that the rules of now say, beside the service: after these changed.

Former versions too: they are shown or hidden by their own labels. No version comes of it, and ETags stay.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fhir_profiles.sensitive_codes import listed
from service.access.context import parse
from service.access.labels import group_names, labels
from service.access.new_version import ruled
from service.search.clearance import high_water
from service.store import history, label_rules
from service.store.change import AuditRow, Change
from service.store.engine import Store
from service.store.label_rules import Stored
from service.store.slots import vid_at

BATCH = 200
WAIT_S, WAITS = 0.05, 1200


class StillWriting(Exception):
    """A transaction that began before the rules were read does not end."""


@dataclass
class Report:
    """Versions looked at; group -> how many of them got its label, and how many lost it."""

    seen: int = 0
    raised: Counter[str] = field(default_factory=Counter)
    lowered: Counter[str] = field(default_factory=Counter)


async def relabelled(store: Store, base_url: str) -> AsyncIterator[Report]:
    """The report as it grows, after each batch; goes on where a former run for the same rules was stopped.

    base_url: of the FHIR base, as the service has it. What is written meanwhile meets the rules at its own commit.
    """
    await _older_writes_ended(store)
    rules_now = label_rules.wanted(await label_rules.rules(store), listed().digest)
    bits = await label_rules.by_key(store)
    after = await label_rules.progress(store, rules_now)
    report, made = Report(), dict[int, int]()
    while found := await label_rules.batch(store, after, BATCH):
        change = Change()
        for one in found:
            wanted = made[one.key] = _labels(store, one, bits, base_url, made)
            report.seen += 1
            if wanted != one.labels:
                report.raised.update(group_names(wanted & ~one.labels))
                report.lowered.update(group_names(one.labels & ~wanted))
                change.statements += label_rules.relabel(one.vid, one.key, wanted)
        after = found[-1].vid
        made = {one.key: made[one.key] for one in found}
        change.statements.append(label_rules.reached(rules_now, after))
        await store.commit(change)
        yield report
    audit = AuditRow("E", "labels-apply", 0, "operator", "", reason=f"{report.seen} versions")
    await store.commit(Change(statements=[label_rules.applied(rules_now)], audit=[audit]))


def _labels(store: Store, one: Stored, bits: dict[int, int], base_url: str, made: dict[int, int]) -> int:
    """A deletion stays as hidden as what it deleted."""
    if one.body is None:
        return made.get(one.key, one.before)
    found = labels(parse(one.body), (bytes(one.body),))
    for key in ruled(bytes(one.body), store.keys, one.source_org, base_url):
        found |= bits.get(key, 0)
    return high_water(found)


async def _older_writes_ended(store: Store) -> None:
    """On PostgreSQL: a transaction that read the rules before they changed has committed what it writes."""
    began = vid_at(store.clock.now_us())
    for _ in range(WAITS):
        complete = await history.complete_until(store)
        newest = (await store.fetch("SELECT max(vid) FROM version"))[0][0] or 0
        if complete is None or complete >= min(newest, began):
            return
        await asyncio.sleep(WAIT_S)
    raise StillWriting
