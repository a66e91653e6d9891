"""Reads of single resources and their versions, restriction included; on PostgreSQL waiting reads share a statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search.restriction import Restriction
from service.store.batches import Batch
from service.store.credentials import TOKEN_SQL, TokenRow, as_token, token_row
from service.store.dialect import marks
from service.store.engine import Store
from service.store.together import current
from service.store.visible import join, labels_cleared, visible

_COLUMNS = "r.key, r.rtype, r.fhir_id, v.version, v.vid, r.deleted, v.body, r.patient, r.labels, r.source_org"


@dataclass(frozen=True)
class Found:
    """A stored version: body is None for a deletion. labels, source_org: the facts by which it is shown or not."""

    key: int
    rtype: str
    fhir_id: str
    version: int
    vid: int
    deleted: bool
    body: bytes | None
    patient: int | None
    labels: int = 0
    source_org: int = 0

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fhir_id}"


def _found(row: Sequence[Any]) -> Found:
    key, rtype, fhir_id, version, vid, deleted, body, patient, labels, source_org = row
    return Found(key, rtype, fhir_id, version, vid, bool(deleted), body, patient, labels, source_org)


async def head(store: Store, rtype: str, fhir_id: str, restriction: Restriction) -> Found | None:
    """The current version (perhaps a deletion), or None where there is none that this caller may see."""
    key = store.keys.resource(f"{rtype}/{fhir_id}")
    if store.db.name == "postgresql" and current() is None:
        return await _coalesced(store, key, rtype, restriction)
    condition, params = visible("r", rtype, restriction)
    sql = (
        f"SELECT {_COLUMNS} FROM resource r JOIN version v ON v.vid = r.vid WHERE r.key = ? AND {condition or '1 = 1'}"
    )
    rows = await store.reading(restriction).fetch(sql, (key, *params))
    return _found(rows[0]) if rows else None


async def heads(store: Store, references: Sequence[str], restriction: Restriction) -> dict[str, Found]:
    """Current versions of several resources that exist and that this caller may see."""
    by_type: dict[str, list[int]] = {}
    for reference in references:
        by_type.setdefault(reference.split("/", 1)[0], []).append(store.keys.resource(reference))
    found: dict[str, Found] = {}
    for rtype, keys in by_type.items():
        condition, params = visible("r", rtype, restriction)
        sql = (
            f"SELECT {_COLUMNS} FROM resource r JOIN version v ON v.vid = r.vid "
            f"WHERE r.key IN ({marks(len(keys))}) AND r.deleted = 0 AND {condition or '1 = 1'}"
        )
        for row in await store.reading(restriction).fetch(sql, (*keys, *params)):
            one = _found(row)
            found[one.reference] = one
    return found


async def references(store: Store, keys: Sequence[int]) -> dict[int, str]:
    """Relative references of resources by their keys, deleted ones too; for those who may know them anyway."""
    if not keys:
        return {}
    sql = f"SELECT key, rtype, fhir_id FROM resource WHERE key IN ({marks(len(keys))})"
    return {row[0]: f"{row[1]}/{row[2]}" for row in await store.fetch(sql, tuple(keys))}


async def versions_now(store: Store, references: Sequence[str]) -> dict[str, int]:
    """Versions of the heads, 0 where there is none: for Change.relied, never to be told."""
    keys = {store.keys.resource(reference): reference for reference in references}
    sql = f"SELECT key, version FROM resource WHERE key IN ({marks(len(keys))})"
    rows = await store.fetch(sql, tuple(keys)) if keys else []
    return dict.fromkeys(references, 0) | {keys[key]: int(version) for key, version in rows}


async def source_org(store: Store, key: int) -> int:
    """Key of the organization that wrote the resource."""
    rows = await store.fetch("SELECT source_org FROM resource WHERE key = ?", (key,))
    return int(rows[0][0]) if rows else 0


async def version(store: Store, rtype: str, fhir_id: str, number: int, restriction: Restriction) -> Found | None:
    """One version of a resource whose head the caller may see, if that version's own labels allow it."""
    found = await history(store, rtype, fhir_id, restriction, limit=1, number=number)
    return found[0] if found else None


async def history(
    store: Store,
    rtype: str,
    fhir_id: str,
    restriction: Restriction,
    *,
    limit: int,
    before: int | None = None,
    number: int | None = None,
) -> list[Found]:
    """Versions, newest first, below version `before`."""
    own = ("v.version = ?", [number]) if number is not None else ("v.version < ?", [before]) if before else ("", [])
    condition, params = join(
        ("r.key = ?", [store.keys.resource(f"{rtype}/{fhir_id}")]),
        (own[0], list(own[1])),
        visible("r", rtype, restriction),
        labels_cleared("v", restriction),
    )
    sql = (
        "SELECT v.key, v.rtype, v.fhir_id, v.version, v.vid, CASE WHEN v.op = 3 THEN 1 ELSE 0 END, v.body, "
        "v.patient, v.labels, v.source_org "
        f"FROM version v JOIN resource r ON r.key = v.key WHERE {condition} ORDER BY v.version DESC LIMIT ?"
    )
    return [_found(row) for row in await store.reading(restriction).fetch(sql, (*params, limit))]


async def of_vids(store: Store, rtype: str, vids: Sequence[int], restriction: Restriction) -> list[Found]:
    """These versions of resources of one type, as far as the caller sees the heads and what labels they bear."""
    condition, params = join(
        (f"v.vid IN ({marks(len(vids))})", list(vids)),
        visible("r", rtype, restriction),
        labels_cleared("v", restriction),
    )
    sql = (
        "SELECT v.key, v.rtype, v.fhir_id, v.version, v.vid, CASE WHEN v.op = 3 THEN 1 ELSE 0 END, v.body, "
        f"v.patient, v.labels, v.source_org FROM version v JOIN resource r ON r.key = v.key WHERE {condition}"
    )
    return [_found(row) for row in await store.reading(restriction).fetch(sql, tuple(params))]


# --- coalescing: one statement for all that wait -------------------------------------------------------------------


async def _coalesced(store: Store, key: int, rtype: str, restriction: Restriction) -> Found | None:
    # Exactly equal rights share a statement; the rule table is compared by identity, and the batch keeps it alive.
    r = restriction
    rights = (r.subjects, r.own, r.actors, r.purposes, r.unrestricted, r.views, r.grace_us)
    name = (rtype, *rights, id(r.types), id(r.narrowed))
    batch = store.batches.get(name)
    if not isinstance(batch, _Heads) or batch.types is not r.types or batch.narrowed is not r.narrowed:
        batch = store.batches[name] = _Heads(store, rtype, restriction)
        if len(store.batches) > 1000:
            store.batches.pop(next(iter(store.batches)))
    # The oldest waiter's restriction has an older now_us than the newest; panel periods are read at the newest.
    batch.restriction = restriction
    return await batch.get(key)


async def token(store: Store, digest: bytes) -> TokenRow | None:
    """The access token of this digest and its client as they stand now; waiting requests share a statement."""
    if store.db.name != "postgresql":
        return await token_row(store, digest)
    batch = store.batches.get("tokens")
    if not isinstance(batch, _Tokens):
        batch = store.batches["tokens"] = _Tokens(store)
    row = await batch.get(digest)
    return await as_token(store, row) if row is not None else None


class _Heads(Batch[int, Found]):
    restriction: Restriction

    def __init__(self, store: Store, rtype: str, restriction: Restriction):
        super().__init__(store)
        self._rtype, self.types, self.narrowed = rtype, restriction.types, restriction.narrowed

    async def select(self, keys: list[int]) -> dict[int, Found]:
        condition, params = visible("r", self._rtype, self.restriction)
        sql = (
            f"SELECT {_COLUMNS} FROM resource r JOIN version v ON v.vid = r.vid "
            f"WHERE r.key = ANY(?::int8[]) AND {condition or '1 = 1'}"
        )
        rows = await self._store.reading(self.restriction).fetch(sql, (keys, *params))
        return {row[0]: _found(row) for row in rows}


class _Tokens(Batch[bytes, tuple[Any, ...]]):
    async def select(self, keys: list[bytes]) -> dict[bytes, tuple[Any, ...]]:
        rows = await self._store.fetch(TOKENS_SQL, (keys,))
        return {bytes(row[0]): tuple(row)[1:] for row in rows}


TOKENS_SQL = TOKEN_SQL.replace("SELECT ", "SELECT t.hash, ", 1).replace("t.hash = ?", "t.hash = ANY(?::bytea[])")
