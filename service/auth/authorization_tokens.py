"""From what a person granted an app to the tokens of it: access for 15 minutes, id_token, refresh where it was granted.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token
security.md 1.4 and B6, B7, B9 of 1.5.
"""

from dataclasses import dataclass
from typing import Any, cast

from service.auth import accounts, login, tokens
from service.auth.authorization import Authorization
from service.auth.authorization_clients import AtEndpoint, bad_grant
from service.auth.authorization_scopes import held_now, needs_patient
from service.auth.backend_services import AuthServer
from service.auth.id_tokens import id_token
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.store import authorizations, credentials, sessions
from service.store.authorizations import RefreshRow
from service.store.change import Change
from service.store.engine import Store

OFFLINE_S = 90 * 86_400
SECOND = 1_000_000


@dataclass(frozen=True)
class Issued:
    """digest: of the access token, for the audit row."""

    change: Change
    body: dict[str, Any]
    digest: bytes


def caller_for(client_id: str, granted: Authorization, text: str) -> Caller:
    """Who the app will be with these scopes."""
    return Caller(
        client_id,
        Role(granted.role),
        granted.organization,
        granted.person,
        text,
        compile_allows(text, granted.patient is not None),
        granted.purpose,
        patient=granted.patient,
    )


async def issued(
    server: AuthServer, at: AtEndpoint, granted: Authorization, family: str, now_us: int, *, text: str = ""
) -> Issued:
    """The access token alone. text: fewer scopes than were granted. Raises OAuthRefused.

    Of what was granted, what the app is still registered for: the operator may have narrowed it since.
    """
    text = held_now(text or granted.scopes, at.client.scopes)
    if not text:
        raise bad_grant("scopes")
    patient = granted.patient if needs_patient(text.split(" ")) else None
    if patient is not None and not await server.sees(caller_for(at.client.id, granted, text), patient):
        raise bad_grant("patient")
    token, digest = tokens.new_token()
    facts = {
        "scopes": text,
        "issued_us": now_us,
        "expires_us": now_us + tokens.USER_TTL_S * SECOND,
        "person": granted.person,
        "organization": granted.organization,
        "role": granted.role,
        "purpose": granted.purpose,
        "patient": patient,
        "account": granted.account,
    }
    change = Change(claims=list(at.claims))
    change.statements.append(authorizations.insert_person_token(digest, at.client.id, family, facts))
    body: dict[str, Any] = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": tokens.USER_TTL_S,
        "scope": text,
    }
    if patient is not None:
        # Nothing of the app's own screen tells us whether it shows who the member is: it has to.
        body |= {"patient": patient.partition("/")[2], "need_patient_banner": True}
    return Issued(change, body, digest)


async def with_identity(server: AuthServer, at: AtEndpoint, granted: Authorization, now_us: int) -> dict[str, str]:
    """The member `id_token` of the first answer, where `openid` was granted."""
    if "openid" not in granted.scopes.split(" "):
        return {}
    key = await server.signing.signer(server.store, now_us)
    return {"id_token": id_token(key, server.base_url, at.client.id, granted, now_us)}


def with_refresh(
    at: AtEndpoint, granted: Authorization, family: str, now_us: int, until_us: int, change: Change
) -> dict[str, str]:
    """The member `refresh_token`, and its row in the Change; {} where neither online nor offline access was granted."""
    words = granted.scopes.split(" ")
    if "offline_access" not in words and "online_access" not in words:
        return {}
    token, digest = tokens.new_token()
    row = RefreshRow(at.client.id, family, granted.text(), now_us, until_us, None, None, bound_to(granted))
    change.statements.append(authorizations.insert_refresh(digest, row))
    return {"refresh_token": token}


def refresh_until_us(granted: Authorization, now_us: int) -> int:
    """The last instant of a family, however often it is refreshed. Online access ends with its session before."""
    life_s = OFFLINE_S if "offline_access" in granted.scopes.split(" ") else login.ABSOLUTE_S
    return now_us + life_s * SECOND


def bound_to(granted: Authorization) -> bytes | None:
    """The session with which an authorization ends; None where it outlives that."""
    return None if "offline_access" in granted.scopes.split(" ") else bytes.fromhex(granted.session)


async def standing(server: AuthServer, granted: Authorization, now_us: int) -> dict[int, int] | None:
    """None where the person may no longer act as granted; else the epochs on which the new tokens rely.

    Who signs out moves the epoch of the session: so no token slips in beside the end of it.
    """
    session, store = bound_to(granted), server.store
    epochs: dict[int, int] = {}
    if session is not None:
        key = authorizations.session_key(store.keys, session)
        epochs[key] = await authorizations.session_epoch(store, store.keys, session)
    return epochs if await stands(server, granted, session, now_us) else None


async def stands(server: AuthServer, granted: Authorization, session: bytes | None, now_us: int) -> bool:
    """Whether the person may still act as they did when they granted: asked at the exchange and at each refresh.

    session: for online access, which ends with it.
    """
    store = cast(Store, server.store)
    if session is not None:
        row = await sessions.session_row(store, session)
        if row is None or not login.alive(row, server.env, now_us):
            return False
    if granted.account is None:
        client = await credentials.client_by_id(store, granted.login_client)
        if client is None or not client.active or server.env != "sandbox":
            return False
        return login.may_sign_in(client.role, client.person, server.env)
    who = (granted.account, granted.person, granted.organization, granted.role)
    return await accounts.still_acts(store, *who, now_us)
