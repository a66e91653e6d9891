"""Registered sending systems (`enlace adt source`): found by MSH-3 and MSH-4."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.store.change import Statement
from service.store.engine import Store

UNPROVEN = "?!"
"""Begins the name under which messages are kept whose sender says to be a source that it may not speak for."""


@dataclass(frozen=True)
class RegisteredSource:
    """config: what SourceConfig holds beside the name (workflow/source_form.py says each word)."""

    name: str
    application: str
    facility: str
    organization: str
    config: dict[str, Any]
    active: bool


_COLUMNS = "s.name, s.application, s.facility, s.organization, s.config, s.active"


async def all_sources(store: Store) -> list[RegisteredSource]:
    return [_source(row) for row in await store.fetch(f"SELECT {_COLUMNS} FROM message_source s ORDER BY s.name")]


async def named(store: Store, name: str) -> RegisteredSource | None:
    rows = await store.fetch(f"SELECT {_COLUMNS} FROM message_source s WHERE s.name = ?", (name,))
    return _source(rows[0]) if rows else None


async def of_message(store: Store, inbox_id: int) -> RegisteredSource | None:
    """Whose message it is, as registered now; None of an unknown sender."""
    sql = f"SELECT {_COLUMNS} FROM inbox i JOIN message_source s ON s.name = i.source WHERE i.id = ?"
    rows = await store.fetch(sql, (inbox_id,))
    return _source(rows[0]) if rows else None


def _source(row: Sequence[Any]) -> RegisteredSource:
    name, application, facility, organization, config, active = row
    return RegisteredSource(name, application, facility, organization, orjson.loads(config), bool(active))


def put(source: RegisteredSource) -> Statement:
    return Statement(
        "INSERT INTO message_source (name, application, facility, organization, config, active) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET application = excluded.application, "
        "facility = excluded.facility, organization = excluded.organization, config = excluded.config, "
        "active = excluded.active",
        (
            source.name,
            source.application,
            source.facility,
            source.organization,
            orjson.dumps(source.config).decode(),
            int(source.active),
        ),
    )
