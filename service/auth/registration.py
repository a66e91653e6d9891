"""Registering clients and ending, suspending and changing them: checked facts in, one Change with its audit row out.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html (Registering a client); the rules
themselves are in client_rules.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from service.auth import client_rules, scopes
from service.auth.client_rules import APP_ROLE, BACKEND, Facts
from service.auth.client_rules import CLIENT_ID as CLIENT_ID
from service.auth.jwks import BadKeySet, check_registered_url, check_registration
from service.store import credentials
from service.store.change import AuditRow, Change, Statement
from service.store.credentials import CredentialStore, RegisteredClient

OPERATOR = "operator"
"""Actor of audit rows about what the command line did."""


class BadClient(ValueError):
    """The client cannot be registered: one sentence for each problem. redirects: those of them about redirect URIs."""

    def __init__(self, problems: Iterable[str], redirects: Iterable[str] = ()):
        self.redirects = tuple(redirects)
        self.problems = (*problems, *self.redirects)
        super().__init__("\n".join(self.problems))


def new_client(
    client_id: str,
    *,
    name: str,
    organization: str,
    scope: str,
    now_us: int,
    role: str = "",
    jwks: str | None = None,
    jwks_url: str | None = None,
    person: str | None = None,
    purpose: str = "TREAT",
    kind: str = BACKEND,
    redirect_uris: Sequence[str] = (),
    endpoints: Sequence[str] = (),
    sandbox: bool = False,
) -> RegisteredClient:
    """A checked client, not yet stored. jwks: JSON text. A backend without a key set is for sandbox tokens and logins.

    kind: backend, confidential or public; an app has no role. sandbox: takes redirects to loopback addresses over http.
    Raises BadClient with every problem.
    """
    role = role or (APP_ROLE if kind != BACKEND else "")
    client = RegisteredClient(
        client_id,
        name,
        organization,
        role,
        scope,
        person,
        purpose,
        jwks,
        jwks_url,
        created_us=now_us,
        kind=kind,
        redirect_uris=tuple(redirect_uris),
        endpoints=tuple(endpoints),
    )
    return checked(client, sandbox=sandbox)


def checked(client: RegisteredClient, *, sandbox: bool) -> RegisteredClient:
    """The client with its keys and scopes as they are stored; raises BadClient with every problem."""
    facts = Facts(
        client.id,
        client.name,
        client.organization,
        client.role,
        client.person,
        client.purpose,
        client.kind,
        client.redirect_uris,
        keys=(client.jwks is not None) + (client.jwks_url is not None),
        endpoints=client.endpoints,
    )
    problems = list(client_rules.problems(facts))
    redirects = list(client_rules.redirect_problems(client.redirect_uris, client.kind, sandbox=sandbox))
    try:
        client = replace(client, scopes=client_rules.registered_scopes(client.scopes, client.kind))
    except scopes.InvalidScope as error:
        problems.append(str(error))
    try:
        jwks = check_registration(client.jwks) if client.jwks is not None else None
        url = check_registered_url(client.jwks_url) if client.jwks_url is not None else None
        client = replace(client, jwks=jwks, jwks_url=url)
    except BadKeySet as error:
        problems.append(str(error))
    if problems or redirects:
        raise BadClient(problems, redirects)
    return client


async def check_name(store: CredentialStore, client: RegisteredClient) -> None:
    """Raises BadClient if another client that has not ended has the name."""
    others = await credentials.clients_by_name(store, client.name)
    if any(not other.ended and other.id != client.id for other in others):
        former = f'end that one first, `enlace client revoke "{client.name}"`'
        raise BadClient([f'An active client is called "{client.name}": choose another name, or {former}.'])


async def register(store: CredentialStore, client: RegisteredClient, actor: str = OPERATOR) -> None:
    """Stores a client with its audit row; raises BadClient if an active client has the name."""
    await check_name(store, client)
    await store.commit(insertion(client, actor))


def insertion(client: RegisteredClient, actor: str = OPERATOR) -> Change:
    """The Change that stores a client: also for the seed, which merges many."""
    return Change(statements=[credentials.insert_client(client)], audit=[_row("C", "client-add", client, actor)])


async def deactivate(store: CredentialStore, client: RegisteredClient, actor: str = OPERATOR) -> None:
    """Ends a client for good and, with the next request, all its tokens."""
    statement = credentials.deactivate_client(client.id)
    await store.commit(_losing(store, client, statement, _row("D", "client-revoke", client, actor)))


async def suspend(store: CredentialStore, client: RegisteredClient, actor: str = OPERATOR) -> None:
    """Stops a client and its tokens with the next request, until it is resumed."""
    statement = credentials.suspend_client(client.id, store.clock.now_us())
    await store.commit(_losing(store, client, statement, _row("U", "client-suspend", client, actor)))


def _losing(store: CredentialStore, client: RegisteredClient, statement: Statement, row: AuditRow) -> Change:
    """A Change by which the client may lose rights: what is just being decided for its subscriptions is not sent."""
    lost = {credentials.client_key(store.keys, client.id)}
    return Change(statements=[statement], audit=[row], bump_epochs=lost)


async def resume(store: CredentialStore, client: RegisteredClient, actor: str = OPERATOR) -> None:
    """Ends a suspension. Tokens that were issued before it and have not expired are good again."""
    statement = credentials.suspend_client(client.id, None)
    await store.commit(Change(statements=[statement], audit=[_row("U", "client-resume", client, actor)]))


async def change(store: CredentialStore, client: RegisteredClient, actor: str = OPERATOR) -> None:
    """Stores keys, scopes, redirect URIs and endpoints of a checked client. Tokens keep the scopes that they have."""
    statement = credentials.change_client(client)
    await store.commit(_losing(store, client, statement, _row("U", "client-change", client, actor)))


def _row(action: str, kind: str, client: RegisteredClient, actor: str) -> AuditRow:
    return AuditRow(action, kind, 0, actor, client.organization, target=f"client/{client.id}")
