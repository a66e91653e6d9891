"""Access tokens for trials only: `enlace token`. Production refuses them twice, here and in bearer.py; contract.md."""

from service.auth import tokens
from service.auth.registration import OPERATOR, insertion, new_client
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.store import credentials
from service.store.change import AuditRow, Change
from service.store.credentials import CredentialStore, RegisteredClient

ADMIN_CLIENT = "sandbox-admin"
ADMIN_ORGANIZATION = "Organization/enlace"
"""Stands in for the operator on a database that nobody has seeded yet."""


class SandboxRefused(Exception):
    """No token; the message is a sentence with the remedy."""


async def issue_sandbox_token(
    store: CredentialStore, settings_env: str, role: str, client_name: str | None, ttl_s: int
) -> str:
    """A token with all scopes of the oldest active client of the role, or of the one with this name or id.

    settings_env: must be "sandbox". ttl_s: seconds, at most a day. Raises SandboxRefused.
    """
    if settings_env != "sandbox":
        raise SandboxRefused("Sandbox tokens need ENLACE_ENV=sandbox; register a client with `enlace client add`.")
    if not 0 < ttl_s <= tokens.SANDBOX_MAX_TTL_S:
        raise SandboxRefused("A sandbox token lives between one second and 24 hours; use --ttl 8h.")
    now_us = store.clock.now_us()
    change = Change()
    client = await _client(store, role, client_name)
    if client is None:
        client = _new_admin(role, client_name, now_us)
        change.merge(insertion(client))
    token, digest = tokens.new_token()
    expires_us = now_us + ttl_s * 1_000_000
    change.statements.append(credentials.insert_token(digest, client.id, client.scopes, now_us, expires_us))
    target = tokens.audit_name(digest)
    change.audit.append(AuditRow("E", "sandbox-token", 0, OPERATOR, client.organization, target))
    await store.commit(change)
    return token


async def stand_in(store: CredentialStore, settings_env: str, role: Role) -> list[Caller]:
    """Everybody of a role, the oldest client first, for whom the sandbox acts in a trial. Raises SandboxRefused."""
    if settings_env != "sandbox":
        raise SandboxRefused("Sandbox events need ENLACE_ENV=sandbox: in production nobody acts for others.")
    found = [client for client in await credentials.clients_by_role(store, role) if client.active]
    if not found:
        raise SandboxRefused(f"There is no active client of the role {role} yet: make some with `enlace seed`.")
    return [caller_of(client) for client in found]


def caller_of(client: RegisteredClient) -> Caller:
    """As the client would call with a token of all its scopes."""
    role, scopes = Role(client.role), client.scopes
    return Caller(client.id, role, client.organization, client.person, scopes, compile_allows(scopes), client.purpose)


def curl_lines(base_url: str, record: str, lcm: str, cbo: str) -> list[tuple[str, str]]:
    """(what it shows, command to paste). record: reference of Sonja's Patient; lcm, cbo: names of clients."""

    def curl(role: Role, client: str, query: str) -> str:
        token = f"$(.venv/bin/enlace token --role {role} --client {client})"
        return f"curl -s -H \"Authorization: Bearer {token}\" '{base_url}/fhir/{query}'"

    return [
        ("Sonja's record, as her lead care manager sees it", curl(Role.LCM, lcm, record)),
        ("her newest alerts", curl(Role.LCM, lcm, "Communication?category=enlace-alert&_count=3")),
        ("what a community organization was asked", curl(Role.CBO, cbo, "Task?_include=Task:focus")),
    ]


async def _client(store: CredentialStore, role: str, name: str | None) -> RegisteredClient | None:
    if role not in set(Role) - {Role.SYSTEM}:
        raise SandboxRefused("--role is one of " + ", ".join(one for one in Role if one is not Role.SYSTEM) + ".")
    found = [client for client in await credentials.clients_by_role(store, role) if client.active]
    if name is not None:
        found = [client for client in found if name in (client.name, client.id)]
    return found[0] if found else None


def _new_admin(role: str, client_name: str | None, now_us: int) -> RegisteredClient:
    """Only the operator can be made up; every other role needs a real organization."""
    if role != Role.ADMIN or client_name is not None:
        raise SandboxRefused(
            "No active client has this role and name; see `enlace client list`, or make some with `enlace seed`."
        )
    return new_client(
        ADMIN_CLIENT,
        name=ADMIN_CLIENT,
        organization=ADMIN_ORGANIZATION,
        role=Role.ADMIN,
        scope="system/*.cruds",
        now_us=now_us,
    )
