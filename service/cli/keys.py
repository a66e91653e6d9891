"""`enlace keys`: our own keys for id_tokens, listed and rotated; ../shared/facts/security.md 1.4."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.auth.signing_keys import KeysRefused, SigningKeys, is_published, signing
from service.cli.client import with_store
from service.cli.listing import table
from service.clock import instant
from service.settings import Settings
from service.store.signing_keys import KeyRow, signing_keys

if TYPE_CHECKING:
    from service.store.engine import Store

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(no_args_is_help=True, help="Our keys for id_tokens: list, rotate.")


def shown(rows: list[KeyRow], now_us: int) -> list[dict[str, Any]]:
    """What listings print: never the private part."""
    signer = signing(rows, now_us)
    return [
        {
            "kid": row.kid,
            "state": _state(row, signer, now_us),
            "signs_from": instant(row.signs_from_us),
            "published_until": instant(row.retired_us) if row.retired_us is not None else None,
        }
        for row in rows
    ]


def _state(row: KeyRow, signer: KeyRow | None, now_us: int) -> str:
    if not is_published(row, now_us):
        return "retired"
    if signer is not None and row.kid == signer.kid:
        return "signs"
    return "next" if row.signs_from_us > now_us else "published"


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys, the one that signs and those that are published beside it.

    Example: enlace keys list
    """

    async def listed(store: "Store", _settings: Settings) -> list[dict[str, Any]]:
        return shown(await signing_keys(store), store.clock.now_us())

    rows = with_store(listed)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("No key yet: the first one is made when an app first asks for it.")
        return
    cells = [(row["kid"], row["state"], row["signs_from"], row["published_until"] or "-") for row in rows]
    typer.echo(table(("kid", "state", "signs from", "published until"), cells))


@app.command("rotate")
def rotate(
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Somebody else has the key: it ends now, whatever it signed with it.")
    ] = False,
) -> None:
    """Publish a new key, which signs after six minutes; the old one stays published until what it signed has ended.

    Example: enlace keys rotate
    """

    async def rotated(store: "Store", settings: Settings) -> KeyRow:
        keys = SigningKeys(settings.secret_key())
        return await keys.rotate(store, store.clock.now_us(), at_once=at_once)

    try:
        row = with_store(rotated)
    except KeysRefused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{row.kid} signs from {instant(row.signs_from_us)}")
