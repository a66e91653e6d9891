"""`enlace backup | restore`: the database in one file while the service runs, and back into an empty database."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json
from service.clock import SystemClock, instant
from service.settings import load

if TYPE_CHECKING:
    from service.store.backup_archive import Manifest, Progress
    from service.store.backup_restore import Restored

_KEYS = "The secret key and the audit key are not in it: keep ENLACE_SECRET_KEY_FILE and ENLACE_AUDIT_KEY_FILE apart."


def backup(
    path: Annotated[Path, typer.Argument(help="The file to write, for example enlace-2026-11-22.backup.")],
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Read the file again before it counts.")] = True,
    verify_only: Annotated[bool, typer.Option("--verify-only", help="Check an existing backup.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an older backup of this name.")] = False,
    as_json: Json = False,
) -> None:
    """Write the database into one file (mode 0600) while the service runs; the file holds health data.

    Example: enlace backup /backups/enlace-2026-11-22.backup
    """
    from service.store.backup import check, take
    from service.store.backup_archive import BackupError

    progress = _progress()
    try:
        if verify_only:
            _show(check(path, progress), {"file": str(path), "verified": True}, as_json)
            if not as_json:
                typer.echo("Verified: every digest agrees.")
            return
        url = load(os.environ).database_url.get_secret_value()
        work = take(url, path, SystemClock(), _software(), verify=verify, replace=replace, progress=progress)
        taken = asyncio.run(work)
    except BackupError as error:
        raise _fail(str(error)) from None
    _record_act(url)
    facts = {"file": str(path), "verified": verify, "size": taken.file.size, "sha256": taken.file.sha256}
    _show(taken.manifest, facts | {"recorded": taken.recorded}, as_json)
    if not taken.recorded:
        typer.echo("The backup is good, but the database could not note it: `enlace doctor` will not see it.", err=True)


def _record_act(url: str) -> None:
    """All data left the database: the audit says so. Of an older schema it cannot: the backup before an upgrade."""
    from service.cli.acts import act, recorded
    from service.store.database import Unavailable
    from service.store.engine import open_store
    from service.store.schema import SchemaError

    async def record() -> None:
        store = await open_store(url)
        try:
            await recorded(store, act("backup"))
        finally:
            await store.close()

    try:
        asyncio.run(record())
    except (SchemaError, Unavailable):
        typer.echo("The backup is good, but the audit could not note it.", err=True)


def restore(
    path: Annotated[Path, typer.Argument(help="A file of `enlace backup`.")],
    into_empty: Annotated[
        bool, typer.Option("--into-empty", help="Into an empty or absent database: the only way there is.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Load a backup into the empty or absent database of ENLACE_DATABASE_URL; compare digests, check the audit chain.

    Example: enlace restore /backups/enlace-2026-11-22.backup
    """
    from service.store.backup_archive import BackupError
    from service.store.backup_restore import restore as load_into

    url = load(os.environ).database_url.get_secret_value()
    try:
        done = asyncio.run(load_into(url, path, SystemClock(), _progress()))
    except BackupError as error:
        raise _fail(str(error)) from None
    _mark_receipts(url)
    _tell(done, path, as_json)


def _mark_receipts(url: str) -> None:
    """Seals after the backup are given up: without this mark `enlace audit verify` would miss them."""
    from service.settings import SettingsError
    from service.store import receipts, seals
    from service.store.backup_places import open_place

    settings = load(os.environ)

    async def mark() -> None:
        place = await open_place(url)
        try:
            if "audit_seal" in await place.table_names():
                kept, site = await seals.last_number(place), await seals.site(place)
                key, now_us = settings.audit_key(), SystemClock().now_us()
                receipts.mark_restored(settings.audit_receipts, key, site, kept, now_us)
        finally:
            await place.close()

    try:
        asyncio.run(mark())
    except (OSError, SettingsError):
        told = "The audit's receipts could not be marked (key or file): `enlace audit verify` will miss later seals."
        typer.echo(told, err=True)


def _tell(done: "Restored", path: Path, as_json: bool) -> None:
    broken = [list(place) for place in done.audit.broken]
    facts: dict[str, Any] = {"file": str(path), "audit_rows": done.audit.rows, "audit_broken": broken}
    _show(done.manifest, facts | {"migrate": done.migrate}, as_json)
    if broken:
        slot, seq = broken[0]
        typer.echo(
            f"The audit chain was broken when the backup was made, first at slot {slot}, row {seq}: look into it.",
            err=True,
        )
    if as_json:
        return
    typer.echo(f"Every digest agrees with the manifest; {done.audit.rows} audit rows verified; slot leases cleared.")
    if done.migrate:
        typer.echo(f"Next: `enlace migrate`, from revision {done.manifest.revision} to {done.newest}; then start.")
    else:
        typer.echo("Next: put the key files of the old site in place, then start the service.")


def _show(manifest: "Manifest", facts: dict[str, Any], as_json: bool) -> None:
    """What the file holds, and what was done with it."""
    facts = facts | {
        "engine": manifest.engine,
        "revision": manifest.revision,
        "software": manifest.software,
        "taken": instant(manifest.taken_us),
        "rows": manifest.rows,
        "tables": {held.table.name: held.rows for held in manifest.tables},
        "keys_included": False,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{facts['file']}: {manifest.rows} rows of {len(manifest.tables)} tables as of {facts['taken']}")
    typer.echo(f"from {manifest.engine} at revision {manifest.revision}, written by Enlace {manifest.software}.")
    if "size" in facts:
        typer.echo(f"{facts['size']} bytes, SHA-256 {facts['sha256']}")
    typer.echo(_KEYS)


def _progress() -> "Progress":
    """On a terminal, one line that is written over twice a second."""
    from service.store.backup_archive import no_progress

    if not sys.stderr.isatty():
        return no_progress
    shown, total = [0.0], [0]

    def tell(table: str, size: int) -> None:
        total[0] += size
        if time.monotonic() - shown[0] > 0.5:
            shown[0] = time.monotonic()
            sys.stderr.write(f"\r{total[0] // 1_000_000} MB, {table:<24}\r")
            sys.stderr.flush()

    return tell


def _software() -> str:
    from service.api.metadata import software_version

    return software_version()


def _fail(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(1)
