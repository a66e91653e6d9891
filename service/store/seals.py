"""Seals of the audit: the heads of all chains at an instant, signed with a key that the database does not hold.

A seal holds the heads that moved since the seal before, and signs that one's signature with them: none can be taken
out, none exchanged. What a seal covers can no longer be changed, cut off or replaced unseen (store/seal_check.py).
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import orjson

from service.store.chain import Reads
from service.store.database import Database

Heads = dict[int, tuple[int, str]]
"""slot -> (last seq, its digest in hex)"""

_COLUMNS = "SELECT number, at_us, heads, signature FROM audit_seal"
_HEADS = (
    "SELECT h.slot, h.seq, a.digest, a.at_us FROM (SELECT w.slot AS slot, "
    "(SELECT max(x.seq) FROM audit x WHERE x.slot = w.slot) AS seq FROM worker_slot w) h "
    "JOIN audit a ON a.slot = h.slot AND a.seq = h.seq"
)
"""One step in the index for each slot, however long the chains have grown."""
_INSERT = (
    "INSERT INTO audit_seal (number, at_us, heads, signature) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (number) DO NOTHING RETURNING number"
)
_LOOK_BACK = 50


@dataclass(frozen=True)
class Seal:
    """previous: signature of the seal before, b"" of the first. site: of which database; see `site`."""

    site: str
    number: int
    at_us: int
    heads: str
    previous: bytes
    signature: bytes = b""

    def parsed(self) -> Heads:
        """Raises ValueError where somebody wrote something else there."""
        found = orjson.loads(self.heads)
        return {int(slot): (int(head[0]), str(head[1])) for slot, head in found.items()}


def signed(
    key: bytes, site: str, number: int, at_us: int, heads: Mapping[int, tuple[int, str]], previous: bytes
) -> Seal:
    text = orjson.dumps({str(slot): list(head) for slot, head in sorted(heads.items())}).decode()
    bare = Seal(site, number, at_us, text, previous)
    return Seal(site, number, at_us, text, previous, signature(key, bare))


def signature(key: bytes, seal: Seal) -> bytes:
    facts = orjson.dumps(["seal", seal.site, seal.number, seal.at_us, seal.heads, seal.previous.hex()])
    return hmac.digest(key, facts, sha256)


def is_signed(keys: Iterable[bytes], seal: Seal) -> bool:
    return any(hmac.compare_digest(signature(key, seal), seal.signature) for key in keys)


async def site(database: Reads) -> str:
    """Tells databases apart in receipts, and tells nothing of them."""
    rows = await database.fetch("SELECT value FROM meta WHERE name = 'index_secret'")
    return sha256(b"enlace-site " + str(rows[0][0] if rows else "").encode()).hexdigest()[:16]


async def heads(database: Reads) -> Heads:
    """The last row of each chain."""
    return {int(slot): (int(seq), bytes(digest or b"").hex()) for slot, seq, digest, _ in await database.fetch(_HEADS)}


async def after(database: Reads, site: str, number: int, limit: int) -> list[Seal]:
    """Seals above this number, in order; the first one's `previous` is looked up."""
    rows = await database.fetch(f"{_COLUMNS} WHERE number >= ? ORDER BY number LIMIT ?", (number, limit + 1))
    found: list[Seal] = []
    previous = b""
    for row_number, at_us, text, mark in rows:
        if row_number > number:
            found.append(Seal(site, int(row_number), int(at_us), str(text), previous, bytes(mark)))
        previous = bytes(mark)
    return found[:limit]


async def last_number(database: Reads) -> int:
    return int((await database.fetch("SELECT max(number) FROM audit_seal"))[0][0] or 0)


async def last_at_us(database: Reads) -> int | None:
    rows = await database.fetch("SELECT at_us FROM audit_seal ORDER BY number DESC LIMIT 1")
    return int(rows[0][0]) if rows else None


async def append(database: Database, seal: Seal) -> bool:
    """False: another process made the seal of this number."""
    facts = (seal.number, seal.at_us, seal.heads, seal.signature)
    return bool(await database.execute(_INSERT, facts))


async def digest_at(database: Reads, slot: int, seq: int) -> str:
    """In hex; "" where the row is not there."""
    rows = await database.fetch("SELECT digest FROM audit WHERE slot = ? AND seq = ?", (slot, seq))
    return bytes(rows[0][0] or b"").hex() if rows else ""


async def unsealed_since_us(database: Reads) -> int | None:
    """When the oldest row was written that no seal covers; None: all are covered."""
    rows = await database.fetch(f"{_COLUMNS} ORDER BY number DESC LIMIT ?", (_LOOK_BACK,))
    sealed: dict[int, int] = {}
    for number, at_us, text, mark in rows:
        for slot, (seq, _) in Seal("", number, at_us, text, b"", bytes(mark)).parsed().items():
            sealed.setdefault(slot, seq)
    newest_us = int(rows[0][1]) if rows else 0
    oldest: list[int] = []
    for slot, seq, _, at_us in await database.fetch(_HEADS):
        if slot in sealed and seq > sealed[slot]:
            first = await database.fetch("SELECT at_us FROM audit WHERE slot = ? AND seq = ?", (slot, sealed[slot] + 1))
            oldest.append(int(first[0][0]) if first else int(at_us))
        elif slot not in sealed and at_us > newest_us:
            oldest.append(int(at_us))
    return min(oldest, default=None)
