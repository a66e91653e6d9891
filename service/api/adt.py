"""The operator's view of hospital feeds: /adt/feeds, /adt/messages, one message, and replays with a trial before.

What a person is looked for by stands in the body of POST /adt/messages/_search, never in a URL. Outside the sandbox an
operator's token sees no patients: no values of a message, no member's reference, no search by what is about a person
(that one came would be told by it); `enlace adt show` and `enlace adt inbox` on the host do that.
"""

import re
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.feed_questions import MOST, Question, asked_by_url, asked_in
from service.api.operated import Hidden, answer, form, operated, row
from service.api.state import Shared
from service.caller import Caller
from service.clock import instant
from service.store import inbox, inbox_find
from service.store.change import AuditRow, Change
from service.store.inbox import Received
from service.workflow.feed_monitor import monitor
from service.workflow.feed_replay import replay_messages
from service.workflow.feed_search import find
from service.workflow.feed_trial import trial
from service.workflow.feed_view import listed, view

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")


async def _feeds(_request: Request, shared: Shared, caller: Caller) -> Response:
    found = await monitor(shared.store)
    await shared.store.commit(Change(audit=[row("E", "feed-read", caller, "adt/feeds")]))
    return answer({"feeds": found})


async def _list(request: Request, shared: Shared, caller: Caller) -> Response:
    return await _found(shared, caller, asked_by_url(request.query_params))


async def _search(request: Request, shared: Shared, caller: Caller) -> Response:
    return await _found(shared, caller, _asked(shared, await form(request)))


async def _found(shared: Shared, caller: Caller, question: Question) -> Response:
    found = await find(shared.store, question.asked, limit=question.limit, look=question.look)
    detail = {"by": question.asked.about, "shown": len(found.rows)}
    await shared.store.commit(Change(audit=[_noted(caller, "message-search", "E", "inbox", detail)]))
    more = {"looked": found.looked, "back": instant(found.back_us)} if found.unseen else None
    reused = await inbox_find.reusing(shared.store, [one.id for one in found.rows])
    messages = [listed(one, reused=one.id in reused) for one in found.rows]
    return answer(_shown(shared, {"messages": messages, "unseen": more}))


def _asked(shared: Shared, body: dict[str, Any], **kind: bool) -> Question:
    return asked_in(body, personal=shared.settings.env == "sandbox", **kind)


def _shown(shared: Shared, found: Any) -> Any:
    """Outside the sandbox without the members that messages were matched to."""
    if shared.settings.env == "sandbox":
        return found
    if isinstance(found, dict):
        return {name: _shown(shared, value) for name, value in found.items() if name != "patient"}
    return [_shown(shared, one) for one in found] if isinstance(found, list) else found


async def _one(request: Request, shared: Shared, caller: Caller) -> Response:
    received = await _message(request, shared)
    content = shared.settings.env == "sandbox" and request.query_params.get("content") == "true"
    found = await view(shared.store, received.id, content=content)
    if found is None:
        raise Hidden
    about = (received.patient,) if received.patient else ()
    detail = {"raw": content}
    audit = _noted(caller, "message-read", "R", f"inbox/{received.id}", detail, about)
    await shared.store.commit(Change(audit=[audit]))
    return answer(_shown(shared, found))


async def _replay_one(request: Request, shared: Shared, caller: Caller) -> Response:
    received = await _message(request, shared)
    question = asked_in(await form(request), replay=True)
    return await _replayed(shared, caller, [received], dry=question.trial, vouched=True)


async def _replay(request: Request, shared: Shared, caller: Caller) -> Response:
    question = _asked(shared, await form(request), replay=True, narrow=True)
    if question.ids:
        rows = [one for id in question.ids if (one := await inbox.one(shared.store, id))]
    else:
        rows = (await find(shared.store, question.asked, limit=MOST, look=100 * MOST)).rows
    rows = [one for one in rows if not question.reason or one.reason == question.reason]
    return await _replayed(shared, caller, rows, dry=question.trial, vouched=bool(question.ids))


async def _replayed(shared: Shared, caller: Caller, rows: list[Received], *, dry: bool, vouched: bool) -> Response:
    detail = {"messages": len(rows), "trial": dry}
    target = f"inbox/{rows[0].id}" if len(rows) == 1 else "inbox"
    await shared.store.commit(Change(audit=[_noted(caller, "message-replay", "E" if dry else "U", target, detail)]))
    if dry:
        return answer(_shown(shared, await trial(shared.store, rows, shared.behaviour)))
    done = await replay_messages(shared.store, rows, vouched=vouched)
    return answer({"queued": done.queued, "repeated": done.repeated, "purged": done.purged})


async def _message(request: Request, shared: Shared) -> Received:
    number = request.path_params["id"]
    found = await inbox.one(shared.store, int(number)) if _NUMBER.fullmatch(number) and int(number) < 2**63 else None
    if found is None:
        raise Hidden
    return found


def _noted(
    caller: Caller, kind: str, action: str, target: str, detail: dict[str, Any], about: tuple[str, ...] = ()
) -> AuditRow:
    return row(action, kind, caller, target, patients=about, detail=orjson.dumps(detail).decode())


routes = [
    Route("/adt/feeds", operated("s", "feed-read", "adt/feeds", _feeds), methods=["GET"]),
    Route("/adt/messages", operated("s", "message-search", "inbox", _list), methods=["GET"]),
    Route("/adt/messages/_search", operated("s", "message-search", "inbox", _search), methods=["POST"]),
    Route("/adt/messages/{id}", operated("r", "message-read", "inbox", _one), methods=["GET"]),
    Route("/adt/messages/{id}/replay", operated("u", "message-replay", "inbox", _replay_one), methods=["POST"]),
    Route("/adt/replay", operated("u", "message-replay", "inbox", _replay), methods=["POST"]),
]
