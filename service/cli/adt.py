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
    """Send messages over MLLP and print each ACK code, with its reason where it is negative.

    Example: enlace adt send tests/golden/hl7v2/a01_inpatient.hl7
    """
    from mappers.hl7v2.message import split_messages
    from service.cli.mllp_client import TIMEOUT_S, Connection, Refused, ack_said

    where = _place(host, port)
    try:
        messages = [(path.name, message) for path in files for message in split_messages(path.read_bytes())]
    except OSError as error:
        raise _fail(f"Nothing was sent: {error.filename} cannot be read ({error.strerror}).") from None

    answers: list[tuple[str, bytes]] = []

    async def run() -> None:
        async with Connection(*where) as connection:
            for name, message in messages:
                answers.append((name, await connection.exchange(message)))

    trouble = ""
    try:
        asyncio.run(run())
    except TimeoutError:
        trouble = f"no answer within {TIMEOUT_S:.0f} s; acknowledgements, and messages that ask for none, get none"
    except OSError as error:
        trouble = f"{error.strerror or 'no listener'} at {where[0]}:{where[1]}"
    except Refused as error:
        trouble = str(error).rstrip(".")
    told = [(name, *ack_said(answer)) for name, answer in answers]
    if as_json:
        typer.echo(json.dumps([{"file": name, "ack": code, "text": text} for name, code, text in told]))
    else:
        for name, code, text in told:
            typer.echo(f"{code}  {name}  {text}".rstrip())
    if trouble and not answers and "no answer" not in trouble:
        raise _fail(f"Nothing was sent: {trouble}.")
    if trouble:
        raise _fail(f"{messages[len(answers)][0]}: {trouble}. {len(answers)} of {len(messages)} were answered.")
    if any(code not in ("AA", "CA") for _, code, _ in told):
        raise typer.Exit(1)


app.command("simulate")(adt_simulate.simulate)
app.command("inbox")(adt_inbox.inbox)
app.command("feeds")(adt_feeds.feeds)
app.command("show")(adt_show.show)
app.command("replay")(adt_replay.replay)
app.command("import")(adt_import.import_files)
