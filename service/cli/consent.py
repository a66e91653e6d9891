"""`enlace consent recompile`: the rules of all Consents made anew from the Consents themselves."""

import asyncio
import os

import typer

from service.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="Consents and the rules that are made of them.")


@app.callback()
def _all() -> None:
    """Consents and the rules that are made of them."""


@app.command("recompile")
def recompile() -> None:
    """Make the rules of all Consents anew, beside the running service: after a release that reads them otherwise.

    Example: enlace consent recompile
    """
    count = asyncio.run(_run(load(os.environ)))
    typer.echo(f"The rules of {count} Consents are made.")


async def _run(settings: Settings) -> int:
    from service.store.engine import open_store
    from service.workflow import consents

    store = await open_store(settings.database_url.get_secret_value())
    try:
        return sum([count async for count in consents.recompile(store, f"{settings.base_url}/fhir")])
    finally:
        await store.close()
