"""Sessions on the pages: who may sign in, how long it lasts, how it ends; security.md B11, B12, A28, A30.

The cookie is 256 random bits, known to the store by its SHA-256; each sign-in makes a new one, sign-out ends it here.
"""

import hmac
import json
import secrets
from dataclasses import dataclass

from service.auth import tokens
from service.auth.accounts import Acting, may_act
from service.auth.client_rules import CLIENT_ID
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.search.restriction import EVERYTHING
from service.store import credentials, read, sessions
from service.store.change import AuditRow, Change, Statement
from service.store.engine import Store
from service.store.identities import Account, Provider
from service.store.sessions import SessionRow, Through

SECOND = 1_000_000
IDLE_S = {"production": 15 * 60, "sandbox": 60 * 60}
"""Without a sign of the person. A trial is shown to others and left open: there an hour spares signing in again."""
ABSOLUTE_S = 12 * 3600
SYSTEMS = (Role.ECM_PROVIDER, Role.MCP, Role.CBO)
"""Systems that a visitor of the sandbox may look through. In production a session is a person's, always."""
PAGES = "pages"
"""Client of a person who came through an identity provider: our own pages."""
PAGE_SCOPES = "user/*.cruds"
"""The pages narrow nothing by scope: what counts is the person's role."""
TOUCH_S = 60
"""A person's steps are noted at most once a minute: a session never ends more than a minute early by it."""


class LoginRefused(Exception):
    """No session; `reason` is a short code for audit and log."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Person:
    """Who may sign in in the sandbox: a client of role lcm that stands for a person, or a system."""

    client_id: str
    display: str
    organization: str
    role: Role = Role.LCM


@dataclass(frozen=True)
class Session:
    """A live session. digest: what the store knows it by. csrf: what each of its forms carries."""

    digest: bytes
    caller: Caller
    csrf: str
    client_name: str
    """In place of the person's name, where the directory has none."""
    seen_us: int
    account: str = ""
    provider: Provider | None = None
    """Through which the person came; None: a session of the sandbox."""

    def touch(self, now_us: int) -> Statement | None:
        """The note that the person did something now, where it is due."""
        due = now_us - self.seen_us >= TOUCH_S * SECOND
        return sessions.touch_session(self.digest, now_us) if due else None


async def people(store: Store) -> list[Person]:
    """Lead care managers who can sign in in the sandbox, by name. Directory data only."""
    out = await _known(store, (Role.LCM,))
    return sorted(out, key=lambda person: (person.display.casefold(), person.client_id))


async def visitors(store: Store) -> dict[Role, list[Person]]:
    """Everybody as whom a visitor of the sandbox may sign in: by role, the oldest client of each role first."""
    found = await _known(store, (Role.LCM, *SYSTEMS))
    return {role: [one for one in found if one.role is role] for role in (Role.LCM, *SYSTEMS)}


async def _known(store: Store, roles: tuple[Role, ...]) -> list[Person]:
    rows = [row for role in roles for row in await credentials.clients_by_role(store, role)]
    clients = [c for c in rows if c.active and (c.person or c.role != Role.LCM)]
    wanted = {str(c.person) for c in clients if c.person} | {c.organization for c in clients}
    found = await read.heads(store, sorted(wanted), EVERYTHING) if wanted else {}
    bodies = {reference: json.loads(one.body) for reference, one in found.items() if one.body is not None}
    out = []
    for c in clients:
        organization = str(bodies.get(c.organization, {}).get("name") or "")
        name = name_of(bodies.get(str(c.person), {})) if c.role == Role.LCM else organization
        out.append(Person(c.id, name or c.name, organization, Role(c.role)))
    return out


def name_of(resource: dict[str, object]) -> str:
    """Name of a Patient or Practitioner as people say it: the usual or official one first; "" where there is none."""
    names = resource.get("name")
    listed = [n for n in names if isinstance(n, dict)] if isinstance(names, list) else []
    order = {"usual": 0, "official": 1, None: 2}
    for name in sorted(listed, key=lambda n: order.get(n.get("use"), 3)):
        parts = [*(name.get("given") or ()), name.get("family") or ""]
        text = str(name.get("text") or "") or " ".join(str(part) for part in parts if part)
        if text.strip():
            return text.strip()
    return ""


async def sign_in(
    store: Store, env: str, client_id: str, now_us: int, *, former: str = "", request_id: str = ""
) -> tuple[str, Change]:
    """(cookie, Change). former: the cookie that the browser sent; that session ends. Raises LoginRefused."""
    if env != "sandbox":
        raise LoginRefused("production")
    client = await credentials.client_by_id(store, client_id) if CLIENT_ID.fullmatch(client_id) else None
    if client is None or not client.active or not may_sign_in(client.role, client.person, env):
        raise LoginRefused("unknown")
    cookie, digest, change = _new_session(env, now_us, former)
    given = (digest, client.id, secrets.token_urlsafe(32), now_us, now_us + ABSOLUTE_S * SECOND)
    change.statements.append(sessions.insert_session(*given))
    actor, target = client.person or client.id, f"client/{client.id}"
    change.audit.append(
        AuditRow("E", "login", 0, actor, client.organization, target, request_id=request_id, purpose=client.purpose)
    )
    return cookie, change


def sign_in_person(
    env: str, account: Account, acting: Acting, now_us: int, *, former: str = "", request_id: str = ""
) -> tuple[str, Change]:
    """(cookie, Change) of a person whom an identity provider vouched for, acting for one organization in one role."""
    cookie, digest, change = _new_session(env, now_us, former)
    given = (digest, PAGES, secrets.token_urlsafe(32), now_us, now_us + ABSOLUTE_S * SECOND)
    person = account.practitioner
    change.statements.append(
        sessions.insert_person_session(*given, (account.id, person, acting.organization, acting.role))
    )
    target = f"account/{account.id}"
    change.audit.append(
        AuditRow("E", "login", 0, person, acting.organization, target, request_id=request_id, purpose="TREAT")
    )
    return cookie, change


def _new_session(env: str, now_us: int, former: str) -> tuple[str, bytes, Change]:
    """A cookie that nobody has seen, its digest, and the end of what was before."""
    cookie, digest = tokens.new_token()
    change = Change(statements=[sessions.forget_ended_sessions(now_us, now_us - IDLE_S[env] * SECOND)])
    former_digest = tokens.digest_of(former)
    if former_digest:
        change.statements.append(sessions.delete_session(former_digest))
    return cookie, digest, change


def may_sign_in(role: str, person: str | None, env: str) -> bool:
    """A lead care manager who is a person; in the sandbox the systems too."""
    return (role == Role.LCM and bool(person)) or (role in SYSTEMS and env == "sandbox")


def refusal(reason: str, request_id: str = "") -> Change:
    """The audit row of a sign-in that was refused: nobody is known yet."""
    return Change(audit=[AuditRow("E", "login", 4, "anonymous", "", request_id=request_id, reason=reason)])


def sign_out(session: Session, request_id: str = "") -> Change:
    caller = session.caller
    target = f"account/{session.account}" if session.account else f"client/{caller.client_id}"
    actor = caller.person or caller.client_id
    row = AuditRow("E", "logout", 0, actor, caller.organization, target, request_id=request_id, purpose=caller.purpose)
    return Change(statements=[sessions.delete_session(session.digest)], audit=[row])


async def session_of(store: Store, cookie: str, env: str, now_us: int) -> Session | None:
    """The live session of a cookie, with the person's rights as they stand now; None for every reason alike."""
    digest = tokens.digest_of(cookie)
    row = await sessions.session_row(store, digest) if digest else None
    if digest is None or row is None or not alive(row, env, now_us):
        return None
    if row.through is not None:
        return await _through_provider(store, digest, row, row.through, now_us)
    caller = Caller(
        row.client_id,
        Role(row.role),
        row.organization,
        row.person,
        row.scopes,
        compile_allows(row.scopes),
        row.purpose,
    )
    return Session(digest, caller, row.csrf, row.name, row.seen_us)


async def _through_provider(
    store: Store, digest: bytes, row: SessionRow, through: Through, now_us: int
) -> Session | None:
    """Only while the person may still act for that organization in that role."""
    for acting in await may_act(store, through.provider, through.practitioner, now_us):
        if (acting.organization, acting.role) == (through.organization, through.role):
            person, allows = through.practitioner, compile_allows(PAGE_SCOPES)
            given = (acting.organization, person, PAGE_SCOPES, allows, row.purpose, acting.above)
            caller = Caller(PAGES, acting.role, *given)
            return Session(digest, caller, row.csrf, row.name, row.seen_us, through.account, through.provider)
    return None


def alive(row: SessionRow, env: str, now_us: int) -> bool:
    """Neither too old nor too long unused, and whoever it belongs to may still sign in here.

    Sessions without an identity provider are the sandbox's: production takes none, should its database be carried over.
    """
    if now_us >= row.expires_us or now_us >= row.seen_us + IDLE_S[env] * SECOND:
        return False
    if row.through is not None:
        return row.through.account_active and row.through.provider.active and row.person == row.through.practitioner
    return env == "sandbox" and row.client_active and may_sign_in(row.role, row.person, env)


def signin_token(key: bytes, nonce: str) -> str:
    """What the sign-in form carries beside the nonce in the cookie: nobody who lacks the key can make the pair."""
    return hmac.new(key, b"sign-in\0" + nonce.encode(), "sha256").hexdigest()


def same(one: str, other: str) -> bool:
    """Equality that takes the same time whatever differs; empty is never equal."""
    return bool(one) and hmac.compare_digest(one.encode(), other.encode())
