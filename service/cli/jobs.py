"""`enlace jobs`: background work that waits, runs or failed for good, and trying it again."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table
from service.clock import instant
from service.store import work
from service.store.work import Listed

if TYPE_CHECKING:
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Background work: list, retry what failed for good.")
STATES = ("dead", "ready", "leased", "done")
MOST = 10_000


@app.command("list")
def list_jobs(
    state: Annotated[str, typer.Option(help=f"One of {', '.join(STATES)}.")] = "dead",
    kind: Annotated[str, typer.Option(help="Only of this kind, such as adt.settle.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List background work, newest first: what failed for good, unless another state is named.

    Example: enlace jobs list --state ready
    """
    if state not in STATES:
        typer.echo(f"--state is one of {', '.join(STATES)}.", err=True)
        raise typer.Exit(2)
    found = with_store(lambda store, _settings: work.listed(store, state=state, kind=kind, limit=limit))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    rows = [
        (str(one.id), one.kind, one.state, str(one.attempts), instant(one.due_us), one.last_error or "-")
        for one in found
    ]
    typer.echo(table(("ID", "KIND", "STATE", "TRIES", "DUE", "LAST ERROR"), rows) if rows else f"No jobs are {state}.")


@app.command("retry")
def retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="From `enlace jobs list`.")] = None,
    kind: Annotated[str, typer.Option(help="All dead ones of this kind.")] = "",
    as_json: Json = False,
) -> None:
    """Try again what failed for good, once its cause is gone. Each job may be tried any number of times.

    Example: enlace jobs retry --kind adt.settle
    """
    if bool(ids) == bool(kind):
        typer.echo("Name IDs of dead jobs, or --kind for all of a kind.", err=True)
        raise typer.Exit(2)
    done, missing = with_store(lambda store, _settings: _retried(store, ids or [], kind))
    if missing:
        told = ", ".join(map(str, missing))
        typer.echo(f"Not dead, so not tried again: {told}. See `enlace jobs list`.", err=True)
    typer.echo(
        json.dumps({"retried": done}) if as_json else f"{len(done)} will be tried again by the next free worker."
    )
    if missing:
        raise typer.Exit(1)


async def _retried(store: "Store", ids: list[int], kind: str) -> tuple[list[int], list[int]]:
    from service.auth.registration import OPERATOR
    from service.store.change import AuditRow, Change

    dead: dict[int, Listed] = {one.id: one for one in await work.listed(store, state="dead", kind=kind, limit=MOST)}
    chosen = [one for one in ids if one in dead] if ids else sorted(dead)
    now_us = store.clock.now_us()
    for job_id in chosen:
        audit = AuditRow("E", "job-retry", 0, OPERATOR, "", f"job/{job_id}", reason=dead[job_id].kind)
        await store.commit(Change(statements=[work.again(job_id, now_us)], audit=[audit]))
    return chosen, [one for one in ids if one not in dead]
