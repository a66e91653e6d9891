"""What strangers told is emptied after some days, and nothing else is; that it came stays known."""

from dataclasses import replace

import pytest

from service.access.context import Context, Settings
from service.caller import system_caller
from service.store import matches, reviews, stay_rows, timers
from service.store.change import Change, Statement
from service.store.engine import Store
from service.store.slots import EPOCH_US
from service.store.stay_rows import AccountRow, put_account
from service.worker import Worker
from service.workflow import purging
from service.workflow.match_reviews import opened
from service.workflow.purging import DAY_US, purge
from tests.frozen_clock import FrozenClock
from tests.service.workflow.match_world import AT_MERCY, CIN, STAY, ask, context, keep, said


async def stranger(store: Store, number: int, patient: str = "", state: str = "") -> int:
    """A message of now, in a stay of its own, with its review where it is unmatched."""
    id, stay = store.next_id(store.clock.now_us()), f"{STAY}-{number}"
    await keep(store, said(cins=(CIN,)), id, patient, stay)
    found = replace(await ask(store, said(cins=(CIN,))), score=9.0)
    await store.commit(Change(statements=opened(context(store), stay, id, "mercy", found)))
    if state:
        await store.db.execute("UPDATE inbox SET state = ? WHERE id = ? RETURNING id", (state, id))
    return id


async def run(store: Store, days: int = 30) -> None:
    ctx = Context(store, system_caller(), store.clock.now_us(), Settings(unmatched_days=days))
    change = await purge(ctx, {})
    while True:
        await store.commit(change)
        if not change.jobs:
            return
        change = await purge(ctx, change.jobs[0].payload)


async def states(store: Store) -> list[tuple[str, bool, bool]]:
    """(state, whether the message has bytes, whether its event is kept), oldest first."""
    rows = await store.fetch(
        "SELECT i.state, i.raw, s.event FROM inbox i JOIN stay_event s ON s.inbox_id = i.id ORDER BY i.id"
    )
    return [(str(row[0]), bool(bytes(row[1])), bool(row[2])) for row in rows]


async def test_strangers_are_forgotten_members_and_what_waits_for_a_person_are_not(
    store: Store, clock: FrozenClock
) -> None:
    await stranger(store, 1)
    await stranger(store, 2, "Patient/rosa")
    await stranger(store, 3, state="failed")
    await stranger(store, 4, state="ignored")
    clock.advance(31 * DAY_US)
    await stranger(store, 5)
    await run(store)
    assert await states(store) == [
        ("purged", False, False),
        ("applied", True, True),
        ("failed", True, True),
        ("purged", False, False),
        ("unmatched", True, True),
    ]
    [old] = await reviews.of_stay(store, f"{STAY}-1")
    assert (old.state, old.reason) == ("expired", "no-candidate")
    assert [one.state for one in await reviews.of_stay(store, f"{STAY}-5")] == ["open"]
    clocks = {one.subject: one.state for one in await timers.listed(store, "match-review", "", 9)}
    assert clocks[f"match_review/{old.id}"] == "cancelled" and list(clocks.values()).count("running") == 3
    assert len(await store.fetch("SELECT DISTINCT inbox_id FROM inbox_term")) == 3
    rows = await store.fetch("SELECT detail FROM audit WHERE kind = 'adt-purged'")
    assert len(rows) == 2 and all('"messages":1' in row[0] for row in rows)


async def test_numbers_of_a_stay_go_with_the_last_of_its_messages(store: Store, clock: FrozenClock) -> None:
    def account(stay: str, patient: str = "") -> Statement:
        return put_account(AccountRow(stay, stay, "enc", patient, "MERCY", "I", "I", "", "", "finished", 0, 0, 1))

    for number, patient in ((1, ""), (2, "Patient/rosa"), (3, ""), (4, "")):
        await stranger(store, number, patient)
        stay = f"{STAY}-{number}"
        await store.commit(Change(statements=[stay_rows.number(f"V{number}", stay), account(stay, patient)]))
    await keep(store, said(cins=(CIN,)), store.next_id(store.clock.now_us()), "Patient/rosa", f"{STAY}-4")
    clock.advance(31 * DAY_US)
    await keep(store, said(cins=(CIN,)), store.next_id(store.clock.now_us()), "", f"{STAY}-3")
    await run(store)
    for table in ("stay_number", "stay_account"):
        rows = await store.fetch(f"SELECT stay FROM {table} ORDER BY stay")
        assert [row[0] for row in rows] == [f"{STAY}-2", f"{STAY}-3", f"{STAY}-4"], table
    clock.advance(31 * DAY_US)
    await run(store)
    rows = await store.fetch("SELECT number FROM stay_number ORDER BY stay")
    assert [row[0] for row in rows] == ["V2", "V4"]


async def test_zero_days_keep_everything(store: Store, clock: FrozenClock) -> None:
    await stranger(store, 1)
    clock.advance(4000 * DAY_US)
    await run(store, days=0)
    assert await states(store) == [("unmatched", True, True)]


async def test_page_after_page(store: Store, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "PAGE", 2)
    for number in range(5):
        await stranger(store, number)
    clock.advance(31 * DAY_US)
    await store.commit(await purge(context(store), {}))
    await Worker(store, Settings()).drain()
    assert {state for state, *_ in await states(store)} == {"purged"}


async def test_merged_numbers_of_strangers_go_with_their_message(store: Store, clock: FrozenClock) -> None:
    known, unknown = await stranger(store, 1), await stranger(store, 2)
    await store.commit(
        Change(
            statements=[
                matches.link((AT_MERCY, "A"), "Patient/rosa", 1, 1),
                matches.merge((AT_MERCY, "A"), (AT_MERCY, "B"), known, 1),
                matches.merge((AT_MERCY, "X"), (AT_MERCY, "Y"), unknown, 1),
            ]
        )
    )
    clock.advance(31 * DAY_US)
    await run(store)
    assert [row[0] for row in await store.fetch("SELECT mrn FROM mrn_merge")] == ["A"]
    assert clock.now_us() > EPOCH_US
