"""Bytes to inbox to acknowledgement: nothing is acknowledged before it is durable, nothing is stored twice."""

import asyncio
from typing import Any

import pytest

from service.interactions.receive_hl7v2 import Receiver
from service.store import inbox, sources
from service.store.change import AuditRow, Change
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.sources import RegisteredSource
from tests.service.adt_world import MERCY, Sender

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def sender(store: Store) -> Sender:
    await store.commit(Change(statements=[sources.put(MERCY)]))
    return Sender(store)


def fields(ack: bytes | None, segment: bytes) -> list[bytes]:
    return next(line.split(b"|") for line in (ack or b"").split(b"\r") if line.startswith(segment))


def code(ack: bytes | None) -> bytes:
    return fields(ack, b"MSA")[1]


async def stored(store: Store) -> list[tuple[Any, ...]]:
    rows = await store.fetch("SELECT source, control_id, event, state, reason FROM inbox ORDER BY id")
    return [tuple(row) for row in rows]


async def jobs(store: Store) -> int:
    return int((await store.fetch("SELECT count(*) FROM job"))[0][0])


async def test_a_message_is_stored_byte_for_byte_with_its_job(store: Store, sender: Sender) -> None:
    raw = sender.adt("A01", control_id="77")
    ack = await sender.receiver.receive(raw)
    assert code(ack) == b"AA"
    assert fields(ack, b"MSA")[2] == b"77"
    assert await stored(store) == [("mercy", "77", "A01", "stored", "")]
    [row] = await inbox.listed(store, state="stored", limit=5)
    message = await inbox.message(store, row.id)
    assert message is not None
    assert message[0] == raw
    assert await inbox.ack_of(store, row.id) == ack
    assert await jobs(store) == 1


async def test_a_repeat_gets_the_stored_answer_byte_for_byte(store: Store, sender: Sender) -> None:
    raw = sender.adt("A01")
    first = await sender.receiver.receive(raw)
    store.clock.advance(60_000_000)  # type: ignore[attr-defined]
    assert await sender.receiver.receive(raw) == first
    assert await Receiver(store).receive(raw) == first, "another process"
    assert len(await stored(store)) == await jobs(store) == 1


async def test_fifty_at_once_are_one(store: Store, sender: Sender) -> None:
    raw = sender.adt("A01")
    answers = await asyncio.gather(*(Receiver(store).receive(raw) for _ in range(50)))
    assert len(set(answers)) == 1
    assert len(await stored(store)) == await jobs(store) == 1


async def test_another_content_under_the_same_id_is_stored_and_flagged(store: Store, sender: Sender) -> None:
    for event in ("A01", "A03"):
        assert code(await sender.receiver.receive(sender.adt(event, control_id="1"))) == b"AA"
    assert [row[3:] for row in await stored(store)] == [("stored", ""), ("stored", "same-control-id")]
    assert await jobs(store) == 2


async def test_messages_without_a_control_id_are_no_repeats_of_each_other(store: Store, sender: Sender) -> None:
    for event in ("A01", "A03"):
        await sender.receiver.receive(sender.adt(event, control_id=""))
    assert [row[3:] for row in await stored(store)] == [("stored", "")] * 2


async def test_the_header_decides_between_original_and_enhanced(store: Store, sender: Sender) -> None:
    assert code(await sender.receiver.receive(sender.adt("A01", MSH_15="AL"))) == b"CA"
    settled = RegisteredSource("mercy", "EPIC", "MERCY", "Organization/mercy", {"ack_mode": "original"}, True)
    await store.commit(Change(statements=[sources.put(settled)]))
    assert code(await Receiver(store).receive(sender.adt("A01", MSH_15="AL"))) == b"AA"


async def test_an_unregistered_sender_is_kept_without_a_job(store: Store, sender: Sender) -> None:
    raw = sender.adt("A01", MSH_3="CERNER", MSH_4="ELSE^WHERE", control_id="5")
    assert code(await sender.receiver.receive(raw)) == b"AA"
    assert await stored(store) == [("?CERNER/ELSE", "5", "A01", "unregistered", "")]
    assert await jobs(store) == 0


async def test_a_source_that_is_not_active_counts_as_unregistered(store: Store, sender: Sender) -> None:
    off = RegisteredSource("mercy", "EPIC", "MERCY", "Organization/mercy", {}, False)
    await store.commit(Change(statements=[sources.put(off)]))
    await Receiver(store).receive(sender.adt("A01"))
    assert (await stored(store))[0][3] == "unregistered"


@pytest.mark.parametrize("raw", [b"", b"PID|1||x", b"\x00\x01\x02", b"MSH", b"MSH|", b"hello\rworld", b"\xff" * 50])
async def test_what_has_no_header_is_refused_and_kept(store: Store, sender: Sender, raw: bytes) -> None:
    ack = await sender.receiver.receive(raw)
    assert code(ack) == b"AR"
    assert [row[3] for row in await stored(store)] == ["unreadable"]
    assert await jobs(store) == 0


async def test_oversize_is_refused_by_its_control_id_and_not_kept(store: Store, sender: Sender) -> None:
    ack = await sender.receiver.refuse_oversize(sender.adt("A01", control_id="big")[:300])
    assert code(ack) == b"AR"
    assert fields(ack, b"MSA")[2] == b"big"
    assert await stored(store) == []


@pytest.mark.parametrize(
    "broken",
    [{"MSH_10": "a\x00b"}, {"MSH_3": "EP\x00IC"}, {"MSH_9": "A\x00DT^A\x0001"}, {"MSH_10": "é" * 500}, {"MSH_9": "^ "},
     {"MSH_12": "\x00"}, {"MSH_18": "UNICODE UTF-16"}, {"MSH_18": "\x00"}],
)  # fmt: skip
async def test_no_header_ends_in_an_exception(store: Store, sender: Sender, broken: dict[str, str]) -> None:
    """PostgreSQL keeps no NUL in a text: a sender must not be held up for ever by one."""
    raw = sender.adt("A01", **broken)
    ack = await sender.receiver.receive(raw)
    assert ack is not None
    assert b"AA" in ack
    assert await sender.receiver.receive(raw) == ack
    assert len(await stored(store)) == 1


async def test_several_messages_of_one_payload(store: Store, sender: Sender) -> None:
    batch = b"FHS|^~\\&|EPIC\rBHS|^~\\&|EPIC\r" + sender.adt("A01") + sender.adt("A03") + b"BTS|2\rFTS|1\r"
    ack = await sender.receiver.receive(batch)
    assert ack is not None and ack.count(b"\rMSA|AA|") == 2 and ack.startswith(b"BHS|") and ack.endswith(b"BTS|2\r")
    assert [row[2] for row in await stored(store)] == ["A01", "A03"]
    assert await sender.receiver.receive(batch) == ack
    assert await jobs(store) == 2


async def test_an_answer_is_never_answered(store: Store, sender: Sender) -> None:
    assert await sender.receiver.receive(sender.adt("A01", MSH_9="ACK^A01")) is None


async def test_who_sent_it_is_in_the_audit(store: Store, sender: Sender) -> None:
    row = AuditRow("E", "hl7v2", 0, "client-1", "Organization/mercy", "hl7v2")
    await sender.receiver.receive(sender.adt("A01"), row)
    found = await store.fetch("SELECT actor, kind, outcome FROM audit")
    assert [tuple(r) for r in found] == [("client-1", "hl7v2", 0)]


@pytest.mark.parametrize("error", [Unavailable("gone"), RuntimeError("a defect")])
async def test_what_could_not_be_stored_is_refused_for_now(
    store: Store, sender: Sender, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_change: Change) -> None:
        raise error

    raw = sender.adt("A01")
    with monkeypatch.context() as patch:
        patch.setattr(store, "commit", fail)
        assert code(await sender.receiver.receive(raw)) == b"AE"
        assert code(await sender.receiver.receive(raw + sender.adt("A03"))) == b"AE"
    assert await stored(store) == []
    assert code(await sender.receiver.receive(raw)) == b"AA"


async def test_each_message_of_a_batch_has_its_own_answer(store: Store, sender: Sender) -> None:
    good, bad = sender.adt("A01", control_id="1"), b"MSH|^~\\&|EPIC|MERCY\rPID|1\r"
    ack = await sender.receiver.receive(b"\xef\xbb\xbfBHS|^~\\&|EPIC|||||||b9\r" + bad + good + b"BTS|7\r")
    assert ack is not None
    assert [line.split(b"|")[1] for line in ack.split(b"\r") if line.startswith(b"MSA")] == [b"AR", b"AA"]
    assert [row[3] for row in await stored(store)] == ["unreadable", "stored"]


async def test_an_empty_batch_has_an_empty_answer(store: Store, sender: Sender) -> None:
    ack = await sender.receiver.receive(b"FHS|^~\\&|EPIC\rBHS|^~\\&|EPIC\rBTS|0\rFTS|1\r")
    assert ack == b"BHS|^~\\&||||||||||\rBTS|0\r"
    assert await stored(store) == []


async def test_a_byte_order_mark_does_not_hide_the_second_of_two(store: Store, sender: Sender) -> None:
    await sender.receiver.receive(b"\xef\xbb\xbf" + sender.adt("A01") + sender.adt("A03"))
    assert [row[2] for row in await stored(store)] == ["A01", "A03"]


@pytest.mark.parametrize(("numbers", "missing"), [((1, 2, 2, 3), None), ((5, 8), 2), ((9, 0, 1, 2), None)])
async def test_a_gap_in_the_sequence_is_told(
    sender: Sender, capsys: pytest.CaptureFixture[str], numbers: tuple[int, ...], missing: int | None
) -> None:
    for number in numbers:
        assert b"MSA|AA|" in (await sender.receiver.receive(sender.adt("A01", MSH_13=str(number))) or b"")
    told = [line for line in capsys.readouterr().err.splitlines() if '"adt.gap"' in line]
    assert [f'"missing":{missing}' in line for line in told] == ([True] if missing else [])


MINE = frozenset({"client:c1", "organization:Organization/mercy"})


@pytest.mark.parametrize(
    ("peer", "certificates", "good"),
    [
        (None, ["sha256:aa"], True), (frozenset(), [], True), (frozenset(), ["sha256:aa"], False),
        (frozenset({"sha256:aa"}), ["SHA256:AA"], True), (frozenset({"sha256:bb"}), [], False),
        (MINE, [], True), (frozenset({"client:c1", "organization:Organization/x"}), ["client:c1"], True),
        (frozenset({"client:c2", "organization:Organization/x"}), ["client:c1"], False),
    ],
)  # fmt: skip
async def test_who_may_speak_for_a_source(
    store: Store, peer: frozenset[str] | None, certificates: list[str], good: bool
) -> None:
    mercy = RegisteredSource("mercy", "EPIC", "MERCY", "Organization/mercy", {"certificates": certificates}, True)
    await store.commit(Change(statements=[sources.put(mercy)]))
    sender = Sender(store)
    assert code(await sender.receiver.receive(sender.adt("A01"), peer=peer)) == b"AA"
    kept = ("mercy", "stored", "") if good else ("?!EPIC/MERCY", "unregistered", "sender-not-proven")
    assert [(row[0], *row[3:]) for row in await stored(store)] == [kept]
    assert await jobs(store) == int(good)
