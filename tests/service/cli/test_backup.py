"""Backup and restore: what comes back is what was there, on both engines and across; what is not whole is refused."""

import asyncio
import json
import os
import resource
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.clock import SystemClock
from service.store import backup_places, backup_restore, chain
from service.store.backup import check, take
from service.store.backup_archive import Archive, BackupError, Manifest
from service.store.backup_marker import last_backup
from service.store.backup_places import quoted
from service.store.backup_restore import Restored, restore
from service.store.backup_rows import HEADER, TRAILER, BadRows, Table, decode, encode
from service.store.change import AuditRow, Change, Job
from service.store.columns import COLUMNS
from service.store.engine import Store
from service.store.schema import revisions
from tests import postgres_server
from tests.scenarios.people import look, rows, write_world

Elsewhere = Callable[[str], str]
AUDIT = AuditRow("R", "read", 0, "me", "Organization/o", "Patient/p", ("Patient/p",))


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Elsewhere]:
    """elsewhere(engine): the URL of an absent (SQLite) or empty (PostgreSQL) database."""
    made: list[str] = []

    def new(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path}/elsewhere/{len(list(tmp_path.iterdir()))}.db"
        made.append(postgres_server.new_database(request.getfixturevalue("postgres_url")))
        return made[-1]

    yield new
    for url in made:
        postgres_server.drop_database(url)


@dataclass(frozen=True)
class Backed:
    """A small world with odd values, work to do and audit rows; its backup; all its rows."""

    url: str
    path: Path
    manifest: Manifest
    rows: dict[str, list[str]]

    @property
    def engine(self) -> str:
        return self.url.split(":")[0]


async def _more(store: Store) -> None:
    inbox = "INSERT INTO inbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    await store.db.execute(
        inbox, (2**62, "Ü✓", "", bytes(range(256)), -1, "", b"", None, "unmatched", "", "", "", None)
    )
    await store.db.execute("INSERT INTO worker_slot VALUES (7, 'old-site:1:x', ?, 0, NULL)", (2**62,))
    await store.db.execute("INSERT INTO ix_num VALUES (?, ?, ?, ?)", (-(2**63), -0.1, 1, 1e300))
    jobs = [Job("adt.apply", {"inbox": n}, ordering_key="a", dedupe=f"d{n}") for n in range(3)]
    await store.commit(Change(jobs=jobs, audit=[AUDIT] * 3))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def backed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backed]:
    """Made once for each engine; no test writes to it."""
    folder = tmp_path_factory.mktemp("backed")
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        for part in template.parent.glob("template.db*"):
            shutil.copy(part, folder / part.name.replace("template", "enlace"))
        url = f"sqlite:///{folder / 'enlace.db'}"
    else:
        names = ("postgres_url", "postgres_template")
        url = postgres_server.new_database(*(request.getfixturevalue(name) for name in names))
    write_world(url)
    look(url, _more)
    before = content(url)
    yield Backed(url, folder / "good", saved(url, folder / "good"), before)
    if request.param != "sqlite":
        postgres_server.drop_database(url)


def saved(url: str, path: Path, **options: Any) -> Manifest:
    return asyncio.run(take(url, path, SystemClock(), "test", **options)).manifest


def content(url: str) -> dict[str, list[str]]:
    """All rows of all tables, but leases, and what backup and restore note themselves."""

    async def read(store: Store) -> dict[str, list[str]]:
        noted = " WHERE name NOT LIKE 'last_backup%' AND name <> 'restored_us'"
        found = {}
        for table in COLUMNS.keys() - {"worker_slot"}:
            sql = f"SELECT {quoted(tuple(COLUMNS[table]))} FROM {table}{noted if table == 'meta' else ''}"
            found[table] = sorted(repr(tuple(row)) for row in await store.fetch(sql))
        return found

    return look(url, read)


def restored(url: str, path: Path) -> Restored:
    return asyncio.run(restore(url, path, SystemClock()))


async def test_the_tables_read_from_the_database_are_those_of_the_code(store: Store) -> None:
    place = await backup_places.open_place(store.url)
    try:
        found = {table.name: dict(table.columns) for table in await place.tables()}
        assert found == COLUMNS
        assert await backup_places.revision(place) == revisions()[-1]
    finally:
        await place.close()


def test_across_engines_what_comes_back_is_what_was_there(backed: Backed, elsewhere: Elsewhere, tmp_path: Path) -> None:
    new = elsewhere("postgresql" if backed.engine == "sqlite" else "sqlite")
    done = restored(new, backed.path)
    assert (done.manifest, done.migrate, done.audit.broken) == (backed.manifest, False, ())
    assert done.audit.rows == sum(seq for seq, _ in backed.manifest.audit_heads.values()) > 0
    assert rows(new, "SELECT count(*) FROM worker_slot WHERE lease_until_us > 0")[0][0] == 1, "ours of this moment only"
    assert content(new) == backed.rows
    again = {held.table.name: held.sha256 for held in saved(new, tmp_path / "again").tables}
    for held in backed.manifest.tables:
        if held.table.name not in ("meta", "worker_slot"):
            assert again[held.table.name] == held.sha256, "digests are of the rows, whatever the engine"
    look(new, lambda store: store.commit(Change(audit=[AUDIT])))
    assert look(new, chain.verify).whole


def test_what_fails_leaves_nothing_and_what_works_brings_all(
    backed: Backed, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest is not believed, a full disk is survived; after each, the database is as empty as it was."""
    new = elsewhere(backed.engine)
    for harm in ("newer-revision", "injection", "other-rows"):
        rewrite(backed.path, tmp_path / harm, harm)
        with pytest.raises(BackupError) as refusal:
            restored(new, tmp_path / harm)
        assert ("newer Enlace" in str(refusal.value)) == (harm == "newer-revision")

    async def die(*_facts: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(backup_restore, "_compare", die)
        with pytest.raises(BackupError, match="Nothing was restored"):
            restored(new, backed.path)
    restored(new, backed.path)
    assert content(new) == backed.rows
    with pytest.raises(BackupError, match=r" holds data: name a new, empty database in ENLACE_DATABASE_URL\.$"):
        restored(new, backed.path)


def test_the_source_remembers_its_backup_and_no_file_is_lost(database_url: str, tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "theirs.txt"
    assert look(database_url, last_backup) is None
    taken = asyncio.run(take(database_url, path, SystemClock(), "test"))
    assert taken.recorded and look(database_url, last_backup) == taken.file
    assert taken.file.size == path.stat().st_size and stat.S_IMODE(path.stat().st_mode) == 0o600
    with Archive(path) as archive:
        assert archive.manifest == taken.manifest
    with pytest.raises(BackupError, match="--replace"):
        saved(database_url, path)
    other.write_text("not ours")
    with pytest.raises(BackupError, match="no backup"):
        saved(database_url, other, replace=True)
    assert other.read_text() == "not ours"
    assert saved(database_url, path, replace=True) == check(path) != taken.manifest
    with pytest.raises(BackupError, match="cannot be written"):
        saved(database_url, tmp_path / "absent" / "a")
    assert [p.name for p in tmp_path.iterdir() if "draft" in p.name] == []


@pytest.mark.parametrize(
    "harm", ["truncated", "flipped", "foreign", "empty", "other-zip", "newer-format", "lost-table"]
)
def test_what_is_damaged_is_refused_before_anything_is_written(
    backed: Backed, elsewhere: Elsewhere, tmp_path: Path, harm: str
) -> None:
    bad = tmp_path / "bad"
    spoil(backed.path, bad, harm)
    new = elsewhere("sqlite")
    with pytest.raises(BackupError) as refusal:
        asyncio.run(restore(new, bad, SystemClock()))
    assert not Path(new.removeprefix("sqlite:///")).parent.exists()
    assert ("newer Enlace" in str(refusal.value)) == (harm == "newer-format")
    with pytest.raises(BackupError):
        check(bad)
    check(backed.path)


def spoil(path: Path, bad: Path, harm: str) -> None:
    data = path.read_bytes()
    if harm == "truncated":
        bad.write_bytes(data[: len(data) * 2 // 3])
    elif harm == "flipped":
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo("tables/version.copy")
            middle = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
        bad.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif harm == "foreign":
        bad.write_bytes(b"SQLite format 3\0" * 100)
    elif harm == "empty":
        bad.touch()
    elif harm == "other-zip":
        with zipfile.ZipFile(bad, "w") as archive:
            archive.writestr("hello.txt", "hello")
    else:
        rewrite(path, bad, harm)


def rewrite(path: Path, bad: Path, harm: str) -> None:
    """A copy whose manifest or members were changed with care: every checksum of the zip is right."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json":
                facts = json.loads(data)
                facts |= {"format": 99} if harm == "newer-format" else {}
                facts |= {"revision": "9999"} if harm == "newer-revision" else {}
                if harm == "injection":
                    facts["tables"][0]["name"] = 'meta"; DROP TABLE meta; --'
                if harm == "other-rows":
                    facts["tables"][0]["rows"] += 1
                data = json.dumps(facts).encode()
            if harm == "lost-table" and name == "tables/audit.copy":
                continue
            new.writestr(name, data)


def test_a_full_disk_leaves_no_half_backup(backed: Backed, tmp_path: Path) -> None:
    if backed.engine == "sqlite":
        return  # its own files are bounded by the same limit
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(BackupError, match="could not be written"):
            saved(backed.url, tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_migrated_and_unused_database_is_empty(backed: Backed, database_url: str) -> None:
    if database_url.startswith(backed.engine):
        restored(database_url, backed.path)
        assert content(database_url) == backed.rows


def test_another_programs_database_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    saved(sqlite_url, tmp_path / "a")
    with sqlite3.connect(tmp_path / "theirs.db") as con:
        con.execute("CREATE TABLE theirs (x INTEGER PRIMARY KEY)")
    con.close()
    with pytest.raises(BackupError, match="another program"):
        asyncio.run(restore(f"sqlite:///{tmp_path}/theirs.db", tmp_path / "a", SystemClock()))


def test_a_chain_that_was_broken_before_is_told_and_restored(
    sqlite_url: str, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Better a database with a known flaw than none."""
    look(sqlite_url, lambda store: store.commit(Change(audit=[AUDIT] * 4)))
    look(sqlite_url, lambda store: store.db.execute("UPDATE audit SET actor = 'x' WHERE seq = 2"))
    saved(sqlite_url, tmp_path / "a")
    new = elsewhere("sqlite")
    env = {name: None for name in os.environ if name.startswith("ENLACE_")} | {"ENLACE_DATABASE_URL": new}
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "a"), "--json"], env=env)
    facts = json.loads(done.stdout)
    assert (done.exit_code, len(facts["audit_broken"]), facts["audit_broken"][0][1]) == (0, 1, 2)
    assert "broken when the backup was made" in done.stderr


async def test_the_snapshot_is_of_one_instant(store: Store, tmp_path: Path) -> None:
    """Whatever is committed while the tables are copied is in none of them."""
    place = await backup_places.open_place(store.url)
    row = Change(jobs=[Job("adt.apply", {"inbox": 1})], audit=[AUDIT])
    try:
        await store.commit(row)
        await place.snapshot()
        await store.commit(Change(jobs=row.jobs * 5, audit=row.audit * 5))
        tables = {table.name: table for table in await place.tables()}
        counts = [await place.copy_out(tables[name], lambda _data: None) for name in ("audit", "job")]
        assert counts == [1, 1]
    finally:
        await place.close()


async def test_writers_go_on_while_a_backup_holds_its_snapshot(store: Store, tmp_path: Path) -> None:
    """Not a single write may have to wait for the end of the snapshot: here it never ends before them."""
    place = await backup_places.open_place(store.url)
    try:
        await place.snapshot()
        for _ in range(20):
            await asyncio.wait_for(store.commit(Change(jobs=[Job("adt.apply", {"inbox": 1})])), 5)
    finally:
        await place.close()


def test_rows_survive_every_cut() -> None:
    kinds = (("a", "int8"), ("b", "int2"), ("c", "float8"), ("d", "text"), ("e", "bytea"))
    table = Table("t", kinds, ("a",))
    given = [
        (-(2**63), -(2**15), -0.1, "Ü✓\n", bytes(range(256))),
        (None, None, None, None, None),
        (0, 0, 0.0, "", b""),
    ]
    data = HEADER + encode(table, given) + TRAILER
    for size in (1, 3, 7, len(data)):
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        assert list(decode(table, chunks)) == given
    for end in range(0, len(data) - 2, 5):
        with pytest.raises(BadRows):
            list(decode(table, [data[:end]]))
    with pytest.raises(BadRows):
        list(decode(Table("t", kinds[:2], ("a",)), [data]))


def test_the_verbs(database_url: str, elsewhere: Elsewhere, tmp_path: Path) -> None:
    env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("ENLACE_")}

    def enlace(url: str, *words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, words, env=env | {"ENLACE_DATABASE_URL": url})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    path, new = str(tmp_path / "a"), elsewhere("sqlite")
    code, out, problem = enlace(database_url, "backup", path)
    assert (code, problem) == (0, "") and "The secret key and the audit key are not in it" in out
    code, out, _ = enlace(database_url, "backup", path, "--verify-only", "--json")
    assert code == 0 and json.loads(out)["verified"] is True
    code, out, _ = enlace(database_url, "backup", path, "--verify-only")
    assert code == 0 and out.endswith("\nVerified: every digest agrees.\n")
    code, out, problem = enlace(database_url, "backup", path)
    assert (code, out, len(problem.strip().splitlines())) == (1, "", 1)
    code, out, _ = enlace(database_url, "backup", str(tmp_path / "b"), "--json")
    facts = json.loads(out)
    assert code == 0 and facts["tables"]["meta"] >= 4 and facts["recorded"] and not facts["keys_included"]
    code, out, problem = enlace(new, "restore", path, "--into-empty")
    assert (code, problem) == (0, "") and "Next: " in out and "Every digest agrees" in out
    assert enlace(new, "restore", str(tmp_path / "absent"))[0] == 1
    assert enlace(new, "restore")[0] == 2
    absent = f"sqlite:///{tmp_path}/none.db"
    assert "enlace migrate" in enlace(absent, "backup", str(tmp_path / "c"))[2]
    assert not (tmp_path / "c").exists()
