"""`enlace files import`: a plan's file into the store; contract.md "The enlace command", facts/california.md C.7.

The rows are written by service/workflow/member_files.py; this file reads options, opens the store and prints.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from mappers.plan_files.reports import issues_csv
from service.caller import system_caller
from service.clock import utc
from service.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from service.store.engine import Store
    from service.workflow.member_files import Imported, IncomingFile, Progress

KINDS = ("member-information",)
MAX_BYTES = 200_000_000
SHOWN_ISSUES = 20

app = typer.Typer(no_args_is_help=True, help="Plan files: import.")


@app.callback()
def files() -> None:
    """Plan files: what plans tell about their members."""


class Refused(Exception):
    """The file cannot be taken: one sentence with the remedy."""


async def import_bytes(
    store: "Store",
    settings: Settings,
    file: "IncomingFile",
    plan: str,
    *,
    again: bool = False,
    dry_run: bool = False,
    progress: "Progress | None" = None,
) -> "Imported":
    """Imports a file of the plan with this slug or Organization id. Raises UnknownPlan."""
    from service.access.context import Context
    from service.access.context import Settings as Behaviour
    from service.workflow.member_directory import find_plan
    from service.workflow.member_files import import_file

    now_us = store.clock.now_us()
    behaviour = Behaviour(settings.env, f"{settings.base_url}/fhir")
    found = await find_plan(Context(store, system_caller(), now_us, behaviour), plan)
    caller = system_caller(found.reference)
    ctx = Context(store, caller, now_us, behaviour, request_id=f"file-{store.clock.new_id()}")
    today = utc(now_us).astimezone(ZoneInfo(settings.time_zone)).date()
    return await import_file(ctx, found, file, today=today, again=again, dry_run=dry_run, progress=progress)


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help=f"What the file is: {', '.join(KINDS)}.")],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or xlsx file.", exists=True, dir_okay=False)],
    plan: Annotated[str, typer.Option(help="Whose file: the plan's slug, or the id of its Organization.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare only; nothing is stored.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also if this very file was imported before.")] = False,
    layout: Annotated[Path | None, typer.Option(help="A layout pack instead of the plan's.", exists=True)] = None,
    errors: Annotated[Path | None, typer.Option(help="Write the findings to this CSV file.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Import a plan's file; rows with errors are left out and listed, the others are stored.

    Example: enlace files import member-information members.csv --plan golden-poppy --errors findings.csv
    """
    if kind not in KINDS:
        raise typer.BadParameter(f"this kind is not known; use {', '.join(KINDS)}.", param_hint="KIND")
    with _one_sentence():
        imported = asyncio.run(_run(kind, path, plan, layout, again=again, dry_run=dry_run, quiet=as_json))
        if errors:
            errors.write_bytes(issues_csv(imported.issues))
    if as_json:
        typer.echo(json.dumps(imported.shown()))
    else:
        _print(imported, path.name, errors)
    if imported.state == "failed":
        raise typer.Exit(1)


async def _run(
    kind: str, path: Path, plan: str, layout: Path | None, *, again: bool, dry_run: bool, quiet: bool
) -> "Imported":
    from mappers.plan_files.layout import from_pack
    from service.store.engine import open_store
    from service.workflow.member_files import IncomingFile

    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"The file has more than {MAX_BYTES // 1_000_000} MB: split it.")
    content = path.read_bytes()
    pack = from_pack(kind, layout.read_bytes()) if layout else None
    settings = load(os.environ)
    store = await open_store(settings.database_url.get_secret_value())
    try:
        with _bar(content, quiet=quiet) as progress:
            file = IncomingFile(kind, path.name, content, pack)
            return await import_bytes(store, settings, file, plan, again=again, dry_run=dry_run, progress=progress)
    finally:
        await store.close()


@contextmanager
def _one_sentence() -> Iterator[None]:
    """What fails is one sentence and exit code 1."""
    from mappers.plan_files.layout import BadPack
    from service.store.database import TooCostly, Unavailable
    from service.store.schema import SchemaError
    from service.workflow.member_directory import UnknownPlan

    try:
        yield
    except (UnknownPlan, BadPack, Refused, SettingsError, SchemaError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except (Unavailable, TooCostly) as error:
        reason = str(error) or "it took too long"
        typer.echo(f"The import broke off, the database did not answer ({reason}): the same command goes on.", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"A file cannot be read or written ({error.strerror}): check the path and its rights.", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _bar(content: bytes, *, quiet: bool) -> Iterator["Progress"]:
    """A progress bar on a terminal; the number of lines is a good guess of the rows, an xlsx file tells none."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    total = None if content.startswith(b"PK") else max(content.count(b"\n") - 1, 1)
    columns = (TextColumn("Rows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows", total=total)
        yield lambda done: bar.update(task, completed=done)


def _print(imported: "Imported", name: str, errors: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    counts: dict[str, Any] = imported.report["counts"]
    console = Console(soft_wrap=True, highlight=False)
    table = Table("Rows", *(word.capitalize() for word in list(counts)[1:]))
    table.add_row(*(f"{number:,}" for number in counts.values()))
    console.print(table)
    for problem in imported.report["file"]:
        console.print(f"{problem['severity'].capitalize()}: {problem['message']}", markup=False)
    issues = sorted(imported.issues, key=lambda issue: issue.severity)
    for issue in issues[:SHOWN_ISSUES]:
        place = f"Row {issue.row}" + (f", {issue.column}" if issue.column else "")
        console.print(f"{place}: {issue.severity} {issue.rule}: {issue.message}", markup=False)
    if len(issues) > SHOWN_ISSUES and not errors:
        console.print(f"{len(issues) - SHOWN_ISSUES:,} more findings: --errors FILE writes all, --json prints all.")
    if errors:
        console.print(f"{len(issues):,} findings were written to {errors}.", markup=False)
    console.print(_sentence(imported, name), markup=False)


def _sentence(imported: "Imported", name: str) -> str:
    counts: dict[str, int] = imported.report["counts"]
    members = "member" if counts["created"] == 1 else "members"
    stored = (
        f"{counts['created']:,} {members} created, {counts['updated']:,} updated, {counts['unchanged']:,} unchanged"
    )
    rejected = f"{counts['rejected']:,} of {counts['rows']:,} rows rejected"
    match imported.state:
        case "already-imported":
            return f"{name} was already imported, above is its report: nothing was done. --again imports it once more."
        case "dry-run":
            return f"Nothing was stored. An import of {name} would give: {stored}; {rejected}."
        case "failed" if counts["accepted"]:
            return f"{name} could not be read to its end. Until there: {stored}; {rejected}."
        case "failed":
            return f"{name} was not imported: no row of it could be taken."
        case _:
            return f"{name} was imported: {stored}; {rejected}."
