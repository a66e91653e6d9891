"""Registering clients: all rules about a client's facts, all problems at once; security.md 1.1 (T15) and 1.6.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html (Registering a client)
"""

import re
from collections.abc import Iterable

from service.auth import scopes
from service.auth.jwks import BadKeySet, check_registered_url, check_registration
from service.caller import Role
from service.store import credentials
from service.store.change import AuditRow, Change
from service.store.credentials import CredentialStore, RegisteredClient

CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}", re.ASCII)
_PERSON = re.compile(r"(Practitioner|PractitionerRole)/[A-Za-z0-9.-]{1,64}", re.ASCII)
_PURPOSE = re.compile(r"[A-Z]{2,16}", re.ASCII)
_MAX_NAME = 100

OPERATOR = "operator"
"""Actor of audit rows about what the command line did."""


class BadClient(ValueError):
    """The client cannot be registered: one sentence for each problem."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def new_client(
    client_id: str,
    *,
    name: str,
    organization: str,
    role: str,
    scope: str,
    now_us: int,
    jwks: str | None = None,
    jwks_url: str | None = None,
    person: str | None = None,
    purpose: str = "TREAT",
) -> RegisteredClient:
    """A checked client, not yet stored. jwks: JSON text. Without a key set it is for sandbox tokens and logins only.

    Raises BadClient with every problem.
    """
    problems = list(_problems(client_id, name, organization, role, person, purpose))
    try:
        scope = _registered_scopes(scope)
        jwks = check_registration(jwks) if jwks is not None else None
        jwks_url = check_registered_url(jwks_url) if jwks_url is not None else None
    except (BadKeySet, scopes.InvalidScope) as error:
        problems.append(str(error))
    if jwks is not None and jwks_url is not None:
        problems.append("Register a key set or its URL, not both.")
    if problems:
        raise BadClient(problems)
    return RegisteredClient(
        client_id, name, organization, role, scope, person, purpose, jwks, jwks_url, created_us=now_us
    )


async def register(store: CredentialStore, client: RegisteredClient) -> None:
    """Stores a client with its audit row; raises BadClient if an active client has the name."""
    if any(other.active for other in await credentials.clients_by_name(store, client.name)):
        former = f'end that one first, `enlace client revoke "{client.name}"`'
        raise BadClient([f'An active client is called "{client.name}": choose another name, or {former}.'])
    await store.commit(insertion(client))


def insertion(client: RegisteredClient) -> Change:
    """The Change that stores a client: also for the seed, which merges many."""
    return Change(statements=[credentials.insert_client(client)], audit=[_row("C", "client-add", client)])


async def deactivate(store: CredentialStore, client: RegisteredClient) -> None:
    """Ends a client and, with the next request, all its tokens."""
    statement = credentials.deactivate_client(client.id)
    await store.commit(Change(statements=[statement], audit=[_row("D", "client-revoke", client)]))


def _row(action: str, kind: str, client: RegisteredClient) -> AuditRow:
    return AuditRow(action, kind, 0, OPERATOR, client.organization, target=f"client/{client.id}")


def _problems(
    client_id: str, name: str, organization: str, role: str, person: str | None, purpose: str
) -> Iterable[str]:
    if not CLIENT_ID.fullmatch(client_id):
        yield "A client id has 1 to 64 letters, digits, dots, hyphens and underscores."
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        yield f"A name has 1 to {_MAX_NAME} printable characters."
    if not _ORGANIZATION.fullmatch(organization):
        yield "--organization is a reference such as Organization/plan-1."
    if role not in set(Role) - {Role.SYSTEM}:
        yield "--role is one of " + ", ".join(one for one in Role if one is not Role.SYSTEM) + "."
    if person is not None and not _PERSON.fullmatch(person):
        yield "--person is a reference such as Practitioner/lcm-1."
    if not _PURPOSE.fullmatch(purpose):
        yield "--purpose is a purpose of use such as TREAT, HPAYMT or HOPERAT."


def _registered_scopes(text: str) -> str:
    """Registered scopes are parsed whole: a typing error must not quietly take a right away."""
    parsed = scopes.parse_all(text)
    if not parsed:
        raise scopes.InvalidScope("--scope names at least one scope such as system/Task.cruds.")
    if any(scope.context == "patient" for scope in parsed):
        raise scopes.InvalidScope("Scopes of context patient need an app launch, which is not served yet.")
    return scopes.text_of(parsed)
