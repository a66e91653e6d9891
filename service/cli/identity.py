"""`enlace identity`: OpenID Providers of organizations, and who of their people is which Practitioner."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.cli.client import with_store
from service.cli.listing import table
from service.settings import Settings

if TYPE_CHECKING:
    from service.store.engine import Store
    from service.store.identities import Account, Provider

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[str, typer.Argument(metavar="PROVIDER", help="Name or id of the provider.")]
Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="The person's `sub` at the provider.")]

app = typer.Typer(no_args_is_help=True, help="How people sign in: OpenID Providers and their people.")


async def add_provider(store: "Store", settings: Settings, secret_file: str | None, **facts: Any) -> "Provider":
    """Registers a provider. Raises BadIdentity with every problem."""
    from service.auth import identities
    from service.store.inbox_find import has_resource

    provider = identities.new_provider(
        store.clock.new_id(),
        key=settings.secret_key(),
        client_secret=_read(secret_file) if secret_file else None,
        allow=settings.egress_allow,
        sandbox=settings.sandbox,
        now_us=store.clock.now_us(),
        **facts,
    )
    if not await has_resource(store, provider.organization):
        raise identities.BadIdentity([f"There is no {provider.organization}: write it first."])
    await identities.add_provider(store, provider)
    return provider


async def check_provider(store: "Store", settings: Settings, name: str) -> str:
    """Asks the provider for its discovery document: a sentence. Raises BadIdentity where it cannot be used."""
    from service.auth import identities
    from service.auth.openid import ProviderDown, RelyingParty
    from service.egress import Egress

    provider = await identities.named(store, name)
    egress = Egress(settings.egress_allow)
    party = RelyingParty(egress, settings.secret_key(), settings.base_url, settings.egress_allow)
    try:
        await party.metadata(provider, store.clock.now_us())
    except ProviderDown as down:
        raise identities.BadIdentity([f"{provider.issuer} cannot be used: {down.reason}."]) from None
    finally:
        await egress.close()
    return f"{provider.issuer} answers. Registered there must be the redirect URI {party.redirect_uri(provider)}"


async def bind_person(store: "Store", name: str, subject: str, practitioner: str) -> "Account":
    """Raises BadIdentity, also where the Practitioner is not there."""
    from service.auth import identities
    from service.store.inbox_find import has_resource

    provider = await identities.named(store, name)
    if not await has_resource(store, practitioner):
        raise identities.BadIdentity([f"There is no {practitioner}: write it first."])
    return await identities.bind(store, provider, subject, practitioner)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What people choose on the sign-in page.")],
    issuer: Annotated[str, typer.Option(help="The provider's issuer, an https address.")],
    organization: Annotated[str, typer.Option(help="Whose people: Organization/ID, and all that is part of it.")],
    client_id: Annotated[str, typer.Option(help="How the provider calls Enlace.")],
    client_secret_file: Annotated[
        str | None, typer.Option(help="File with the client secret, if there is one.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="Role its people may have: lcm, ecm-provider, cbo.")] = None,
    as_json: Json = False,
) -> None:
    """Connect an organization's OpenID Provider and print its id.

    Example: enlace identity add "Plan A staff" --issuer https://login.plan-a.example --organization Organization/plan-a
    --client-id enlace --client-secret-file secret.txt
    """
    facts: dict[str, Any] = {"name": name, "issuer": issuer, "organization": organization, "client_id": client_id}
    facts["roles"] = role or ["lcm"]
    provider = _with_store(lambda store, settings: add_provider(store, settings, client_secret_file, **facts))
    typer.echo(json.dumps(_shown(provider)) if as_json else provider.id)


@app.command("list")
def list_providers(as_json: Json = False) -> None:
    """List every provider, disabled ones too.

    Example: enlace identity list --json
    """
    from service.store import identities

    rows = [_shown(provider) for provider in _with_store(lambda store, _settings: identities.providers(store))]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    cells = [
        (row["name"] + ("" if row["active"] else " (disabled)"), row["organization"], row["roles"], row["issuer"])
        for row in rows
    ]
    typer.echo(table(("NAME", "ORGANIZATION", "ROLES", "ISSUER"), cells) if rows else "No identity providers.")


@app.command("check")
def check(provider: Which) -> None:
    """Ask a provider for its discovery document and say whether it can be used.

    Example: enlace identity check "Plan A staff"
    """
    typer.echo(_with_store(lambda store, settings: check_provider(store, settings, provider)))


@app.command("disable")
def disable(provider: Which) -> None:
    """End a provider; its people are signed out at once, from apps too.

    Example: enlace identity disable "Plan A staff"
    """

    async def work(store: "Store", _settings: Settings) -> str:
        from service.auth import identities

        found = await identities.named(store, provider)
        await identities.disable(store, found)
        return found.id

    typer.echo(f"Disabled {_with_store(work)}.")


@app.command("person")
def person(
    provider: Which,
    subject: Subject,
    practitioner: Annotated[str, typer.Argument(metavar="PRACTITIONER", help="Practitioner/ID.")],
) -> None:
    """Say which Practitioner a person of a provider is; the PractitionerRoles say what the person may do.

    Example: enlace identity person "Plan A staff" 8c1f0e44 Practitioner/lcm-1
    """
    account = _with_store(lambda store, _settings: bind_person(store, provider, subject, practitioner))
    typer.echo(f"{account.practitioner} signs in as this person.")


@app.command("people")
def people(as_json: Json = False) -> None:
    """List everybody who was bound, ended accounts too.

    Example: enlace identity people
    """

    async def work(store: "Store", _settings: Settings) -> "list[dict[str, Any]]":
        from service.store import identities

        names = {one.id: one.name for one in await identities.providers(store)}
        return [
            {
                "provider": names.get(one.provider, one.provider),
                "subject": one.subject,
                "practitioner": one.practitioner,
                "active": one.active,
            }
            for one in await identities.accounts(store)
        ]

    rows = _with_store(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    cells = [
        (row["practitioner"] + ("" if row["active"] else " (ended)"), row["provider"], row["subject"]) for row in rows
    ]
    typer.echo(table(("PRACTITIONER", "PROVIDER", "SUBJECT"), cells) if rows else "No people.")


@app.command("remove")
def remove(provider: Which, subject: Subject) -> None:
    """End a person's account; sessions and apps' tokens end at once.

    Example: enlace identity remove "Plan A staff" 8c1f0e44
    """

    async def work(store: "Store", _settings: Settings) -> str:
        from service.auth import identities

        return (await identities.remove(store, await identities.named(store, provider), subject)).practitioner

    typer.echo(f"{_with_store(work)} no longer signs in as this person.")


def _with_store(work: "Callable[[Store, Settings], Awaitable[T]]") -> T:
    from service.auth.identities import BadIdentity

    return with_store(work, BadIdentity)


def _shown(provider: "Provider") -> dict[str, Any]:
    """What listings print: of the secret, whether there is one."""
    return {
        "id": provider.id,
        "name": provider.name,
        "issuer": provider.issuer,
        "organization": provider.organization,
        "client_id": provider.client_id,
        "secret": provider.client_secret is not None,
        "roles": provider.roles,
        "active": provider.active,
    }


def _read(path: str) -> str:
    from service.auth.identities import BadIdentity

    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise BadIdentity(["--client-secret-file names no readable file."]) from None
