"""SQL of our own signing keys; when one signs and how long it is published: service/auth/signing_keys.py."""

from dataclasses import dataclass

from service.store.change import Statement
from service.store.credentials import Reads


@dataclass(frozen=True)
class KeyRow:
    """private: sealed. public: a JWK as JSON text. Published until retired_us; null: no successor is there yet."""

    kid: str
    private: bytes
    public: str
    created_us: int
    signs_from_us: int
    retired_us: int | None


_KEYS = (
    "SELECT kid, private, public, created_us, signs_from_us, retired_us FROM signing_key ORDER BY signs_from_us, kid"
)


async def signing_keys(store: Reads) -> list[KeyRow]:
    """Every key, retired ones too, by when they sign."""
    return [
        KeyRow(kid, bytes(private), public, created_us, signs_from_us, retired_us)
        for kid, private, public, created_us, signs_from_us, retired_us in await store.fetch(_KEYS)
    ]


def insert_key(row: KeyRow) -> Statement:
    return Statement(
        "INSERT INTO signing_key (kid, private, public, created_us, signs_from_us, retired_us)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (row.kid, row.private, row.public, row.created_us, row.signs_from_us, row.retired_us),
    )


def retire_others(kid: str, retired_us: int) -> Statement:
    """Sets the end of every key but this one; an earlier end stays."""
    sql = "UPDATE signing_key SET retired_us = ? WHERE kid <> ? AND (retired_us IS NULL OR retired_us > ?)"
    return Statement(sql, (retired_us, kid, retired_us))


def forget_keys(before_us: int) -> Statement:
    return Statement("DELETE FROM signing_key WHERE retired_us IS NOT NULL AND retired_us < ?", (before_us,))
