"""Receipts of seals: one JSON line each, in a file beside the database. What the database lost stands here.

Copies of the file in other hands (another machine, a mailbox) make it worth more: `enlace audit verify --receipts`.
"""

import contextlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from service.store.seals import Seal, is_signed

MAX_LINE = 100_000


@dataclass(frozen=True)
class Receipt:
    """A line. seal: None for the mark of a restore, after which the seals above `kept` are given up."""

    line: int
    site: str
    seal: Seal | None
    kept: int = 0
    good: bool = False
    """Whether it is signed with one of the keys."""


def append(path: Path, seal: Seal) -> None:
    """Durable when it returns. Raises OSError."""
    facts = {"site": seal.site, "number": seal.number, "at_us": seal.at_us, "heads": seal.heads}
    _write(path, {**facts, "previous": seal.previous.hex(), "signature": seal.signature.hex()})


def mark_restored(path: Path, key: bytes, site: str, kept: int, at_us: int) -> None:
    """The database was restored from a backup that ends with seal `kept`: later ones are given up, by the operator."""
    mark = _mark(key, site, kept, at_us)
    _write(path, {"site": site, "restored": kept, "at_us": at_us, "signature": mark.hex()})


def _mark(key: bytes, site: str, kept: int, at_us: int) -> bytes:
    return hmac.digest(key, orjson.dumps(["restored", site, kept, at_us]), sha256)


def _write(path: Path, facts: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # What a crash left behind half-written must not swallow the next line.
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (b"\n" if torn else b"") + orjson.dumps(facts) + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path, keys: Iterable[bytes]) -> Iterator[Receipt]:
    """Line by line; what cannot be read is a receipt that is not good. Raises OSError."""
    known = tuple(keys)
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
            if line.strip():
                yield _receipt(number, line, known)


def _receipt(number: int, line: bytes, keys: tuple[bytes, ...]) -> Receipt:
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        facts = orjson.loads(line)
        site, at_us, mark = str(facts["site"]), int(facts["at_us"]), bytes.fromhex(facts["signature"])
        if "restored" in facts:
            kept = int(facts["restored"])
            good = any(hmac.compare_digest(_mark(key, site, kept, at_us), mark) for key in keys)
            return Receipt(number, site, None, kept, good)
        previous = bytes.fromhex(facts["previous"])
        seal = Seal(site, int(facts["number"]), at_us, str(facts["heads"]), previous, mark)
        return Receipt(number, site, seal, good=is_signed(keys, seal))
    return Receipt(number, "", None)
