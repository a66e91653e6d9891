"""The MLLP socket: one task a connection, frames answered in order, one ACK a write. Framing is in mllp.py.

A sender that stops reading, speaks no MLLP or holds a half frame loses its own connection and nobody else's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from adt_listener.mllp import Discarded, Event, Frame, FrameReader, NotMllp, Oversize, wrap
from service.log_events import ADT_CONNECTED, ADT_DISCONNECTED, ADT_UNREADABLE, REQUEST_FAILED, log, where

Receive = Callable[[bytes], Awaitable[bytes | None]]

CHUNK = 262_144
IDLE_S = 3600.0
FRAME_S = 60.0
"""A frame that has begun must be whole within this time."""
WRITE_S = 20.0
STOP_S = 5.0
MAX_CONNECTIONS = 512
GRACE_S = 0.5
"""FS without CR: after this silence the frame counts as whole."""


class MllpServer:
    """Accepts connections until stopped. receive: one payload -> its acknowledgement, never raising."""

    def __init__(self, receive: Receive, refuse_oversize: Receive):
        self._receive, self._refuse_oversize = receive, refuse_oversize
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK, backlog=256)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._stopping or len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        log(ADT_CONNECTED, connections=len(self._connections))
        connection = _Connection(reader, writer)
        reason = "lost"
        try:
            reason = await self._serve(connection, task)
        except (OSError, TimeoutError):
            pass  # the peer went away, or reads no answers
        except asyncio.CancelledError:
            reason = "stopping"
        except Exception as error:
            reason = "failed"
            log(REQUEST_FAILED, method="mllp", **where(error))
        finally:
            self._connections.discard(task)
            log(ADT_DISCONNECTED, connections=len(self._connections), reason=reason, messages=connection.messages)
            if reason == "lost":
                writer.transport.abort()  # what the peer does not read must not be kept for it
            writer.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(writer.wait_closed(), 1)

    async def _serve(self, connection: "_Connection", task: "asyncio.Task[None]") -> str:
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

    async def _answer(self, event: Event, connection: "_Connection") -> None:
        match event:
            case Frame(payload):
                ack = await self._receive(payload)
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
        for task in self._connections - self._answering:
            task.cancel()
        if self._connections:
            _, late = await asyncio.wait(tuple(self._connections), timeout=STOP_S)
            for task in late:
                task.cancel()


class _Connection:
    """One sender: its streams, its frames, and since when its frame has been open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.writer, self.messages = writer, 0
        self._reader, self._frames = reader, FrameReader()
        self._begun: float | None = None
        self._asked = True
        """Whether the frame was already looked at after a moment's silence."""

    async def read(self) -> tuple[list[Event], str]:
        """(what the next bytes complete, why the connection ends or "")."""
        now = asyncio.get_running_loop().time
        limit = IDLE_S if self._begun is None else max(0.0, self._begun + FRAME_S - now())
        if not self._asked:
            limit = min(limit, GRACE_S)
        try:
            data = await asyncio.wait_for(self._reader.read(CHUNK), limit)
        except TimeoutError:
            return self._silence(now())
        if not data:
            return self._frames.close(), "closed"
        events, self._asked = self._frames.feed(data), False
        if not self._frames.inside:
            self._begun = None
        elif self._begun is None or events:
            self._begun = now()
        return events, ""

    def _silence(self, now: float) -> tuple[list[Event], str]:
        if self._begun is None and self._asked:
            return [], "idle"
        if self._begun is not None and now >= self._begun + FRAME_S:
            return self._frames.close(), "half-frame"
        events, self._asked = self._frames.idle(), True
        if events:
            self._begun = None
        return events, ""
