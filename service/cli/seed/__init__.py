"""`enlace seed`: a made-up county, the same for the same --members, --seed and day (../shared/contract.md).

Two plans, three ECM providers, eight community organizations, three hospitals, members with everything that ECM
writes about them, and Sonja's story (facts/california.md C.8). Whatever exists is left as it is.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.access.new_version import new_version
from service.auth.registration import OPERATOR as ACTOR
from service.auth.registration import insertion
from service.cli.seed.hospitals import history, registered
from service.cli.seed.logins import LOGINS, Login, clients, curl_lines, sonja_reference
from service.cli.seed.members import entries
from service.cli.seed.parts import PACIFIC, Days, Entry
from service.cli.seed.places import VERIFIED_AGO, directory
from service.search.values import patient_of
from service.store import credentials, seed_marker, sources
from service.store.change import ABSENT, AuditRow, Change
from service.store.engine import Store
from service.workflow.consents import rules_of_new

__all__ = [
    "LOGINS",
    "Counts",
    "Login",
    "SeedRefused",
    "complete",
    "curl_lines",
    "hospital_history",
    "seed",
    "sonja_reference",
    "unfinished",
]

Counts = dict[str, int]
"""How much this run wrote: resources by type, "clients", "sending systems". Empty where nothing was missing."""

AT_A_TIME = 80
"""Members whose records wait for their commit together."""
MEMBERS_IN_ONE_READ = 20


class SeedRefused(Exception):
    """Nothing was written; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class _Planted:
    """What the database remembers of its first seed: later runs count their days from it, so that nothing moves."""

    seed: int
    members: int
    now_us: int

    @property
    def days(self) -> Days:
        return Days(datetime.fromtimestamp(self.now_us // 1_000_000, UTC).astimezone(PACIFIC).date())


async def seed(store: Store, *, members: int, seed: int, now_us: int) -> Counts:
    """Writes what is missing of the county. Raises SeedRefused for a database of other data or of another seed.

    now_us: microseconds since the epoch; all dates count from its day in California. A later run keeps the first day.
    """
    if members < 1:
        raise SeedRefused("The county needs at least one member: use --members 200.")
    planted = await _planted(store)
    if planted is None:
        if not await seed_marker.is_empty(store):
            raise SeedRefused(
                "This database holds other data, which the seed never touches: name a new one in ENLACE_DATABASE_URL."
            )
        planted = _Planted(seed, members, now_us)
    elif planted.seed != seed:
        text = f"This database holds the county of --seed {planted.seed}: use that number, or a new database."
        raise SeedRefused(text)
    counts: Counter[str] = Counter()
    everywhere = list(directory(planted.days.on(VERIFIED_AGO)))
    await _write(store, [everywhere], planted, counts, await _registration(store, planted, members, counts))
    limit = asyncio.Semaphore(AT_A_TIME // MEMBERS_IN_ONE_READ)

    async def part(first: int) -> None:
        async with limit:
            numbers = range(first, min(first + MEMBERS_IN_ONE_READ, members))
            records = [entries(seed, number, planted.days) for number in numbers]
            await _write(store, records, planted, counts)

    await asyncio.gather(*(part(first) for first in range(0, members, MEMBERS_IN_ONE_READ)))
    return dict(counts)


async def hospital_history(store: Store, *, members: int, seed: int, now_us: int) -> list[tuple[str, bytes]]:
    """(source, ADT message) in order, to be sent through the receiver after the seed; the same bytes each time."""
    planted = await _planted(store) or _Planted(seed, members, now_us)
    return history(members, seed, planted.now_us, planted.days)


async def unfinished(store: Store) -> tuple[int, int] | None:
    """(members, seed) of a county of which only a part was written; None where it is whole, or there is none."""
    planted = await _planted(store)
    if planted is None or await seed_marker.complete(store) >= planted.members:
        return None
    return planted.members, planted.seed


async def complete(store: Store, members: int) -> None:
    """Remembers that so many members are written, with their hospital messages and what follows from them."""
    if members > await seed_marker.complete(store):
        await store.commit(Change(statements=[seed_marker.completed(members)]))


async def _planted(store: Store) -> _Planted | None:
    text = await seed_marker.marker(store)
    return _Planted(**json.loads(text)) if text else None


async def _registration(store: Store, planted: _Planted, members: int, counts: Counter[str]) -> Change:
    """The marker, and the clients and sending systems that are missing: committed with the directory."""
    mark = {"seed": planted.seed, "members": max(members, planted.members), "now_us": planted.now_us}
    change = Change(statements=[seed_marker.remember(json.dumps(mark))])
    there = {client.id for client in await credentials.clients(store)}
    new = [client for client in clients(planted.now_us) if client.id not in there]
    for client in new:
        change.merge(insertion(client))
    named = {source.name for source in await sources.all_sources(store)}
    feeds = [source for source in registered() if source.name not in named]
    change.statements += [sources.put(source) for source in feeds]
    counts.update({"clients": len(new), "sending systems": len(feeds)} if new or feeds else {})
    return change


async def _write(
    store: Store,
    records: Sequence[Sequence[Entry]],
    planted: _Planted,
    counts: Counter[str],
    first: Change | None = None,
) -> None:
    """Commits each record as one Change, all at once; resources that exist (deleted ones too) are left alone.

    first: is committed with the record (one alone), or by itself where nothing of it is missing.
    """
    key = store.keys.resource
    references = [f"{r['resourceType']}/{r['id']}" for record in records for _, r in record]
    there = await seed_marker.known(store, [key(reference) for reference in references])
    changes: list[Change] = []
    for record in records:
        missing = [(author, r) for author, r in record if key(f"{r['resourceType']}/{r['id']}") not in there]
        if missing:
            changes.append(_change(store, missing, planted))
            counts.update(r["resourceType"] for _, r in missing)
    if first:
        changes = [first.merge(change) for change in changes] or [first]
    await asyncio.gather(*(store.commit(change) for change in changes))


def _change(store: Store, record: Sequence[Entry], planted: _Planted) -> Change:
    """New versions with their authors, and one audit row that names the member."""
    change = Change()
    patients: dict[str, None] = {}
    for author, resource in record:
        source_org = store.keys.resource(author)
        write = new_version(resource, ABSENT, store.keys, source_org=source_org, now_us=planted.now_us)
        change.writes.append(write)
        change.statements += rules_of_new(resource, store, author=source_org)
        if patient := patient_of(resource, resource["resourceType"]):
            patients[patient] = None
    change.audit.append(AuditRow("C", "seed", 0, ACTOR, "Organization/enlace", patients=tuple(patients)))
    return change
