"""A small MLLP sender: one message in flight, the ACK code of each. For `enlace adt send|simulate` and tests."""

import asyncio
from types import TracebackType

from adt_listener.mllp import Frame, FrameReader, wrap

TIMEOUT_S = 30.0


class Refused(Exception):
    """The listener closed the connection or answered what is no acknowledgement."""


class Connection:
    """An open connection to a listener; use it with `async with`."""

    def __init__(self, host: str, port: int):
        self._host, self._port = host, port
        self._frames = FrameReader()
        self._ready: list[bytes] = []

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def exchange(self, message: bytes) -> bytes:
        """The acknowledgement as it came. Raises Refused, TimeoutError, OSError."""
        self._writer.write(wrap(message))
        await self._writer.drain()
        while not self._ready:
            data = await asyncio.wait_for(self._reader.read(65_536), TIMEOUT_S)
            if not data:
                raise Refused("The listener closed the connection without an answer.")
            self._ready += [event.payload for event in self._frames.feed(data) if isinstance(event, Frame)]
        return self._ready.pop(0)

    async def drop(self, message: bytes) -> None:
        """Sends it and waits for nothing: the acknowledgement gets lost."""
        self._writer.write(wrap(message))
        await self._writer.drain()

    async def send(self, message: bytes) -> str:
        """The ACK code: MSA-1."""
        return ack_code(await self.exchange(message))


def ack_code(ack: bytes) -> str:
    return ack_said(ack)[0]


def ack_said(ack: bytes) -> tuple[str, str]:
    """MSA-1, and of a negative answer the words of MSA-3, or ERR-8."""
    lines = [line.decode("utf-8", "replace").split("|") for line in ack.replace(b"\n", b"\r").split(b"\r")]
    for line in lines:
        if line[0] == "MSA" and len(line) > 1:
            if line[1] in ("AA", "CA"):
                return line[1], ""
            words = [line[3:4]] + [part[at : at + 1] for part in lines if part[0] == "ERR" for at in (8, 7)]
            return line[1], next((word[0] for word in words if word and word[0]), "")
    raise Refused("The answer holds no MSA segment.")
