"""Sends a reply link, or its one-time code, to the listed contact of an organization. Neither says whom it is about.

The rows are notices with the hash of the link as recipient: leased, tried again and listed as any other notice. What
reaches nobody becomes work for who referred (job reply.phone).
"""

from service.auth.sealing import SealBroken
from service.notify import reply_codes
from service.notify.model import Message, Outcome, Result
from service.notify.notice_sending import TIMEOUT_S, Desk, later, sent_by, suppressed, told_alone, unsendable
from service.notify.texts import Said, said
from service.search.restriction import EVERYTHING
from service.store import notices, read, reply_links
from service.store.change import Change, Job, Statement
from service.store.engine import Store
from service.store.notices import Notice
from service.store.read import Found
from service.store.reply_links import LIVE, Link

TO = "reply_link/"
INVITE, CODE = "reply-invite", "reply-code"
PHONE = "reply.phone"
"""Job: no message reaches the organization, so a person has to."""


def told(store: Store, kind: str, link: Link, now_us: int) -> Statement:
    """A notice that waits to be sent."""
    number, key = store.next_id(now_us), store.keys.resource(f"Task/{link.task}")
    facts = (f"{TO}{link.link}", kind, "routine", link.channel, f"Task/{link.task}", key, number)
    return notices.told(Notice(number, *facts, state="waiting", at_us=now_us, due_us=now_us))


async def tell(desk: Desk, notice: Notice) -> None:
    link = await reply_links.by_link(desk.store, notice.recipient.removeprefix(TO))
    found = (await read.heads(desk.store, [notice.target], EVERYTHING)).get(notice.target)
    if link is None or link.state not in LIVE or link.expires_us <= desk.now_us or found is None:
        await desk.store.commit(suppressed(desk, notice, found, "ended"))
        return
    if notice.kind == CODE and (not link.code or link.code_expires_us <= desk.now_us):
        await desk.store.commit(suppressed(desk, notice, found, "expired"))
        return
    try:
        contact = reply_codes.opened(desk.behaviour.page_key, link.link, link.sealed_to)
    except SealBroken:
        await _not_told(desk, notice, link, unsendable(desk, notice, "sealed"))
        return
    if contact.channel not in desk.channels:
        await _not_told(desk, notice, link, unsendable(desk, notice, "not-configured"))
        return
    await _send(desk, notice, link, found, contact)


async def _send(desk: Desk, notice: Notice, link: Link, found: Found, contact: reply_codes.Contact) -> None:
    words = _words(desk, notice.kind, link, contact.language)
    message = Message(
        id=f"notice-{notice.id}",
        to=contact.to,
        at_us=desk.now_us,
        subject=words.subject,
        text=words.sms if contact.channel == "sms" else words.text,
        timeout_s=TIMEOUT_S,
        language=contact.language,
    )
    result: Result = await sent_by(desk, contact.channel, message)
    if result.outcome is Outcome.OK:
        await desk.store.commit(told_alone(desk, notice, found, result))
    elif result.outcome is Outcome.REFUSED:
        facts = {"attempts": notice.attempts + 1, "reason": result.reason, "settled_us": desk.now_us}
        refused = notices.changed(notice, state="failed", **facts)
        await _not_told(desk, notice, link, Change(statements=[refused]))
    else:
        await desk.store.commit(Change(statements=[later(desk, notice, result)]))


async def _not_told(desk: Desk, notice: Notice, link: Link, change: Change) -> None:
    if notice.kind == INVITE:
        change.jobs.append(phone(link.task, link.organization))
    await desk.store.commit(change)


def phone(task: str, organization: str) -> Job:
    return Job(PHONE, {"task": task, "organization": organization}, f"reply|{task}")


def _words(desk: Desk, kind: str, link: Link, language: str) -> Said:
    key = desk.behaviour.page_key
    if kind == CODE:
        return said(CODE, language, code=reply_codes.digits_of(key, link.link, link.codes_sent, link.code_expires_us))
    token = reply_codes.token_of(key, link.task, link.organization, link.made_us)
    return said(INVITE, language, link=f"{desk.link}/r/{token}")
