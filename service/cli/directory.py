"""`enlace directory`: the service directory from and to Open Referral HSDS, what is stale, and what is found near."""

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table
from service.cli.option_words import in_options
from service.clock import utc

if TYPE_CHECKING:
    from mappers.hsds.package import Package
    from service.access.context import Context
    from service.settings import Settings
    from service.store.engine import Store
    from service.workflow.directory_import import Imported

MAX_BYTES = 500_000_000
SHOWN_ISSUES = 20
OPTIONS = {"near": "--near", "communication": "--language", "open-at": "--open-at", "capacity": "--capacity"}
"""Search parameter -> what it is called here."""
app = typer.Typer(no_args_is_help=True, help="Service directory: HSDS import and export, stale entries, search.")
System = Annotated[str, typer.Option(help="System of the identifiers that the records' ids are.")]


class Refused(Exception):
    """The file cannot be taken: one sentence with the remedy."""


def context(store: "Store", settings: "Settings") -> "Context":
    from service.access.context import Context
    from service.access.context import Settings as Behaviour
    from service.caller import system_caller

    behaviour = Behaviour(settings.env, f"{settings.base_url}/fhir")
    request = f"directory-{store.clock.new_id()}"
    return Context(store, system_caller(), store.clock.now_us(), behaviour, request_id=request)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, a zip of CSV tables, or a folder with them.")],
    system: System = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare only; nothing is stored.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Take the file's word over corrections made here.")
    ] = False,
    errors: Annotated[Path | None, typer.Option(help="Write the findings to this CSV file.", dir_okay=False)] = None,
    as_json: Json = False,
) -> None:
    """Import a directory in HSDS 3; records with errors are left out and listed, the others are stored.

    Example: enlace directory import services.json --dry-run
    """
    from mappers.plan_files.reports import issues_csv

    async def work(store: "Store", settings: "Settings") -> "Imported":
        from zoneinfo import ZoneInfo

        from mappers.hsds.elements import HSDS_IDS
        from service.workflow.directory_import import import_package

        today = utc(store.clock.now_us()).astimezone(ZoneInfo(settings.time_zone)).date()
        ctx = context(store, settings)
        return await import_package(
            ctx, read_package(path), system=system or HSDS_IDS, today=today, dry=dry_run, overwrite=overwrite
        )

    imported = with_store(work, Refused)
    if errors:
        errors.write_bytes(issues_csv(imported.issues))
    typer.echo(json.dumps({"state": imported.state, **imported.report}) if as_json else _told(imported, path.name))
    if imported.state == "failed":
        raise typer.Exit(1)


def read_package(path: Path) -> "Package":
    """Raises Refused."""
    from mappers.hsds.archive import tables
    from mappers.hsds.package import read_json
    from mappers.hsds.tabular import read_tables
    from mappers.plan_files.rows import FileProblem

    try:
        if path.is_dir():
            files = sorted(path.glob("*.csv"))
            _check_size(sum(one.stat().st_size for one in files))
            return read_tables({one.name: one.read_bytes() for one in files})
        _check_size(path.stat().st_size)
        if not zipfile.is_zipfile(path):
            return read_json(path.read_bytes())
        found = tables(path.read_bytes())
        if isinstance(found, FileProblem):
            raise Refused(found.message)
        return read_tables(found)
    except OSError as error:
        raise Refused(f"{path.name} cannot be read ({error.strerror}): check the path and its rights.") from None


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise Refused(f"More than {MAX_BYTES // 1_000_000} MB: split the directory by organization.")


def _told(imported: "Imported", name: str) -> str:
    counts: dict[str, int] = imported.report["counts"]
    head = ("created", "updated", "unchanged", "rejected")
    lines = [table([one.upper() for one in head], [[f"{counts[one]:,}" for one in head]])]
    lines += [f"{one['severity'].capitalize()}: {one['message']}" for one in imported.report["file"]]
    issues = sorted(imported.issues, key=lambda issue: issue.severity)
    for one in issues[:SHOWN_ISSUES]:
        lines.append(f"Record {one.row}, {one.column}: {one.severity} {one.rule}: {one.message}")
    if len(issues) > SHOWN_ISSUES:
        lines.append(f"{len(issues) - SHOWN_ISSUES:,} more findings: --errors FILE writes all, --json prints all.")
    words = {"done": "was imported", "dry-run": "was checked only: nothing was stored", "failed": "was not imported"}
    return "\n".join(
        [*lines, f"{name} {words[imported.state]}; {counts['rejected']:,} of {counts['rows']:,} rejected."]
    )


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .json, or in .zip for the CSV tables.")],
    system: System = "",
    as_json: Json = False,
) -> None:
    """Write the directory as HSDS 3.

    Example: enlace directory export services.zip
    """
    if path.suffix not in (".json", ".zip"):
        raise typer.BadParameter("the file ends in .json or .zip.", param_hint="FILE")

    async def work(store: "Store", settings: "Settings") -> dict[str, dict[str, Any]]:
        from mappers.hsds.elements import HSDS_IDS
        from service.workflow.directory_export import export_records

        return await export_records(context(store, settings), system=system or HSDS_IDS)

    records = with_store(work)
    written(path, records)
    counts = {f"{kind}s": len(found) for kind, found in records.items()}
    told = ", ".join(f"{number:,} {kind}" for kind, number in counts.items())
    typer.echo(json.dumps(counts) if as_json else f"{path.name}: {told}.")


def written(path: Path, records: dict[str, dict[str, Any]]) -> None:
    from fhir_profiles.json_text import write_json
    from mappers.hsds.package import document
    from mappers.hsds.tabular import write_tables

    part = path.with_name(f"{path.name}.part")
    if path.suffix == ".zip":
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in write_tables(records).items():
                archive.writestr(name, data)
    else:
        part.write_bytes(write_json(document(records)))
    os.replace(part, path)


@app.command("stale")
def stale(
    days: Annotated[int, typer.Option(min=0, max=36_500, help="Not verified for so many days.")] = 180,
    ask: Annotated[bool, typer.Option("--ask", help="Open a Task for each organization to look at its entry.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many services at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List services that nobody verified for a time, or ever.

    Example: enlace directory stale --days 180
    """

    async def work(store: "Store", settings: "Settings") -> list[dict[str, str]]:
        from service.workflow import directory_stale

        ctx = context(store, settings)
        found = await directory_stale.services(ctx, days, limit)
        asked = await directory_stale.ask(ctx, found) if ask else set()
        return [one | {"asked": "yes" if one["service"] in asked else "no"} for one in found]

    rows = with_store(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    head = ("service", "name", "organization", "phone", "verified", "asked")
    lines = [[row[name] or "-" for name in head] for row in rows]
    typer.echo(table([one.upper() for one in head], lines) if rows else f"All were verified in the last {days} days.")


@app.command("find")
def find(
    need: Annotated[str, typer.Option(help="Code of a category or type, such as food-insecurity.")] = "",
    near: Annotated[str, typer.Option(help="latitude|longitude|distance|km (or mi).")] = "",
    language: Annotated[str, typer.Option(help="A language code, such as es.")] = "",
    open_at: Annotated[str, typer.Option(help="A time such as tue|10:30, or now.")] = "",
    capacity: Annotated[str, typer.Option(help="capacity, waitlist, additional-assessment-required.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Find services by need, distance, language, hours and capacity; the nearest first.

    Example: enlace directory find --need food-insecurity --near "37.9577|-121.2908|10|mi"
    """
    asked = [("near", near), ("communication", language), ("open-at", open_at), ("capacity", capacity)]
    _check_standings(capacity)

    async def work(store: "Store", settings: "Settings") -> list[dict[str, str]]:
        from service.workflow.directory_find import NotAsked, services

        given = [(name, value) for name, value in asked if value]
        try:
            return await services(context(store, settings), given, need=need, limit=limit)
        except NotAsked as error:
            raise Refused(in_options(str(error), OPTIONS)) from None

    rows = with_store(work, Refused)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    head = ("service", "name", "organization", "phone", "capacity", "verified")
    lines = [[row[name] or "-" for name in head] for row in rows]
    typer.echo(table([one.upper() for one in head], lines) if rows else "No service was found.")


def _check_standings(capacity: str) -> None:
    from service.workflow.directory_capacity import STANDINGS

    if capacity and not set(capacity.split(",")) <= set(STANDINGS):
        raise typer.BadParameter(f"one of {', '.join(STANDINGS)}; several with commas.", param_hint="--capacity")
