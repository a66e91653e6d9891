"""Restore of a backup file into an empty or absent database: all of it, compared with its digests, or nothing."""

import asyncio
import contextlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from service.clock import Clock
from service.store import backup_marker, chain
from service.store.backup import FAILURES
from service.store.backup_archive import Archive, BackupError, Manifest, Progress, no_progress
from service.store.backup_places import Place, open_place, revision
from service.store.backup_rows import BadRows, Table
from service.store.migrate import migrate
from service.store.schema import revisions

_MADE_BY_MIGRATIONS = frozenset({"meta"})
"""Tables in which an unused database has rows."""


@dataclass(frozen=True)
class Restored:
    """audit: a chain that is broken here was broken when the backup was made, since all digests agree; the data is
    worth having all the same. newest: the revision of this code, to which `enlace migrate` leads."""

    manifest: Manifest
    audit: chain.Verified
    newest: str

    @property
    def migrate(self) -> bool:
        return self.manifest.revision != self.newest


async def restore(url: str, path: Path, clock: Clock, progress: Progress = no_progress) -> Restored:
    """Raises BackupError; the database is then as it was, or has empty tables."""
    with Archive(path) as archive:
        manifest = archive.manifest
        if manifest.revision not in revisions():
            raise BackupError(
                f"The backup is of revision {manifest.revision}, which this Enlace does not know: use a newer Enlace."
            )
        absent = url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists()
        if not absent:
            await _refuse_unless_empty(url, manifest)
        archive.verify(progress)
        try:
            await asyncio.to_thread(migrate, url, manifest.revision)
            audit = await _load(url, archive, clock, progress)
        except BaseException as error:
            if absent:
                _remove(Path(url.removeprefix("sqlite:///")))
            if isinstance(error, (*FAILURES, BadRows, OSError)):
                raise BackupError(f"Nothing was restored: the database refused ({type(error).__name__}).") from error
            raise
    return Restored(manifest, audit, revisions()[-1])


async def _refuse_unless_empty(url: str, manifest: Manifest) -> None:
    place = await open_place(url)
    try:
        await _check_empty(place, _named(url))
        now = await revision(place)
        if now is not None and now not in revisions()[: revisions().index(manifest.revision) + 1]:
            raise BackupError(
                f"The database is at revision {now}, the backup at {manifest.revision}: restore into an absent one."
            )
    finally:
        await place.close()


def _named(url: str) -> str:
    """The database as a person knows it, without a password."""
    return url.removeprefix("sqlite:///") if url.startswith("sqlite") else "The database"


async def _check_empty(place: Place, named: str) -> None:
    names = await place.table_names()
    if names and await revision(place) is None:
        raise BackupError(f"The database holds tables of another program ({names[0]}): name an empty one.")
    for name in names:
        if name not in _MADE_BY_MIGRATIONS and await place.fetch(f'SELECT 1 FROM "{name}" LIMIT 1'):
            raise BackupError(f"{named} holds data: name a new, empty database in ENLACE_DATABASE_URL.")


async def _load(url: str, archive: Archive, clock: Clock, progress: Progress) -> chain.Verified:
    """One transaction: load, compare, clear what belongs to processes of the old site."""
    manifest = archive.manifest
    place = await open_place(url)
    try:
        tables = await place.tables()
        if {table.name: table for table in tables} != {held.table.name: held.table for held in manifest.tables}:
            raise BackupError("The tables of the backup are not those of its revision: it was made by another program.")
        await place.lock(tables)
        await _check_empty(place, _named(url))
        await place.execute("DELETE FROM meta")
        for held in manifest.tables:
            await place.copy_in(held.table, archive.chunks(held.table.name))
        await _compare(place, manifest, progress)
        audit = await chain.verify(place)
        await place.execute("UPDATE worker_slot SET lease_until_us = 0")  # no process of the old site holds them here
        await place.execute(backup_marker.PUT, (backup_marker.RESTORED, str(clock.now_us())))
        await place.commit()
        await place.finish()
        return audit
    except BaseException:
        with contextlib.suppress(*FAILURES):
            await place.rollback()
        raise
    finally:
        await place.close()


async def _compare(place: Place, manifest: Manifest, progress: Progress) -> None:
    """What is in the database now, read again, has the digests of the manifest."""
    for held in manifest.tables:
        if await _digest(place, held.table, progress) != (held.rows, held.sha256):
            name = held.table.name
            raise BackupError(f"Nothing was restored: table {name} came back with other rows than it was saved with.")


async def _digest(place: Place, table: Table, progress: Progress) -> tuple[int, str]:
    digest = sha256()

    def take(data: bytes) -> None:
        digest.update(data)
        progress(table.name, len(data))

    return await place.copy_out(table, take), digest.hexdigest()


def _remove(path: Path) -> None:
    """A file that this restore made."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
