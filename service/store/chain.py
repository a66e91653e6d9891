"""Verifies the audit chains: every digest is computed again, exactly as commit.py makes it; page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

import orjson

from service.store.columns import COLUMNS

_FACTS = tuple(name for name in COLUMNS["audit"] if name not in ("digest", "detail"))
_PATIENTS = _FACTS.index("patients")
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
    patients: dict[int, tuple[int, int]] = field(default_factory=dict, compare=False)
    """slot -> (last row read, how many rows of audit_patient follow from the rows)"""

    @property
    def whole(self) -> bool:
        return not self.broken


async def verify(database: Reads, page: int = PAGE) -> Verified:
    """Every chain from its first row. What was cut off at the end of a chain shows against `heads` only."""
    rows = 0
    broken: list[tuple[int, int]] = []
    patients: dict[int, tuple[int, int]] = {}
    for (slot,) in await database.fetch(_SLOTS):
        rows += await _verify_slot(database, int(slot), page, broken, patients)
    return Verified(rows, tuple(broken[:MOST]), patients)


async def heads(database: Reads) -> dict[int, tuple[int, str]]:
    """slot -> (last seq, its digest in hex)."""
    found: dict[int, tuple[int, str]] = {}
    for slot, seq in await database.fetch("SELECT slot, max(seq) FROM audit GROUP BY slot ORDER BY slot"):
        digest = (await database.fetch(_LAST, (slot, seq)))[0][0]
        found[int(slot)] = (int(seq), bytes(digest or b"").hex())
    return found


async def digests(database: Reads, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """(slot, seq) -> the digest that is stored, in hex; without the rows that are not there."""
    if not places:
        return {}
    values = ", ".join(["(CAST(? AS BIGINT), CAST(? AS BIGINT))"] * len(places))
    sql = f"SELECT slot, seq, digest FROM audit WHERE (slot, seq) IN (VALUES {values})"
    rows = await database.fetch(sql, tuple(number for place in places for number in place))
    return {(int(slot), int(seq)): bytes(digest or b"").hex() for slot, seq, digest in rows}


async def patients(database: Reads, slot: int, last: int) -> int:
    """How many rows of audit_patient belong to the chain of a slot up to this row."""
    rows = await database.fetch("SELECT count(*) FROM audit_patient WHERE slot = ? AND seq <= ?", (slot, last))
    return int(rows[0][0])


async def _verify_slot(
    database: Reads, slot: int, page: int, broken: list[tuple[int, int]], patients: dict[int, tuple[int, int]]
) -> int:
    """Adds what is broken; a row after a broken one is judged by the digest that is stored, so that one stays one."""
    rows, seq, head, named = 0, 0, b"", 0
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
            named += len(set(str(facts[_PATIENTS]).split()))
        if len(broken) > MOST:
            break
    patients[slot] = (seq, named)
    return rows
