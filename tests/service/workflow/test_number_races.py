"""A message makes a record number known while another one under that number finds nobody: neither misses the other.

Whichever commits second is decided again; so it is with the numbers that merged into it, and with a death of somebody
unknown. No job looks for it later.
"""

from typing import Any

import pytest

from service.access.context import Context
from service.caller import system_caller
from service.store import inbox, matches, stay_rows
from service.store.change import Change, Stale
from service.store.engine import Store
from service.store.together import current
from service.workflow import match_reviews
from service.workflow.hospital_events import apply_adt
from service.workflow.stay_settling import settle_stay
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world, said
from tests.service.workflow.match_world import jobs

LITTLE = {"cin": "", "phone": ""}
"""Too little to know Rosa by, but for the number."""
PAIRS = {
    "two stays": (("A01", {**LITTLE, "mrn": "NEW"}, {"visit_number": "V2"}), ("A01", {"mrn": "NEW"}, {})),
    "the person alone": (("A01", {**LITTLE, "mrn": "NEW"}, {"visit_number": "V2"}), ("A31", {"mrn": "NEW"}, {})),
    "a merged number": (("A01", {**LITTLE, "mrn": "OLD"}, {"visit_number": "V2"}), ("A01", {"mrn": "NEW"}, {})),
    "a death": (("A31", {**LITTLE, "mrn": "NEW"}, {"PID_30": "Y"}), ("A01", {"mrn": "NEW"}, {})),
}


class Pair:
    """Two messages in the inbox without their jobs: one that finds nobody, one that makes its number known."""

    def __init__(self, store: Store, ids: list[int]):
        self.store, (self._waiting, self._knowing) = store, ids

    async def waiting(self) -> Change:
        return await self.decided(self._waiting)

    async def knowing(self) -> Change:
        return await self.decided(self._knowing)

    async def settling(self, stay: str) -> Change:
        return await settle_stay(self._context(), stay)

    async def decided(self, inbox_id: int) -> Change:
        return await apply_adt(self._context(), {"inbox": inbox_id})

    def _context(self) -> Context:
        return Context(self.store, system_caller(), self.store.clock.now_us())

    async def stay(self) -> str:
        """Of the one that finds nobody: its key."""
        told = inbox.outcome(self._waiting, (await self.waiting()).statements)
        return told[3] if told else ""

    async def is_luis(self, stay: str, verdict: str) -> None:
        """What a person says of the stay."""
        now_us = self.store.clock.now_us()
        word = matches.decide(f"stay:{stay}", "Patient/luis", verdict, by="sup", now_us=now_us, review=None)
        await self.store.commit(Change(statements=word))

    async def persons_word(self, verdict: str, patient: str) -> Change:
        """As `enlace adt match`, of the stay that waits."""
        return await match_reviews.decide_stay(self._context(), await self.stay(), verdict, patient, "sup")

    async def state(self) -> str:
        [row] = await self.store.fetch("SELECT state FROM inbox WHERE id = ?", (self._waiting,))
        return str(row[0])


ONE = pytest.mark.parametrize("pair", ["two stays"], indirect=True)


@pytest.fixture(params=PAIRS)
async def pair(store: Store, request: pytest.FixtureRequest) -> Pair:
    await adt_world(store)
    send = Sender(store)
    if request.param == "a merged number":
        await send(send.adt("A40", said(**LITTLE, mrn="NEW"), retired="OLD"))
    before = len(await store.fetch("SELECT id FROM inbox"))
    for event, who, more in PAIRS[request.param]:
        assert await send.receiver.receive(send.adt(event, said(**who), **more))
    await store.db.execute("UPDATE job SET state = 'done'")
    rows = await store.fetch("SELECT id FROM inbox ORDER BY id")
    return Pair(store, [int(row[0]) for row in rows[before:]])


async def settled(pair: Pair) -> None:
    await Sender(pair.store).worker.drain()
    assert await pair.state() == "applied"
    assert {e["subject"]["reference"] for e in (await resources(pair.store, "Encounter")).values()} <= {"Patient/rosa"}
    assert await jobs(pair.store, "adt.rematch") == []


async def test_who_waits_already_is_decided_anew_with_the_number(pair: Pair) -> None:
    await pair.store.commit(await pair.waiting())
    assert await pair.state() == "unmatched"
    await pair.store.commit(await pair.knowing())
    await settled(pair)


async def test_of_two_at_once_the_second_is_decided_again(pair: Pair) -> None:
    waiting, knowing = await pair.waiting(), await pair.knowing()
    await pair.store.commit(waiting)
    with pytest.raises(Stale):
        await pair.store.commit(knowing)
    await pair.store.commit(await pair.knowing())
    await settled(pair)


async def test_a_number_that_is_known_by_now_is_not_waited_for(pair: Pair) -> None:
    waiting, knowing = await pair.waiting(), await pair.knowing()
    await pair.store.commit(knowing)
    with pytest.raises(Stale):
        await pair.store.commit(waiting)
    await pair.store.commit(await pair.waiting())
    await settled(pair)


@pytest.mark.parametrize("first", ["knowing", "waiting"])
async def test_what_is_committed_between_two_reads_is_not_missed(
    pair: Pair, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one commits when it was just asked whose the number is, or who waits under it."""
    if first == "knowing":
        between(pair, monkeypatch, "FROM mrn_link", await pair.knowing())
        mine = await pair.waiting()
    else:
        between(pair, monkeypatch, "i.state = 'unmatched'", await pair.waiting())
        mine = await pair.knowing()
    with pytest.raises(Stale):
        await pair.store.commit(mine)


@ONE
async def test_nor_where_the_stay_goes_on_under_other_numbers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored of it is found in more steps than whose the number is."""
    stay = await pair.stay()
    links = [stay_rows.alias(stay, "stay-b", 1, 1), stay_rows.alias("stay-b", "stay-c", 1, 1)]
    await pair.store.commit(Change(statements=links))
    between(pair, monkeypatch, "FROM mrn_link", await pair.knowing())
    mine = await pair.waiting()
    with pytest.raises(Stale):
        await pair.store.commit(mine)


@ONE
@pytest.mark.parametrize("first", ["knowing", "waiting"])
async def test_a_stay_that_waits_again_is_not_missed(pair: Pair, first: str) -> None:
    """A person takes a word back: no new message says the number."""
    stay = await pair.stay()
    await pair.store.commit(await pair.waiting())
    await pair.is_luis(stay, matches.SAME)
    await pair.store.commit(await pair.settling(stay))
    await pair.is_luis(stay, matches.OTHER)
    waiting, knowing = await pair.settling(stay), await pair.knowing()
    one, two = (knowing, waiting) if first == "knowing" else (waiting, knowing)
    await pair.store.commit(one)
    with pytest.raises(Stale):
        await pair.store.commit(two)
    await pair.store.commit(await (pair.settling(stay) if first == "knowing" else pair.knowing()))
    await Sender(pair.store).worker.drain()
    assert await pair.state() == "applied"


@ONE
async def test_a_persons_word_about_a_number_is_not_missed(pair: Pair) -> None:
    """Another message begins to wait under the number while somebody says whose it is."""
    await pair.store.commit(await pair.waiting())
    send = Sender(pair.store)
    assert await send.receiver.receive(send.adt("A01", said(**LITTLE, mrn="NEW"), visit_number="V3"))
    [last] = await pair.store.fetch("SELECT max(id) FROM inbox")
    late = await pair.decided(int(last[0]))
    await pair.store.commit(await pair.persons_word("link", "Patient/rosa"))
    with pytest.raises(Stale):
        await pair.store.commit(late)
    await send.worker.drain()
    rows = await pair.store.fetch("SELECT state FROM inbox WHERE id = ?", (int(last[0]),))
    assert [await pair.state(), rows[0][0]] == ["applied", "applied"]


def between(pair: Pair, monkeypatch: pytest.MonkeyPatch, asks: str, change: Change) -> None:
    """The change is committed when that was asked for the first time."""
    fetch, other = pair.store.db.fetch, [change]

    async def fetched(sql: str, params: tuple[Any, ...] = (), **how: Any) -> Any:
        rows = await fetch(sql, params, **how)
        if asks in sql and current() is None and other:
            await pair.store.commit(other.pop())
        return rows

    monkeypatch.setattr(pair.store.db, "fetch", fetched)
