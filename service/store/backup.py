"""Backup of a live database into one file, and the file's check. restore.py (backup_restore.py) is the way back."""

import contextlib
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg

from service.clock import Clock
from service.store import backup_marker, chain
from service.store.backup_archive import (
    Archive,
    BackupError,
    Draft,
    Held,
    Manifest,
    Progress,
    digest_of,
    no_progress,
)
from service.store.backup_marker import LastBackup
from service.store.backup_places import Place, open_place, revision
from service.store.backup_rows import Table
from service.store.database import Unavailable

FAILURES = (sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable)


@dataclass(frozen=True)
class Taken:
    """recorded: the source database knows of it (a full disk may forbid that; the backup is good all the same)."""

    manifest: Manifest
    file: LastBackup
    recorded: bool


async def take(
    url: str,
    path: Path,
    clock: Clock,
    software: str,
    *,
    verify: bool = True,
    replace: bool = False,
    progress: Progress = no_progress,
) -> Taken:
    """Writes a backup of the running database. Raises BackupError; then there is no file at `path`, or the old one."""
    if path.exists() and not replace:
        raise BackupError(f"{path} exists: name another file, or say --replace.")
    if replace and path.exists():
        _open_and_close(path)  # only a backup is replaced: not the database, not somebody's file
    place = await open_place(url)
    try:
        draft = _draft(path)
        try:
            manifest = await _write(place, draft, clock, software, progress)
            if verify:
                with Archive(draft.path) as archive:
                    archive.verify(progress)
            size, digest = digest_of(draft.path)
            draft.rename(path)
        except OSError as error:
            raise BackupError(f"The backup could not be written: {error.strerror or 'the system refused'}.") from error
        except FAILURES as error:
            raise BackupError(
                f"The database ended the backup ({type(error).__name__}): try again; `enlace doctor` says more."
            ) from error
        finally:
            draft.discard()
        file = LastBackup(manifest.taken_us, size, digest)
        return Taken(manifest, file, await _record(url, file))
    finally:
        await place.close()


def check(path: Path, progress: Progress = no_progress) -> Manifest:
    """Reads a backup from end to end. Raises BackupError where anything is wrong with it."""
    with Archive(path) as archive:
        archive.verify(progress)
        return archive.manifest


def _open_and_close(path: Path) -> None:
    try:
        with Archive(path):
            pass
    except BackupError:
        raise BackupError(f"{path} is no backup, so it is not replaced: name another file.") from None


def _draft(path: Path) -> Draft:
    try:
        return Draft(path)
    except OSError as error:
        raise BackupError(f"{path.parent} cannot be written: {error.strerror}.") from None


async def _write(place: Place, draft: Draft, clock: Clock, software: str, progress: Progress) -> Manifest:
    """All that was committed before `taken_us` is in it; of what was committed later, nothing half."""
    taken_us = clock.now_us()
    await place.snapshot()
    known = await revision(place)
    if known is None:
        raise BackupError("The database has no tables yet: there is nothing to back up.")
    held = [await _table(place, draft, table, progress) for table in await place.tables()]
    heads = await chain.heads(place)
    await place.rollback()
    manifest = Manifest(place.engine, known, software, taken_us, tuple(held), heads)
    draft.finish(manifest)
    return manifest


async def _table(place: Place, draft: Draft, table: Table, progress: Progress) -> Held:
    digest = sha256()
    with draft.member(table.name) as write:

        def both(data: bytes) -> None:
            digest.update(data)
            write(data)
            progress(table.name, len(data))

        rows = await place.copy_out(table, both)
    return Held(table, rows, digest.hexdigest())


async def _record(url: str, file: LastBackup) -> bool:
    """On a connection of its own: the one of the snapshot reads only."""
    with contextlib.suppress(*FAILURES, BackupError):
        place = await open_place(url, statement_ms=5000)
        try:
            for name, value in backup_marker.rows(file):
                await place.execute(backup_marker.PUT, (name, value))
            return True
        finally:
            await place.close()
    return False
