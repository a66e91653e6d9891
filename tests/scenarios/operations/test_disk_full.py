"""The disk of the store fills up: writes are refused with a sentence, reads go on while the reserve lasts, nothing
acknowledged is lost, and after somebody made space all goes on by itself. On a small tmpfs, so only as root.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from service.store.migrate import migrate
from tests import postgres_server
from tests.conftest import missing
from tests.postgres_server import Server
from tests.scenarios.harness import Service, rows, running, wait_for, write_world
from tests.scenarios.operations.store_load import Load, check_kept

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ROUNDS = 3 if DEEP else 1
MB = 1_000_000
RESERVE_MB = 12
LARGE = 60_000


deep_only = pytest.mark.skipif(
    not DEEP, reason="ENLACE_TEST_DEEP=1 runs it; tests/service/store/test_space.py has the limit in one process."
)


@contextmanager
def _volume(size_mb: int) -> Iterator[Path]:
    """A tmpfs of its own; skipped with a sentence where mounting is not permitted."""
    folder = Path(tempfile.mkdtemp(prefix="enlace-full-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}M,mode=0755", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        folder.rmdir()
        missing("tmpfs", "A small tmpfs cannot be mounted here: run as root with CAP_SYS_ADMIN.")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _leave(folder: Path, free_mb: float) -> None:
    """Fills the volume up to so much free space."""
    found = os.statvfs(folder)
    ballast = int(found.f_bavail * found.f_frsize - free_mb * MB)
    with suppress(OSError), (folder / "ballast").open("ab") as file:  # others write meanwhile: full is full
        file.write(b"\0" * max(ballast, 0))


@pytest.fixture
def small_sqlite(sqlite_template: Path) -> Iterator[tuple[Path, str]]:
    with _volume(48) as folder:
        for part in sqlite_template.parent.glob("template.db*"):
            shutil.copy(part, folder / part.name.replace("template", "enlace"))
        yield folder, f"sqlite:///{folder / 'enlace.db'}"


def _refused(load: Load, answer: str = "503") -> bool:
    return load.told["create", answer] > 5 and load.told["adt", "AE"] > 2


def _check_refusal(load: Load) -> None:
    refusal = next(one for one in load.refusals if one.headers["retry-after"] == "30")
    assert refusal.json()["issue"][0]["code"] == "no-store"
    assert "operator" in refusal.json()["issue"][0]["diagnostics"]


def _reads_go_on(service: Service, load: Load) -> None:
    before = load.told["read", "503"]
    with service.client(load.tokens["north"]) as client:
        for _ in range(20):
            assert client.get("/Patient/rosa").status_code == 200
        gone = next(iter(load.written), "")
        if gone:
            load.written.pop(gone)
            answer = client.delete(gone.split("/_history")[0])
            assert answer.status_code in (200, 204), "a deletion needs no space that matters"
    assert load.told["read", "503"] == before


def _recovered(load: Load, label: str) -> None:
    began = time.monotonic()
    wait_for(lambda: load.good_since(began), 30)
    print(f"{label}: recovered after {time.monotonic() - began:.2f} s")


@pytest.mark.timeout(300)
def test_sqlite_stops_writing_at_the_reserve(small_sqlite: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = small_sqlite
    tokens = write_world(url)
    with running(url, tmp_path, ENLACE_DISK_RESERVE_MB=str(RESERVE_MB)) as service:
        with Load(service, tokens, size=LARGE) as load:
            for _ in range(ROUNDS):
                load.refusals.clear()
                _leave(folder, RESERVE_MB + 2)
                wait_for(lambda: load.refusals and load.refusals[-1].headers["retry-after"] == "30", 60)
                load.told.clear()
                wait_for(lambda: _refused(load), 30)
                assert load.told["create", "201"] <= 4  # those in hand when the space ran out
                _check_refusal(load)
                _reads_go_on(service, load)
                (folder / "ballast").unlink()
                _recovered(load, "reserve")
        check_kept(load)
        output = service.output()
        assert '"store.full"' in output
        assert '"store.room"' in output


@pytest.mark.timeout(300)
def test_sqlite_without_a_reserve_meets_the_end_of_the_disk(small_sqlite: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = small_sqlite
    tokens = write_world(url)
    with running(url, tmp_path, ENLACE_DISK_RESERVE_MB="0") as service:
        with Load(service, tokens, size=LARGE) as load:
            for _ in range(ROUNDS):
                wait_for(lambda: load.good_since(0))
                _leave(folder, 0.2)
                load.told.clear()
                wait_for(lambda: load.told["create", "503"] > 5, 60)
                time.sleep(2 if DEEP else 0.5)
                (folder / "ballast").unlink()
                _recovered(load, "no reserve")
        check_kept(load)


@contextmanager
def _small_server(folder: Path) -> Iterator[Server]:
    if postgres_server.installed() is None:
        missing("postgres", "There is no installed PostgreSQL that this user can run: install postgresql.")
    server = Server(folder, initdb=("--wal-segsize=1",), min_wal_size="2MB", max_wal_size="16MB")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _database(server: Server) -> str:
    url = postgres_server.new_database(postgres_server.owner_url(server.url))
    migrate(url)
    return url


@deep_only
@pytest.mark.timeout(300)
def test_postgresql_stops_writing_at_its_limit(postgresql_url: str, tmp_path: Path) -> None:
    tokens = write_world(postgresql_url)
    text = "CREATE TABLE ballast AS SELECT repeat(md5(n::text), 30) AS t FROM generate_series(1, 6000) AS n"
    postgres_server.on_server(postgresql_url, text)
    size = rows(postgresql_url, "SELECT pg_database_size(current_database())")[0][0]
    with running(postgresql_url, tmp_path, ENLACE_DATABASE_LIMIT_MB=str(size // MB + 3)) as service:
        with Load(service, tokens, size=LARGE) as load:
            wait_for(lambda: load.good_since(0))
            postgres_server.on_server(postgresql_url, text.replace("ballast", "more"))
            wait_for(lambda: load.told["adt", "AE"] and load.refusals, 30)
            load.told.clear()
            wait_for(lambda: _refused(load), 30)
            assert load.told["create", "201"] <= 4
            _check_refusal(load)
            _reads_go_on(service, load)
            postgres_server.on_server(postgresql_url, "DROP TABLE ballast", "DROP TABLE more")
            _recovered(load, "limit")
        check_kept(load)


@deep_only
@pytest.mark.timeout(300)
def test_postgresql_meets_the_end_of_its_disk(tmp_path: Path) -> None:
    """Its tables first; then its WAL, and it panics. What supervises it starts it again; nobody starts us again."""
    with _volume(256) as folder, _small_server(folder) as server:
        url = _database(server)
        tokens = write_world(url)
        with running(url, tmp_path) as service:
            with Load(service, tokens, size=LARGE) as load:
                for _ in range(ROUNDS):
                    wait_for(lambda: load.good_since(0))
                    _leave(folder, 0.5)
                    load.told.clear()
                    wait_for(lambda: load.told["create", "503"] > 5, 60)
                    time.sleep(6 if DEEP else 1)
                    print(f"server {'up' if server.alive() else 'down'}, PANIC {'PANIC' in server.log()}")
                    (folder / "ballast").unlink()
                    server.wait()
                    _recovered(load, "PostgreSQL")
            check_kept(load)
