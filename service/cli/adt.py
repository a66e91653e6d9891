"""`enlace adt`: send and simulate ADT messages, look into the durable inbox, replay, register sending systems."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli import adt_inbox, adt_show, adt_source
from service.cli.client import Json, with_store
from service.settings import load

app = typer.Typer(no_args_is_help=True, help="ADT messages: send, simulate, look into the inbox, replay, sources.")
app.add_typer(adt_source.app, name="source")

Host = Annotated[str | None, typer.Option(help="Listener's address; default ENLACE_MLLP_HOST.")]
Port = Annotated[int | None, typer.Option(help="Listener's port; default ENLACE_MLLP_PORT.")]


def _place(host: str | None, port: int | None) -> tuple[str, int]:
    settings = load(os.environ)
    return host or settings.mllp_host, port or settings.mllp_port


def _fail(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(1)


@app.command("send")
def send(
    files: Annotated[list[Path], typer.Argument(help="Files with ER7 messages, one or several each.")],
    host: Host = None,
    port: Port = None,
    as_json: Json = False,
) -> None:
    """Send messages over MLLP and print each ACK code.

    Example: enlace adt send tests/golden/hl7v2/a01_inpatient.hl7
    """
    from mappers.hl7v2.message import split_messages
    from service.cli.mllp_client import Connection, Refused

    where = _place(host, port)
    try:
        messages = [(path.name, message) for path in files for message in split_messages(path.read_bytes())]
    except OSError as error:
        raise _fail(f"Nothing was sent: {error.filename} cannot be read ({error.strerror}).") from None

    async def run() -> list[tuple[str, str]]:
        async with Connection(*where) as connection:
            return [(name, await connection.send(message)) for name, message in messages]

    try:
        answers = asyncio.run(run())
    except OSError as error:
        raise _fail(f"Nothing was sent: {error.strerror or 'no listener'} at {where[0]}:{where[1]}.") from None
    except Refused as error:
        raise _fail(str(error)) from None
    if as_json:
        typer.echo(json.dumps([{"file": name, "ack": code} for name, code in answers]))
    else:
        typer.echo("\n".join(f"{code}  {name}" for name, code in answers))
    if any(code not in ("AA", "CA") for _, code in answers):
        raise typer.Exit(1)


@app.command("simulate")
def simulate(
    rate: Annotated[float, typer.Option(min=0.01, help="Messages a second.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 60.0,
    seed: Annotated[int, typer.Option(help="The same number gives the same feed.")] = 1,
    host: Host = None,
    port: Port = None,
) -> None:
    """Play a synthetic feed of the seeded members over MLLP.

    Example: enlace adt simulate --rate 5 --seconds 30
    """
    from service.cli.feed import play_feed
    from service.cli.mllp_client import Refused

    where = _place(host, port)

    async def run(store: Any, _settings: Any) -> tuple[int, int]:
        return await play_feed(store, where, rate=rate, seconds=seconds, seed=seed)

    try:
        sent, accepted = with_store(run)
    except OSError as error:
        raise _fail(f"The feed stopped: {error.strerror or 'no listener'} at {where[0]}:{where[1]}.") from None
    except Refused as error:
        raise _fail(f"The feed stopped at {where[0]}:{where[1]}. {error}") from None
    typer.echo(f"{sent} sent, {accepted} accepted.")
    if accepted < sent:
        raise typer.Exit(1)


app.command("inbox")(adt_inbox.inbox)
app.command("show")(adt_show.show)
app.command("replay")(adt_inbox.replay)
