"""The load generator, a process of its own: HTTP or MLLP over raw sockets, one exchange in flight per connection.

Written by us, so that random ids, POST bodies and MLLP need no second tool: it costs 20 us an exchange, where httpx
costs 1,400 (../shared/stack.md 5). Reads one JSON object on stdin, prints `begin` when the warm-up is over, then the
result as JSON. HTTP: {"kind": "http", "host", "port", "connections", "warm_s", "seconds", "requests": [text, ...]}.
MLLP: {"kind": "mllp", ..., "rate": messages a second or 0 for as fast as the answers come, "again": whether the
messages come again when all were sent}.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import uvloop

from bench.open_load import offered


class Exchanges(asyncio.Protocol):
    """Sends the next payload when the former is answered; notes when each answer came."""

    def __init__(self, run: "Run"):
        self._run = run
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        payload = self._run.next()
        if payload is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        size, status = self._run.measure(self._buffer)
        if size and len(self._buffer) >= size:
            self._buffer = self._buffer[size:]
            self._run.done(self._sent, status)
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.closed()


def http_answer(buffer: bytes) -> tuple[int, str]:
    """(size of the answer, status), (0, "") while the head is not whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return 0, ""
    head = buffer[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return end + 4 + length, buffer[9:12].decode()


def mllp_answer(buffer: bytes) -> tuple[int, str]:
    """(size of the acknowledgement, MSA-1)."""
    end = buffer.find(b"\x1c\r")
    if end < 0:
        return 0, ""
    at = buffer.find(b"\rMSA|")
    return end + 2, buffer[at + 5 : at + 7].decode() if at >= 0 else "none"


class Run:
    """What all connections share: the payloads, when it began and ends, what was measured."""

    def __init__(self, order: dict[str, Any]):
        mllp = order["kind"] == "mllp"
        self.measure = mllp_answer if mllp else http_answer
        texts: list[str] = order["requests"]
        raw = [text.encode("latin-1") for text in texts]
        self._once = mllp and not order.get("again")
        self._payloads = [b"\x0b" + one + b"\x1c\r" for one in raw] if mllp else raw
        self._turn: Iterator[int] = iter(range(len(raw))) if mllp else iter(int, 1)
        self._at = 0
        self._open = order["connections"]
        self._warm, self._seconds = order.get("warm_s", 0.0), order["seconds"]
        self.started = self.begin = time.perf_counter()
        self.finished = asyncio.Event()
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}
        self.began = False
        self.end = 0.0

    def next(self) -> bytes | None:
        now = time.perf_counter()
        if not self.began and now - self.started >= self._warm:
            self.began, self.begin = True, now
            print("begin", flush=True)
        if self.began and now - self.begin >= self._seconds:
            return None
        self._at += 1
        if self._once and self._at > len(self._payloads):
            return None
        return self._payloads[(self._at - 1) % len(self._payloads)]

    def done(self, sent: float, status: str) -> None:
        self.end = time.perf_counter()
        if self.began and sent >= self.begin:
            self.latencies.append(self.end - sent)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def closed(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.finished.set()

    def result(self) -> dict[str, Any]:
        ordered = sorted(self.latencies)
        count, seconds = len(ordered), self.end - self.begin

        def at(share: float) -> float:
            return round(ordered[min(int(count * share), count - 1)] * 1000, 2) if ordered else 0.0

        found = {"count": count, "seconds": seconds, "statuses": self.statuses, "p50_ms": at(0.5), "p99_ms": at(0.99)}
        return {**found, "per_s": count / seconds if seconds > 0 else 0.0}


async def full_speed(order: dict[str, Any]) -> dict[str, Any]:
    run = Run(order)
    loop = asyncio.get_running_loop()
    for _ in range(order["connections"]):
        await loop.create_connection(lambda: Exchanges(run), order["host"], order["port"])
    await asyncio.wait_for(run.finished.wait(), run._warm + run._seconds + 30)
    return run.result()


async def paced(order: dict[str, Any]) -> dict[str, Any]:
    """Messages at a rate over a few connections; the wall time in us at which each was sent, and its answer."""
    texts, rate, lanes = order["requests"], order["rate"], order["connections"]
    sent: list[int] = [0] * len(texts)
    answers: list[str] = [""] * len(texts)
    print("begin", flush=True)
    started = time.perf_counter()

    async def lane(first: int) -> None:
        reader, writer = await asyncio.open_connection(order["host"], order["port"])
        for number in range(first, len(texts), lanes):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            sent[number] = time.time_ns() // 1000
            writer.write(b"\x0b" + texts[number].encode("latin-1") + b"\x1c\r")
            answers[number] = mllp_answer(await reader.readuntil(b"\x1c\r"))[1]
        writer.close()

    await asyncio.gather(*(lane(first) for first in range(lanes)))
    return {"sent_us": sent, "answers": answers, "seconds": time.perf_counter() - started}


def main() -> None:
    order = json.load(sys.stdin)
    work = offered(order) if order["kind"] == "open" else paced(order) if order.get("rate") else full_speed(order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(work)), flush=True)


if __name__ == "__main__":
    main()
