"""The MLLP socket by real connections: whatever one sender does, it is answered or closed, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from adt_listener import connection as connecting
from adt_listener import server as listening
from adt_listener.mllp import MAX_BYTES
from adt_listener.server import MllpServer

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Frames = Callable[..., Awaitable[tuple[Reader, Writer]]]


class Answers:
    """Stands for the receiver: acknowledges by repeating the payload; may be held up or fail."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.size = 0

    async def receive(self, payload: bytes, peer: frozenset[str] = frozenset()) -> bytes | None:
        await self.open.wait()
        self.seen.append(payload)
        if payload == b"MSH silent":
            return None
        if payload == b"MSH broken":
            raise ValueError
        return b"ACK " + payload + b"x" * self.size

    async def refuse(self, head: bytes) -> bytes | None:
        return b"NAK " + head[:8]


@pytest.fixture
async def answers() -> Answers:
    return Answers()


@pytest.fixture
async def server(answers: Answers) -> AsyncIterator[MllpServer]:
    made = MllpServer(answers.receive, answers.refuse)
    yield made
    answers.open.set()
    await made.stop()


@pytest.fixture
async def connect(server: MllpServer) -> AsyncIterator[Frames]:
    port = await server.start("127.0.0.1", 0)
    opened: list[Writer] = []

    async def dial() -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    yield dial
    for writer in opened:
        writer.close()


def frame(payload: bytes) -> bytes:
    return b"\x0b" + payload + b"\x1c\r"


async def answer(reader: Reader) -> bytes:
    data = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 5)
    return data[1:-2]


async def gone(reader: Reader) -> bool:
    """Whether the listener has closed, without a byte."""
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


async def well(connect: Frames) -> None:
    """A good sender is served."""
    reader, writer = await connect()
    writer.write(frame(b"MSH good"))
    assert await answer(reader) == b"ACK MSH good"
    writer.close()


async def test_one_byte_a_write(connect: Frames) -> None:
    reader, writer = await connect()
    for byte in frame(b"MSH|slow"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.002)
    assert await answer(reader) == b"ACK MSH|slow"


async def test_frames_that_come_glued_are_answered_in_order(connect: Frames) -> None:
    reader, writer = await connect()
    writer.write(b"".join(frame(b"MSH %d" % n) for n in range(500)))
    assert [await answer(reader) for _ in range(500)] == [b"ACK MSH %d" % n for n in range(500)]


async def test_fs_without_cr_counts_after_a_moment(connect: Frames) -> None:
    reader, writer = await connect()
    writer.write(b"\x0bMSH short\x1c")
    assert await answer(reader) == b"ACK MSH short"
    writer.write(frame(b"MSH next"))
    assert await answer(reader) == b"ACK MSH next"


async def test_a_frame_without_end_before_the_connection_closes_is_not_acknowledged(
    connect: Frames, answers: Answers
) -> None:
    reader, writer = await connect()
    writer.write(b"\x0bMSH half")
    writer.write_eof()
    assert await gone(reader)
    assert answers.seen == []


async def test_oversize_is_refused_and_the_connection_goes_on(connect: Frames, answers: Answers) -> None:
    reader, writer = await connect()
    writer.write(b"\x0bMSH|^~\\&" + b"x" * MAX_BYTES + b"\x1c\r")
    assert await asyncio.wait_for(answer(reader), 30) == b"NAK MSH|^~\\&"
    writer.write(frame(b"MSH next"))
    assert await answer(reader) == b"ACK MSH next"
    assert answers.seen == [b"MSH next"]


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"MSH|bare\r"])
async def test_who_does_not_speak_mllp_is_closed(connect: Frames, answers: Answers, noise: bytes) -> None:
    reader, writer = await connect()
    writer.write(noise)
    assert await gone(reader)
    assert answers.seen == []
    await well(connect)


async def test_no_answer_where_none_must_be_sent(connect: Frames) -> None:
    reader, writer = await connect()
    writer.write(frame(b"MSH silent") + frame(b"MSH loud"))
    assert await answer(reader) == b"ACK MSH loud"


async def test_a_sender_that_never_reads_loses_its_own_connection(
    connect: Frames, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "WRITE_S", 0.3)
    answers.size = 200_000
    _reader, writer = await connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"".join(frame(b"MSH %d" % n) for n in range(200)))
    for _ in range(100):
        if writer.transport.is_closing() or len(answers.seen) >= 200:
            break
        await asyncio.sleep(0.05)
        seen = len(answers.seen)
    answers.size = 0
    await well(connect)
    assert seen < 200, "answers nobody reads were piled up"


async def test_a_half_frame_is_dropped_in_the_end(
    connect: Frames, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "FRAME_S", 0.6)
    monkeypatch.setattr(connecting, "GRACE_S", 0.05)
    reader, writer = await connect()
    writer.write(b"\x0bMSH ")
    for _ in range(4):  # a trickle does not help: the time counts from the beginning of the frame
        await asyncio.sleep(0.1)
        writer.write(b"x")
    assert await gone(reader)
    assert answers.seen == []


async def test_an_idle_connection_between_frames_is_kept(connect: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "FRAME_S", 0.3)
    monkeypatch.setattr(connecting, "GRACE_S", 0.05)
    reader, writer = await connect()
    for n in range(2):
        writer.write(frame(b"MSH %d" % n))
        assert await answer(reader) == b"ACK MSH %d" % n
        await asyncio.sleep(0.5)


async def test_half_open_and_reset_connections_harm_nobody(connect: Frames) -> None:
    for _ in range(20):
        _reader, writer = await connect()
        writer.write(b"\x0bMSH half")
        await writer.drain()
        writer.transport.abort()
    await connect()
    await well(connect)


async def test_a_defect_ends_one_connection_only(connect: Frames) -> None:
    reader, writer = await connect()
    writer.write(frame(b"MSH broken"))
    assert await gone(reader)
    await well(connect)


async def test_no_more_connections_than_the_cap(connect: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 2)
    first, second = await connect(), await connect()
    await asyncio.sleep(0.05)
    third, _ = await connect()
    assert await gone(third)
    for reader, writer in (first, second):
        writer.write(frame(b"MSH x"))
        assert await answer(reader) == b"ACK MSH x"


async def test_stopping_answers_the_message_in_hand(connect: Frames, answers: Answers, server: MllpServer) -> None:
    answers.open.clear()
    idle, _ = await connect()
    reader, writer = await connect()
    writer.write(frame(b"MSH in hand") + frame(b"MSH not begun"))
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(server.stop())
    assert await gone(idle)
    answers.open.set()
    assert await answer(reader) == b"ACK MSH in hand"
    assert await gone(reader)
    await stopping
    assert answers.seen == [b"MSH in hand"]


async def test_at_the_cap_the_quietest_gives_way(connect: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(listening, "QUIET_S", 0.2)
    quiet, _ = await connect()
    await asyncio.sleep(0.3)
    busy, writer = await connect()
    await well(connect)
    assert await gone(quiet)
    writer.write(frame(b"MSH busy"))
    assert await answer(busy) == b"ACK MSH busy"


async def test_whose_message_is_in_hand_does_not_give_way(
    connect: Frames, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(listening, "QUIET_S", 0.1)
    answers.open.clear()
    waiting, writer = await connect()
    writer.write(frame(b"MSH slow"))
    await asyncio.sleep(0.3)
    late, _ = await connect()
    assert await gone(late)
    answers.open.set()
    assert await answer(waiting) == b"ACK MSH slow"
