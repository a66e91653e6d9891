"""The MLLP socket: one task a connection, frames answered in order, one ACK a write. Framing is in mllp.py.

A sender that stops reading, speaks no MLLP or holds a half frame loses its own connection and nobody else's.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

from adt_listener.connection import CHUNK, Connection
from adt_listener.mllp import Discarded, Event, Frame, NotMllp, Oversize, wrap
from service.log_events import ADT_CONNECTED, ADT_DISCONNECTED, ADT_UNREADABLE, REQUEST_FAILED, log, where

Receive = Callable[[bytes, frozenset[str]], Awaitable[bytes | None]]
Refuse = Callable[[bytes], Awaitable[bytes | None]]

WRITE_S = 20.0
STOP_S = 5.0
HANDSHAKE_S = 10.0
MAX_CONNECTIONS = 512
QUIET_S = 60.0
"""At the cap, who has said nothing for so long gives way to who comes new."""


class MllpServer:
    """Accepts connections until stopped. receive: one payload and who sends it -> its acknowledgement, never raising.

    tls: mutual TLS (tls.py), and nothing else is spoken on the port.
    """

    def __init__(self, receive: Receive, refuse_oversize: Refuse, tls: ssl.SSLContext | None = None):
        self._receive, self._refuse_oversize, self._tls = receive, refuse_oversize, tls
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port."""
        handshake = HANDSHAKE_S if self._tls else None
        self._server = await asyncio.start_server(
            self._accept, host, port, limit=CHUNK, backlog=256, ssl=self._tls, ssl_handshake_timeout=handshake
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._stopping or not self._room():
            writer.close()
            return
        connection = self._connections[task] = Connection(reader, writer)
        log(ADT_CONNECTED, connections=len(self._connections))
        reason = "lost"
        try:
            reason = await self._serve(connection, task)
        except (OSError, TimeoutError):
            pass  # the peer went away, or reads no answers
        except asyncio.CancelledError:
            reason = "evicted" if connection.evicted else "stopping"
        except Exception as error:
            reason = "failed"
            log(REQUEST_FAILED, method="mllp", **where(error))
        finally:
            self._connections.pop(task, None)
            log(ADT_DISCONNECTED, connections=len(self._connections), reason=reason, messages=connection.messages)
            if reason == "lost":
                writer.transport.abort()  # what the peer does not read must not be kept for it
            writer.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(writer.wait_closed(), 1)

    def _room(self) -> bool:
        """Whether one more may connect: at the cap the quietest goes, if it is quiet and nothing of it is in hand."""
        waiting = {t: c for t, c in self._connections.items() if not c.evicted}
        if len(waiting) < MAX_CONNECTIONS:
            return True
        idle = [(c.heard, id(t), t, c) for t, c in waiting.items() if t not in self._answering]
        if not idle or min(idle)[0] > asyncio.get_running_loop().time() - QUIET_S:
            return False
        *_, task, connection = min(idle)
        connection.evicted = True
        task.cancel()
        return True

    async def _serve(self, connection: Connection, task: "asyncio.Task[None]") -> str:
        """Answers until the connection ends; says why it did."""
        while True:
            events, end = await connection.read()
            self._answering.add(task)
            try:
                for event in events:
                    if isinstance(event, NotMllp):
                        return "not-mllp"
                    await self._answer(event, connection)
                    if self._stopping:
                        return "stopping"
            finally:
                self._answering.discard(task)
            if end or self._stopping:
                return end or "stopping"

    async def _answer(self, event: Event, connection: Connection) -> None:
        match event:
            case Frame(payload):
                ack = await self._receive(payload, connection.peer)
            case Oversize(head, size):
                log(ADT_UNREADABLE, reason="oversize", bytes=size)
                ack = await self._refuse_oversize(head)
            case Discarded(reason, size):
                log(ADT_UNREADABLE, reason=reason, bytes=size)
                return
            case NotMllp():
                return
        connection.messages += 1
        if ack is not None:
            connection.writer.write(wrap(ack))
            await asyncio.wait_for(connection.writer.drain(), WRITE_S)

    async def stop(self) -> None:
        """Stops accepting, lets the messages in hand be answered, closes the connections."""
        if self._server is None:
            return
        self._stopping = True
        self._server.close()
        for task in self._connections.keys() - self._answering:
            task.cancel()
        if self._connections:
            _, late = await asyncio.wait(tuple(self._connections), timeout=STOP_S)
            for task in late:
                task.cancel()
