"""`enlace adt import`: messages from files into the durable inbox, as if they had come by the listener."""

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.auth.registration import OPERATOR
from service.cli.client import Json, with_store
from service.cli.listing import table

if TYPE_CHECKING:
    from service.store.engine import Store

MAX_BYTES = 512 * 1024 * 1024
STATES = ("stored", "repeated", "unregistered", "unreadable", "refused")


def import_files(
    files: Annotated[list[Path], typer.Argument(help="Files of messages or batches (FHS, BHS); gzip, too.")],
    as_json: Json = False,
) -> None:
    """Take messages from files into the inbox; what came before has no effect again.

    Example: enlace adt import monday.hl7 tuesday.hl7.gz
    """
    contents = []
    for path in files:
        try:
            contents.append((path.name, contents_of(path)))
        except (OSError, zlib.error, EOFError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            typer.echo(f"Nothing was taken: {path} cannot be read ({reason}).", err=True)
            raise typer.Exit(1) from None

    async def run(store: "Store", _settings: Any) -> list[dict[str, Any]]:
        return [await taken_from(store, name, content) for name, content in contents]

    found = with_store(run)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        rows = [(one["file"], *(str(one[name]) for name in ("messages", *STATES))) for one in found]
        typer.echo(table(("FILE", "MESSAGES", *(name.upper() for name in STATES)), rows))
        for one in found:
            if one["told"] not in (None, one["messages"]):
                typer.echo(f"{one['file']} says that it holds {one['told']} messages: ask the sender what is missing.")
    if any(one["refused"] or one["unreadable"] for one in found):
        raise typer.Exit(1)


def contents_of(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is gzip. Raises OSError, zlib.error, EOFError, ValueError."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if packed else raw as plain:
            content = plain.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError("it is longer than 512 MB: cut it between two messages")
    return content


async def taken_from(store: "Store", name: str, content: bytes) -> dict[str, Any]:
    """How many messages a file holds, says that it holds (told), and what became of them."""
    from mappers.hl7v2.header import batch_count, split_messages
    from service.interactions.receive_hl7v2 import Receiver
    from service.store.change import AuditRow

    content = _unframed(content)
    messages = split_messages(content) if content.strip() else []
    audit = AuditRow("E", "hl7v2", 0, OPERATOR, "", "hl7v2", request_id="cli")
    states = Counter(one.state for one in await Receiver(store).receive_each(messages, audit))
    counts = {state: states[state] for state in STATES}
    return {"file": name, "messages": len(messages), "told": batch_count(content), **counts}


def _unframed(content: bytes) -> bytes:
    """Some systems write their files as they would write to the socket: VT before each message, FS CR after it."""
    if b"\x0b" not in content[:16]:
        return content
    return content.replace(b"\x0b", b"").replace(b"\x1c\r", b"\r").replace(b"\x1c", b"\r")
