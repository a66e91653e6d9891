"""MLLP framing without I/O: a tolerant reader (bytes in, frames out) and a strict writer.

Source: HL7 Minimal Lower Layer Protocol, release 1. A frame is VT payload FS CR.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

VT, FS, CR, LF = b"\x0b", b"\x1c", b"\x0d", b"\x0a"
MAX_BYTES = 16 * 1024 * 1024
HEAD_BYTES = 4096
_MARK = re.compile(rb"[\x0b\x1c]")
_KEEP_ALIVE = b" \t\r\n\x00\x1c"  # FS CR again after a frame: the tail of a double-wrapped one


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole payload: exactly one answer is due."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Oversize:
    """A frame over the cap. `head` is its beginning: enough to refuse it by its control id (MSA-2)."""

    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """Bytes that are no whole message; log them, never acknowledge them."""

    reason: Literal["restarted", "empty-frame", "outside-frame", "closed-mid-frame"]
    size: int


@dataclass(frozen=True, slots=True)
class NotMllp:
    """The peer does not speak MLLP (HTTP, TLS, bare HL7): close the connection without an answer; no event follows."""


Event = Frame | Oversize | Discarded | NotMllp


def wrap(payload: bytes) -> bytes:
    """VT payload FS CR; the payload must hold neither VT nor FS (ValueError)."""
    if _MARK.search(payload):
        raise ValueError("An MLLP payload must not hold the framing bytes 0x0B or 0x1C.")
    return VT + payload + FS + CR


class FrameReader:
    """Reads one connection's bytes. Call `idle` when the peer has been silent for a moment, `close` at its end."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max = max_bytes
        self._buffer = bytearray()
        self._scan = 0
        self._inside = False
        self._spoke_mllp = False
        self._foreign = False
        self._head: bytes | None = None  # set while an oversize frame is being skipped
        self._skipped = 0

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and is not whole yet."""
        return self._inside

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order; one connection's events are to be answered in that order."""
        events: list[Event] = []
        if self._foreign:
            return events
        self._buffer += data
        while self._in_frame(events) if self._inside else self._between(events):
            pass
        return events

    def idle(self) -> list[Event]:
        """Some senders leave out the CR and then wait: a frame whose last byte is FS ends here."""
        if self._inside and self._buffer.endswith(FS) and self._scan == len(self._buffer) - 1:
            return [self._end(self._scan, 1)]
        return []

    def close(self) -> list[Event]:
        """The peer has closed its side."""
        events = self.idle()
        if self._inside:
            events.append(Discarded("closed-mid-frame", self._skipped + len(self._buffer)))
        self._buffer.clear()
        self._inside = False
        return events

    def _between(self, events: list[Event]) -> bool:
        start = self._buffer.find(VT)
        noise = bytes(self._buffer if start < 0 else self._buffer[:start])
        if noise.strip(_KEEP_ALIVE):
            events.append(Discarded("outside-frame", len(noise)) if self._spoke_mllp else NotMllp())
            if not self._spoke_mllp:
                self._foreign = True
                self._buffer.clear()
                return False
        del self._buffer[: len(noise) + (start >= 0)]
        self._inside, self._scan = start >= 0, 0
        return self._inside

    def _in_frame(self, events: list[Event]) -> bool:
        mark = _MARK.search(self._buffer, self._scan)
        if mark is None:
            self._scan = len(self._buffer)
            self._shed(self._scan)
            return False
        at = mark.start()
        if self._buffer[at : at + 1] == VT:  # the sender gave up on the frame before and began anew
            if at or self._skipped:
                events.append(Discarded("restarted", self._skipped + at))
            del self._buffer[: at + 1]
            self._scan, self._head, self._skipped = 0, None, 0
            return True
        after = bytes(self._buffer[at + 1 : at + 2])
        if not after:
            self._scan = at
            return False
        if after in (CR, LF, VT):
            events.append(self._end(at, 1 if after == VT else 2))
        else:
            self._scan = at + 1  # an FS inside the payload
        return True

    def _shed(self, upto: int) -> None:
        if self._head is None and upto > self._max:
            self._head = bytes(self._buffer[: min(upto, HEAD_BYTES)])
        if self._head is not None:
            self._skipped += upto
            del self._buffer[:upto]
            self._scan = 0

    def _end(self, at: int, marks: int) -> Event:
        self._shed(at)
        size, head, at = self._skipped, self._head, (0 if self._head is not None else at)
        payload = bytes(self._buffer[:at])
        del self._buffer[: at + marks]
        self._inside, self._scan, self._head, self._skipped, self._spoke_mllp = False, 0, None, 0, True
        if head is not None:
            return Oversize(head, size)
        return Frame(payload) if payload.strip(_KEEP_ALIVE) else Discarded("empty-frame", len(payload))
