"""What the writer runs never reads a whole table: its cost must not grow with the store."""

import sqlite3
from typing import Any

import pytest

from service.clock import SystemClock
from service.store import sqlite
from service.store.engine import open_store
from tests.service.world import change_of, observation, patient, put

LARGE = ("ix", "ix_date", "ix_str", "ix_num", "ref", "version", "resource", "panel", "audit", "audit_patient", "job")


def scans(con: sqlite3.Connection, statement: str) -> list[str]:
    """The large tables that a statement reads as a whole."""
    plan = [str(row[3]) for row in con.execute(f"EXPLAIN QUERY PLAN {statement}")]
    return [step for step in plan for table in LARGE if step.split(" USING ")[0] == f"SCAN {table}"]


async def test_no_statement_of_a_write_reads_a_whole_table(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = sqlite.connect, set[str]()

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        con = real(*args, **kwargs)
        if kwargs.get("writer", True):
            con.set_trace_callback(seen.add)
        return con

    monkeypatch.setattr(sqlite, "connect", traced)
    store = await open_store(sqlite_url, SystemClock())
    try:
        await put(store, patient("Patient/a"), *(observation(f"Observation/o{n}", "Patient/a") for n in range(9)))
        for n in range(9):
            change = change_of(store, observation(f"Observation/o{n}", "Patient/a", valueString="b"), expect=1)
            await store.commit(change)
    finally:
        await store.close()
    written = [text for text in seen if text.split(" ", 1)[0] in ("INSERT", "UPDATE", "DELETE", "SELECT")]
    assert sum(text.startswith("DELETE FROM ix WHERE") for text in written) >= 9
    con = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    found = {text[:120]: read for text in written if "index_made_by" not in text and (read := scans(con, text))}
    con.close()
    assert found == {}
