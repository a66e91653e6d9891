"""Reads of the audit table: who did what, by patient, organization and time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from service.search.keys import Keys
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import join

_SLOT = 56
"""Bits of the number within a chain."""
COLUMNS = (
    "a.slot, a.seq, a.at_us, a.actor, a.organization, a.action, a.kind, a.outcome, a.target, a.patients, "
    "a.request_id, a.reason, a.purpose, a.detail"
)


@dataclass(frozen=True)
class StoredAudit:
    """A row of `audit`; patients are relative references."""

    slot: int
    seq: int
    at_us: int
    actor: str
    organization: str
    action: str
    kind: str
    outcome: int
    target: str
    patients: tuple[str, ...]
    request_id: str
    reason: str
    purpose: str
    detail: str = ""
    name: str = ""
    """What its AuditEvents are called by: the place in the chain, sealed, for its numbers tell how much others do."""

    @cached_property
    def more(self) -> dict[str, Any]:
        """The detail as written by service/access/audit_detail.py; {} where there is none."""
        found: dict[str, Any] = orjson.loads(self.detail) if self.detail else {}
        return found

    @property
    def position(self) -> str:
        return f"{self.at_us}.{self.slot}.{self.seq}"


def as_stored(row: tuple[Any, ...], keys: Keys) -> StoredAudit:
    values: list[Any] = list(row)
    values[9] = tuple(str(row[9]).split())
    values[13] = values[13] or ""
    return StoredAudit(*[*values, keys.sealed(row[0] << _SLOT | row[1])])


def place_of(name: str, keys: Keys) -> tuple[int, int]:
    """(slot, seq) of a row's name; of what is no name, a place where nothing stands."""
    number = keys.opened(name)
    return number >> _SLOT, number & (1 << _SLOT) - 1


async def read(store: Store, slot: int, seq: int, organization: str | None) -> list[StoredAudit]:
    condition, params = join(
        ("a.slot = ? AND a.seq = ?", [slot, seq]),
        ("a.organization = ?", [organization]) if organization is not None else ("", []),
    )
    sql = f"SELECT {COLUMNS} FROM audit a WHERE {condition}"
    return [as_stored(row, store.keys) for row in await store.fetch(sql, tuple(params))]


async def search(
    store: Store,
    *,
    organization: str | None,
    patients: tuple[int, ...],
    low: int | None,
    high: int | None,
    after: int | str | None,
    limit: int,
) -> list[StoredAudit]:
    """Newest first below the position `after`; [low, high) in microseconds since the epoch; patients: their keys."""
    keys = list(patients)
    of_patients = (
        "EXISTS (SELECT 1 FROM audit_patient p WHERE p.slot = a.slot AND p.seq = a.seq AND p.at_us = a.at_us "
        f"AND p.patient IN ({marks(len(keys))}))",
        list[Any](keys),
    )
    condition, params = join(
        ("a.organization = ?", [organization]) if organization is not None else ("", []),
        of_patients if keys else ("", []),
        ("a.at_us >= ?", [low]) if low is not None else ("", []),
        ("a.at_us < ?", [high]) if high is not None else ("", []),
        ("(a.at_us, a.slot, a.seq) < (?, ?, ?)", [int(p) for p in after.split(".")])
        if isinstance(after, str)
        else ("", []),
    )
    sql = f"SELECT {COLUMNS} FROM audit a WHERE {condition} ORDER BY a.at_us DESC, a.slot DESC, a.seq DESC LIMIT ?"
    return [as_stored(row, store.keys) for row in await store.fetch(sql, (*params, limit), heavy=True)]
