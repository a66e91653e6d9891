"""Registered sending systems (`enlace adt source`): found by MSH-3 and MSH-4."""

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


async def all_sources(store: Store) -> list[RegisteredSource]:
    rows = await store.fetch(
        "SELECT name, application, facility, organization, config, active FROM message_source ORDER BY name"
    )
    return [RegisteredSource(r[0], r[1], r[2], r[3], orjson.loads(r[4]), bool(r[5])) for r in rows]


async def named(store: Store, name: str) -> RegisteredSource | None:
    return next((source for source in await all_sources(store) if source.name == name), None)


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
