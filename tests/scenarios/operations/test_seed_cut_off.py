"""A first start that is killed while it writes the county: the next start notices, says so and writes the rest."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.cli.processes import die_with_parent
from service.cli.seed import unfinished
from service.store import seed_marker
from tests.scenarios.harness import ROOT, Service, look, wait_for

COUNTS = {
    "members": "SELECT count(*) FROM resource WHERE rtype = 'Patient' AND deleted = 0",
    "resources": "SELECT rtype, count(*) FROM resource WHERE deleted = 0 GROUP BY rtype ORDER BY rtype",
    "messages": "SELECT count(*) FROM inbox",
}
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
MEMBERS = 200 if DEEP else 24
PART = "The county was written only in part (the last start was interrupted): writing the rest ..."


def counts(url: str) -> str:
    return json.dumps({name: look(url, lambda s, q=sql: s.fetch(q)) for name, sql in COUNTS.items()}, default=list)


def start(service: Service, out: Path) -> "subprocess.Popen[bytes]":
    with out.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "service.cli", "demo", "--no-feed", "--members", str(MEMBERS)],
            env=service._env, cwd=ROOT,
            stdout=output, stderr=output, preexec_fn=die_with_parent,
        )  # fmt: skip


def ready(service: Service, out: Path) -> str:
    process = start(service, out)
    try:
        wait_for(lambda: "Ready after" in out.read_text() or process.poll() is not None, 90, 0.1)
        return out.read_text()
    finally:
        process.kill()
        process.wait()


def patients(url: str) -> int:
    return int(look(url, lambda store: store.fetch(COUNTS["members"]))[0][0])


@pytest.mark.parametrize("moment", ["members", *(["messages"] if DEEP else [])])
def test_the_rest_is_written_by_the_next_start(tmp_path: Path, moment: str) -> None:
    url = f"sqlite:///{tmp_path}/enlace.db"
    service = Service(url, tmp_path, ())
    process = start(service, tmp_path / "first")
    wait_for(lambda: process.poll() is not None or part_is_there(tmp_path / "enlace.db", moment), 60, 0.005)
    process.kill()
    process.wait()
    assert look(url, unfinished) == (MEMBERS, 1)
    assert not DEEP or moment != "members" or patients(url) < MEMBERS
    said = ready(service, tmp_path / "second")
    assert PART in said and "Traceback" not in said and "Ready after" in said
    assert look(url, unfinished) is None and look(url, seed_marker.complete) == MEMBERS
    assert patients(url) == MEMBERS
    whole = counts(url)
    if DEEP:
        assert PART not in ready(service, tmp_path / "third") and counts(url) == whole


def part_is_there(path: Path, moment: str) -> bool:
    """Looked at by a connection of its own, read only; the demo has the file."""
    import sqlite3

    table = {"members": "resource WHERE rtype = 'Patient'", "messages": "inbox"}[moment]
    try:
        con = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return bool(con.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            con.close()
    except sqlite3.Error:
        time.sleep(0.01)
        return False
