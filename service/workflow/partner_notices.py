"""Our Subscription on a partner's server: asked for once something of ours stands there, looked after, made anew.

By it the server tells us that there is something to look at, and no more. Without it, and beside it, the partner is
asked at its interval: so a notice that is lost, or a Subscription that ends there, loses nothing.
"""

import contextlib
from dataclasses import replace

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.auth.signing_keys import KeysRefused
from service.auth.tokens import new_token
from service.log_events import PARTNER_TELLS, PARTNER_UNTOLD, log
from service.store import partner_notices as stored
from service.store.partner_notices import Notices
from service.store.partners import PUSHES
from service.workflow.partner_client import Away, Declined, Exchange, Odd, Server
from service.workflow.partner_notice_shapes import subscriptions
from service.workflow.partner_shapes import id_there
from service.workflow.partner_turn import Turn

PATH = "/partners/notices/"
"""Below the public address of this service; the secret follows."""
CHECK_US, FIRST_CHECK_US = 2_700_000_000, 120_000_000
"""How long after a good look at it the next one is due, and after it was made; it is looked at within a turn."""
RETRY_US, MOST_RETRY_US = 900_000_000, 86_400_000_000
STANDS = ("requested", "active")
ENDED = {"error": "error-there", "off": "off-there"}
GONE = frozenset({404, 410})
OTHER_WORDS = frozenset({400, 422})
"""Answers after which it is asked for more simply."""


async def keep(turn: Turn) -> None:
    """Raises LeaseLost. Whatever goes wrong with it stands in its row, and stops nothing else."""
    one = turn.partner
    row = await stored.of_partner(turn.store, one.name)
    if row is not None and row.due_us > turn.now_us():
        return
    if one.notices != "auto" or one.direction not in PUSHES:
        if row is not None:
            await _end(turn, row)
        return
    if not await stored.anything_sent(turn.store, one.name):
        return
    if row is None or row.status not in STANDS or not await _stands(turn, row):
        await _make(turn, row or Notices(one.name))


def _subscribing(turn: Turn) -> Server:
    """The server with a token of its own: where the partner grants none for Subscriptions, referrals go on."""
    scopes = turn.partner.scopes
    wider = scopes if "Subscription" in scopes or "system/*" in scopes else f"{scopes} system/Subscription.cruds"
    return replace(turn.server, partner=replace(turn.partner, scopes=wider))


def _path(turn: Turn, row: Notices) -> str:
    """Of the Subscription there; "" where it is none that this server can be asked for."""
    try:
        return f"Subscription/{id_there(turn.partner, row.remote, 'Subscription')}"
    except Odd:
        return ""


def _retry_us(turn: Turn, tries: int) -> int:
    return turn.now_us() + min(RETRY_US << min(tries, 10), MOST_RETRY_US)


# --- it is there -----------------------------------------------------------------------------------------------------


async def _stands(turn: Turn, row: Notices) -> bool:
    """Whether nothing is to be made now."""
    why = "unknown-there"
    if path := _path(turn, row):
        try:
            found = (await _subscribing(turn).get(path)).resource
        except (Exchange, KeysRefused) as error:
            why = "gone-there" if isinstance(error, Declined) and error.status in GONE else ""
            if not why:
                await turn.noted(stored.put_off(row.partner, _reason(error), _retry_us(turn, row.tries)))
                return True
        else:
            status = str(found.get("status"))
            if found.get("resourceType") == "Subscription" and status in STANDS:
                now_us = turn.now_us()
                await turn.noted(stored.stands(row, status, now_us, now_us + CHECK_US))
                return True
            why = ENDED.get(status, "unknown-there")
    log(PARTNER_UNTOLD, partner=row.partner, reason=why, tries=row.tries)
    if row.tries:  # it was made just now, and ended again
        due_us = _retry_us(turn, row.tries)
        await turn.noted(stored.failed(row.partner, "lost", why, row.tries + 1, due_us))
        return True
    return False


def _reason(error: Exchange | KeysRefused) -> str:
    return error.reason if isinstance(error, Exchange) else "own-key"


# --- it is made ------------------------------------------------------------------------------------------------------


async def _make(turn: Turn, row: Notices) -> None:
    """Under a new secret: that of an earlier one is worth nothing from here on."""
    name, due_us = row.partner, _retry_us(turn, row.tries)
    token, digest = new_token()
    try:
        statement = (await turn.server.get("metadata")).resource
        wanted = subscriptions(statement, turn.partner, _prefix(turn) + token)
        if not wanted:
            raise Odd("not-offered")
        server = _subscribing(turn)
        await _clear(turn, server, row)
        await turn.noted(stored.making(name, digest.hex(), row.tries + 1, due_us))
        found = await _created(server, wanted)
    except (Exchange, KeysRefused) as error:
        why = _reason(error)
        if why != row.error:
            log(PARTNER_UNTOLD, partner=name, reason=why, tries=row.tries)
        await turn.noted(stored.failed(name, "none", why, row.tries + 1, due_us))
        return
    now_us = turn.now_us()
    log(PARTNER_TELLS, partner=name)
    remote = f"{turn.partner.base_url}/Subscription/{found['id']}"
    await turn.noted(stored.made(name, remote, str(found["status"]), now_us, now_us + FIRST_CHECK_US))


def _prefix(turn: Turn) -> str:
    return turn.base_url.removesuffix("/fhir") + PATH


async def _created(server: Server, wanted: list[Resource]) -> Resource:
    """As it stands there, id and status at least. Raises Exchange."""
    for number, body in enumerate(wanted):
        try:
            reply = await server.request("POST", "Subscription", write_json(body))
            break
        except Declined as error:
            if error.status not in OTHER_WORDS or number == len(wanted) - 1:
                raise
    found = reply.resource
    if found.get("resourceType") != "Subscription":
        there = id_there(server.partner, reply.headers.get("location", ""), "Subscription")
        return {"id": there, "status": "requested"}
    id_there(server.partner, f"Subscription/{found.get('id')}", "Subscription")
    if found.get("status") not in STANDS:
        raise Odd(ENDED.get(str(found.get("status")), "unknown-there"))
    return found


async def _clear(turn: Turn, server: Server, row: Notices) -> None:
    """Takes away what stands there of ours: the last one, or one whose making was interrupted."""
    if path := _path(turn, row):
        await _delete(server, path)
    elif row.tries:
        for path in await _ours(turn, server):
            await _delete(server, path)


async def _ours(turn: Turn, server: Server) -> list[str]:
    """Those that would tell us, by the address to which they tell."""
    try:
        found = (await server.get("Subscription?_count=100")).resource
    except (Declined, Odd):
        return []
    entries = found.get("entry")
    held = [one.get("resource") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    mine = [one for one in held if isinstance(one, dict) and _tells(one).startswith(_prefix(turn))]
    paths = [_path(turn, Notices(turn.partner.name, remote=f"Subscription/{one.get('id')}")) for one in mine]
    return [path for path in paths if path]


def _tells(found: Resource) -> str:
    channel = found.get("channel")
    return str(channel.get("endpoint", "")) if isinstance(channel, dict) else ""


async def _delete(server: Server, path: str) -> None:
    """Where it is refused it goes on telling an address that nobody knows any more."""
    with contextlib.suppress(Declined, Odd):
        await server.request("DELETE", path)


async def _end(turn: Turn, row: Notices) -> None:
    """The operator wants no notices any more."""
    try:
        if path := _path(turn, row):
            await _delete(_subscribing(turn), path)
    except (Away, KeysRefused) as error:
        await turn.noted(stored.put_off(row.partner, _reason(error), _retry_us(turn, row.tries)))
        return
    await turn.noted(stored.ended(row.partner))
