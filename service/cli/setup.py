"""`enlace migrate | seed | openapi`: what is done once, or when something changed."""

import asyncio
import json
import os
from typing import Annotated

import typer

from service.settings import load


def migrate() -> None:
    """Create the database or bring it up to date.

    Example: enlace migrate
    """
    from service.store.migrate import migrate as run

    settings = load(os.environ)
    url, reader = settings.database_url.get_secret_value(), settings.database_reader_url
    revision = run(url)
    if reader is not None:
        from service.store.reader import secure

        asyncio.run(secure(url, reader.get_secret_value()))
        typer.echo("Row-level security is in force for the reader role.")
    typer.echo(f"The database is at revision {revision}.")


def seed(
    members: Annotated[int, typer.Option(min=1, max=100_000, help="How many members.")] = 200,
    seed: Annotated[int, typer.Option(help="The same number gives the same county.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the synthetic county: plans, providers, CBOs, hospitals, members, referrals, consents.

    Example: enlace seed --members 200 --seed 1
    """
    from service.cli.county import SeedRefused, write_county

    try:
        counts = asyncio.run(write_county(load(os.environ), members, seed))
    except SeedRefused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    text = ", ".join(f"{count} {name}" for name, count in counts.items()) or "The county is there already."
    typer.echo(json.dumps(counts) if as_json else text)


def openapi() -> None:
    """Write openapi/openapi.yaml from the CapabilityStatement.

    Example: enlace openapi
    """
    from openapi.build import write

    typer.echo(f"Wrote {write()}.")
