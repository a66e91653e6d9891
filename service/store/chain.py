"""Verifies the audit chains: every digest is computed again, exactly as commit.py makes it; page by page."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import orjson

from service.store.columns import COLUMNS

_FACTS = tuple(name for name in COLUMNS["audit"] if name not in ("digest", "detail"))
_PAGE = f"SELECT {', '.join(_FACTS)}, detail, digest FROM audit WHERE slot = ? AND seq > ? ORDER BY seq LIMIT ?"
_SLOTS = "SELECT DISTINCT slot FROM audit ORDER BY slot"
_LAST = "SELECT digest FROM audit WHERE slot = ? AND seq = ?"
PAGE = 2000
MOST = 1000
"""No more broken places are listed: a chain that is broken in a thousand places tells nothing more in the next."""


class Reads(Protocol):
    """What verifying needs: a Store, a database and the places of a backup fit it."""

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class Verified:
    """rows: how many were read. broken: (slot, seq) of rows that are missing or do not follow from the row before."""

    rows: int
    broken: tuple[tuple[int, int], ...]

    @property
    def whole(self) -> bool:
        return not self.broken


async def verify(database: Reads, page: int = PAGE) -> Verified:
    """Every chain from its first row. What was cut off at the end of a chain shows against `heads` only."""
    rows = 0
    broken: list[tuple[int, int]] = []
    for (slot,) in await database.fetch(_SLOTS):
        rows += await _verify_slot(database, int(slot), page, broken)
    return Verified(rows, tuple(broken[:MOST]))


async def heads(database: Reads) -> dict[int, tuple[int, str]]:
    """slot -> (last seq, its digest in hex)."""
    found: dict[int, tuple[int, str]] = {}
    for slot, seq in await database.fetch("SELECT slot, max(seq) FROM audit GROUP BY slot ORDER BY slot"):
        digest = (await database.fetch(_LAST, (slot, seq)))[0][0]
        found[int(slot)] = (int(seq), bytes(digest or b"").hex())
    return found


async def _verify_slot(database: Reads, slot: int, page: int, broken: list[tuple[int, int]]) -> int:
    """Adds what is broken; a row after a broken one is judged by the digest that is stored, so that one stays one."""
    rows, seq, head = 0, 0, b""
    while found := await database.fetch(_PAGE, (slot, seq, page)):
        rows += len(found)
        for *facts, detail, stored in map(tuple, found):
            digest = bytes(stored or b"")
            facts += [detail] if detail else []
            if facts[1] != seq + 1:
                broken.append((slot, seq + 1))  # it is missing, and the next cannot be judged without its digest
            elif sha256(head + orjson.dumps(facts)).digest() != digest:
                broken.append((slot, facts[1]))
            seq, head = facts[1], digest
        if len(broken) > MOST:
            break
    return rows
