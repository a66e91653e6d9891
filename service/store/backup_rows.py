"""Rows of a table in PostgreSQL's binary COPY form: what a backup holds of either database, so that digests agree.

https://www.postgresql.org/docs/15/sql-copy.html (Binary Format): signature, flags, extension; per row the number of
fields, per field its length (-1: null) and its bytes; at the end -1. PostgreSQL speaks it itself; SQLite's rows are
written and read here.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct(">i")
_COUNT = struct.Struct(">h")
MAX_FIELD = 1 << 30


class BadRows(Exception):
    """The bytes are not rows of this table."""


@dataclass(frozen=True)
class Table:
    """A table as a backup needs it: columns with their kinds (int8, int2, text, bytea, float8), and its primary key."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


def _number(layout: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    whole, plain = struct.Struct(">i" + layout), struct.Struct(">" + layout)
    size = plain.size
    return (lambda value: whole.pack(size, value)), (lambda data: plain.unpack(data)[0])


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH.pack(len(data)) + data


def _blob(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


KINDS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "int8": _number("q"),
    "int2": _number("h"),
    "float8": _number("d"),
    "text": (_text, lambda data: data.decode()),
    "bytea": (_blob, lambda data: data),
}
"""kind -> (value to its length and bytes, bytes to value)"""


def encode(table: Table, rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows without header and trailer."""
    writers = [KINDS[kind][0] for _, kind in table.columns]
    count = _COUNT.pack(len(writers))
    return b"".join(
        [
            count
            + b"".join([_NULL if value is None else write(value) for write, value in zip(writers, row, strict=True)])
            for row in rows
        ]
    )


def decode(table: Table, chunks: Iterable[bytes]) -> Iterator[tuple[Any, ...]]:
    """Rows of a whole stream, header and trailer included; memory holds one chunk and one row. Raises BadRows."""
    take = _Taker(chunks).take
    readers = [KINDS[kind][1] for _, kind in table.columns]
    if take(len(HEADER)) != HEADER:
        raise BadRows(f"{table.name}: no rows in PostgreSQL's binary form")
    while (count := _COUNT.unpack(take(2))[0]) != -1:
        if count != len(readers):
            raise BadRows(f"{table.name}: a row has {count} columns, not {len(readers)}")
        row = []
        for read in readers:
            size = _LENGTH.unpack(take(4))[0]
            if not -1 <= size <= MAX_FIELD:
                raise BadRows(f"{table.name}: a field has an impossible length")
            try:
                row.append(None if size == -1 else read(take(size)))
            except (struct.error, UnicodeDecodeError):
                raise BadRows(f"{table.name}: a field is not of its kind") from None
        yield tuple(row)


class _Taker:
    """Exactly so many bytes at a time from chunks of any size."""

    def __init__(self, chunks: Iterable[bytes]):
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        while end > len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                raise BadRows("the rows end too early")
            self._buffer = self._buffer[self._at :] + chunk
            end -= self._at
            self._at = 0
        data = self._buffer[self._at : end]
        self._at = end
        return data
