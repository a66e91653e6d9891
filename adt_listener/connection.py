"""One sender's connection: its streams, its frames, since when its frame has been open, when it last said anything."""

import asyncio
import socket

from adt_listener.mllp import Event, FrameReader
from adt_listener.tls import identities

CHUNK = 262_144
IDLE_S = 3600.0
FRAME_S = 60.0
"""A frame that has begun must be whole within this time."""
GRACE_S = 0.5
"""FS without CR: after this silence the frame counts as whole."""


class Connection:
    """peer: what its certificate proves (tls.py); empty on a plain line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.writer, self.messages = writer, 0
        self.peer = identities(writer.get_extra_info("ssl_object"))
        self.heard = asyncio.get_running_loop().time()
        self.evicted = False
        self._reader, self._frames = reader, FrameReader()
        self._begun: float | None = None
        self._asked = True
        """Whether the frame was already looked at after a moment's silence."""
        line = writer.get_extra_info("socket")
        if line is not None:  # a peer that is gone without a word is noticed by the kernel
            line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

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
        self.heard = now()
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
