"""The nasty inputs of facts/adt.md 6 over a real socket into a real store, with a worker behind it."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from adt_listener.process import listener
from service.access.context import Settings
from service.store.engine import Store, open_store
from service.worker import Worker
from service.workflow.message_reading import Read, read
from service.workflow.sending_systems import source_of
from tests.adt_listener.nasty import ROWS as WIRE
from tests.adt_listener.nasty import Nasty
from tests.adt_listener.nasty_data import ROWS as DATA
from tests.conftest import copy_database
from tests.frozen_clock import FrozenClock
from tests.service.adt_world import adt_world

ROWS = (*WIRE, *DATA)


@dataclass
class Outcome:
    answers: list[str] = field(default_factory=list)
    closed: bool = False
    ids: list[int] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    said: Read | None = None


@pytest.fixture(scope="module")
def outcomes(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """All rows are played once, each by a connection of its own; then the worker does what there is to do."""
    path = tmp_path_factory.mktemp("nasty") / "nasty.db"
    copy_database(sqlite_template, path)
    return asyncio.run(_play(f"sqlite:///{path}"))


async def _play(url: str) -> list[Outcome]:
    store = await open_store(url, FrozenClock())
    await adt_world(store)
    server = listener(store)
    port = await server.start("127.0.0.1", 0)
    found = [await _one(store, port, row) for row in ROWS]
    await server.stop()
    await Worker(store, Settings()).drain()
    for outcome in found:
        await _look(store, outcome)
    await store.close()
    return found


async def _one(store: Store, port: int, row: Nasty) -> Outcome:
    outcome, before = Outcome(), (await store.fetch("SELECT coalesce(max(id), 0) FROM inbox"))[0][0]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number, data in enumerate(row.writes):
        writer.write(data)
        with contextlib.suppress(OSError):
            await writer.drain()
        if number % 100 == 0:
            await asyncio.sleep(0.001)
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        for _ in row.answers:
            outcome.answers.append(_code(await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)))
        if not row.closed:
            writer.write_eof()
        outcome.closed = row.closed and await asyncio.wait_for(reader.read(1), 5) == b""
        rest = b"" if row.closed else await asyncio.wait_for(reader.read(), 5)
        outcome.answers += ["unexpected"] if rest else []
    writer.close()
    outcome.ids = [r[0] for r in await store.fetch("SELECT id FROM inbox WHERE id > ? ORDER BY id", (before,))]
    return outcome


def _code(answer: bytes) -> str:
    assert answer[:1] == b"\x0b" and not {0x0B, 0x1C} & set(answer[1:-2])
    separator = answer[4:5]
    fields = next(line for line in answer.split(b"\r") if line.startswith(b"MSA")).split(separator)
    return f"{fields[1].decode()} {fields[2].decode()}"


async def _look(store: Store, outcome: Outcome) -> None:
    for id in outcome.ids:
        state, reason, raw, source, received = (
            await store.fetch("SELECT state, reason, raw, source, received_us FROM inbox WHERE id = ?", (id,))
        )[0]
        outcome.states.append((state, reason))
        config = await source_of(store, source)
        if outcome.said is None and config:
            outcome.said = read(bytes(raw), config, received)


def _at(value: Any, place: str) -> Any:
    return reduce(lambda v, part: v[int(part)] if part.isdigit() else getattr(v, part), place.split("."), value)


@pytest.mark.parametrize("index", range(len(ROWS)), ids=[f"{row.number} {row.what}" for row in ROWS])
def test_nasty(outcomes: list[Outcome], index: int) -> None:
    row, found = ROWS[index], outcomes[index]
    assert tuple(found.answers) == row.answers
    assert len(found.states) == len(row.states), found.states
    assert all(is_[0] in may.split("|") for is_, may in zip(found.states, row.states, strict=True)), found.states
    assert found.closed is row.closed
    if row.facts or row.findings:
        assert found.said is not None
        assert row.findings <= {finding.code for finding in found.said.findings}
    if row.facts:
        event = found.said.events[0] if found.said else None
        assert {place: _at(event, place) for place in row.facts} == dict(row.facts)


def test_every_number_has_its_row() -> None:
    """13 and 14 are in test_server.py (a sender that never reads; 500 at once); 47 to 63 in tests/service/workflow."""
    assert {row.number for row in ROWS} == {*range(1, 47), 60} - {13, 14}
