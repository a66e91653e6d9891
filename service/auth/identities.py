"""Registering identity providers and the people they vouch for: rules and audit rows; no pages, no command line.

../shared/facts/security.md 1.5 (a). A provider may speak for its organization and what is part of it only, and give
its people the roles that the operator lists: an organization cannot widen its people's rights by its own directory.
"""

import re
from collections.abc import Iterable

from service.auth.accounts import PERSONAL, account_id, bound
from service.auth.openid import secret_purpose
from service.auth.openid_metadata import BadProvider, check_issuer
from service.auth.openid_tokens import MAX_SUBJECT
from service.auth.registration import OPERATOR
from service.auth.sealing import seal
from service.store import authorizations, identities
from service.store.change import AuditRow, Change
from service.store.credentials import CredentialStore
from service.store.identities import Account, Provider

MAX_NAME = 100
_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}", re.ASCII)
_PRACTITIONER = re.compile(r"Practitioner/[A-Za-z0-9.-]{1,64}", re.ASCII)
_TEXT = re.compile(r"[!-~]{1,255}", re.ASCII)


class BadIdentity(ValueError):
    """It cannot be registered: one sentence for each problem."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def new_provider(
    provider_id: str,
    *,
    name: str,
    issuer: str,
    organization: str,
    client_id: str,
    roles: Iterable[str],
    key: bytes,
    now_us: int,
    client_secret: str | None = None,
    allow: Iterable[str] = (),
    sandbox: bool = False,
) -> Provider:
    """A checked provider, not yet stored; key: of Settings.secret_key(). Raises BadIdentity with every problem."""
    given = tuple(dict.fromkeys(roles))
    problems = list(_problems(name, organization, client_id, given, client_secret))
    try:
        check_issuer(issuer, allow, sandbox=sandbox)
    except BadProvider as bad:
        problems.append(str(bad))
    if problems:
        raise BadIdentity(problems)
    sealed = None if client_secret is None else seal(key, secret_purpose(provider_id), client_secret.encode())
    facts = (provider_id, issuer, name, organization, client_id, sealed, " ".join(given))
    return Provider(*facts, True, now_us)


async def add_provider(store: CredentialStore, provider: Provider) -> None:
    """Stores it with its audit row; raises BadIdentity if an active one has the name."""
    if any(other.active and other.name == provider.name for other in await identities.providers(store)):
        former = f'disable that one first, `enlace identity disable "{provider.name}"`'
        raise BadIdentity([f'An active provider is called "{provider.name}": choose another name, or {former}.'])
    target = f"identity-provider/{provider.id}"
    row = AuditRow("C", "identity-add", 0, OPERATOR, provider.organization, target)
    await store.commit(Change(statements=[identities.insert_provider(provider)], audit=[row]))


async def disable(store: CredentialStore, provider: Provider) -> None:
    """Ends it; its people are out at once, from our pages and from apps."""
    row = AuditRow(
        "D", "identity-disable", 0, OPERATOR, provider.organization, target=f"identity-provider/{provider.id}"
    )
    people, now_us = "SELECT id FROM account WHERE provider = ?", store.clock.now_us()
    ended = authorizations.end_people(people, (provider.id,), now_us)
    await store.commit(Change(statements=[identities.disable_provider(provider.id), *ended], audit=[row]))


async def bind(store: CredentialStore, provider: Provider, subject: str, practitioner: str) -> Account:
    """Binds the subject to a Practitioner, in place of a former one; raises BadIdentity."""
    problems = []
    if not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        problems.append(f"SUBJECT is the person's `sub` at the provider, 1 to {MAX_SUBJECT} printable characters.")
    if not _PRACTITIONER.fullmatch(practitioner):
        problems.append("The person is a reference such as Practitioner/lcm-1.")
    if problems:
        raise BadIdentity(problems)
    account = bound(provider, subject, practitioner, store.clock.now_us())
    row = AuditRow("C", "identity-person", 0, OPERATOR, provider.organization, f"account/{account.id}")
    await store.commit(Change(statements=[identities.put_account(account)], audit=[row]))
    return account


async def remove(store: CredentialStore, provider: Provider, subject: str) -> Account:
    """Ends the account; the person is out at once, from our pages and from apps, also if bound again one day.

    Raises BadIdentity where there is none.
    """
    account = await identities.account_by_id(store, account_id(provider.id, subject))
    if account is None or not account.active:
        raise BadIdentity(["This provider has no active person with this subject; see `enlace identity people`."])
    row = AuditRow("D", "identity-remove", 0, OPERATOR, provider.organization, f"account/{account.id}")
    ended = authorizations.end_account(account.id, store.clock.now_us())
    await store.commit(Change(statements=[identities.end_account(account.id), *ended], audit=[row]))
    return account


async def named(store: CredentialStore, name_or_id: str) -> Provider:
    """The provider of this id, or the active one of this name; raises BadIdentity."""
    for provider in await identities.providers(store):
        if provider.id == name_or_id or (provider.active and provider.name == name_or_id):
            return provider
    raise BadIdentity(["No active provider has this id or name; see `enlace identity list`."])


def _problems(
    name: str, organization: str, client_id: str, roles: tuple[str, ...], secret: str | None
) -> Iterable[str]:
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        yield f"A name has 1 to {MAX_NAME} printable characters."
    if not _ORGANIZATION.fullmatch(organization):
        yield "--organization is a reference such as Organization/ecm-1."
    if not _TEXT.fullmatch(client_id):
        yield "--client-id has 1 to 255 visible ASCII characters."
    if not roles or not set(roles) <= set(PERSONAL):
        yield "--role is one of " + ", ".join(PERSONAL) + "; it may be given several times."
    if secret is not None and not _TEXT.fullmatch(secret):
        yield "The file of --client-secret-file holds one line of 1 to 255 visible ASCII characters."
