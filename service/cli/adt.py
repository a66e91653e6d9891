"""`enlace adt`: send and simulate ADT messages, look into the durable inbox, replay, register sending systems."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from service.cli import adt_feeds, adt_import, adt_inbox, adt_match, adt_replay, adt_show, adt_simulate, adt_source
from service.cli.client import Json
from service.settings import load

app = typer.Typer(no_args_is_help=True, help="ADT messages: send, simulate, look into the inbox, replay, sources.")
app.add_typer(adt_source.app, name="source")
app.add_typer(adt_match.app, name="match")

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


app.command("simulate")(adt_simulate.simulate)
app.command("inbox")(adt_inbox.inbox)
app.command("feeds")(adt_feeds.feeds)
app.command("show")(adt_show.show)
app.command("replay")(adt_replay.replay)
app.command("import")(adt_import.import_files)
