"""SQLite's writer: woken when idle, takes all that waits, many rows a statement, nothing left behind at close."""

import asyncio

from service.store.change import AuditRow, Change
from service.store.engine import Store, open_store
from service.store.sqlite import _powers


def row(number: int) -> AuditRow:
    return AuditRow("R", "read", 0, "client", "Organization/o", f"Task/{number}", (f"Patient/{number}",))


def test_pieces_hold_every_value_once_in_order() -> None:
    for count in range(200):
        values = list(range(count))
        pieces = list(_powers(values))
        assert [value for piece in pieces for value in piece] == values
        assert {len(piece) for piece in pieces} <= {64, 16, 4, 1}


async def test_every_commit_of_a_burst_is_answered_and_written(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    try:
        for size in (1, 300, 2, 85):  # idle in between: each burst wakes the writer anew
            await asyncio.wait_for(asyncio.gather(*(store.commit(Change(audit=[row(n)])) for n in range(size))), 20)
        assert (await _counts(store)) == (388, 388)
    finally:
        await store.close()


async def test_commits_from_later_turns_of_the_loop_are_not_left_waiting(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)

    async def late(number: int) -> None:
        await asyncio.sleep(number % 7 * 0.001)
        await store.commit(Change(audit=[row(number)]))

    try:
        await asyncio.wait_for(asyncio.gather(*(late(number) for number in range(400))), 20)
        assert (await _counts(store)) == (400, 400)
    finally:
        await store.close()


async def test_what_waits_at_close_is_written(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    waiting = [asyncio.ensure_future(store.commit(Change(audit=[row(number)]))) for number in range(10)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def _counts(store: Store) -> tuple[int, int]:
    rows = await store.fetch("SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM audit_patient)")
    return rows[0][0], rows[0][1]
