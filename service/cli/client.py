"""`enlace client`: registers the systems and apps that may call; contract.md, security.md 1.1 (T15).

The functions take a Store; the commands around them only read options, open the store and print.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.auth import registration
from service.auth.client_rules import BACKEND
from service.auth.registration import BadClient, deactivate, new_client, register
from service.cli.listing import table
from service.settings import Settings, SettingsError, load
from service.store import credentials
from service.store.credentials import CredentialStore, RegisteredClient

if TYPE_CHECKING:
    from service.store.engine import Store

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(no_args_is_help=True, help="Systems and apps that may call: register, list, show, suspend, revoke.")


async def check_organization(store: "Store", reference: str) -> None:
    """Raises BadClient where the Organization is not there: a typing error would own what nobody sees."""
    from service.store.inbox_find import has_resource

    if not await has_resource(store, reference):
        raise BadClient([f"There is no {reference}: write it first."])


async def add_client(
    store: "Store",
    name: str,
    *,
    organization: str,
    role: str = "",
    jwks: str | None = None,
    scope: str,
    person: str | None = None,
    purpose: str,
    kind: str = BACKEND,
    redirect_uris: "Sequence[str]" = (),
    endpoints: "Sequence[str]" = (),
    sandbox: bool = False,
) -> RegisteredClient:
    """Registers a client; jwks is an https URL or the path of a file. Raises BadClient with every problem of it."""
    if jwks is None and kind == BACKEND and person is None:
        raise BadClient(["A backend service registers its public keys: give --jwks."])
    url = jwks if jwks and "://" in jwks else None
    client = new_client(
        store.clock.new_id(),
        name=name,
        organization=organization,
        role=role,
        scope=scope,
        jwks=_read(jwks) if jwks and not url else None,
        jwks_url=url,
        person=person,
        purpose=purpose,
        kind=kind,
        redirect_uris=redirect_uris,
        endpoints=endpoints,
        sandbox=sandbox,
        now_us=store.clock.now_us(),
    )
    await check_organization(store, organization)
    await register(store, client)
    return client


async def revoke_client(store: CredentialStore, name_or_id: str) -> RegisteredClient:
    """Ends the active or suspended client of this id or name, and its tokens with it. BadClient if there is none."""
    client = await _one(store, name_or_id)
    await deactivate(store, client)
    return client


async def _one(store: CredentialStore, name_or_id: str) -> RegisteredClient:
    """The client that has not ended, by id or name."""
    by_id = await credentials.client_by_id(store, name_or_id)
    found = [by_id] if by_id else await credentials.clients_by_name(store, name_or_id)
    for client in found:
        if not client.ended:
            return client
    raise BadClient(["No active client has this id or name; see `enlace client list`."])


async def suspend_client(store: CredentialStore, name_or_id: str) -> RegisteredClient:
    client = await _one(store, name_or_id)
    await registration.suspend(store, client)
    return client


async def resume_client(store: CredentialStore, name_or_id: str) -> RegisteredClient:
    client = await _one(store, name_or_id)
    await registration.resume(store, client)
    return client


async def set_endpoints(
    store: CredentialStore, name_or_id: str, endpoints: "Sequence[str] | None", *, sandbox: bool
) -> RegisteredClient:
    """The client with these endpoints, or as it is. A subscription to one that is struck out is sent nothing more."""
    client = await _one(store, name_or_id)
    if endpoints is None:
        return client
    client = registration.checked(replace(client, endpoints=tuple(endpoints)), sandbox=sandbox)
    await registration.change(store, client)
    return client


def shown(client: RegisteredClient) -> dict[str, Any]:
    """What listings print of a client."""
    keys = client.jwks_url or ("inline" if client.jwks else "none")
    return {
        "id": client.id,
        "name": client.name,
        "organization": client.organization,
        "role": client.role,
        "person": client.person,
        "scopes": client.scopes,
        "purpose": client.purpose,
        "kind": client.kind,
        "redirect_uris": list(client.redirect_uris),
        "endpoints": list(client.endpoints),
        "keys": keys,
        "active": client.active,
        "suspended": client.suspended,
    }


def with_store(work: "Callable[[Store, Settings], Awaitable[T]]", *refusals: type[Exception]) -> T:
    """Opens the store of the environment for one command. What fails is one sentence and exit code 1.

    refusals: what else the work may say no with, in words for people.
    """
    from service.store.database import Unavailable
    from service.store.engine import open_store
    from service.store.schema import SchemaError

    async def run() -> T:
        settings = load(os.environ)
        store = await open_store(settings.database_url.get_secret_value())
        try:
            return await work(store, settings)
        finally:
            await store.close()

    refused: tuple[type[Exception], ...] = (BadClient, SettingsError, SchemaError, Unavailable, *refusals)
    try:
        return asyncio.run(run())
    except refused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A name for people.")],
    organization: Annotated[str, typer.Option(help="Whose system: Organization/ID.")],
    scope: Annotated[str, typer.Option(help="What it may ask for.")],
    purpose: Annotated[str, typer.Option(help="What it uses data for: TREAT, HPAYMT, HOPERAT.")],
    role: Annotated[
        str, typer.Option(help="admin, ecm-provider, lcm, mcp, cbo, hospital or referrer; not for apps.")
    ] = "",
    jwks: Annotated[str | None, typer.Option(help="Its public keys: a JSON file or an https URL.")] = None,
    person: Annotated[str | None, typer.Option(help="One person's client: Practitioner/ID.")] = None,
    kind: Annotated[str, typer.Option(help="backend; or an app that people use: confidential, public.")] = BACKEND,
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Where an app takes people back to; repeatable.")
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="Whereto its subscriptions may send: host, @mail.domain or +number; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Register a system or an app and print its client id.

    Example: enlace client add "Plan A EHR" --organization Organization/plan-a --role mcp --purpose HPAYMT
    --jwks plan-a.jwks.json --scope "system/Task.cruds system/Patient.rs"
    """
    facts: dict[str, Any] = {"organization": organization, "role": role, "jwks": jwks, "scope": scope}
    facts |= {"person": person, "purpose": purpose, "kind": kind, "redirect_uris": redirect_uri or ()}
    facts["endpoints"] = endpoint or ()

    async def work(store: "Store", settings: Settings) -> RegisteredClient:
        return await add_client(store, name, **facts, sandbox=settings.env == "sandbox")

    client = with_store(work)
    typer.echo(json.dumps(shown(client)) if as_json else client.id)


@app.command("list")
def list_clients(as_json: Json = False) -> None:
    """List every client, suspended and revoked ones too.

    Example: enlace client list --json
    """
    rows = [shown(client) for client in with_store(lambda store, _settings: credentials.clients(store))]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    shown_rows = [(row["name"] + _state(row), row["role"], row["organization"], row["id"]) for row in rows]
    typer.echo(table(("NAME", "ROLE", "ORGANIZATION", "CLIENT ID"), shown_rows) if rows else "No clients.")


@app.command("revoke")
def revoke(
    name_or_id: Annotated[str, typer.Argument(help="Client id or name.")],
    as_json: Json = False,
) -> None:
    """End a client; its access tokens stop working with the next request.

    Example: enlace client revoke "Plan A EHR"
    """
    client = with_store(lambda store, _settings: revoke_client(store, name_or_id))
    typer.echo(json.dumps(shown(client) | {"active": False}) if as_json else f"Revoked {client.id}.")


@app.command("show")
def show(name_or_id: Annotated[str, typer.Argument(help="Client id or name.")]) -> None:
    """Print all that is registered of a client, as JSON; of its keys their place.

    Example: enlace client show "Plan A EHR"
    """
    client = with_store(lambda store, _settings: _one(store, name_or_id))
    typer.echo(json.dumps(shown(client), indent=2))


@app.command("endpoints")
def endpoints(
    name_or_id: Annotated[str, typer.Argument(help="Client id or name.")],
    allowed: Annotated[
        list[str] | None,
        typer.Argument(help="All hosts, @mail.domains and +numbers that it may have; none: shows them."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="It may have no endpoint any more.")] = False,
) -> None:
    """Show or set whereto the subscriptions of a client may send.

    Example: enlace client endpoints "Plan A EHR" hooks.example.org @example.org
    """
    wanted = () if none else tuple(allowed) if allowed else None

    async def work(store: "Store", settings: Settings) -> RegisteredClient:
        return await set_endpoints(store, name_or_id, wanted, sandbox=settings.env == "sandbox")

    for one in with_store(work).endpoints:
        typer.echo(one)


@app.command("suspend")
def suspend(
    name_or_id: Annotated[str, typer.Argument(help="Client id or name.")],
    as_json: Json = False,
) -> None:
    """Stop a client for now; its access tokens stop working with the next request.

    Example: enlace client suspend "Plan A EHR"
    """
    client = with_store(lambda store, _settings: suspend_client(store, name_or_id))
    told = shown(client) | {"active": False, "suspended": True}
    typer.echo(json.dumps(told) if as_json else f"Suspended {client.id}.")


@app.command("resume")
def resume(
    name_or_id: Annotated[str, typer.Argument(help="Client id or name.")],
    as_json: Json = False,
) -> None:
    """Let a suspended client call again.

    Example: enlace client resume "Plan A EHR"
    """
    client = with_store(lambda store, _settings: resume_client(store, name_or_id))
    told = shown(client) | {"active": True, "suspended": False}
    typer.echo(json.dumps(told) if as_json else f"Resumed {client.id}.")


def _state(row: dict[str, Any]) -> str:
    return "" if row["active"] else " (suspended)" if row["suspended"] else " (revoked)"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise BadClient(["--jwks names no readable file; give a JSON file or an https URL."]) from None
