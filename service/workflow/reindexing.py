"""Makes the index rows of every current version anew, beside the service: after a release that searches more."""

from collections.abc import AsyncIterator

from service.access.context import parse
from service.access.new_version import new_version
from service.search.definition import digest
from service.store import reindex
from service.store.change import Change, Stale, Statement, Write
from service.store.engine import Store

BATCH = 200


async def remade(store: Store, base_url: str) -> AsyncIterator[int]:
    """How many resources each batch made anew. base_url: of the FHIR base, as the service has it.

    A resource that is written meanwhile gets its rows from that write. Ends with the marker that all is done.
    """
    wanted = digest()
    after = (await reindex.state(store, wanted)).after
    while found := await reindex.batch(store, after, BATCH):
        after = found[-1].key
        done = await _batch(store, found, base_url, reindex.reached(wanted, after))
        yield done
    await store.commit(Change(statements=[reindex.made(wanted)]))


async def _batch(store: Store, found: list[reindex.Current], base_url: str, progress: Statement) -> int:
    """One Change; where one of its resources moved, the others one by one: the mover has made its own rows."""
    try:
        change = Change(reindexed=[_row(store, one, base_url) for one in found])
        change.statements.append(progress)
        await store.commit(change)
        return len(found)
    except Stale:
        done = 0
        for one in found:
            try:
                await store.commit(Change(reindexed=[_row(store, one, base_url)]))
                done += 1
            except Stale:
                continue
        await store.commit(Change(statements=[progress]))
        return done


def _row(store: Store, one: reindex.Current, base_url: str) -> Write:
    return new_version(
        parse(one.body),
        one.version,
        store.keys,
        source_org=one.source_org,
        now_us=store.clock.now_us(),
        base_url=base_url,
    )
