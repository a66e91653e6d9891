"""`enlace token`: prints an access token for trying things out; sandbox only; contract.md "The enlace command"."""

import json
import re
from typing import Annotated

import typer

from service.auth.sandbox import SandboxRefused, issue_sandbox_token
from service.cli.client import with_store
from service.settings import Settings
from service.store.credentials import CredentialStore

_TTL = re.compile(r"([1-9][0-9]{0,5})([smh])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def ttl_seconds(text: str) -> int:
    """Seconds of 8h, 30m or 45s; raises typer.BadParameter (exit code 2)."""
    match = _TTL.fullmatch(text)
    if match is None:
        raise typer.BadParameter("Write --ttl as 8h, 30m or 45s.")
    return int(match[1]) * _SECONDS[match[2]]


def token(
    role: Annotated[str, typer.Option(help="admin, lcm, ecm-provider, mcp, cbo, hospital or referrer.")],
    client: Annotated[str | None, typer.Option(help="Name or id of a client of that role.")] = None,
    ttl: Annotated[str, typer.Option(help="How long it lives: 8h, 30m, 45s; at most 24h.")] = "8h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print an access token of a sandbox client.

    Example: curl -H "Authorization: Bearer $(enlace token --role lcm)" http://localhost:8000/fhir/Task
    """
    seconds = ttl_seconds(ttl)

    async def issue(store: CredentialStore, settings: Settings) -> str:
        return await issue_sandbox_token(store, settings.env, role, client, seconds)

    try:
        text = with_store(issue)
    except SandboxRefused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps({"access_token": text, "token_type": "bearer", "expires_in": seconds}) if as_json else text)
