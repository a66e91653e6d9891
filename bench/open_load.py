"""Requests at a fixed rate, whatever comes back (open loop): what a service meets when more want it than it can serve.

Order: {"kind": "open", "host", "port", "rate": requests a second, "seconds", "connections", "requests": [text, ...]}.
A request for which no connection is free is `unsent`: its sender would have waited.
"""

import asyncio
import time
from collections import Counter, deque
from typing import Any, cast


class _Connection(asyncio.Protocol):
    def __init__(self, run: "Offered"):
        self._run, self._buffer, self._sent, self._busy = run, b"", 0.0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._run.idle.append(self)

    def send(self, payload: bytes) -> None:
        self._sent, self._busy = time.perf_counter(), True
        self._transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        status = head[9:12].decode()
        self._buffer, self._busy = self._buffer[end + 4 + length :], False
        self._run.done(self._sent, status if status != "503" or b"\r\nretry-after:" in head else "503 bare")
        if not self._transport.is_closing():
            self._run.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._busy:
            self._run.done(self._sent, "lost")


class Offered:
    def __init__(self, order: dict[str, Any]):
        self.idle: deque[_Connection] = deque()
        self._payloads = [text.encode("latin-1") for text in order["requests"]]
        self._rate, self._seconds = float(order["rate"]), float(order["seconds"])
        self.statuses: Counter[str] = Counter()
        self.good: list[float] = []
        self.unsent = self.sent = 0

    def done(self, sent: float, status: str) -> None:
        self.statuses[status] += 1
        if status in ("200", "201"):
            self.good.append(time.perf_counter() - sent)

    async def run(self) -> dict[str, Any]:
        started = time.perf_counter()
        number = 0
        while (passed := time.perf_counter() - started) < self._seconds:
            while number < passed * self._rate:
                if self.idle:
                    self.sent += 1
                    self.idle.popleft().send(self._payloads[number % len(self._payloads)])
                else:
                    self.unsent += 1
                number += 1
            await asyncio.sleep(0.001)
        seconds, until = time.perf_counter() - started, time.perf_counter() + 30
        within = len(self.good)
        while sum(self.statuses.values()) < self.sent and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        ordered = sorted(self.good)
        return {
            "count": len(ordered),
            "per_s": within / seconds,
            "seconds": seconds,
            "sent": self.sent,
            "unsent": self.unsent,
            "statuses": dict(self.statuses),
            "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2) if ordered else 0.0,
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2) if ordered else 0.0,
        }


async def offered(order: dict[str, Any]) -> dict[str, Any]:
    run = Offered(order)
    loop = asyncio.get_running_loop()
    for _ in range(order["connections"]):
        await loop.create_connection(lambda: _Connection(run), order["host"], order["port"])
    print("begin", flush=True)
    return await run.run()
