"""`enlace reindex`: index rows made anew after a release that serves other search parameters."""

import asyncio
import os

import typer

from service.settings import Settings, load


def reindex() -> None:
    """Make the search index anew, beside the running service; goes on where a former run was stopped.

    Example: enlace reindex
    """
    done, wanted = asyncio.run(_run(load(os.environ)))
    if not done and not wanted:
        typer.echo("The search index is that of this version: nothing to do.")
        return
    typer.echo(f"{done} resources are in the index of this version.")


async def _run(settings: Settings) -> tuple[int, int]:
    from service.search.definition import digest
    from service.store import reindex as index
    from service.store.engine import open_store
    from service.workflow.reindexing import remade

    store = await open_store(settings.database_url.get_secret_value())
    try:
        wanted = digest()
        state = await index.state(store, wanted)
        if state.made_by == wanted:
            return 0, 0
        total, done = await index.count(store, state.after), 0
        typer.echo(f"{total} resources are to do.", err=True)
        async for count in remade(store, f"{settings.base_url}/fhir"):
            before, done = done, done + count
            if before // 10_000 != done // 10_000:
                typer.echo(f"{done} of {total} ...", err=True)
        return done, max(total, 1)
    finally:
        await store.close()
