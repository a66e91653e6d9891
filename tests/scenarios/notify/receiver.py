"""A subscriber's HTTP receiver as a process of its own: answers badly by seed, and writes down all that it got.

`python -m tests.scenarios.notify.receiver PORT LOG SEED`, on 60 addresses of loopback, so that each is a host of
its own. Each request is a line of the log before it is answered. What is faulty, and how often, is said by
POST /control {"faults": {"5xx": 0.3, "timeout": 0.1, "reset": 0.05}, "dead": ["/hook/7"]}; at first nothing is. A dead
path takes requests and never answers; `gone` in the log says when the other side gave up.
The n-th request to a path meets the fault that seed, path and n give: a run can be repeated.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

HOSTS = 60
HOLD_S = 30
"""So long a request hangs that times out: longer than any subscriber's timeout here."""


@dataclass
class Receiver:
    log: int
    seed: str
    faults: dict[str, float] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    asked: dict[str, int] = field(default_factory=dict)
    most: int = 0
    """So many faults in a row at one path, then none; 0: as chance will have it."""
    row: dict[str, int] = field(default_factory=dict)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if path == "/control":
            orders = json.loads(body)
            self.faults, self.dead = orders.get("faults", {}), set(orders.get("dead", ()))
            self.most = orders.get("most", 0)
            await _answer(writer, 200)
            return True
        said = "method" if method != "POST" else "dead" if path in self.dead else self._fault(path)
        self._note(path, said, headers, body)
        if said in ("timeout", "dead"):
            await self._silent(reader, path, headers, dead=said == "dead")
            return False
        if said == "reset":
            held = writer.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        await _answer(writer, {"ok": 200, "method": 405}.get(said) or random.choice((500, 502, 503)))
        return True

    async def _silent(self, reader: asyncio.StreamReader, path: str, headers: dict[str, str], *, dead: bool) -> None:
        """Until the other side gives up, or the path is told to be dead no more."""
        until = time.monotonic() + HOLD_S
        while time.monotonic() < until and (not dead or path in self.dead):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
                break
        if dead and path in self.dead:
            self._note(path, "gone", headers, b"")

    def _fault(self, path: str) -> str:
        number = self.asked[path] = self.asked.get(path, 0) + 1
        chance = random.Random(f"{self.seed} {path} {number}").random()
        row = self.row.get(path, 0)
        for name, share in self.faults.items() if not self.most or row < self.most else ():
            if chance < share:
                self.row[path] = row + 1
                return name
            chance -= share
        self.row[path] = 0
        return "ok"

    def _note(self, path: str, said: str, headers: dict[str, str], body: bytes) -> None:
        line = {"at": time.time(), "path": path, "said": said, "id": headers.get("webhook-id", ""), **_told(body)}
        os.write(self.log, json.dumps(line).encode() + b"\n")


def _told(body: bytes) -> dict[str, Any]:
    """Of a notification: the subscription, its type, and the (number, focus) of each event; written for this test."""
    try:
        bundle = json.loads(body)
        status = bundle["entry"][0]["resource"]["parameter"]
    except (ValueError, KeyError, IndexError, TypeError):
        return {"subscription": "", "kind": "garbage", "events": [], "size": len(body)}
    facts = {part["name"]: next((v for k, v in part.items() if k.startswith("value")), "") for part in status}
    events = []
    for part in status:
        if part["name"] == "notification-event":
            inner = {one["name"]: next(v for k, v in one.items() if k.startswith("value")) for one in part["part"]}
            events.append((int(inner["event-number"]), inner.get("focus", {}).get("reference", "")))
    whose = facts["subscription"]["reference"].rsplit("/", 1)[-1]
    text = body.decode("utf-8", "replace")
    return {"subscription": whose, "kind": facts["type"], "events": events, "entries": len(bundle["entry"]) - 1,
            "status": facts.get("status", ""), "words": sorted(word for word in SPIES if word in text)}  # fmt: skip


SPIES = ("mrn-", '"Made"', "step ")
"""Of the world of parties.py: identifiers, names, what stands in a Task. An id-only notification holds none."""


async def _answer(writer: asyncio.StreamWriter, status: int) -> None:
    writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
    await writer.drain()


async def main(port: int, log: str, seed: str) -> None:
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    receiver = Receiver(descriptor, seed)
    hosts = ["127.0.0.1", *(f"127.0.1.{number}" for number in range(1, HOSTS + 1))]
    server = await asyncio.start_server(receiver.connection, hosts, port, limit=4 * 1024 * 1024)
    async with server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
