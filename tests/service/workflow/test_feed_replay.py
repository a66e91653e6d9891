"""A sender that is registered after its first messages: replay and repeat, in both orders, through the receiver."""

import pytest

from service.interactions.receive_hl7v2 import Receiver
from service.store import inbox, sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.feed_replay import replay_messages
from tests.service.adt_world import Sender, adt_world

VALLEY = RegisteredSource("valley", "CERNER", "VALLEY", "Organization/mercy", {"display": "Valley Made-up"}, True)


async def arrived(store: Store) -> tuple[Sender, bytes, bytes | None]:
    """A message of a sender nobody knows, which is registered then."""
    await adt_world(store)
    sender = Sender(store)
    raw = sender.adt("A01", MSH_3="CERNER", MSH_4="VALLEY")
    answer = await sender.receiver.receive(raw)
    assert await rows(store) == [("?CERNER/VALLEY", "unregistered", "")]
    await store.commit(Change(statements=[sources.put(VALLEY)]))
    sender.receiver = Receiver(store)
    return sender, raw, answer


async def rows(store: Store) -> list[tuple[str, str, str]]:
    return [(r[0], r[1], r[2]) for r in await store.fetch("SELECT source, state, reason FROM inbox ORDER BY id")]


async def replay(store: Store, state: str | None = "unregistered") -> tuple[int, int]:
    found = await inbox.listed(store, state=state, limit=100)
    done = await replay_messages(store, sorted(found, key=lambda row: row.id))
    return done.queued, done.repeated


async def alerts(store: Store) -> int:
    found = await store.fetch("SELECT count(*) FROM resource WHERE rtype = 'Communication' AND deleted = 0")
    return int(found[0][0])


async def test_a_repeat_after_the_replay_gets_the_first_answer(store: Store) -> None:
    sender, raw, answer = await arrived(store)
    assert await replay(store) == (1, 0)
    assert await sender() == [("applied", "matched")]
    assert await sender.receiver.receive(raw) == answer and answer and b"MSA|AA" in answer
    assert await sender() == [("applied", "matched")]
    assert (await rows(store), await alerts(store)) == ([("valley", "applied", "matched")], 1)


async def test_a_repeat_before_the_replay_leaves_nothing_to_replay(store: Store) -> None:
    sender, raw, _ = await arrived(store)
    again = await sender.receiver.receive(raw)
    assert again and b"MSA|AA" in again
    assert await sender() == [("unregistered", ""), ("applied", "matched")]
    assert await replay(store) == (0, 1)
    both = [("?CERNER/VALLEY", "ignored", "repeated"), ("valley", "applied", "matched")]
    assert await rows(store) == both
    assert await sender.receiver.receive(raw) == again
    assert await replay(store, None) == (1, 1), "once more, by number"
    await sender()
    assert (await rows(store), await alerts(store)) == (both, 1)


async def test_a_receiver_that_does_not_know_the_new_name_yet_answers_too(store: Store) -> None:
    """It keeps its list of senders for two seconds; the claim under the old name must not be in its way."""
    sender, raw, _ = await arrived(store)
    slow = Receiver(store)
    slow.senders.known, slow.senders.read_at = {}, 1e18
    assert await replay(store) == (1, 0)
    answer = await slow.receive(raw)
    assert answer and b"MSA|AA" in answer
    await sender()
    assert await replay(store) == (0, 1)
    assert [row[1:] for row in await rows(store)] == [("applied", "matched"), ("ignored", "repeated")]


async def test_a_repeat_in_the_moment_of_the_replay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, raw, _ = await arrived(store)
    commit, first = store.commit, True

    async def late(change: Change) -> object:
        nonlocal first
        if first:
            first = False
            assert await sender.receiver.receive(raw)
        return await commit(change)

    monkeypatch.setattr(store, "commit", late)
    assert await replay(store) == (0, 1)
    assert [row[:2] for row in await rows(store)] == [("?CERNER/VALLEY", "ignored"), ("valley", "stored")]


async def test_a_source_for_any_application_takes_its_messages_and_nobody_takes_others(store: Store) -> None:
    sender, _, _ = await arrived(store)
    for application, facility in (("OTHER", "VALLEY"), ("OTHER", "ELSEWHERE")):
        unknown = sender.adt("A03", MSH_3=application, MSH_4=facility)
        await sender.receiver.receive(unknown)
    whole = RegisteredSource("whole", "", "VALLEY", "Organization/mercy", {}, True)
    await store.commit(Change(statements=[sources.put(whole)]))
    assert await replay(store) == (3, 0)
    assert [row[0] for row in await rows(store)] == ["valley", "whole", "?OTHER/ELSEWHERE"]
    await sender()
    assert (await rows(store))[2] == ("?OTHER/ELSEWHERE", "unregistered", "source-not-registered")
